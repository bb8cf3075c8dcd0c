//! Accuracy over bytes, of tensor trains and of what else could be done with the same bytes.
//!
//! Every method has the same trials: three learning rates of Adagrad, the rule that is best for uncompressed tables, at one
//! size on a seed that is not used again. The one of the best validation AUC is taken for all sizes and seeds.

use super::super::claims::Claims;
use super::super::found::Found;
use super::super::scope::{Budget, Known, Scope};
use super::super::work::{TrainRun, Work};
use super::accuracy::front;
use super::gap::{gaps, mean, series};
use crate::budget::Method;
use crate::data::Effects;
use crate::plot::{Axis, Chart, Mark, Rule, Series};
use crate::presets::Preset;
use crate::train::Optimizer;

const METHODS: [Method; 9] = [
    Method::Hybrid,
    Method::Tt,
    Method::Head,
    Method::Modulo,
    Method::Hash,
    Method::Qr,
    Method::QrProduct,
    Method::QrPublished,
    Method::Ce,
];

const RATES: [f64; 3] = [0.005, 0.01, 0.02];

/// Seed that rates are chosen on, and how many times smaller tables are there.
const TUNING: (u64, u32) = (11, 30);

fn sizes(scope: &Scope) -> &'static [u32] {
    scope.pick(&[30], &[10, 100], &[10, 30, 100, 300], &[10, 30, 100, 300])
}

fn rates(scope: &Scope) -> &'static [f64] {
    match scope.budget {
        Budget::Tiny | Budget::Quick => &RATES[1..2],
        Budget::Standard | Budget::Full => &RATES,
    }
}

/// One kind of lines.
#[derive(Clone)]
struct Ground {
    name: String,
    file: String,
    effects: Option<Effects>,
}

fn grounds(scope: &Scope) -> Vec<Ground> {
    match &scope.given {
        Some((name, _)) => {
            vec![Ground { name: name.clone(), file: format!("rivals_{}", file_name(name)), effects: None }]
        }
        None => [
            ("planted numbers", "rivals_scalars", Effects::Scalars),
            ("planted vectors", "rivals_vectors", Effects::Vectors),
        ]
        .into_iter()
        .map(|(name, file, effects)| Ground { name: name.to_owned(), file: file.to_owned(), effects: Some(effects) })
        .collect(),
    }
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

impl Ground {
    /// An uncompressed model.
    fn dense(&self, scope: &Scope, seed: u64, lr: f64) -> TrainRun {
        let dense = scope.dense(Preset::Kaggle, seed);
        let (lines, batch) = match self.effects {
            Some(effects) => (scope.planted(Preset::Kaggle, effects, seed), 128),
            // Real lines are many, and the same for every seed.
            None => (dense.lines, if dense.lines.count() > 500_000 { 512 } else { 128 }),
        };
        TrainRun { lines, batch, preset_rows: false, optimizer: Optimizer::Adagrad { eps: 1e-10 }, lr, ..dense }
    }

    fn held(&self, scope: &Scope, seed: u64, (method, smaller): (Method, u32), lr: f64) -> TrainRun {
        TrainRun { tables: 7, method, smaller: Some(smaller), ..self.dense(scope, seed, lr) }
    }

    /// The runs that a rate is chosen by; none for the method is uncompressed.
    fn trials(&self, scope: &Scope, method: Option<Method>) -> Vec<TrainRun> {
        let of = |&lr: &f64| match method {
            None => self.dense(scope, TUNING.0, lr),
            Some(method) => self.held(scope, TUNING.0, (method, TUNING.1), lr),
        };
        rates(scope).iter().map(of).collect()
    }

    /// The rate of the best validation AUC; none before all trials are finished.
    fn rate(&self, scope: &Scope, known: &Known<'_>, method: Option<Method>) -> Option<f64> {
        let trials = self.trials(scope, method);
        if let [only] = trials.as_slice() {
            return Some(only.lr);
        }
        let finished = trials.iter().map(|run| known.outcome(&Work::Train(*run)).map(|_| run));
        let finished: Option<Vec<_>> = finished.collect();
        let auc = |run: &TrainRun| known.train(run).map_or(0.0, |result| result.validation_auc);
        finished?.into_iter().max_by(|a, b| auc(a).total_cmp(&auc(b))).map(|run| run.lr)
    }
}

pub(super) fn plan(scope: &Scope, known: &Known<'_>) -> Vec<Work> {
    let mut runs = Vec::new();
    for ground in grounds(scope) {
        for method in std::iter::once(None).chain(METHODS.map(Some)) {
            // A single rate needs no trial.
            if rates(scope).len() > 1 {
                runs.extend(ground.trials(scope, method));
            }
            let Some(lr) = ground.rate(scope, known, method) else { continue };
            for seed in scope.seeds() {
                match method {
                    None => runs.push(ground.dense(scope, seed, lr)),
                    Some(method) => {
                        runs.extend(sizes(scope).iter().map(|&size| ground.held(scope, seed, (method, size), lr)));
                    }
                }
            }
        }
    }
    runs.into_iter().map(Work::Train).collect()
}

pub(super) fn show(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    for ground in grounds(scope) {
        show_ground(scope, known, claims, &ground, &mut found)?;
    }
    found.notes.push(
        "Bytes are those of the parameters of the seven largest tables; the others are uncompressed in every model. What is \
         known of other methods costs nothing to quote at dimension 16: rows of 8 bits are 3.2 times smaller, of 4 bits 5.3 \
         times, with a scale and a bias each; mixed dimensions at most 16 times, as a row has one number at least."
            .to_owned(),
    );
    Ok(found)
}

fn show_ground(
    scope: &Scope,
    known: &Known<'_>,
    claims: &Claims,
    ground: &Ground,
    found: &mut Found,
) -> Result<(), String> {
    let lr = ground.rate(scope, known, None).ok_or("the uncompressed model has no rate")?;
    let base = |seed| ground.dense(scope, seed, lr);
    let auc: Vec<f64> = scope.seeds().filter_map(|seed| Some(known.train(&base(seed))?.auc)).collect();
    let mut chart = Chart::new(
        format!("AUC at equal bytes, {}", ground.name),
        Axis::log("bytes of the seven largest tables"),
        Axis::linear("AUC, gap to uncompressed"),
    );
    chart.subtitle = format!("Adagrad, rates tuned alike; {}", scope.dots());
    chart.rules.push(Rule { at: 0.0, vertical: false, label: format!("uncompressed, {:.4}", mean(&auc)) });
    let (mut rows, mut all, mut means) = (Vec::new(), Vec::new(), Vec::new());
    let text = |values: &[f64]| values.iter().map(|value| format!("{value:.5}")).collect::<Vec<_>>().join(" ");
    rows.push(vec![
        "uncompressed".into(),
        "1".into(),
        String::new(),
        lr.to_string(),
        format!("{:.5}", mean(&auc)),
        String::new(),
        text(&auc),
    ]);
    for (number, method) in METHODS.into_iter().enumerate() {
        let lr = ground.rate(scope, known, Some(method)).ok_or_else(|| format!("{} has no rate", method.name()))?;
        let mut places = Vec::new();
        for &size in sizes(scope) {
            let run = |seed| ground.held(scope, seed, (method, size), lr);
            let results: Vec<_> = scope.seeds().filter_map(|seed| known.train(&run(seed))).collect();
            let Some(first) = results.first() else {
                let why = scope.seeds().find_map(|seed| match known.outcome(&Work::Train(run(seed))) {
                    Some(super::super::Outcome::Failed { reason }) => Some(reason.clone()),
                    _ => None,
                });
                rows.push(vec![
                    method.name().into(),
                    size.to_string(),
                    String::new(),
                    lr.to_string(),
                    String::new(),
                    why.unwrap_or_default(),
                    String::new(),
                ]);
                continue;
            };
            let gap = gaps(scope, known, run, base, |result| result.auc);
            let each: Vec<f64> = results.iter().map(|result| result.auc).collect();
            let bytes = results.iter().map(|result| result.largest_bytes as f64).sum::<f64>() / results.len() as f64;
            let smaller = first.largest_dense_bytes as f64 / first.largest_bytes as f64;
            rows.push(vec![
                method.name().into(),
                format!("{size} ({smaller:.1})"),
                format!("{bytes:.0}"),
                lr.to_string(),
                format!("{:.5}", mean(&each)),
                format!("{:+.5}", mean(&gap)),
                text(&each),
            ]);
            means.push((method, size, mean(&gap)));
            all.push([bytes, mean(&gap)]);
            places.push((bytes, gap));
        }
        // The front has the grey of number 7.
        chart.series.extend(series(method.name(), if number < 7 { number } else { number + 1 }, &places));
    }
    chart.series.insert(0, Series::new("Pareto front", Mark::Line, 7, front(&all)));
    let caption = format!("{}: AUC on test lines less that of the uncompressed model of the same seed.", ground.name);
    found.picture(&ground.file, &caption, chart);
    let columns = ["method", "times smaller", "bytes", "rate", "AUC", "gap", "each seed"];
    found.table(&ground.file, &caption, &columns, rows);
    let at =
        |method: Method, size: u32| means.iter().find(|(m, s, _)| (*m, *s) == (method, size)).map(|(.., gap)| *gap);
    let mut claim = claims.get("rivals-hybrid")?;
    claim.says = format!("{} On {}.", claim.says, ground.name);
    let others = |size| {
        let others = means.iter().filter(|(method, s, _)| *s == size && *method != Method::Hybrid);
        others.max_by(|a, b| a.2.total_cmp(&b.2))
    };
    let (mut holds, mut because) = (true, Vec::new());
    for &size in sizes(scope) {
        if let (Some(hybrid), Some((best, _, gap))) = (at(Method::Hybrid, size), others(size)) {
            holds &= hybrid >= gap - claim.within;
            because.push(format!("{size} times: {:+.4} beside {:+.4} of {}", hybrid, gap, best.name()));
        }
    }
    found.judge(claim, holds, because.join("; "));
    let mut claim = claims.get("rivals-tt")?;
    claim.says = format!("{} On {}.", claim.says, ground.name);
    let pairs: Vec<(u32, f64, f64)> =
        sizes(scope).iter().filter_map(|&size| Some((size, at(Method::Tt, size)?, at(Method::Hash, size)?))).collect();
    let because: Vec<String> =
        pairs.iter().map(|(size, tt, hash)| format!("{size} times: {tt:+.4} and {hash:+.4}")).collect();
    found.judge(claim, pairs.iter().all(|(_, tt, hash)| tt > hash), because.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_name("MovieLens 1M"), "movielens_1m");
    }
}
