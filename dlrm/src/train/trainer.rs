//! A model in training: one step, one evaluation, one checkpoint.

use std::fmt;
use std::ops::Range;

use ttcore::Real;
use ttcore::cache::{Refresh, Traffic};

use super::error::TrainError;
use super::event::{Observer, Progress};
use super::hyperparameters::Hyperparameters;
use super::non_finite::NonFiniteBatch;
use super::part::Part;
use super::state::{DataIdentity, Evaluation, Position, TrainState};
use super::{LossCurve, reader::Reader};
use crate::checkpoint::{self, Checkpoint, CheckpointError, CheckpointErrorKind, Description, FORMAT, Target};
use crate::data::{Batch, Dataset, Order, Split};
use crate::metrics;
use crate::model::{Dlrm, Engine, StepError};

/// A model, the data it is trained on, and how far it is.
///
/// Between two calls its state is that after a whole number of iterations: it can be written to a [`Checkpoint`], and a
/// trainer that is restored from there goes on bit for bit as this one does. What follows an iteration, such as a
/// refresh of the caches, belongs to the *next* call of [`Trainer::step`], so that it happens once, whether or not there
/// was a checkpoint in between.
pub struct Trainer<'d, B: Engine> {
    model: Dlrm<B>,
    settings: Hyperparameters,
    data: &'d Dataset,
    identity: DataIdentity,
    split: Split,
    order: Order,
    /// The batch that is trained on, and the next, which is read meanwhile.
    readers: [Reader<B::Float>; 2],
    /// The iteration whose batch the first reader has.
    ready: Option<u64>,
    state: TrainState,
    losses: LossCurve,
    predictions: Vec<f64>,
    labels: Vec<f32>,
}

impl<B: Engine> fmt::Debug for Trainer<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("model", &self.model)
            .field("settings", &self.settings)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Loss of the batch before its update, or why there was no update: the batch was passed over then.
    pub loss: Result<f64, NonFiniteBatch>,
    /// Learning rate.
    pub lr: f64,
    /// Samples of the batch.
    pub samples: usize,
    /// What changed in the caches before it, if they were refreshed.
    pub refreshed: Option<Vec<Refresh>>,
}

impl<'d, B: Engine> Trainer<'d, B> {
    /// A new model of these settings for data of this identity.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for settings that make no model for the data, or the backend's.
    pub fn new(
        backend: B,
        queue: &mut B::Queue,
        data: &'d Dataset,
        identity: DataIdentity,
        settings: Hyperparameters,
    ) -> Result<Self, TrainError> {
        settings.check_features(data.dense(), data.table_rows(), &data.longest())?;
        let split = data.split().clone();
        // No batch has more lines than there are.
        let largest = settings.batch_size.min(data.len());
        // Where there is no memory, ranks that are of no use are the likely cause.
        let excessive = || {
            let ranks = settings.tables.iter().enumerate().rev();
            let rank = ranks.filter_map(|(table, settings)| Some((table, settings.excessive_rank()?)));
            rank.max_by_key(|(_, (rank, useful))| rank - useful)
        };
        let model = match Dlrm::new(backend, queue, settings.model()?, largest, settings.seed) {
            Err(error) => {
                // The type of the error is the backend's; the sentence is that of `ttcore::Error::TooLarge`.
                let no_memory = error.to_string().ends_with("would not fit in memory");
                return Err(match excessive().filter(|_| no_memory) {
                    Some((table, (rank, useful))) => TrainError::Rank { table, rank, useful },
                    None => TrainError::backend(error),
                });
            }
            Ok(model) => model,
        };
        Ok(Self {
            model,
            order: Order::new(split.train.clone(), settings.seed),
            settings,
            data,
            identity,
            split,
            readers: Default::default(),
            ready: None,
            state: TrainState::default(),
            losses: LossCurve::new(),
            predictions: Vec::new(),
            labels: Vec::new(),
        })
    }

    /// Goes on from a checkpoint of a run with the same settings; the data may be other data, for an evaluation.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]; the trainer may be half of each then.
    pub fn restore(&mut self, queue: &mut B::Queue, checkpoint: &mut Checkpoint) -> Result<(), CheckpointError> {
        self.ready = None;
        // On other data, for an evaluation, it does not matter how far a run was.
        let (state, same_data) =
            (checkpoint.description().state, checkpoint.description().data.difference(&self.identity).is_none());
        if same_data && state.position != Position::after(state.iteration, self.order.len(), self.settings.batch_size) {
            let what = format!("it is at {:?} after {} iterations", state.position, state.iteration);
            return Err(CheckpointError::new(checkpoint.path(), CheckpointErrorKind::foreign(what)));
        }
        self.losses = checkpoint.restore(&mut self.model, queue)?;
        self.state = state;
        self.take_traffic();
        Ok(())
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`], naming the file.
    pub fn save(&mut self, queue: &mut B::Queue, target: &Target) -> Result<(), CheckpointError> {
        self.note_traffic();
        let description = Description {
            format: FORMAT,
            settings: self.settings.clone(),
            data: self.identity.clone(),
            state: self.state,
            for_predictions: false,
        };
        checkpoint::save(target, &mut self.model, queue, &description, &self.losses)
    }

    /// The next iteration: refreshes the caches if that is due, and trains on one batch, or passes over it if a number of
    /// it is not finite. After the last batch of an epoch comes the first of the next, which has the same order.
    ///
    /// # Errors
    ///
    /// The backend's, as text.
    pub fn step(&mut self, queue: &mut B::Queue) -> Result<Step, TrainError> {
        let mut refreshed = None;
        if self.settings.cache.is_some_and(|schedule| schedule.due(self.state.iteration)) {
            refreshed = Some(self.model.tables().refresh(queue).map_err(TrainError::backend)?);
        }
        let (order, size) = (&self.order, self.settings.batch_size);
        let rows = |Position { line, .. }| order.rows(line as usize..(line as usize).saturating_add(size));
        let [this, next] = &mut self.readers;
        if self.ready.take() != Some(self.state.iteration) {
            this.read(self.data, rows(self.state.position))?;
        }
        let iteration = self.state.iteration + 1;
        let position = Position::after(iteration, order.len(), size);
        let lr = self.settings.lr.at(iteration);
        let step = self.model.train_step_beside(queue, this.samples(), lr, || next.read(self.data, rows(position)));
        let (loss, read) = match step {
            Ok((loss, read)) => (Ok(loss), read.is_ok()),
            Err(StepError::NonFinite(number)) => {
                let Position { epoch, line } = self.state.position;
                // A batch that has a sample at this position has a row there.
                let row = rows(self.state.position).nth(number.sample).unwrap_or_default();
                (Err(NonFiniteBatch { iteration, epoch, batch: line / size as u64, row, number }), false)
            }
            Err(StepError::Backend(error)) => return Err(TrainError::backend(error)),
        };
        let samples = this.labels().len();
        self.readers.swap(0, 1);
        // This step is done; if the next batch is not there, the next one reads again, and says what is wrong.
        self.ready = read.then_some(iteration);
        self.state.iteration = iteration;
        self.state.position = position;
        match loss {
            Ok(loss) => self.losses.push(loss),
            Err(_) => self.state.skipped += 1,
        }
        Ok(Step { loss, lr, samples, refreshed })
    }

    /// Metrics of the model on a part of the data, in exact AUC; none if `observer` wanted to stop before the end. Lines
    /// for which the model gives no finite probability are counted and left out. Nothing of the state changes. Keeps a
    /// prediction for each line.
    ///
    /// # Errors
    ///
    /// The backend's, as text.
    pub fn evaluate(
        &mut self,
        queue: &mut B::Queue,
        part: Part,
        observer: &mut dyn Observer,
    ) -> Result<Option<Evaluation>, TrainError> {
        self.evaluate_each(queue, part, observer, &mut |_, _| ())
    }

    /// [`Trainer::evaluate`]; calls `each` with every batch of lines and their predictions, finite or not.
    ///
    /// # Errors
    ///
    /// The backend's, as text.
    pub fn evaluate_each(
        &mut self,
        queue: &mut B::Queue,
        part: Part,
        observer: &mut dyn Observer,
        each: &mut dyn FnMut(&Batch, &[f64]),
    ) -> Result<Option<Evaluation>, TrainError> {
        self.note_traffic();
        self.ready = None;
        let reader = &mut self.readers[0];
        let lines = part.lines(&self.split);
        self.predictions.clear();
        self.labels.clear();
        for batch in batches(lines.clone(), self.settings.batch_size) {
            if observer.stop() {
                break;
            }
            reader.read(self.data, batch.clone())?;
            let predictions = self.model.predict(queue, reader.samples()).map_err(TrainError::backend)?;
            self.predictions.extend(predictions.iter().map(|p| p.as_f64()));
            each(reader.batch(), &self.predictions[self.labels.len()..]);
            self.labels.extend_from_slice(reader.labels());
            let done = batch.end - lines.start;
            observer.progress(Progress::Evaluate { part, done, lines: lines.len() });
        }
        self.take_traffic();
        if self.labels.len() < lines.len() {
            return Ok(None);
        }
        let positives = self.labels.iter().filter(|&&y| y > 0.5).count();
        let mut finite = self.predictions.iter().map(|p| p.is_finite());
        self.labels.retain(|_| finite.next().unwrap_or(true));
        self.predictions.retain(|p| p.is_finite());
        Ok(Some(Evaluation {
            lines: lines.len(),
            non_finite: lines.len() - self.labels.len(),
            positives,
            log_loss: metrics::log_loss(&self.predictions, &self.labels),
            accuracy: metrics::accuracy(&self.predictions, &self.labels),
            auc: metrics::auc(&self.predictions, &self.labels),
        }))
    }

    /// Takes note of an evaluation of the test lines during training; whether it is the best so far.
    pub fn note_evaluation(&mut self, test: Evaluation) -> bool {
        self.state.evaluated(test)
    }

    /// How far it is; lookups up to now.
    pub fn state(&mut self) -> TrainState {
        self.note_traffic();
        self.state
    }

    /// Losses so far.
    pub fn losses(&self) -> &LossCurve {
        &self.losses
    }

    /// Settings of the run.
    pub fn settings(&self) -> &Hyperparameters {
        &self.settings
    }

    /// The lines.
    pub fn data(&self) -> &'d Dataset {
        self.data
    }

    /// The data it is trained on.
    pub fn identity(&self) -> &DataIdentity {
        &self.identity
    }

    /// Which lines are for what.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The model.
    pub fn model(&mut self) -> &mut Dlrm<B> {
        &mut self.model
    }

    /// Training samples so far.
    pub fn samples(&self) -> u64 {
        let Position { epoch, line } = self.state.position;
        epoch * self.order.len() as u64 + line
    }

    /// Epochs so far, in part.
    pub fn epochs(&self) -> f64 {
        self.samples() as f64 / self.order.len().max(1) as f64
    }

    fn note_traffic(&mut self) {
        let traffic = self.take_traffic();
        self.state.note(traffic);
    }

    /// Lookups of tables with a cache since this was last called.
    fn take_traffic(&mut self) -> Traffic {
        let mut sum = Traffic::default();
        if self.settings.cache.is_some() {
            for traffic in self.model.tables().statistics().into_iter().filter_map(|table| table.traffic) {
                sum.hits += traffic.hits;
                sum.lookups += traffic.lookups;
            }
        }
        sum
    }
}

/// Consecutive lines, in batches.
fn batches(lines: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = lines.end;
    lines.step_by(size).map(move |start| start..end.min(start.saturating_add(size)))
}
