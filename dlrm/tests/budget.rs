//! Tables in a budget: every method trains, resumes bit for bit, and has the gradients of what it says it looks up.

mod common;

use clap::ValueEnum;
use common::{Stop, final_bytes, kept, output, run, settings, stderr, stdout};
use dlrm::budget::Method;
use dlrm::data::Dataset;
use dlrm::model::{Dlrm, Engine, Feature, Lookup, ModelConfig, Samples};
use dlrm::train::{RunOptions, TableSettings, TrainError, TrainSettings};
use proptest::prelude::*;
use tempfile::tempdir;
use ttcore::{Reference, Rule, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Threads};

/// Lines whose categories are numbered by popularity.
fn lines() -> Dataset {
    common::lines().by_popularity().expect("whole rows")
}

fn of(method: Method) -> TrainSettings {
    TrainSettings { method, table_bytes: Some(5_000), ..settings() }
}

#[test]
fn a_run_that_is_stopped_and_goes_on_is_the_same_bit_for_bit() {
    let data = lines();
    for &method in Method::value_variants() {
        let (whole, parts) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
        run(&data, &of(method), &kept(whole.path(), 0, false), &mut Stop::default(), 1).expect("a run");
        for after in [3, 21] {
            let stopped = run(&data, &of(method), &kept(parts.path(), 0, true), &mut Stop::after(after), 1);
            assert!(matches!(stopped, Err(TrainError::Interrupted { .. })), "{stopped:?}");
        }
        let outcome = run(&data, &of(method), &kept(parts.path(), 0, true), &mut Stop::default(), 2).expect("the rest");
        assert_eq!(outcome.resumed_at, Some(21));
        assert!(final_bytes(whole.path()) == final_bytes(parts.path()), "{method:?}");
    }
}

#[test]
fn bytes_are_kept_and_reported() {
    let data = lines();
    let dense = TrainSettings { tt: dlrm::train::TtSettings { tables: 0, ..settings().tt }, ..settings() };
    let outcome = |settings: &TrainSettings| {
        run(&data, settings, &RunOptions::default(), &mut Stop::default(), 1).expect("a run")
    };
    let all = outcome(&dense);
    let largest = settings().counted_tables(data.table_rows());
    assert!(largest.is_empty(), "a tensor train needs no counts");
    let mut rows = data.table_rows().to_vec();
    rows.sort_unstable_by(|a, b| b.cmp(a));
    // Rows of four numbers of four bytes.
    let others = all.dense_bytes - rows[..3].iter().map(|&rows| u128::from(rows) * 16).sum::<u128>();
    for &method in Method::value_variants() {
        let outcome = outcome(&of(method));
        assert_eq!(outcome.dense_bytes, all.dense_bytes, "{method:?}");
        let largest = outcome.compressed_bytes - others;
        assert!((3_000..=5_000).contains(&largest), "{method:?}: {largest} bytes");
    }
}

#[test]
fn a_budget_that_nothing_fits_in_is_refused() {
    let data = lines();
    for &method in Method::value_variants() {
        let settings = TrainSettings { table_bytes: Some(30), ..of(method) };
        let refused = run(&data, &settings, &RunOptions::default(), &mut Stop::default(), 1);
        let Err(error @ TrainError::Budget(_)) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().starts_with("30 bytes are too few for these tables: the method needs "), "{error}");
    }
}

#[test]
fn what_is_asked_for_is_what_is_made() {
    let rows = [100_000, 50, 60_000];
    let tables = |method| {
        let mut settings = TrainSettings { method, table_bytes: Some(640_000), ..settings() };
        settings.tt.tables = 2;
        settings.resolve(&rows, 1000).expect("settings").tables
    };
    for &method in Method::value_variants() {
        let tables = tables(method);
        assert!(matches!(tables[1], TableSettings::Dense { rows: 50, .. }));
        let lookup = tables[0].feature().lookup;
        let right = match method {
            Method::Tt => matches!(tables[0], TableSettings::Tt { own_rows: 0, .. }),
            Method::Hybrid => matches!(tables[0], TableSettings::Tt { .. }),
            Method::Head => matches!(lookup, Lookup::Shared { .. }),
            Method::Modulo => matches!(lookup, Lookup::Modulo { .. }),
            Method::Hash => matches!(lookup, Lookup::Hash { .. }),
            Method::Qr => matches!(lookup, Lookup::Sum { .. }),
            Method::QrProduct | Method::QrPublished => matches!(lookup, Lookup::Product { .. }),
            Method::Ce => matches!(lookup, Lookup::Chunks { .. }),
        };
        assert!(right, "{method:?}: {:?}", tables[0]);
        assert_eq!(tables[0].rows(), 100_000);
    }
}

#[test]
fn a_single_table_has_a_budget_of_its_own() {
    let mut settings = settings();
    settings.tables = dlrm::train::parse_tables("[1]\nmethod = \"modulo\"\nbytes = 1600").expect("a table");
    let tables = settings.resolve(&[100_000, 900, 60_000], 1000).expect("settings").tables;
    // Rows of four numbers of four bytes.
    assert_eq!(tables[1].feature().lookup, Lookup::Modulo { buckets: 100 });
    assert!(matches!(tables[0], TableSettings::Tt { .. }));
    assert!(!settings.needs_popularity());
    settings.tables = dlrm::train::parse_tables("[1]\nmethod = \"head\"\nbytes = 1600").expect("a table");
    assert!(settings.needs_popularity());
    assert_eq!(settings.counted_tables(&[100_000, 900, 60_000]), [1]);
}

#[test]
fn rows_that_are_not_numbered_by_popularity_are_refused() {
    let refused = run(&common::lines(), &of(Method::Head), &RunOptions::default(), &mut Stop::default(), 1);
    let Err(error @ TrainError::Numbering { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("--numbering popularity"), "{error}");
}

#[test]
fn lines_that_the_command_makes_or_reads_are_numbered_as_the_method_needs() {
    let folder = tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let run = at("run");
    let train =
        ["train", "--lines", "2100", "--preset-rows=false", "--table-method", "hybrid", "--table-bytes", "30kB"];
    let trained = output(&[&train[..], &["--checkpoint-dir", &run, "--json"]].concat());
    assert!(trained.status.success(), "{}", stderr(&trained));
    let model = format!("{run}/final.safetensors");
    let evaluated = output(&["eval", "--checkpoint", &model, "--json"]);
    assert!(evaluated.status.success(), "{}", stderr(&evaluated));
    let auc = |output: &std::process::Output, part: &str| {
        let json: serde_json::Value = serde_json::from_str(stdout(output)).expect("JSON");
        if part.is_empty() { json["auc"].clone() } else { json[part]["auc"].clone() }
    };
    assert_eq!(auc(&evaluated, ""), auc(&trained, "test"));
}

const DIM: usize = 4;
const FEATURES: usize = 3;

/// A batch of two features, and how the first is looked up.
#[derive(Debug, Clone)]
struct Case {
    categories: u64,
    lookup: Lookup,
    dense: Vec<f64>,
    labels: Vec<f64>,
    indices: Vec<Vec<u32>>,
    /// Of the first feature, where a sample may have any number of categories; else nothing.
    offsets: Vec<Vec<u32>>,
    weights: Vec<Vec<f64>>,
    seed: u64,
}

/// The most categories of a sample.
const LONGEST: u32 = 3;

fn lookups(categories: u64) -> impl Strategy<Value = Lookup> {
    let buckets = 1..=categories;
    let divisor = 1..=categories;
    prop_oneof![
        Just(Lookup::Direct),
        (0..categories).prop_map(|kept| Lookup::Shared { kept }),
        buckets.clone().prop_map(|buckets| Lookup::Modulo { buckets }),
        buckets.clone().prop_map(|buckets| Lookup::Hash { buckets }),
        buckets.prop_map(|buckets| Lookup::Chunks { buckets }),
        divisor.clone().prop_map(move |divisor| Lookup::Sum { divisor, quotients: categories.div_ceil(divisor) }),
        divisor.prop_map(move |divisor| Lookup::Product { divisor, quotients: categories.div_ceil(divisor) }),
        (1..categories).prop_map(move |own| Lookup::Own { own, others: categories - own }),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    (2u64..40, 1usize..9).prop_flat_map(|(categories, batch)| {
        let index = |below: u64| prop::collection::vec(0..below as u32, batch);
        let number = -1.0f64..1.0;
        (
            lookups(categories),
            prop::collection::vec(number, batch * FEATURES),
            prop::collection::vec(0u8..2, batch),
            (index(categories), index(5)),
            lists(categories, batch),
            any::<u64>(),
        )
            .prop_map(move |(lookup, dense, labels, (first, second), lists, seed)| {
                Case {
                    categories,
                    lookup,
                    dense,
                    labels: labels.into_iter().map(f64::from).collect(),
                    indices: vec![first, second],
                    offsets: Vec::new(),
                    weights: Vec::new(),
                    seed,
                }
                .with(lists)
            })
    })
}

/// How many categories each sample has, which, and their weights, if they have any; or one each.
type Lists = Option<(Vec<u32>, Vec<u32>, Option<Vec<f64>>)>;

fn lists(categories: u64, batch: usize) -> impl Strategy<Value = Lists> {
    let lengths = prop::collection::vec(0..=LONGEST, batch);
    prop::option::of(lengths.prop_flat_map(move |lengths| {
        let lookups = lengths.iter().sum::<u32>() as usize;
        let weights = prop::option::of(prop::collection::vec(-2.0f64..2.0, lookups));
        (Just(lengths), prop::collection::vec(0..categories as u32, lookups), weights)
    }))
}

impl Case {
    /// With lists of categories, where the lookup can sum them.
    fn with(mut self, lists: Lists) -> Self {
        if let Some((lengths, indices, weights)) = lists.filter(|_| !matches!(self.lookup, Lookup::Product { .. })) {
            let mut start = 0;
            let offsets = lengths.iter().map(|length| {
                start += length;
                start - length
            });
            self.offsets = vec![offsets.collect(), Vec::new()];
            self.indices[0] = indices;
            self.weights = weights.map_or_else(Vec::new, |weights| vec![weights, Vec::new()]);
        }
        self
    }

    fn samples(&self) -> Samples<'_, f64> {
        let Self { dense, indices, offsets, weights, labels, .. } = self;
        Samples { dense, indices, offsets, weights, labels }
    }

    fn model<B: Engine<Float = f64>>(&self, backend: B, queue: &mut B::Queue) -> Dlrm<B> {
        let table = match self.lookup {
            Lookup::Own { own, others } => {
                let rows = [2, (others as usize).div_ceil(2)];
                let shape = TtShape::with_rank(others, &rows, &[2, 2], 2).expect("a shape");
                TableConfig::tt(shape).with_dense_rows(own as usize).expect("rows").with_rule(Rule::Sgd)
            }
            lookup => {
                let dim = lookup.columns(DIM).expect("four columns can be cut in four");
                TableConfig::dense(lookup.rows(self.categories), dim).expect("a table")
            }
        };
        let features = vec![
            Feature {
                categories: self.categories,
                lookup: self.lookup,
                longest: if self.offsets.is_empty() { 1 } else { LONGEST },
            },
            Feature { categories: 5, lookup: Lookup::Direct, longest: 1 },
        ];
        let tables = vec![table, TableConfig::dense(5, DIM).expect("a table")];
        let config = ModelConfig::with_features(DIM, vec![FEATURES, DIM], vec![7, 3, 1], tables, features);
        Dlrm::new(backend, queue, config.expect("a model"), self.labels.len(), self.seed).expect("a model")
    }

    /// Mean loss.
    fn loss<B: Engine<Float = f64>>(&self, model: &mut Dlrm<B>, queue: &mut B::Queue) -> f64 {
        let p = model.predict(queue, self.samples()).expect("predictions").to_vec();
        let each = p.iter().zip(&self.labels).map(|(p, y)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln()));
        each.sum::<f64>() / self.labels.len() as f64
    }
}

/// The gradient of a table by a step of SGD.
fn gradient<B: Engine<Float = f64>>(case: &Case, backend: B, queue: &mut B::Queue) -> (Dlrm<B>, Vec<f64>, Vec<f64>) {
    let mut model = case.model(backend, queue);
    let before = model.tables().parameters(queue, 0).expect("numbers");
    model.train_step(queue, case.samples(), 1.0).expect("a step");
    let after = model.tables().parameters(queue, 0).expect("numbers");
    let gradient = before.iter().zip(&after).map(|(before, after)| before - after).collect();
    // As it was, for the differences.
    let backend_model = model;
    (backend_model, before, gradient)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 96 }))]

    /// Of any lookup: the gradient of every number of the table is the derivative of the loss by it, and the backends agree.
    #[test]
    fn gradients_are_derivatives(case in cases()) {
        let mut none = ();
        let (_, before, reference) = gradient(&case, Reference::<f64>::new(), &mut none);
        let mut queue = Threads::new(2).expect("threads");
        let (_, same, cpu) = gradient(&case, Cpu::<f64>::new().expect("a backend"), &mut queue);
        prop_assert_eq!(&before, &same);
        for (number, (a, b)) in reference.iter().zip(&cpu).enumerate() {
            prop_assert!((a - b).abs() <= 1e-12, "number {}: {} and {}", number, a, b);
        }
        let mut model = case.model(Reference::<f64>::new(), &mut none);
        let h = 1e-6;
        for (number, &got) in reference.iter().enumerate() {
            let mut at = |change: f64| {
                let mut params = before.clone();
                params[number] += change;
                model.tables().set_parameters(&mut none, 0, &params).expect("as many numbers");
                case.loss(&mut model, &mut none)
            };
            let (below, here, above) = (at(-h), at(0.0), at(h));
            let (left, right) = ((here - below) / h, (above - here) / h);
            let near = |want: f64| (got - want).abs() <= 1e-6 + 1e-4 * want.abs();
            // Where a ReLU changes sign within a step, the loss has two slopes, and its own side's is the derivative.
            let kink = (left - right).abs() > 1e-5;
            prop_assert!(
                near((above - below) / (2.0 * h)) || kink && (near(left) || near(right)),
                "number {}: {} for {} and {}", number, got, left, right
            );
        }
    }

    /// Weighted lists are what they say: those of one category and the weight 1 are no lists, and an embedding twice is one with
    /// the weight 2.
    #[test]
    fn lists_are_sums(case in cases(), seed in any::<u64>()) {
        let mut one = Case { offsets: Vec::new(), weights: Vec::new(), seed, ..case };
        one.indices[0].resize(one.labels.len(), 0);
        if matches!(one.lookup, Lookup::Product { .. }) {
            one.lookup = Lookup::Direct;
        }
        let bags = one.labels.len() as u32;
        let same = Case { offsets: vec![(0..bags).collect(), Vec::new()], ..one.clone() };
        let twice = Case {
            indices: vec![one.indices[0].iter().flat_map(|&index| [index, index]).collect(), one.indices[1].clone()],
            offsets: vec![(0..bags).map(|bag| 2 * bag).collect(), Vec::new()],
            ..one.clone()
        };
        let weighted = Case { weights: vec![vec![2.0; bags as usize], Vec::new()], ..same.clone() };
        let predict = |case: &Case| {
            let mut model = case.model(Reference::<f64>::new(), &mut ());
            model.predict(&mut (), case.samples()).expect("predictions").to_vec()
        };
        prop_assert_eq!(predict(&one), predict(&same));
        for (a, b) in predict(&twice).into_iter().zip(predict(&weighted)) {
            prop_assert!((a - b).abs() < 1e-12);
        }
    }

    /// Categories that there are not are refused, by name, and nothing is looked up.
    #[test]
    fn categories_that_there_are_not_are_refused(case in cases(), beyond in 0u32..100) {
        let mut case = case;
        let last = case.labels.len() - 1;
        case.offsets.clear();
        case.weights.clear();
        case.indices[0].resize(last + 1, 0);
        case.indices[0][last] = case.categories as u32 + beyond;
        let mut model = case.model(Reference::<f64>::new(), &mut ());
        let error = model.predict(&mut (), case.samples()).expect_err("a category too many").to_string();
        prop_assert!(error.contains(&format!("{}", case.categories as u32 + beyond)), "{}", error);
        prop_assert!(error.contains("table 0"), "{}", error);
    }
}
