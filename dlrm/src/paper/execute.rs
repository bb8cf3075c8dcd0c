//! Runs what is not finished: models side by side, one thread each, as a model is the same bits on any number of threads; then
//! timings, one after the other, with the machine to themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use ttcore_cpu::{Cpu, Threads};

use super::PaperError;
use super::store::{Program, Record, Store};
use super::work::{Lines, Outcome, TrainResult, TrainRun, Work};
use crate::data::Dataset;
use crate::memory::largest_tables;
use crate::train::{self, Observer, Progress, RunOptions, TrainError};

/// Who follows the runs, from several threads.
pub trait Watch: Sync {
    /// So much more work is known of, in samples of an uncompressed Kaggle model or what takes as long.
    fn plan(&self, weight: u64);

    /// So much of it is done.
    fn done(&self, weight: u64);

    /// A run begins.
    fn begin(&self, what: &str);

    /// Whether to stop; what is finished is kept.
    fn stop(&self) -> bool;
}

/// Runs that are wanted, and where the finished ones are.
pub(super) struct Executor<'a> {
    pub(super) program: &'a Program,
    pub(super) store: &'a mut Store,
    /// The lines that the command was given.
    pub(super) given: Option<Arc<Dataset>>,
    pub(super) watch: &'a dyn Watch,
}

impl Executor<'_> {
    /// Runs those of `wanted` that are not finished, each once.
    pub(super) fn run(&mut self, wanted: &[Work]) -> Result<(), PaperError> {
        let mut missing: Vec<(String, Work)> = Vec::new();
        for work in wanted {
            let key = self.program.key(work);
            if self.store.get(&key).is_none() && missing.iter().all(|(other, _)| *other != key) {
                missing.push((key, *work));
            }
        }
        self.watch.plan(missing.iter().map(|(_, work)| work.weight()).sum());
        let (models, timings): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|(_, work)| matches!(work, Work::Train(_)));
        self.models(models)?;
        for (key, work) in timings {
            let Work::Time(run) = work else { continue };
            if self.watch.stop() {
                return Err(PaperError::Interrupted);
            }
            self.watch.begin(&run.name());
            let start = Instant::now();
            let outcome = run.measure().map_or_else(|reason| Outcome::Failed { reason }, Outcome::Time);
            self.store.add(record(self.program, key, work, outcome, start))?;
            self.watch.done(work.weight());
        }
        Ok(())
    }

    fn models(&mut self, mut runs: Vec<(String, Work)>) -> Result<(), PaperError> {
        // Runs on the same lines after each other, so that few lines are held.
        let order = |lines: &Lines| serde_json::to_string(lines).unwrap_or_default();
        runs.sort_by_cached_key(|(_, work)| match work {
            Work::Train(run) => order(&run.lines),
            Work::Time(_) => String::new(),
        });
        let workers = thread::available_parallelism().map_or(1, usize::from).min(runs.len());
        let data = Mutex::new(Shared { made: HashMap::new(), left: HashMap::new() });
        for (_, work) in &runs {
            if let Work::Train(run) = work {
                *lock(&data).left.entry(order(&run.lines)).or_default() += 1;
            }
        }
        let (queue, store) = (Mutex::new(VecDeque::from(runs)), Mutex::new(&mut *self.store));
        let (watch, given, program) = (self.watch, &self.given, self.program);
        let work = || -> Result<(), PaperError> {
            loop {
                let Some((key, work)) = lock(&queue).pop_front() else { return Ok(()) };
                let Work::Train(run) = work else { continue };
                if watch.stop() {
                    return Err(PaperError::Interrupted);
                }
                let name = order(&run.lines);
                let lines = lock(&data).lines(&name, &run.lines, given)?;
                watch.begin(&describe(&run));
                let start = Instant::now();
                let outcome = train_one(&run, &lines, &mut Following { watch, weight: work.weight(), told: 0 })?;
                drop(lines);
                lock(&data).release(&name);
                lock(&store).add(record(program, key, work, outcome, start))?;
            }
        };
        thread::scope(|scope| {
            let until_an_error = || work().inspect_err(|_| lock(&queue).clear());
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(until_an_error)).collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(PaperError::Interrupted)));
            ended.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(program: &Program, key: String, work: Work, outcome: Outcome, start: Instant) -> Record {
    Record {
        key,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: program.machine.clone(),
        work,
        outcome,
        seconds: start.elapsed().as_secs_f64(),
        time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
    }
}

/// Lines that are held, by their settings, and how many runs still need them.
struct Shared {
    made: HashMap<String, Arc<Dataset>>,
    left: HashMap<String, usize>,
}

impl Shared {
    fn lines(&mut self, name: &str, lines: &Lines, given: &Option<Arc<Dataset>>) -> Result<Arc<Dataset>, PaperError> {
        if let Some(data) = self.made.get(name) {
            return Ok(data.clone());
        }
        let data = match lines.make().map_err(PaperError::Run)? {
            Some(data) => Arc::new(data),
            None => given.clone().ok_or_else(|| PaperError::Run("these runs need --data".to_owned()))?,
        };
        self.made.insert(name.to_owned(), data.clone());
        Ok(data)
    }

    fn release(&mut self, name: &str) {
        let left = self.left.entry(name.to_owned()).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.made.remove(name);
        }
    }
}

fn describe(run: &TrainRun) -> String {
    let held = match (run.tables, run.smaller) {
        (0, _) => "uncompressed".to_owned(),
        (tables, None) => format!("{tables} tables, rank {}", run.rank),
        (tables, Some(times)) => format!("{tables} tables, {}, {times} times smaller", run.method.name()),
    };
    format!("{held}, seed {}", run.seed)
}

/// Tells of the samples of one run.
struct Following<'a> {
    watch: &'a dyn Watch,
    weight: u64,
    told: u64,
}

impl Observer for Following<'_> {
    fn progress(&mut self, progress: Progress) {
        // Training is most of a run: what comes before and after gets the last twentieth.
        let Progress::Train { iteration, iterations, .. } = progress else { return };
        let done = (0.95 * iteration as f64 / iterations.max(1) as f64 * self.weight as f64) as u64;
        let more = done.saturating_sub(self.told);
        if more * 200 > self.weight {
            self.told += more;
            self.watch.done(more);
        }
    }

    fn stop(&self) -> bool {
        self.watch.stop()
    }
}

/// Trains and evaluates a model on the calling thread.
fn train_one(run: &TrainRun, data: &Dataset, following: &mut Following<'_>) -> Result<Outcome, PaperError> {
    let backend = Cpu::<f32>::new().map_err(|error| PaperError::Run(error.to_string()))?;
    let outcome = train::train(
        backend,
        &mut Threads::one(),
        data,
        &run.settings(data.table_rows()),
        &RunOptions::default(),
        following,
    );
    let rest = following.weight - following.told;
    following.watch.done(rest);
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(TrainError::Interrupted { .. }) => return Err(PaperError::Interrupted),
        // A setting that makes no model, or one that went to infinity, is a result of its run.
        Err(error) => return Ok(Outcome::Failed { reason: error.to_string() }),
    };
    let rows: Vec<u64> = outcome.tables.iter().map(|table| table.rows).collect();
    let largest = largest_tables(&rows, run.tables);
    let tables = || largest.iter().map(|&table| &outcome.tables[table]);
    Ok(Outcome::Train(TrainResult {
        auc: outcome.test.auc.unwrap_or(0.5),
        accuracy: outcome.test.accuracy,
        log_loss: outcome.test.log_loss,
        validation_auc: outcome.validation.auc.unwrap_or(0.5),
        bytes: outcome.compressed_bytes as u64,
        dense_bytes: outcome.dense_bytes as u64,
        largest_bytes: tables().map(|table| table.bytes as u64).sum(),
        largest_dense_bytes: tables().map(|table| table.dense_bytes as u64).sum(),
        hit_rate: outcome.cache.map(|cache| cache.hit_rate),
        samples_per_second: outcome.samples_per_second,
    }))
}
