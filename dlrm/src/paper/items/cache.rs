//! The cache: how popular rows settle, warm-up, size.

use std::collections::HashSet;

use super::super::claims::Claims;
use super::super::found::Found;
use super::super::scope::{Known, Scope};
use super::super::work::{TrainRun, Work};
use super::gap::{gaps, mean, points, series};
use crate::data::{Batch, Dataset, Effects, UNSEEN, mix};
use crate::memory::largest_tables;
use crate::plot::{Axis, Chart, Mark, Rule, Series, Shape};
use crate::presets::Preset;

/// Share of the lines between two looks, as in the paper.
const EVERY: f64 = 0.03;

/// How the set of the `top` most popular rows of a table changes: the share of it that was not in it one step before.
fn changes(data: &Dataset, table: usize, top: usize) -> Result<Vec<[f64; 2]>, String> {
    let lines = data.split().train.clone();
    let step = ((lines.len() as f64 * EVERY) as usize).max(1);
    let mut counts = vec![0u32; data.table_rows()[table] as usize];
    let mut order: Vec<u32> = (0..counts.len() as u32).collect();
    let (mut before, mut points, mut batch) = (HashSet::new(), Vec::new(), Batch::default());
    for start in lines.clone().step_by(step) {
        let end = (start + step).min(lines.end);
        data.fill_batch(start..end, &mut batch).map_err(|error| error.to_string())?;
        // What is unseen has no row.
        let rows = batch.indices[table].iter().filter(|&&row| row != UNSEEN);
        rows.for_each(|&row| counts[row as usize] += 1);
        // Of equal ones in any order that knows nothing of the lines to come: rows are numbered by how popular they get.
        order.sort_unstable_by_key(|&row| (std::cmp::Reverse(counts[row as usize]), mix(row.into())));
        let now: HashSet<u32> = order.iter().copied().take(top).filter(|&row| counts[row as usize] > 0).collect();
        if !before.is_empty() {
            let new = now.difference(&before).count();
            let share = 100.0 * (end - lines.start) as f64 / lines.len() as f64;
            points.push([share, 100.0 * new as f64 / now.len().max(1) as f64]);
        }
        before = now;
    }
    Ok(points)
}

pub(super) fn show_fig9(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let made;
    let data = match known.given {
        Some(data) => data,
        None => {
            made = scope.planted(Preset::Kaggle, Effects::Scalars, 1).make()?.ok_or("planted lines are made")?;
            &made
        }
    };
    let top = scope.pick(100, 1_000, 10_000, 10_000);
    let axis = Axis::linear("training lines seen, %").within(0.0, 100.0);
    let title = format!("Figure 9: change of the {top} most popular rows, {}", scope.on());
    let mut chart = Chart::new(title, axis, Axis::log("new since 3% of the lines before, %"));
    chart.subtitle = "the three largest tables, counted from the beginning".to_owned();
    let mut rows = Vec::new();
    for (number, table) in largest_tables(data.table_rows(), 3).into_iter().enumerate() {
        let points = changes(data, table, top)?;
        for [seen, new] in &points {
            rows.push(vec![(table + 1).to_string(), format!("{seen:.1}"), format!("{new:.3}")]);
        }
        chart.series.push(Series::new(
            format!("table {}", table + 1),
            Mark::LineDots(Shape::of(number)),
            number,
            points,
        ));
    }
    found.picture("fig9", "How much of the set of the most popular rows is new at each step.", chart);
    found.table("fig9", "The same in numbers.", &["table", "lines seen, %", "new, %"], rows);
    let claim = claims.get("fig9-kaggle")?;
    if scope.given.is_some() {
        found.cannot(claim, "the paper does not say what counts as stable; the curve of the lines given is shown");
    } else {
        found.cannot(
            claim,
            "planted lines are alike from the first to the last: what changes is chance, the floor of any log",
        );
    }
    Ok(found)
}

const WARMUPS: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];
const SIZES: [f64; 4] = [0.0001, 0.001, 0.01, 0.1];
const PAPERS: f64 = 0.0001;

fn cached(scope: &Scope, seed: u64, cache: f64, warmup: f64) -> TrainRun {
    TrainRun { tables: 7, cache, warmup, ..scope.dense(Preset::Kaggle, seed) }
}

/// Runs with the caches of some settings, and without one.
fn plan(scope: &Scope, settings: &[(f64, f64)]) -> Vec<Work> {
    let of = |seed| {
        let with = settings.iter().map(move |&(cache, warmup)| Work::Train(cached(scope, seed, cache, warmup)));
        std::iter::once(Work::Train(cached(scope, seed, 0.0, 0.1))).chain(with)
    };
    scope.seeds().flat_map(of).collect()
}

pub(super) fn plan_fig10a(scope: &Scope) -> Vec<Work> {
    plan(scope, &WARMUPS.map(|warmup| (PAPERS, warmup)))
}

pub(super) fn plan_fig10b(scope: &Scope) -> Vec<Work> {
    plan(scope, &SIZES.map(|cache| (cache, 0.1)))
}

/// Of each setting: accuracy gaps to no cache, mean time of a sample relative to no cache, mean hit rate.
type Line = (Vec<f64>, f64, f64);

fn lines(scope: &Scope, known: &Known<'_>, settings: &[(f64, f64)]) -> Vec<Line> {
    let base = |seed| cached(scope, seed, 0.0, 0.1);
    let of = |&(cache, warmup): &(f64, f64)| {
        let run = |seed| cached(scope, seed, cache, warmup);
        let gap = gaps(scope, known, run, base, |result| result.accuracy);
        // The logarithm, so that a difference is a ratio.
        let time = gaps(scope, known, run, base, |result| -result.samples_per_second.ln());
        let hits: Vec<f64> = scope.seeds().filter_map(|seed| known.train(&run(seed))?.hit_rate).collect();
        (gap, mean(&time).exp(), mean(&hits))
    };
    settings.iter().map(of).collect()
}

fn show(scope: &Scope, name: &str, axis: Axis, places: &[f64], lines: &[Line], found: &mut Found) {
    let on = format!("{}: {{}} of the cache, {}", name.replace("fig", "Figure "), scope.on());
    let mut chart =
        Chart::new(on.replace("{}", "accuracy"), axis.clone(), Axis::linear("gap to no cache, percentage points"));
    chart.subtitle = format!("7 tables, rank 32; {}", scope.dots());
    chart.rules.push(Rule { at: 0.0, vertical: false, label: "no cache".to_owned() });
    let gaps = places.iter().zip(lines).map(|(&x, (gap, ..))| (x, gap.iter().map(|gap| 100.0 * gap).collect()));
    chart.series.extend(series("mean of the seeds", 0, &gaps.collect::<Vec<_>>()));
    found.picture(name, "Accuracy on test lines less that without a cache.", chart);
    let mut chart = Chart::new(on.replace("{}", "time"), axis, Axis::linear("training time, no cache = 1"));
    let times = places.iter().zip(lines).map(|(&x, (_, time, _))| [x, *time]).collect();
    chart.series.push(Series::new("", Mark::LineDots(Shape::Circle), 0, times));
    chart.rules.push(Rule { at: 1.0, vertical: false, label: "no cache".to_owned() });
    found.picture(
        &format!("{name}_time"),
        "Training time relative to no cache; runs went side by side, so these times are rough.",
        chart,
    );
}

fn table(name: &str, first: &str, places: &[f64], lines: &[Line], found: &mut Found) {
    let row = |(place, (gap, time, hits)): (&f64, &Line)| {
        vec![format!("{place}"), points(mean(gap)), format!("{time:.3}"), format!("{:.1}", 100.0 * hits)]
    };
    let columns = [first, "accuracy gap to no cache, points", "time, no cache = 1", "lookups served, %"];
    found.table(name, "The same in numbers.", &columns, places.iter().zip(lines).map(row).collect());
}

pub(super) fn show_fig10a(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let lines = lines(scope, known, &WARMUPS.map(|warmup| (PAPERS, warmup)));
    let places = WARMUPS.map(|warmup| 100.0 * warmup);
    show(scope, "fig10a", Axis::linear("iterations before the cache is filled, %"), &places, &lines, &mut found);
    table("fig10a", "warm-up, %", &places, &lines, &mut found);
    let claim = claims.get("fig10a-time")?;
    let more = 100.0 * (lines[2].1 / lines[0].1 - 1.0);
    let holds = (more - claim.value).abs() <= claim.within;
    found.judge(claim, holds, format!("{more:+.1}% from 10% to 30%"));
    let claim = claims.get("fig10a-accuracy")?;
    let best = lines.iter().map(|(gap, ..)| 100.0 * mean(gap)).fold(f64::NEG_INFINITY, f64::max);
    let holds = (best - claim.value).abs() <= claim.within;
    found.judge(claim, holds, format!("{best:+.3} points at best"));
    Ok(found)
}

pub(super) fn show_fig10b(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let lines = lines(scope, known, &SIZES.map(|cache| (cache, 0.1)));
    let places = SIZES.map(|cache| 100.0 * cache);
    show(scope, "fig10b", Axis::log("rows in the cache, %"), &places, &lines, &mut found);
    table("fig10b", "rows, %", &places, &lines, &mut found);
    let claim = claims.get("fig10b-enough")?;
    let best = lines.iter().map(|(gap, ..)| 100.0 * mean(gap)).fold(f64::NEG_INFINITY, f64::max);
    let least = 100.0 * mean(&lines[0].0);
    let holds = best - least <= claim.within;
    found.judge(claim, holds, format!("{least:+.3} points at 0.01%, {best:+.3} at the best size"));
    Ok(found)
}
