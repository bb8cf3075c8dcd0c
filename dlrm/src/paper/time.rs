//! What is timed: each on its own, with everything that is compared in turns within it.

use serde::{Deserialize, Serialize};
use ttcore::{Rule, TableConfig, TtShape};
use ttcore_cpu::Threads;

use crate::bench::{self, Generator, Order, Table, Workload, machine_gflops, train};
use crate::memory::CORES;

/// Samples that a second of timing counts as, in a bar of samples.
const SECOND: u64 = 40_000;

/// Something to time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum TimeRun {
    /// Iterations of the Kaggle model: uncompressed, then 3, 5 and 7 tables at ranks 8, 16, 32 and 64.
    Iterations {
        /// Samples of a batch.
        batch: usize,
        /// Iterations of each.
        turns: usize,
    },
    /// Steps of one table: a tensor train, a dense table, and T3nsor's algorithm.
    Expand {
        /// Rows.
        rows: u64,
        /// Lookups of a batch.
        lookups: usize,
        /// Steps of each.
        turns: usize,
    },
    /// Steps of one table over the lookups of a bag: tensor trains of ranks 8, 16, 32 and 64 and a dense table.
    Pooling {
        /// Rows.
        rows: u64,
        /// Bags of a batch.
        bags: usize,
        /// Steps of each.
        turns: usize,
    },
    /// Steps of one table of rank 32 with a cache over the share of lookups that it serves, and of a dense table.
    HitRate {
        /// Rows.
        rows: u64,
        /// Rows in the cache.
        hot: u64,
        /// Lookups of a batch.
        lookups: usize,
        /// Steps of each.
        turns: usize,
    },
}

/// One time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// What was timed.
    pub name: String,
    /// The number on the horizontal axis.
    pub x: f64,
    /// Median seconds of a step or iteration.
    pub seconds: f64,
    /// Bytes that it took.
    pub bytes: Option<u64>,
}

/// What came out of a timing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeResult {
    /// What a large matrix product reaches on as many threads, beside the timing, in 10^9 operations a second.
    pub gflops: f64,
    /// Threads.
    pub threads: usize,
    /// The times.
    pub timed: Vec<Timed>,
}

/// Ranks of tensor trains.
pub(super) const RANKS: [usize; 4] = [8, 16, 32, 64];

/// Lookups of a bag.
pub(super) const POOLING: [usize; 3] = [1, 10, 100];

impl TimeResult {
    /// A time by its name and number.
    pub fn get(&self, name: &str, x: f64) -> Option<&Timed> {
        self.timed.iter().find(|timed| timed.name == name && timed.x == x)
    }

    /// `[x, seconds times a factor]` of a name.
    pub fn points(&self, name: &str, factor: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
        let named = self.timed.iter().filter(|timed| timed.name == name);
        named.map(|timed| [timed.x, timed.seconds * factor(timed.x)]).collect()
    }
}

impl TimeRun {
    #[cfg(test)]
    pub(super) fn smallest() -> Self {
        Self::Pooling { rows: 1000, bags: 4, turns: 2 }
    }

    /// About how long it takes, in samples of training.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Iterations { .. } => 25 * SECOND,
            Self::Expand { rows, turns, .. } => (2 + rows * *turns as u64 / 3_000_000) * SECOND,
            Self::Pooling { .. } => 15 * SECOND,
            Self::HitRate { .. } => 10 * SECOND,
        }
    }

    /// In words.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Iterations { .. } => "timing iterations of the Kaggle model".to_owned(),
            Self::Expand { rows, .. } => format!("timing a table of {rows} rows"),
            Self::Pooling { .. } => "timing bags of 1, 10 and 100 lookups".to_owned(),
            Self::HitRate { .. } => "timing hit rates".to_owned(),
        }
    }

    /// Measures it.
    ///
    /// # Errors
    ///
    /// Why it could not be.
    pub fn measure(&self) -> Result<TimeResult, String> {
        let (threads, timed) = match *self {
            Self::Iterations { batch, turns } => iterations(batch, turns)?,
            Self::Expand { rows, lookups, turns } => (1, expand(rows, lookups, turns)?),
            Self::Pooling { rows, bags, turns } => (1, pooling(rows, bags, turns)?),
            Self::HitRate { rows, hot, lookups, turns } => (1, hit_rates(rows, hot, lookups, turns)?),
        };
        Ok(TimeResult { gflops: machine_gflops(threads), threads, timed })
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A tensor train trained with plain SGD, as the paper's.
fn train_of(rows: u64, rank: usize) -> Result<TableConfig, String> {
    Ok(TableConfig::tt(TtShape::paper(rows, 16, CORES, rank).map_err(text)?).with_rule(Rule::Sgd))
}

fn workload(rows: u64, bags: usize, pooling: usize) -> Result<Workload, String> {
    let generator = Generator { rows, bags, pooling, zipf: 1.05, order: Order::Scattered, batches: 8, seed: 3 };
    Workload::generate(&generator).map_err(text)
}

fn iterations(batch: usize, turns: usize) -> Result<(usize, Vec<Timed>), String> {
    let base = train::Settings { batch, tt_tables: 0, ..train::Settings::default() };
    let mut names = vec![("uncompressed".to_owned(), 0.0)];
    let mut models = vec![base];
    for tables in [3, 5, 7] {
        for rank in RANKS {
            names.push((format!("rank {rank}"), tables as f64));
            models.push(train::Settings { tt_tables: tables, tt_rank: rank, ..base });
        }
    }
    let mut queue = Threads::new(0).map_err(text)?;
    let count = queue.count();
    let times = queue.clone().install(|| bench::iterations(&models, &mut queue, turns))?;
    let timed = names.into_iter().zip(times).map(|((name, x), seconds)| Timed { name, x, seconds, bytes: None });
    Ok((count, timed.collect()))
}

fn expand(rows: u64, lookups: usize, turns: usize) -> Result<Vec<Timed>, String> {
    let workload = workload(rows, lookups, 1)?;
    let (train, dense) = (train_of(rows, 32)?, TableConfig::dense(rows, 16).map_err(text)?);
    let tables = [train, dense].map(|config| Table { config, workload: &workload, cached: 0 });
    let steps = bench::table_steps(&tables, 5 * turns).map_err(text)?;
    drop(tables);
    let shape = TtShape::paper(rows, 16, CORES, 32).map_err(text)?;
    let expanded = bench::expanded_steps(&shape, &workload, turns).ok_or("T3nsor's algorithm is for three cores")?;
    let all = [
        ("TT-EmbeddingBag", steps[0].seconds, steps[0].bytes),
        ("EmbeddingBag", steps[1].seconds, steps[1].bytes),
        ("T3nsor's algorithm", expanded.seconds, expanded.bytes),
    ];
    let timed = |(name, seconds, bytes): (&str, f64, usize)| Timed {
        name: name.to_owned(),
        x: rows as f64,
        seconds,
        bytes: Some(bytes as u64),
    };
    Ok(all.into_iter().map(timed).collect())
}

fn pooling(rows: u64, bags: usize, turns: usize) -> Result<Vec<Timed>, String> {
    let mut timed = Vec::new();
    for pooling in POOLING {
        let workload = workload(rows, bags, pooling)?;
        let mut names = vec!["EmbeddingBag".to_owned()];
        let mut configs = vec![TableConfig::dense(rows, 16).map_err(text)?];
        for rank in RANKS {
            names.push(format!("rank {rank}"));
            configs.push(train_of(rows, rank)?);
        }
        let tables: Vec<Table<'_>> =
            configs.into_iter().map(|config| Table { config, workload: &workload, cached: 0 }).collect();
        let steps = bench::table_steps(&tables, turns).map_err(text)?;
        timed.extend(names.into_iter().zip(steps).map(|(name, step)| Timed {
            name,
            x: pooling as f64,
            seconds: step.seconds,
            bytes: Some(step.bytes as u64),
        }));
    }
    Ok(timed)
}

fn hit_rates(rows: u64, hot: u64, lookups: usize, turns: usize) -> Result<Vec<Timed>, String> {
    let generator = Generator { rows, bags: lookups, pooling: 1, batches: 8, seed: 3, ..Generator::default() };
    let mut timed = Vec::new();
    for tenths in 0..=10 {
        let share = f64::from(tenths) / 10.0;
        let workload = Workload::of_hot_rows(&generator, hot, share).map_err(text)?;
        let cached = train_of(rows, 32)?.with_cache(hot as usize).map_err(text)?.with_rule(Rule::Sgd);
        let tables = [
            Table { config: cached, workload: &workload, cached: hot },
            Table { config: TableConfig::dense(rows, 16).map_err(text)?, workload: &workload, cached: 0 },
        ];
        let steps = bench::table_steps(&tables, turns).map_err(text)?;
        for (name, step) in ["TT-EmbeddingBag with a cache", "EmbeddingBag"].into_iter().zip(steps) {
            timed.push(Timed { name: name.to_owned(), x: 100.0 * share, seconds: step.seconds, bytes: None });
        }
    }
    Ok(timed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_compared_is_timed() {
        let result = TimeRun::Pooling { rows: 3000, bags: 4, turns: 1 }.measure().unwrap();
        assert_eq!(result.timed.len(), 15);
        assert!(result.get("rank 64", 100.0).is_some_and(|timed| timed.seconds > 0.0));
        let result = TimeRun::HitRate { rows: 3000, hot: 50, lookups: 32, turns: 1 }.measure().unwrap();
        assert_eq!(result.points("EmbeddingBag", |_| 1e9).len(), 11);
        let result = TimeRun::Expand { rows: 3000, lookups: 32, turns: 1 }.measure().unwrap();
        let bytes = |name| result.get(name, 3000.0).unwrap().bytes.unwrap();
        assert!(bytes("T3nsor's algorithm") > 2 * 3000 * 64, "a table and its gradient");
        assert!(bytes("EmbeddingBag") >= 3000 * 64);
    }
}
