//! What happens in a run, for whoever follows it.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::hyperparameters::Hyperparameters;
use super::non_finite::OnNonFinite;
use super::outcome::Outcome;
use super::part::Part;
use super::state::{DataIdentity, Evaluation};

/// How far a run is: told after every batch.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// In training.
    Train {
        /// Iterations done, from 1.
        iteration: u64,
        /// Iterations in all.
        iterations: u64,
        /// Loss of this iteration's batch, before its update.
        loss: f64,
        /// Training samples so far.
        samples: u64,
    },
    /// In counting how often rows occur in the training lines, before an evaluation that tells rare ones from others.
    Count {
        /// Lines done.
        done: usize,
        /// Lines in all.
        lines: usize,
    },
    /// In an evaluation.
    Evaluate {
        /// Of which lines.
        part: Part,
        /// Lines done.
        done: usize,
        /// Lines in all.
        lines: usize,
    },
}

/// Something that happened.
///
/// As JSON, an object whose `kind` is the name of the variant in lower case: what `dlrm train --log` writes, one a line.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A checkpoint cannot be used, so an older one is taken, or none.
    Skipped {
        /// Which.
        checkpoint: PathBuf,
        /// Why.
        reason: String,
    },
    /// Training begins, or goes on.
    Start {
        /// Version of this program.
        version: &'static str,
        /// The settings.
        settings: &'a Hyperparameters,
        /// The data.
        data: &'a DataIdentity,
        /// Iterations at the end.
        iterations: u64,
        /// Iterations done before, with a checkpoint of which it goes on.
        iteration: u64,
        /// The checkpoint.
        resumed: Option<PathBuf>,
        /// Whether the model is kept.
        kept: bool,
    },
    /// Training goes on.
    Train {
        /// Iterations done.
        iteration: u64,
        /// Epochs done, in part.
        epoch: f64,
        /// Mean loss of the last `iterations` iterations, those that were skipped left out.
        loss: f64,
        /// Iterations since the last line.
        iterations: u64,
        /// Learning rate of the last.
        lr: f64,
        /// Training samples a second since the last line, evaluation and checkpoints not counted.
        samples_per_second: f64,
        /// Share of cached rows among the lookups since the last line; none without a cache.
        hit_rate: Option<f64>,
        /// Seconds of training since start or resumption.
        seconds: f64,
    },
    /// A number of a batch is not finite, and nothing was updated with it.
    #[serde(rename = "non_finite")]
    NonFinite {
        /// The iteration, from 1, that it is the batch of.
        iteration: u64,
        /// Epochs gone through before.
        epoch: u64,
        /// Batches of this epoch gone through before.
        batch: u64,
        /// Position of the sample in the batch.
        sample: usize,
        /// Row of the data that the sample is, from 0.
        row: usize,
        /// What is not finite, and what it is instead.
        reason: String,
        /// What follows.
        action: OnNonFinite,
        /// Batches skipped so far.
        skipped: u64,
    },
    /// The caches chose their rows anew.
    Refresh {
        /// Iterations done.
        iteration: u64,
        /// Rows newly cached.
        loaded: usize,
        /// Rows no longer cached.
        evicted: usize,
        /// Rows that stayed.
        kept: usize,
    },
    /// The model was evaluated.
    Eval {
        /// Iterations done.
        iteration: u64,
        /// On which lines.
        split: Part,
        /// The metrics.
        #[serde(flatten)]
        evaluation: Evaluation,
        /// Whether it is the best on these lines so far.
        best: bool,
        /// Seconds it took.
        seconds: f64,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Iterations done.
        iteration: u64,
        /// Where.
        path: PathBuf,
        /// Seconds it took.
        seconds: f64,
    },
    /// The run is over.
    End {
        /// Iterations done.
        iteration: u64,
        /// Whether it was interrupted, and can go on.
        interrupted: bool,
        /// What came out; none if it was interrupted.
        #[serde(flatten)]
        outcome: Option<&'a Outcome>,
    },
}

/// Who follows a run.
pub trait Observer {
    /// After every batch.
    fn progress(&mut self, progress: Progress) {
        let _ = progress;
    }

    /// When something happened.
    ///
    /// # Errors
    ///
    /// If it cannot be written down: the run ends.
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let _ = event;
        Ok(())
    }

    /// Whether the run shall end after this batch, to go on another time.
    fn stop(&self) -> bool {
        false
    }
}

/// Follows nothing.
impl Observer for () {}
