//! Collections on two backends agree through stories of training, evaluation and refreshes of their caches.

use proptest::collection::vec;
use proptest::prelude::*;
use ttcore::embedding::Batch as Grouped;
use ttcore::{Backend, Bags, EmbeddingBagCollection, Mode, Real, Table, TableConfig, Update};

use super::steps::{After, Before};
use crate::batch::{Batch, HostBatch};
use crate::case::{self, Case};
use crate::oracle::{self, UNWRITTEN};
use crate::rules::{CORE_RULES, RULES};
use crate::runner::check;
use crate::tolerance::{Expected, assert_close, assert_same};

/// The learning rate of dense rows, and what that of cores is multiplied by: so small that no story diverges.
const LR: f64 = 1.0 / 1024.0;
const CORE_LR_MULTIPLIER: f64 = 0.5;

/// One thing that is done with a collection. Batches are of the rows of its tables.
#[derive(Clone, Debug)]
enum Operation {
    Train(Case),
    Evaluate(Case),
    Refresh,
}

#[derive(Clone, Debug)]
struct Story {
    configs: Vec<TableConfig>,
    operations: Vec<Operation>,
    seed: u64,
}

fn stories() -> impl Strategy<Value = Story> {
    let table = prop_oneof![
        1 => case::shape().prop_map(TableConfig::tt),
        2 => (case::shape(), 1..=4usize).prop_map(|(s, slots)| TableConfig::tt(s).with_cache(slots).expect("a cache")),
        1 => (1..=50u64, 1..=20usize).prop_map(|(rows, dim)| TableConfig::dense(rows, dim).expect("a table")),
    ];
    let rules = (prop::sample::select(RULES.to_vec()), prop::sample::select(CORE_RULES.to_vec()));
    let config = (table, rules).prop_map(|(table, (rule, core_rule))| {
        table.with_rule(rule).with_core_rule(core_rule).with_core_lr_multiplier(CORE_LR_MULTIPLIER)
    });
    vec(config, 1..=3).prop_flat_map(|configs| {
        let table = |config: &TableConfig| match config.table().cores() {
            Some(shape) => Table::tt(shape.clone()),
            None => config.table().clone(),
        };
        let tables: Vec<Table> = configs.iter().map(table).collect();
        let operation = prop_oneof![
            4 => case::cases_of_one_feature(tables.clone()).prop_map(Operation::Train),
            1 => case::cases_of_one_feature(tables).prop_map(Operation::Evaluate),
            2 => Just(Operation::Refresh),
        ];
        (vec(operation, 1..=6), any::<u64>()).prop_map(move |(operations, seed)| Story {
            configs: configs.clone(),
            operations,
            seed,
        })
    })
}

/// Outputs, gradients, gradients of the weights, updated parameters, optimiser states and caches of two collections on
/// backends that are made anew with their queues are the same, numbers within the tolerance.
///
/// # Panics
///
/// If not.
pub fn equivalent<A: Backend, B: Backend<Float = A::Float>>(
    one: impl Fn() -> (A, A::Queue),
    other: impl Fn() -> (B, B::Queue),
) {
    check(stories(), |story| {
        let (mut one, mut other) = (Layer::new(&story, one()), Layer::new(&story, other()));
        let tables = 0..story.configs.len();
        assert_same("initial parameters", &one.params().concat(), &other.params().concat());
        for operation in &story.operations {
            match operation {
                Operation::Train(case) => {
                    let before = one.group(case, Mode::Train);
                    other.group(case, Mode::Train);
                    let (want, got) = (one.step(&before), other.step(&before));
                    before.assert_agree::<A::Float>(&want, &got);
                }
                Operation::Evaluate(case) => {
                    let before = one.group(case, Mode::Evaluate);
                    other.group(case, Mode::Evaluate);
                    before.assert_same_output::<A::Float>(&one.forward(case.bags()), &other.forward(case.bags()));
                }
                Operation::Refresh => {
                    let (params, want, got) = (one.params(), one.refresh(), other.refresh());
                    tables.clone().for_each(|t| one.assert_loaded(t, &params[t], &want[t], &got[t]));
                }
            }
            for t in tables.clone() {
                let caches =
                    [one.tables.cache_state(t).expect("a table"), other.tables.cache_state(t).expect("a table")];
                assert_eq!(caches[0], caches[1], "caches of table {t}");
            }
            // So that differences do not add up.
            other.go_on_from(&one.params(), &one.state());
        }
    });
}

/// A collection and what it needs to be run.
struct Layer<B: Backend> {
    tables: EmbeddingBagCollection<B>,
    queue: B::Queue,
    batch: Grouped<B>,
}

impl<B: Backend> Layer<B> {
    fn new(story: &Story, (backend, mut queue): (B, B::Queue)) -> Self {
        let cases = || story.operations.iter().filter_map(Operation::case);
        let bags = cases().map(Case::bags).max().unwrap_or(0);
        let lookups = cases().flat_map(|case| &case.batches).map(Batch::lookups).max().unwrap_or(0);
        let configs = story.configs.clone();
        let tables = EmbeddingBagCollection::new(backend, &mut queue, configs, bags, lookups, story.seed);
        let tables = tables.expect("small tables");
        let batch = tables.batch(&mut queue).expect("memory");
        Self { tables, queue, batch }
    }

    /// Groups the batch of a case; gives the step that it is the beginning of, with rows where the caches have them.
    fn group(&mut self, case: &Case, mode: Mode) -> Before {
        let host: Vec<HostBatch<B::Float>> = case.batches.iter().map(Batch::host).collect();
        let rows: Vec<u64> = self.tables.configs().map(TableConfig::rows).collect();
        let bags = host.iter().zip(&rows).map(|(host, &rows)| host.bags(rows).expect("a valid batch"));
        let bags: Vec<Bags<'_, B::Float>> = bags.collect();
        self.tables.group(&mut self.queue, &mut self.batch, bags, mode).expect("group");

        let slots: Vec<Vec<Option<u64>>> = (0..rows.len()).map(|t| self.slots(t)).collect();
        let addressed = |((batch, slots), &rows): ((&Batch, &Vec<Option<u64>>), &u64)| {
            let address = |&row: &i64| {
                let slot = slots.iter().position(|&cached| cached == Some(row as u64));
                slot.map_or(row, |slot| (rows + slot as u64) as i64)
            };
            Batch { indices: batch.indices.iter().map(address).collect(), ..batch.clone() }
        };
        let batches = case.batches.iter().zip(&slots).zip(&rows).map(addressed).collect();
        let case = Case { layout: self.tables.layout().clone(), batches, seed: case.seed };
        let step = self.tables.steps() + 1;
        let update = |config: &TableConfig| Update {
            rule: config.rule(),
            core_rule: config.core_rule(),
            lr: LR,
            core_lr_multiplier: CORE_LR_MULTIPLIER,
            step,
        };
        let updates = self.tables.configs().map(update).collect();
        Before { grad_out: case.grad_out(), case, updates, params: self.params(), state: self.state() }
    }

    fn forward(&mut self, bags: usize) -> Vec<f64> {
        let mut out = self.upload(&vec![UNWRITTEN; bags * self.tables.layout().stride()]);
        self.tables.forward(&mut self.queue, &mut self.batch, B::view_mut(&mut out)).expect("forward");
        self.download(&out)
    }

    /// The step of the batch that was grouped.
    fn step(&mut self, before: &Before) -> After {
        let output = self.forward(before.case.bags());
        let grad_out = self.upload(&before.grad_out);
        let mut grads: Vec<B::Buffer> =
            before.params.iter().map(|params| self.upload(&vec![0.0; params.len()])).collect();
        let mut weights = self.upload(&vec![UNWRITTEN; before.lookups()]);
        let Self { tables, queue, batch } = self;
        let views = grads.iter_mut().map(B::view_mut);
        tables.backward(queue, batch, B::view(&grad_out), views, None).expect("backward");
        let weights_view = Some(B::view_mut(&mut weights));
        tables.step(queue, batch, B::view(&grad_out), LR, weights_view).expect("step");
        let grads = grads.iter().map(|grads| self.download(grads)).collect();
        After { output, weights: self.download(&weights), grads, params: self.params(), state: self.state() }
    }

    /// The parameters after the caches chose anew.
    fn refresh(&mut self) -> Vec<Vec<f64>> {
        self.tables.refresh(&mut self.queue).expect("refresh");
        self.params()
    }

    /// That two backends loaded the same rows of table `t` into its cache, from the parameters it had.
    fn assert_loaded(&self, t: usize, params: &[f64], one: &[f64], other: &[f64]) {
        let table = &self.tables.layout().tables()[t];
        let mut scale = vec![0.0; params.len()];
        for (slot, row) in self.slots(t).into_iter().enumerate() {
            let place = scale[table.core_parameters()..].chunks_exact_mut(table.dim()).nth(slot);
            if let (Some(place), Some(row)) = (place, row) {
                place.copy_from_slice(&oracle::rows(table, params, &[row]).scale);
            }
        }
        let terms = Case::single(table.clone(), Batch::sum(&[vec![0]]), 0).terms();
        let want = Expected { value: one.to_vec(), scale };
        assert_close::<B::Float>("parameters with cached rows", other, &want, 2 * terms);
    }

    /// The rows that are cached.
    fn slots(&self, t: usize) -> Vec<Option<u64>> {
        self.tables.cache_state(t).expect("a table").map_or(Vec::new(), |state| state.slots)
    }

    fn params(&mut self) -> Vec<Vec<f64>> {
        let Self { tables, queue, .. } = self;
        (0..tables.configs().len()).map(|t| host(&tables.parameters(queue, t).expect("parameters"))).collect()
    }

    fn state(&mut self) -> Vec<Vec<f64>> {
        let Self { tables, queue, .. } = self;
        (0..tables.configs().len()).map(|t| host(&tables.state(queue, t).expect("state"))).collect()
    }

    fn go_on_from(&mut self, params: &[Vec<f64>], state: &[Vec<f64>]) {
        let Self { tables, queue, .. } = self;
        for (t, (params, state)) in params.iter().zip(state).enumerate() {
            tables.set_parameters(queue, t, &numbers(params)).expect("parameters that fit");
            tables.set_state(queue, t, &numbers(state)).expect("state that fits");
        }
    }

    fn upload(&mut self, values: &[f64]) -> B::Buffer {
        let mut buffer = self.tables.backend().alloc(&mut self.queue, values.len()).expect("memory");
        let to = B::view_mut(&mut buffer);
        self.tables.backend().upload(&mut self.queue, &numbers(values), to).expect("memory");
        buffer
    }

    fn download(&mut self, buffer: &B::Buffer) -> Vec<f64> {
        let mut values = vec![B::Float::default(); B::len(B::view(buffer))];
        self.tables.backend().download(&mut self.queue, B::view(buffer), &mut values).expect("memory");
        host(&values)
    }
}

impl Operation {
    fn case(&self) -> Option<&Case> {
        match self {
            Self::Train(case) | Self::Evaluate(case) => Some(case),
            Self::Refresh => None,
        }
    }
}

fn host<F: Real>(values: &[F]) -> Vec<f64> {
    values.iter().map(|x| x.as_f64()).collect()
}

fn numbers<F: Real>(values: &[f64]) -> Vec<F> {
    values.iter().map(|&x| F::of(x)).collect()
}
