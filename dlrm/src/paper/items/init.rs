//! Initial distributions: of products, of uncompressed tables, of cores.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use ttcore::init::SampledGaussian;

use super::super::claims::Claims;
use super::super::found::Found;
use super::super::scope::{Known, Scope};
use super::super::work::{TrainRun, Work};
use super::gap::{gaps, mean, points, series};
use crate::plot::{Axis, Chart, Mark, Rule, Series};
use crate::presets::Preset;
use crate::train::{DenseInitName, InitName, ScaleName};

/// Draws of each distribution, and bins they are counted in.
const DRAWS: usize = 400_000;
const BINS: usize = 81;
const EDGE: f64 = 4.0;

/// Densities of unit variance, `[bins]`, and the Kullback-Leibler divergence of the standard Gaussian from them in the bins.
fn density(mut draw: impl FnMut(&mut ChaCha8Rng) -> f64) -> (Vec<[f64; 2]>, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let draws: Vec<f64> = (0..DRAWS).map(|_| draw(&mut rng)).collect();
    let mean = draws.iter().sum::<f64>() / DRAWS as f64;
    let std = (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS as f64).sqrt();
    let wide = 2.0 * EDGE / BINS as f64;
    let mut counts = [0.0f64; BINS];
    for x in draws {
        let bin = ((x - mean) / std + EDGE) / wide;
        if (0.0..BINS as f64).contains(&bin) {
            counts[bin as usize] += 1.0;
        }
    }
    let middle = |bin: usize| (bin as f64 + 0.5) * wide - EDGE;
    let mut divergence = 0.0;
    for (bin, count) in counts.iter().enumerate() {
        let share = count / DRAWS as f64;
        if share > 0.0 {
            divergence += share * (share / (gaussian(middle(bin)) * wide)).ln();
        }
    }
    let points = counts.iter().enumerate().map(|(bin, count)| [middle(bin), count / DRAWS as f64 / wide]);
    (points.collect(), divergence)
}

fn gaussian(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// An entry of a table of three cores of a rank, as one draw.
fn entry<D: Distribution<f64>>(entries: &D, rank: usize, rng: &mut ChaCha8Rng) -> f64 {
    let mut draw = |count: usize| (0..count).map(|_| entries.sample(&mut *rng)).collect::<Vec<f64>>();
    let (first, last) = (draw(rank), draw(rank));
    let middle = draw(rank * rank);
    (0..rank * rank).map(|ab| first[ab / rank] * middle[ab] * last[ab % rank]).sum()
}

pub(super) fn show_fig3(claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let curve = (0..BINS).map(|bin| (bin as f64 + 0.5) * 2.0 * EDGE / BINS as f64 - EDGE);
    let normal: Vec<[f64; 2]> = curve.map(|x| [x, gaussian(x)]).collect();
    let all = [
        ("uniform (0, 1)", density(|rng| entry(&StandardUniform, 1, rng))),
        ("Gaussian, rank 1", density(|rng| entry(&StandardNormal, 1, rng))),
        ("sampled Gaussian, rank 1", density(|rng| entry(&SampledGaussian, 1, rng))),
        ("Gaussian, rank 8", density(|rng| entry(&StandardNormal, 8, rng))),
        ("sampled Gaussian, rank 8", density(|rng| entry(&SampledGaussian, 8, rng))),
    ];
    let axis = Axis::linear("standard deviations from the mean").within(-EDGE, EDGE);
    let mut chart = Chart::new("Figure 3: an entry of three cores", axis, Axis::linear("density").within(0.0, 1.0));
    chart.subtitle = format!("of unit variance; {DRAWS} draws each");
    chart.series.push(Series::new("N(0, 1/3n), scaled", Mark::Dashed, 6, normal));
    let mut rows = Vec::new();
    for (number, (name, (points, divergence))) in all.iter().enumerate() {
        chart.series.push(Series::new(*name, Mark::Line, number, points.clone()));
        rows.push(vec![(*name).to_owned(), format!("{divergence:.4}")]);
    }
    found.picture(
        "fig3",
        "Densities of an entry of the product of three cores, without rank as in the figure, and with.",
        chart,
    );
    let caption = "Kullback-Leibler divergence of the Gaussian of the same variance.";
    found.table("fig3", caption, &["cores", "divergence"], rows);
    let (plain, sampled) = (all[1].1.1, all[2].1.1);
    found.judge(
        claims.get("fig3-sampled")?,
        sampled < plain,
        format!("{sampled:.3} sampled, {plain:.3} Gaussian; at rank 8 {:.4} and {:.4}", all[4].1.1, all[3].1.1),
    );
    found.notes.push("With ranks, an entry is a sum over bonds and comes near a Gaussian for any of them.".to_owned());
    Ok(found)
}

const DENSE: [(&str, DenseInitName, f64); 6] = [
    ("uniform", DenseInitName::Uniform, 79.263),
    ("N(0, 1)", DenseInitName::Gaussian { factor: 1.0, power: 0 }, 78.123),
    ("N(0, 1/2)", DenseInitName::Gaussian { factor: 0.5, power: 0 }, 78.371),
    ("N(0, 1/8)", DenseInitName::Gaussian { factor: 0.125, power: 0 }, 78.823),
    ("N(0, 1/3n)", DenseInitName::Gaussian { factor: 1.0 / 3.0, power: 1 }, 79.256),
    ("N(0, 1/9n^2)", DenseInitName::Gaussian { factor: 1.0 / 9.0, power: 2 }, 79.220),
];

pub(super) fn plan_table1(scope: &Scope) -> Vec<Work> {
    let of = |seed| {
        DENSE.map(|(_, dense_init, _)| Work::Train(TrainRun { dense_init, ..scope.dense(Preset::Kaggle, seed) }))
    };
    scope.seeds().flat_map(of).collect()
}

pub(super) fn show_table1(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let base = |seed| scope.dense(Preset::Kaggle, seed);
    let (mut rows, mut ours) = (Vec::new(), Vec::new());
    for (name, dense_init, printed) in DENSE {
        let accuracy: Vec<f64> = scope
            .seeds()
            .filter_map(|seed| known.train(&TrainRun { dense_init, ..base(seed) }).map(|result| result.accuracy))
            .collect();
        let gap = gaps(scope, known, |seed| TrainRun { dense_init, ..base(seed) }, base, |result| result.accuracy);
        ours.push(mean(&accuracy));
        rows.push(vec![
            name.to_owned(),
            format!("{:.3}", 100.0 * mean(&accuracy)),
            points(mean(&gap)),
            format!("{printed:.3}"),
            format!("{:+.3}", printed - DENSE[0].2),
        ]);
    }
    let columns = ["distribution", "accuracy, %", "gap to uniform", "paper, %", "gap to uniform, paper"];
    let caption = format!("Uncompressed Kaggle model on {}; seeds 1 to {}.", scope.on(), scope.seeds);
    found.table("table1", &caption, &columns, rows);
    let order = ours[1] < ours[2] && ours[2] < ours[3] && ours[3] < ours[4];
    let text: Vec<String> = ours[1..5].iter().map(|accuracy| format!("{:.3}%", 100.0 * accuracy)).collect();
    found.judge(claims.get("table1-order")?, order, text.join(", "));
    let claim = claims.get("table1-uniform")?;
    let apart = 100.0 * (ours[0] - ours[4]).abs();
    let holds = apart <= claim.within;
    found.judge(claim, holds, format!("{apart:.3} points apart"));
    Ok(found)
}

const CORES: [(&str, InitName, ScaleName); 5] = [
    ("sampled Gaussian", InitName::SampledGaussian, ScaleName::Paper),
    ("Gaussian", InitName::Gaussian, ScaleName::Paper),
    ("uniform", InitName::Uniform, ScaleName::Paper),
    ("sampled, calibrated", InitName::SampledGaussian, ScaleName::Calibrated),
    ("sampled, isometric", InitName::SampledGaussian, ScaleName::Isometric),
];

pub(super) fn plan_fig6c(scope: &Scope) -> Vec<Work> {
    let of = |seed| {
        let dense = scope.dense(Preset::Kaggle, seed);
        let cores = CORES.map(|(_, init, scale)| Work::Train(TrainRun { tables: 7, init, scale, ..dense }));
        std::iter::once(Work::Train(dense)).chain(cores)
    };
    scope.seeds().flat_map(of).collect()
}

pub(super) fn show_fig6c(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let base = |seed| scope.dense(Preset::Kaggle, seed);
    let title = format!("Figure 6c: initial distributions of cores, {}", scope.on());
    let axis = Axis::of("7 tables at rank 32", CORES.map(|(name, _, _)| name));
    let mut chart = Chart::new(title, axis, Axis::linear("gap to uncompressed, percentage points"));
    chart.subtitle = format!("{}; the first three at the paper's scale", scope.dots());
    chart.rules.push(Rule { at: 0.0, vertical: false, label: "uncompressed".to_owned() });
    let (mut rows, mut places, mut means) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (name, init, scale)) in CORES.into_iter().enumerate() {
        let run = |seed| TrainRun { tables: 7, init, scale, ..base(seed) };
        let gap = gaps(scope, known, run, base, |result| result.accuracy);
        let all: Vec<String> = gap.iter().map(|&gap| points(gap)).collect();
        rows.push(vec![name.to_owned(), points(mean(&gap)), all.join(" ")]);
        means.push(mean(&gap));
        places.push((place as f64, gap.iter().map(|gap| 100.0 * gap).collect()));
    }
    let mut drawn = series("mean of the seeds", 0, &places);
    if let Some(means) = drawn.last_mut() {
        means.mark = Mark::Dots(crate::plot::Shape::Square);
    }
    chart.series.extend(drawn);
    let caption = "Accuracy on test lines less that of the uncompressed model of the same seed.";
    found.picture("fig6c", caption, chart);
    found.table("fig6c", caption, &["cores", "accuracy gap, points", "each seed"], rows);
    let best = means[0] >= means[1] && means[0] >= means[2];
    let because =
        format!("sampled {}, Gaussian {}, uniform {} points", points(means[0]), points(means[1]), points(means[2]));
    found.judge(claims.get("fig6c-sampled")?, best, because);
    Ok(found)
}
