//! Gaps to the uncompressed model of the same seed.

use super::super::scope::{Known, Scope};
use super::super::work::{TrainResult, TrainRun};
use crate::plot::{Mark, Series, Shape};

/// How much better each seed is than another run of the same seed; seeds that did not come to an end are left out.
pub(super) fn gaps(
    scope: &Scope,
    known: &Known<'_>,
    run: impl Fn(u64) -> TrainRun,
    base: impl Fn(u64) -> TrainRun,
    of: impl Fn(&TrainResult) -> f64,
) -> Vec<f64> {
    let gap = |seed| Some(of(known.train(&run(seed))?) - of(known.train(&base(seed))?));
    scope.seeds().filter_map(gap).collect()
}

/// The mean; NaN of none.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Means of each place with a line, and the seeds as dots.
pub(super) fn series(name: &str, number: usize, places: &[(f64, Vec<f64>)]) -> Vec<Series> {
    let seeds = places.iter().flat_map(|(x, values)| values.iter().map(|&value| [*x, value])).collect();
    let means = places.iter().map(|(x, values)| [*x, mean(values)]).collect();
    let shape = Shape::of(number);
    vec![Series::faint(Mark::Dots(shape), number, seeds), Series::new(name, Mark::LineDots(shape), number, means)]
}

/// Percentage points with a sign.
pub(super) fn points(gap: f64) -> String {
    format!("{:+.3}", 100.0 * gap)
}
