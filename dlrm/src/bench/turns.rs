//! Several things timed in turns, so that what else happens on the machine happens to all of them.

use std::time::{Duration, Instant};

use ttcore::{Error, TableConfig};
use ttcore_cpu::{Cpu, Threads};

use super::batches::Batches;
use super::subject::Subject;
use super::train::Settings;
use super::{Workload, WorkloadError, median};
use crate::model::{Dlrm, StepError};

/// Learning rate of the iterations.
const LR: f64 = 0.01;

/// A table to time, and the lookups in it.
#[derive(Debug)]
pub struct Table<'a> {
    /// How it is held.
    pub config: TableConfig,
    /// What is looked up.
    pub workload: &'a Workload,
    /// Rows that are cached before: the first so many.
    pub cached: u64,
}

/// What a step of a table costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableStep {
    /// Median seconds.
    pub seconds: f64,
    /// Bytes of the table, and of a batch and the work on it.
    pub bytes: usize,
}

/// A training step of each table: group, forward, backward and update of a batch, on the calling thread. In
/// every turn, each table takes one step.
///
/// # Errors
///
/// [`Error`] for tables that cannot be made, or lookups of other tables.
pub fn table_steps(tables: &[Table<'_>], turns: usize) -> Result<Vec<TableStep>, Error> {
    let backend = Cpu::<f32>::new().map_err(|_| Error::TooLarge { what: "backend" })?;
    let queue = &mut Threads::one();
    let mut subjects = Vec::with_capacity(tables.len());
    for Table { config, workload, cached } in tables {
        let mut subject = Subject::new(backend, &backend, queue, config.clone(), workload, 7)?;
        subject.cache(queue, *cached)?;
        subjects.push(subject);
    }
    let mut times = vec![Vec::with_capacity(turns); tables.len()];
    for turn in 0..turns + 1 {
        for ((subject, times), table) in subjects.iter_mut().zip(&mut times).zip(tables) {
            let time = subject.step(queue, table.workload, turn % table.workload.batches())?;
            // The first turn maps memory.
            if turn > 0 {
                times.push(time.as_secs_f64());
            }
        }
    }
    let parts = subjects.iter_mut().zip(&mut times).zip(tables);
    let cost = |((subject, times), table): ((&mut Subject<'_, _>, &mut Vec<f64>), &Table<'_>)| TableStep {
        seconds: median(times),
        bytes: table.config.table().parameters() * size_of::<f32>() + subject.workspace(),
    };
    Ok(parts.map(cost).collect())
}

/// Median seconds of a training iteration of each model, on `queue`. In every turn, each model takes one.
///
/// # Errors
///
/// Why a model could not be made or trained.
pub fn iterations(models: &[Settings], queue: &mut Threads, turns: usize) -> Result<Vec<f64>, String> {
    let wrong = |error: WorkloadError| error.to_string();
    let Some(first) = models.first() else { return Ok(Vec::new()) };
    let batches = Batches::generate(first, turns + 1).map_err(wrong)?;
    let mut made = Vec::with_capacity(models.len());
    for settings in models {
        let backend = Cpu::<f32>::new().map_err(|error| error.to_string())?;
        let model = Dlrm::new(backend, queue, settings.model().map_err(wrong)?, settings.batch, settings.seed);
        made.push(model.map_err(|error| error.to_string())?);
    }
    let mut times = vec![Vec::with_capacity(turns); models.len()];
    for turn in 0..turns + 1 {
        for (model, times) in made.iter_mut().zip(&mut times) {
            let start = Instant::now();
            model.train_step(queue, batches.samples(turn), LR).map_err(|error| match error {
                StepError::Backend(error) => error.to_string(),
                StepError::NonFinite(number) => number.to_string(),
            })?;
            if turn > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    Ok(times.iter_mut().map(|times| median(times)).collect())
}

/// Median seconds of what is called so often.
pub(super) fn median_of<E>(turns: usize, mut call: impl FnMut() -> Result<Duration, E>) -> Result<f64, E> {
    let mut times = (0..turns).map(|_| Ok(call()?.as_secs_f64())).collect::<Result<Vec<_>, E>>()?;
    Ok(median(&mut times))
}
