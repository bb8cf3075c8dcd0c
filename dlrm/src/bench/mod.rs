//! What things cost, on any backend: lookups in one table ([`run`]), and an iteration of a whole model ([`train`]).
//!
//! # Lookups
//!
//! One tensor-train table is measured beside a dense table and the machine. [`run`] takes a [`Workload`], batches of lookups, and gives a [`Report`]. Every figure is the median over the batches,
//! each timed alone:
//!
//! | measured | what is in it |
//! |---|---|
//! | forward | group for evaluation, forward |
//! | step | group for training, forward, backward with plain SGD in the same pass |
//! | group | the group of a step alone |
//! | validation | [`ttcore::Bags::new`] alone, which a caller does once before any of the above |
//! | machine | a large matrix product on as many threads: what the arithmetic could take at best |
//!
//! The gradient of the output is random and the same in every step. The learning rate is so small that no number ever
//! leaves its range. Before each pass over the batches, memory is written that fills a processor's caches: rows of the
//! dense table come from where they would come from in training, not from the pass before.

mod batches;
mod count;
mod error;
mod report;
mod sgemm;
mod subject;
mod t3nsor;
pub mod train;
mod turns;
mod workload;

use std::hint::black_box;
use std::time::{Duration, Instant};

use ttcore::{Backend, Error, Rule, TableConfig, TtShape};

pub use batches::Batches;
pub use count::Counts;
pub use error::{Content, WorkloadError};
pub use report::{Host, Report};
pub use sgemm::machine_gflops;
pub use t3nsor::{Expanded, expanded_steps};
pub use turns::{Table, TableStep, iterations, table_steps};
pub use workload::{Generator, Order, Workload};

use report::Timings;
use subject::Subject;

/// Batches before those that are timed, in every pass: memory is mapped, threads are awake.
const WARM_UP: usize = 3;

/// Most bytes written to empty the caches.
const CACHES: usize = 128 << 20;

/// What is measured, beside the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Shape of the tensor train.
    pub shape: TtShape,
    /// Whether the dense table of the same size is measured too. It takes `4 M N` bytes, and as much while it is drawn.
    pub dense: bool,
    /// Of new parameters and of the gradient of the output.
    pub seed: u64,
}

/// Measures a table on a backend. `backend` makes one for each table and one for the buffers
/// around them; `tell` hears what is going on.
///
/// # Errors
///
/// [`Error::Rows`] for a workload made for another number of rows, [`Error::TooLarge`], or the backend's.
pub fn run<B: Backend<Float = f32>>(
    backend: impl Fn() -> B,
    queue: &mut B::Queue,
    settings: &Settings,
    workload: &Workload,
    host: Host,
    mut tell: impl FnMut(&str),
) -> Result<Report, B::Error> {
    let Settings { shape, dense, seed } = settings;
    let (got, want) = (workload.rows(), shape.rows());
    if got != want {
        return Err(Error::Rows { table: 0, got, want }.into());
    }

    tell("measuring the machine");
    let machine_gflops = machine_gflops(host.threads);

    tell("measuring the tensor train");
    let (buffers, mut pass) = (backend(), Pass::new(workload, shape));
    let validate = pass.median(|batch| {
        let start = Instant::now();
        let bags = black_box(workload).batch(batch);
        let time = start.elapsed();
        bags.map(black_box).map(|_| time).map_err(Error::from)
    })?;
    let mut subject = Subject::new(backend(), &buffers, queue, TableConfig::tt(shape.clone()), workload, *seed)?;
    let workspace = subject.workspace();
    let group = pass.median(|batch| subject.group(queue, workload, batch))?;
    let forward = pass.median(|batch| subject.forward(queue, workload, batch))?;
    let step = pass.median(|batch| subject.step(queue, workload, batch))?;
    drop(subject);
    let config = TableConfig::tt(shape.clone()).with_rule(Rule::Sgd);
    let mut subject = Subject::new(backend(), &buffers, queue, config, workload, *seed)?;
    let sgd_step = pass.median(|batch| subject.step(queue, workload, batch))?;
    drop(subject);

    let (mut dense_forward, mut dense_step) = (None, None);
    if *dense {
        tell("drawing the dense table");
        let config = TableConfig::dense(shape.rows(), shape.dim())?;
        let mut subject = Subject::new(backend(), &buffers, queue, config, workload, *seed)?;
        tell("measuring the dense table");
        dense_forward = Some(pass.median(|batch| subject.forward(queue, workload, batch))?);
        dense_step = Some(pass.median(|batch| subject.step(queue, workload, batch))?);
    }
    let timings = Timings { forward, step, sgd_step, group, validate, dense_forward, dense_step, machine_gflops };
    Ok(Report::new(settings, workload, host, workspace, timings))
}

/// Passes over the batches.
struct Pass {
    batches: usize,
    caches: Vec<u8>,
}

impl Pass {
    fn new(workload: &Workload, shape: &TtShape) -> Self {
        // A small table is in the caches anyway; what is not emptied need not be filled.
        let bytes = (shape.dense_parameters() * size_of::<f32>() as u128).min(CACHES as u128) as usize;
        Self { batches: workload.batches(), caches: vec![0; bytes] }
    }

    /// The median, in seconds, of what `time` says for each batch.
    fn median<E>(&mut self, mut time: impl FnMut(usize) -> Result<Duration, E>) -> Result<f64, E> {
        let fill = self.caches.first().map_or(0, |byte| byte.wrapping_add(1));
        black_box(&mut self.caches).fill(fill);
        for number in 0..WARM_UP {
            // The last batches, so that the first to be timed are not the ones just seen.
            time(self.batches - 1 - number % self.batches)?;
        }
        let times: Result<Vec<f64>, E> = (0..self.batches).map(|batch| Ok(time(batch)?.as_secs_f64())).collect();
        Ok(median(&mut times?))
    }
}

/// The middle value, or the mean of the two in the middle; NaN of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => 0.5 * (values[middle - 1] + values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use ttcore::Reference;

    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn a_workload_for_another_table_is_refused() {
        let shape = TtShape::paper(100, 8, 3, 2).expect("a shape");
        let workload = Workload::generate(&Generator { rows: 99, ..Generator::default() }).expect("a workload");
        let settings = Settings { shape, dense: false, seed: 0 };
        let host = Host { backend: "reference".into(), isa: "portable".into(), threads: 1 };
        let error = run(Reference::new, &mut (), &settings, &workload, host, |_| ()).expect_err("another table");
        assert_eq!(error, Error::Rows { table: 0, got: 99, want: 100 });
    }
}
