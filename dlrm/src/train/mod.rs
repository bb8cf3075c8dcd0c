//! Training: the loop over batches, evaluation on held-out lines, and what came out.

mod outcome;
mod settings;

use std::time::Instant;

use ttcore::{Backend, Real};

use crate::data::{Batch, Dataset, Order};
use crate::metrics;
use crate::model::{Dlrm, Samples};

pub use outcome::{Evaluation, Outcome, TableSummary};
pub use settings::{TrainError, TrainSettings, TtSettings};

/// How far training is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Iterations done, from 1.
    pub iteration: usize,
    /// Iterations in all.
    pub iterations: usize,
    /// Loss of this iteration's batch, before its update.
    pub loss: f64,
    /// Training samples so far.
    pub samples: usize,
}

/// Trains a model of `settings` on `data` and evaluates it on the lines held out; calls `progress` after every
/// iteration.
///
/// # Errors
///
/// [`TrainError`] for settings or data that make no model, the backend's errors as text among them.
pub fn train<B: Backend>(
    backend: B,
    queue: &mut B::Queue,
    data: &Dataset,
    settings: &TrainSettings,
    mut progress: impl FnMut(Progress),
) -> Result<Outcome, TrainError> {
    let split = data.split();
    if split.train.is_empty() {
        return Err(TrainError::TooFewLines { lines: data.len() });
    }
    let config = settings.model(&data.table_rows())?;
    let failed = |error: B::Error| TrainError::Backend(error.to_string());
    let order = Order::new(split.train.clone(), settings.seed);
    // No batch has more lines than there are.
    let batch_size = settings.batch_size.min(data.len());
    let mut model = Dlrm::new(backend, queue, config, batch_size, settings.seed).map_err(failed)?;

    let iterations = order.len().div_ceil(batch_size).saturating_mul(settings.epochs);
    let mut reader = Reader::default();
    let mut losses = Vec::new();
    let mut samples = 0;
    let start = Instant::now();
    for _ in 0..settings.epochs {
        for first in (0..order.len()).step_by(batch_size) {
            let rows = order.rows(first..first.saturating_add(batch_size));
            samples += rows.len();
            let loss = model.train_step(queue, reader.read(data, rows), settings.lr).map_err(failed)?;
            losses.push(loss);
            progress(Progress { iteration: losses.len(), iterations, loss, samples });
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut evaluate = |range| evaluate(&mut model, queue, data, range, batch_size, &mut reader);
    let test = evaluate(split.test.clone()).map_err(failed)?;
    let validation = evaluate(split.validation.clone()).map_err(failed)?;
    Ok(Outcome::new(settings, data, &mut model, &losses, seconds, test, validation))
}

/// Metrics of a model on a range of the lines.
fn evaluate<B: Backend>(
    model: &mut Dlrm<B>,
    queue: &mut B::Queue,
    data: &Dataset,
    lines: std::ops::Range<usize>,
    batch_size: usize,
    reader: &mut Reader<B::Float>,
) -> Result<Evaluation, B::Error> {
    let mut predictions = Vec::with_capacity(lines.len());
    for first in lines.clone().step_by(batch_size) {
        let rows = first..lines.end.min(first + batch_size);
        predictions.extend(model.predict(queue, reader.read(data, rows))?.iter().map(|p| p.as_f64()));
    }
    let labels = &data.labels(lines).collect::<Vec<_>>();
    Ok(Evaluation {
        lines: labels.len(),
        positives: labels.iter().filter(|&&y| y > 0.5).count(),
        log_loss: metrics::log_loss(&predictions, labels),
        accuracy: metrics::accuracy(&predictions, labels),
        auc: metrics::auc(&predictions, labels),
    })
}

/// Lines of a data set as samples in the model's type of numbers; memory is reused.
#[derive(Default)]
struct Reader<F> {
    batch: Batch,
    dense: Vec<F>,
    labels: Vec<F>,
}

impl<F: Real> Reader<F> {
    fn read(&mut self, data: &Dataset, rows: impl ExactSizeIterator<Item = usize>) -> Samples<'_, F> {
        data.fill_batch(rows, &mut self.batch);
        let convert = |from: &[f32], to: &mut Vec<F>| {
            to.clear();
            to.extend(from.iter().map(|&x| F::of(f64::from(x))));
        };
        convert(&self.batch.dense, &mut self.dense);
        convert(&self.batch.labels, &mut self.labels);
        Samples { dense: &self.dense, indices: &self.batch.indices, labels: &self.labels }
    }
}
