//! Times: of the whole model, beside T3nsor, over lookups of a bag and over hit rates.

use super::super::claims::Claims;
use super::super::found::Found;
use super::super::scope::{Known, Scope};
use super::super::time::{POOLING, RANKS, TimeResult, TimeRun};
use super::super::work::Work;
use crate::plot::{Axis, Chart, Mark, Rule, Series, Shape};

fn fig7(scope: &Scope) -> TimeRun {
    TimeRun::Iterations { batch: 128, turns: scope.pick(2, 20, 100, 200) }
}

pub(super) fn plan_fig7(scope: &Scope) -> Vec<Work> {
    vec![Work::Time(fig7(scope))]
}

fn rate(result: &TimeResult) -> String {
    let threads = if result.threads == 1 { "thread" } else { "threads" };
    format!("{} {threads}; a large matrix product runs at {:.0} GFLOP/s", result.threads, result.gflops)
}

fn ms(seconds: f64) -> String {
    format!("{:.3}", 1e3 * seconds)
}

pub(super) fn show_fig7(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let result = known.time(&fig7(scope))?;
    let dense = result.get("uncompressed", 0.0).ok_or("the uncompressed model was not timed")?.seconds;
    let tables = [3.0, 5.0, 7.0];
    let axis = Axis::of("tables as tensor trains", ["3", "5", "7"]);
    let mut chart =
        Chart::new("Figure 7: an iteration of the Kaggle model", axis, Axis::linear("time, uncompressed = 1"));
    chart.subtitle = format!("batch 128, no cache, in turns; {}", rate(result));
    chart.rules.push(Rule { at: 1.0, vertical: false, label: "uncompressed".to_owned() });
    let mut rows = vec![vec!["0".to_owned(), String::new(), ms(dense), "1".to_owned()]];
    for (number, rank) in RANKS.into_iter().enumerate() {
        let name = format!("rank {rank}");
        let bars = tables.iter().enumerate().filter_map(|(place, &x)| {
            let ratio = result.get(&name, x)?.seconds / dense;
            rows.push(vec![x.to_string(), rank.to_string(), ms(ratio * dense), format!("{ratio:.3}")]);
            Some([place as f64, ratio])
        });
        let bars = bars.collect();
        chart.series.push(Series::new(name, Mark::Bars, number, bars));
    }
    found.picture("fig7", "Time of a training iteration relative to uncompressed tables.", chart);
    found.table("fig7", "The same in numbers.", &["tables", "rank", "ms an iteration", "uncompressed = 1"], rows);
    let ratio = |x| result.get("rank 32", x).map_or(f64::NAN, |timed| timed.seconds / dense);
    let claim = claims.get("fig7-overhead")?;
    let more = 100.0 * (ratio(7.0) - 1.0);
    let holds = more <= claim.value + claim.within;
    found.judge(claim, holds, format!("{more:+.1}%"));
    let claim = claims.get("fig7-tables")?;
    let more = 100.0 * (ratio(7.0) / ratio(3.0) - 1.0);
    let holds = (more - claim.value).abs() <= claim.within;
    found.judge(claim, holds, format!("{more:+.1}%"));
    found.notes.push("The paper's iterations take 12.14 ms (Kaggle) and 12.64 ms (Terabyte) on a V100.".to_owned());
    Ok(found)
}

fn fig8(scope: &Scope) -> Vec<TimeRun> {
    let rows: &[u64] = scope.pick(
        &[10_000],
        &[30_000, 100_000, 300_000, 1_000_000],
        &[100_000, 300_000, 1_000_000, 3_000_000, 10_000_000],
        &[100_000, 300_000, 1_000_000, 3_000_000, 10_000_000],
    );
    rows.iter().map(|&rows| TimeRun::Expand { rows, lookups: 2048, turns: scope.pick(1, 3, 5, 9) }).collect()
}

pub(super) fn plan_fig8(scope: &Scope) -> Vec<Work> {
    fig8(scope).into_iter().map(Work::Time).collect()
}

const BESIDE_T3NSOR: [&str; 3] = ["TT-EmbeddingBag", "EmbeddingBag", "T3nsor's algorithm"];

pub(super) fn show_fig8(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let results = fig8(scope).iter().map(|run| known.time(run)).collect::<Result<Vec<_>, _>>()?;
    let rates = results.last().map_or(String::new(), |result| rate(result));
    let mut pictures = [("time", "milliseconds a step"), ("memory", "bytes")].map(|(what, label)| {
        let mut chart = Chart::new(format!("Figure 8: {what} of a table"), Axis::log("rows"), Axis::log(label));
        chart.subtitle = format!("dimension 16, rank 32, 2,048 lookups; {rates}");
        chart
    });
    let mut rows = Vec::new();
    for (number, name) in BESIDE_T3NSOR.into_iter().enumerate() {
        let timed = results.iter().flat_map(|result| result.timed.iter().filter(|timed| timed.name == name));
        let (mut times, mut bytes) = (Vec::new(), Vec::new());
        for timed in timed {
            let size = timed.bytes.unwrap_or(0);
            times.push([timed.x, 1e3 * timed.seconds]);
            bytes.push([timed.x, size as f64]);
            rows.push(vec![timed.x.to_string(), name.to_owned(), ms(timed.seconds), size.to_string()]);
        }
        for (chart, points) in pictures.iter_mut().zip([times, bytes]) {
            chart.series.push(Series::new(name, Mark::LineDots(Shape::of(number)), number, points));
        }
    }
    let [time, memory] = pictures;
    found.picture("fig8", "Time of a training step: group, forward, backward, SGD.", time);
    found.picture("fig8_memory", "Bytes of the table and of a step's work.", memory);
    found.table("fig8", "The same in numbers.", &["rows", "what", "ms a step", "bytes"], rows);
    let ratio = |of: fn(&super::super::Timed) -> f64| {
        let one = |result: &&TimeResult| {
            let find = |name| result.timed.iter().find(|timed| timed.name == name).map(of);
            Some(find(BESIDE_T3NSOR[2])? / find(BESIDE_T3NSOR[0])?)
        };
        results.iter().filter_map(one).collect::<Vec<f64>>()
    };
    let times = ratio(|timed| timed.seconds);
    let claim = claims.get("fig8-time")?;
    let all: Vec<String> = times.iter().map(|ratio| format!("{ratio:.0}")).collect();
    let average = times.iter().sum::<f64>() / times.len() as f64;
    let holds = average >= claim.value;
    found.judge(claim, holds, format!("{} times faster, by rows", all.join(", ")));
    let claim = claims.get("fig8-memory")?;
    let largest = ratio(|timed| timed.bytes.unwrap_or(0) as f64).last().copied().unwrap_or(0.0);
    let holds = largest >= claim.value / claim.within;
    found.judge(claim, holds, format!("{largest:.0} times smaller at the largest table"));
    found.notes.push(
        "T3nsor's algorithm is written here as well as it allows: two large products forward, four back, nothing copied. \
         The paper's 10,000 is rows / batch size; the cores and a batch's work count here too."
            .to_owned(),
    );
    Ok(found)
}

fn fig11(scope: &Scope) -> TimeRun {
    let rows = scope.pick(10_000, 1_000_000, 10_131_227, 10_131_227);
    TimeRun::Pooling { rows, bags: scope.pick(16, 256, 256, 256), turns: scope.pick(1, 15, 40, 80) }
}

pub(super) fn plan_fig11(scope: &Scope) -> Vec<Work> {
    vec![Work::Time(fig11(scope))]
}

pub(super) fn show_fig11(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let run = fig11(scope);
    let TimeRun::Pooling { rows: all, bags, .. } = run else { return Err("another timing".to_owned()) };
    let result = known.time(&run)?;
    let mut names = vec!["EmbeddingBag".to_owned()];
    names.extend(RANKS.map(|rank| format!("rank {rank}")));
    let mut chart = Chart::new(
        "Figure 11: time over lookups of a bag",
        Axis::log("lookups of a bag"),
        Axis::log("nanoseconds a lookup"),
    );
    chart.subtitle = format!("{all} rows, {bags} bags, no cache, in turns; {}", rate(result));
    let mut rows = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let points = result.points(name, |x| 1e9 / (x * bags as f64));
        for [x, ns] in &points {
            rows.push(vec![x.to_string(), name.clone(), format!("{ns:.1}"), format!("{:.3}", ns * x / 1e3)]);
        }
        let colour = if number == 0 { 6 } else { number - 1 };
        chart.series.push(Series::new(name, Mark::LineDots(Shape::of(number)), colour, points));
    }
    found.picture("fig11", "Time of a training step for each lookup.", chart);
    found.table("fig11", "The same in numbers.", &["lookups", "what", "ns a lookup", "us a bag"], rows);
    let each = |name: &str, pooling: usize| {
        let timed = result.get(name, pooling as f64)?;
        Some(timed.seconds / pooling as f64)
    };
    let falls = names[1..].iter().all(|name| {
        let all: Vec<f64> = POOLING.iter().filter_map(|&pooling| each(name, pooling)).collect();
        all.len() == POOLING.len() && all.is_sorted_by(|a, b| a > b)
    });
    found.judge(claims.get("fig11-pooling")?, falls, "see the figure".to_owned());
    let gap = |pooling| each("rank 32", pooling).zip(each("EmbeddingBag", pooling)).map_or(f64::NAN, |(a, b)| a / b);
    let because = format!("{:.2} times at P = 1, {:.2} at 10, {:.2} at 100", gap(1), gap(10), gap(100));
    found.judge(claims.get("fig11-gap")?, gap(100) > gap(1), because);
    Ok(found)
}

fn fig12(scope: &Scope) -> TimeRun {
    let rows = scope.pick(10_000, 1_000_000, 10_131_227, 10_131_227);
    TimeRun::HitRate {
        rows,
        hot: scope.pick(100, 1_000, 1_013, 1_013),
        lookups: 2048,
        turns: scope.pick(1, 15, 40, 80),
    }
}

pub(super) fn plan_fig12(scope: &Scope) -> Vec<Work> {
    vec![Work::Time(fig12(scope))]
}

pub(super) fn show_fig12(scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
    let mut found = Found::default();
    let run = fig12(scope);
    let TimeRun::HitRate { rows: all, hot, lookups, .. } = run else { return Err("another timing".to_owned()) };
    let result = known.time(&run)?;
    let names = ["TT-EmbeddingBag with a cache", "EmbeddingBag"];
    let mut chart = Chart::new(
        "Figure 12: time over the hit rate",
        Axis::linear("lookups served by the cache, %"),
        Axis::linear("nanoseconds a lookup"),
    );
    chart.subtitle = format!("{all} rows, rank 32, {hot} cached, {lookups} lookups, in turns; {}", rate(result));
    let mut rows = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let points = result.points(name, |_| 1e9 / lookups as f64);
        for [x, ns] in &points {
            rows.push(vec![x.to_string(), name.to_owned(), format!("{ns:.1}")]);
        }
        chart.series.push(Series::new(name, Mark::LineDots(Shape::of(number)), number, points));
    }
    found.picture(
        "fig12",
        "Time of a training step for each lookup; rows of a kind are equally popular, as the paper draws them.",
        chart,
    );
    found.table("fig12", "The same in numbers.", &["served, %", "what", "ns a lookup"], rows);
    let at = |name, x| result.get(name, x).map_or(f64::NAN, |timed| timed.seconds);
    let (none, every, dense) = (at(names[0], 0.0), at(names[0], 100.0), at(names[1], 100.0));
    let because = format!(
        "{:.1} ns at 0%, {:.1} at 100%, a dense table {:.1} there",
        1e9 * none / lookups as f64,
        1e9 * every / lookups as f64,
        1e9 * dense / lookups as f64
    );
    found.judge(claims.get("fig12-cross")?, every < none && every < dense, because);
    Ok(found)
}
