//! The loop: steps, and what happens between them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ttcore::cache::Traffic;

use super::choice::KeptDense;
use super::conclude::{Run, conclude};
use super::error::TrainError;
use super::event::{Event, Observer, Progress};
use super::non_finite::{MOST_SKIPPED_IN_A_ROW, NonFiniteBatch, OnNonFinite};
use super::outcome::Outcome;
use super::part::Part;
use super::settings::TrainSettings;
use super::state::{DataIdentity, Evaluation};
use super::trainer::{Step, Trainer};
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointErrorKind, Folder, Skipped, Target};
use crate::data::{Counts, Dataset};
use crate::model::{Engine, NonFinite, Quantity};

/// How a run is followed and kept. Nothing here changes what is learned from numbers that are finite.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RunOptions {
    /// Iterations between two evaluations on the test lines; 0 for none but at the end. Which evaluation is the best of
    /// the run depends on it.
    pub eval_every: u64,
    /// Iterations between two [`Event::Train`]; none for a tenth of all. There is always one at the end.
    pub log_every: Option<u64>,
    /// Where the state is kept.
    pub checkpoints: Option<CheckpointOptions>,
    /// What follows a number that is not finite.
    pub on_non_finite: OnNonFinite,
}

/// Where the state of a run is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointOptions {
    /// The folder.
    pub folder: PathBuf,
    /// Iterations between two checkpoints; 0 for none but at the end and when interrupted.
    pub every: u64,
    /// How many are kept, the newest.
    pub keep: usize,
    /// Goes on from the newest one that is whole, if there is one.
    pub resume: bool,
}

/// Trains a model of `settings` on `data` and evaluates it on the lines held out; tells `observer` what happens.
///
/// # Errors
///
/// [`TrainError`] for settings or data that make no model, a checkpoint that cannot be written or is of another run, or a
/// run that was interrupted.
pub fn train<B: Engine>(
    backend: B,
    queue: &mut B::Queue,
    data: &Dataset,
    settings: &TrainSettings,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    let lines = data.split().train.len();
    if lines == 0 {
        return Err(TrainError::TooFewLines { lines: data.len() });
    }
    let settings = &settings.for_data(data);
    let counts = Counts::new(data, settings.counted_tables(data.table_rows()), data.split().train.clone(), |done| {
        observer.progress(Progress::Count { done, lines });
        !observer.stop()
    })?;
    let Some(counts) = counts else { return Err(TrainError::Interrupted { iteration: 0, checkpoint: None }) };
    let (resolved, kept_dense) = settings.resolve_with(data.table_rows(), lines, Some(&counts))?;
    let iterations = settings.iterations(lines).min(settings.max_iterations.unwrap_or(u64::MAX));
    let identity = DataIdentity::of(data);
    let (folder, mut checkpoint) = match &options.checkpoints {
        Some(options) => open_folder(options, observer)?,
        None => (None, None),
    };
    // Before memory is taken for a model.
    if let Some(checkpoint) = &checkpoint {
        checkpoint.check(&resolved, &identity)?;
    }
    if let (Some(folder), Some(vocabulary)) = (&folder, data.vocabulary()) {
        folder.keep_vocabulary(vocabulary)?;
    }
    let mut trainer = Trainer::new(backend, queue, data, identity, resolved)?;
    if let Some(checkpoint) = &mut checkpoint {
        trainer.restore(queue, checkpoint)?;
    }
    let start = trainer.state();
    let resumed = checkpoint.map(|checkpoint| checkpoint.path().to_owned());
    send(
        observer,
        &Event::Start {
            version: env!("CARGO_PKG_VERSION"),
            settings: trainer.settings(),
            data: trainer.identity(),
            iterations: iterations.max(start.iteration),
            iteration: start.iteration,
            resumed: resumed.clone(),
            kept: folder.is_some(),
        },
    )?;
    let mut run = Loop {
        start: (start.iteration, trainer.samples()),
        window: Window::new(start.traffic()),
        trainer,
        options,
        folder,
        iterations: iterations.max(start.iteration),
        kept_dense,
        training: Duration::ZERO,
        checkpointed: resumed.map(|path| (start.iteration, path)),
        skipped_in_a_row: 0,
    };
    run.train(queue, observer)?;
    run.end(queue, observer)
}

/// The folder, and the checkpoint to go on from.
fn open_folder(
    options: &CheckpointOptions,
    observer: &mut dyn Observer,
) -> Result<(Option<Folder>, Option<Checkpoint>), TrainError> {
    let mut folder = Folder::open(&options.folder, options.keep)?;
    if !options.resume {
        folder.check_empty()?;
        return Ok((Some(folder), None));
    }
    let (newest, skipped) = folder.newest()?;
    for Skipped(error) in skipped {
        let reason = error.kind.to_string();
        send(observer, &Event::Skipped { checkpoint: error.path, reason })?;
    }
    Ok((Some(folder), newest))
}

fn send(observer: &mut dyn Observer, event: &Event<'_>) -> Result<(), TrainError> {
    observer.event(event).map_err(TrainError::Observer)
}

/// Whether something that happens every so many iterations happens after this one.
fn due(iteration: u64, every: u64) -> bool {
    every > 0 && iteration > 0 && iteration.is_multiple_of(every)
}

struct Loop<'d, 'o, B: Engine> {
    trainer: Trainer<'d, B>,
    options: &'o RunOptions,
    folder: Option<Folder>,
    /// Iterations in all.
    iterations: u64,
    kept_dense: Vec<KeptDense>,
    /// Iterations and samples when this run began.
    start: (u64, u64),
    /// Time in steps.
    training: Duration,
    window: Window,
    /// The newest checkpoint, and its iteration.
    checkpointed: Option<(u64, PathBuf)>,
    skipped_in_a_row: u64,
}

/// What happened since the last [`Event::Train`].
struct Window {
    loss: f64,
    iterations: u64,
    /// How many of them had an update, and so a loss.
    losses: u64,
    samples: usize,
    time: Duration,
    /// Lookups before it.
    traffic: Traffic,
}

impl Window {
    fn new(traffic: Traffic) -> Self {
        Self { loss: 0.0, iterations: 0, losses: 0, samples: 0, time: Duration::ZERO, traffic }
    }
}

impl<B: Engine> Loop<'_, '_, B> {
    /// Steps until the end, and what is due after them. A checkpoint holds the state right after its step, and what comes
    /// later is done again by a run that goes on from it, with the same result.
    fn train(&mut self, queue: &mut B::Queue, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let mut iteration = self.start.0;
        while iteration < self.iterations {
            if observer.stop() {
                return Err(self.interrupted(queue, observer)?);
            }
            if due(iteration, self.options.eval_every) && !self.evaluate_between(queue, observer)? {
                continue;
            }
            let begin = Instant::now();
            let step = self.trainer.step(queue)?;
            iteration += 1;
            self.tell(&step, iteration, begin.elapsed(), queue, observer)?;
            let every = self.options.checkpoints.as_ref().map_or(0, |options| options.every);
            if due(iteration, every) && iteration < self.iterations {
                self.checkpoint(queue, observer)?;
            }
        }
        Ok(())
    }

    /// Evaluates between two steps; whether it came to an end.
    fn evaluate_between(&mut self, queue: &mut B::Queue, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let Some((test, time)) = self.evaluate(queue, Part::Test, observer)? else { return Ok(false) };
        let (best, iteration) = (self.trainer.note_evaluation(test), self.trainer.state().iteration);
        let seconds = time.as_secs_f64();
        send(observer, &Event::Eval { iteration, split: Part::Test, evaluation: test, best, seconds })?;
        Ok(true)
    }

    fn evaluate(
        &mut self,
        queue: &mut B::Queue,
        part: Part,
        observer: &mut dyn Observer,
    ) -> Result<Option<(Evaluation, Duration)>, TrainError> {
        let begin = Instant::now();
        let evaluation = self.trainer.evaluate(queue, part, observer)?;
        match evaluation {
            Some(Evaluation { non_finite, lines, .. })
                if non_finite > 0 && self.options.on_non_finite == OnNonFinite::Stop =>
            {
                Err(TrainError::Predictions { part, non_finite, lines })
            }
            evaluation => Ok(evaluation.map(|evaluation| (evaluation, begin.elapsed()))),
        }
    }

    /// Tells what a step did.
    fn tell(
        &mut self,
        step: &Step,
        iteration: u64,
        time: Duration,
        queue: &mut B::Queue,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        self.training += time;
        let window = &mut self.window;
        window.iterations += 1;
        window.samples += step.samples;
        window.time += time;
        if let Some(refreshes) = &step.refreshed {
            let (loaded, evicted, kept) = refreshes.iter().fold((0, 0, 0), |(loaded, evicted, kept), refresh| {
                (loaded + refresh.load.len(), evicted + refresh.evicted.len(), kept + refresh.kept)
            });
            send(observer, &Event::Refresh { iteration: iteration - 1, loaded, evicted, kept })?;
        }
        match step.loss {
            Ok(loss) => {
                self.window.loss += loss;
                self.window.losses += 1;
                self.skipped_in_a_row = 0;
                let (iterations, samples) = (self.iterations, self.trainer.samples());
                observer.progress(Progress::Train { iteration, iterations, loss, samples });
            }
            Err(batch) => self.non_finite(batch, queue, observer)?,
        }
        if due(iteration, self.options.log_every.unwrap_or(self.iterations.div_ceil(10)))
            || iteration == self.iterations
        {
            self.log(step.lr, iteration, observer)?;
        }
        Ok(())
    }

    /// Goes on after a batch that nothing was updated with, or not.
    fn non_finite(
        &mut self,
        batch: NonFiniteBatch,
        queue: &mut B::Queue,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        self.skipped_in_a_row += 1;
        // What was given needs no other cause. Parameters are as before the batch, and stay so.
        let tensor = match batch.number.quantity {
            Quantity::Label | Quantity::Dense { .. } => None,
            _ => self.trainer.model().non_finite_parameter(queue).map_err(TrainError::backend)?,
        };
        let skip = self.options.on_non_finite == OnNonFinite::Skip
            && self.skipped_in_a_row <= MOST_SKIPPED_IN_A_ROW
            && tensor.is_none();
        let NonFiniteBatch { iteration, epoch, batch: number, row, number: NonFinite { sample, .. } } = batch;
        let (action, skipped) = if skip {
            (OnNonFinite::Skip, self.trainer.state().skipped)
        } else {
            (OnNonFinite::Stop, self.trainer.state().skipped - 1)
        };
        let reason = batch.number.to_string();
        send(observer, &Event::NonFinite { iteration, epoch, batch: number, sample, row, reason, action, skipped })?;
        match tensor {
            Some(tensor) => Err(self.diverged(iteration - 1, tensor)),
            None if skip => Ok(()),
            None => Err(TrainError::NonFinite { batch, checkpoint: self.last_good() }),
        }
    }

    fn diverged(&self, iteration: u64, tensor: String) -> TrainError {
        TrainError::Diverged { iteration, tensor, checkpoint: self.last_good() }
    }

    /// The newest checkpoint: none is ever written of a model that is not finite.
    fn last_good(&self) -> Option<PathBuf> {
        self.checkpointed.as_ref().map(|(_, path)| path.clone())
    }

    fn log(&mut self, lr: f64, iteration: u64, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let traffic = self.trainer.state().traffic();
        let window = std::mem::replace(&mut self.window, Window::new(traffic));
        let since = Traffic::new(traffic.hits - window.traffic.hits, traffic.lookups - window.traffic.lookups);
        let event = Event::Train {
            iteration,
            epoch: self.trainer.epochs(),
            loss: window.loss / window.losses as f64,
            iterations: window.iterations,
            lr,
            samples_per_second: window.samples as f64 / window.time.as_secs_f64(),
            hit_rate: self.trainer.settings().cache.map(|_| since.hit_rate()),
            seconds: self.training.as_secs_f64(),
        };
        send(observer, &event)
    }

    /// Writes a checkpoint of this iteration, if there is none and they are kept.
    fn checkpoint(&mut self, queue: &mut B::Queue, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let iteration = self.trainer.state().iteration;
        let Some(folder) = &self.folder else { return Ok(()) };
        if self.checkpointed.as_ref().is_some_and(|(newest, _)| *newest == iteration) {
            return Ok(());
        }
        let target = folder.target(iteration);
        let path = target.path.clone();
        self.save(queue, &target, observer)?;
        if let Some(folder) = &mut self.folder {
            folder.keep(path)?;
        }
        Ok(())
    }

    fn save(&mut self, queue: &mut B::Queue, target: &Target, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let (begin, path) = (Instant::now(), target.path.clone());
        let iteration = self.trainer.state().iteration;
        match self.trainer.save(queue, target) {
            Err(CheckpointError { kind: CheckpointErrorKind::NonFinite { tensor }, .. }) => {
                return Err(self.diverged(iteration, tensor));
            }
            saved => saved?,
        }
        self.checkpointed = Some((iteration, path.clone()));
        send(observer, &Event::Checkpoint { iteration, path, seconds: begin.elapsed().as_secs_f64() })
    }

    /// Keeps the state, and gives the error that says where it is.
    fn interrupted(&mut self, queue: &mut B::Queue, observer: &mut dyn Observer) -> Result<TrainError, TrainError> {
        // A new model is made faster than read.
        if self.trainer.state().iteration > 0 {
            self.checkpoint(queue, observer)?;
        }
        let iteration = self.trainer.state().iteration;
        send(observer, &Event::End { iteration, interrupted: true, outcome: None })?;
        let checkpoint = self.checkpointed.take().map(|(_, path)| path);
        Ok(TrainError::Interrupted { iteration, checkpoint })
    }

    /// Keeps the model, then evaluates it.
    fn end(mut self, queue: &mut B::Queue, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let iteration = self.trainer.state().iteration;
        if let Some(target) = self.folder.as_ref().map(Folder::final_target) {
            self.save(queue, &target, observer)?;
        } else if let Some(tensor) = self.trainer.model().non_finite_parameter(queue).map_err(TrainError::backend)? {
            return Err(self.diverged(iteration, tensor));
        }
        let mut evaluations = Vec::with_capacity(2);
        for split in [Part::Test, Part::Validation] {
            let Some((evaluation, time)) = self.evaluate(queue, split, observer)? else {
                return Err(self.interrupted(queue, observer)?);
            };
            let best = split == Part::Test && self.trainer.note_evaluation(evaluation);
            send(observer, &Event::Eval { iteration, split, evaluation, best, seconds: time.as_secs_f64() })?;
            evaluations.push(evaluation);
        }
        let run = Run {
            resumed_at: self.options.checkpoints.as_ref().filter(|_| self.start.0 > 0).map(|_| self.start.0),
            samples: self.trainer.samples() - self.start.1,
            time: self.training,
            kept_dense: std::mem::take(&mut self.kept_dense),
            model: self.folder.as_ref().map(|folder| folder.final_target().path),
        };
        let outcome = conclude(&mut self.trainer, evaluations[0], evaluations[1], run);
        send(observer, &Event::End { iteration, interrupted: false, outcome: Some(&outcome) })?;
        Ok(outcome)
    }
}
