//! What the tests of training share: small runs.

// Each test program uses a part.
#![allow(dead_code)]

use std::io;
use std::path::Path;
use std::process::{Command, Output};

use dlrm::data::{Dataset, Synthetic};
use dlrm::presets::Preset;
use dlrm::train::{CheckpointOptions, Event, Observer, Outcome, RunOptions, TrainError, TrainSettings, train};
use ttcore_cpu::{Cpu, Threads};

/// 600 lines to train on, 50 to test and 50 to validate.
pub(crate) fn lines() -> Dataset {
    Dataset::synthetic(&Synthetic { lines: 700, seed: 3, ..Synthetic::default() }).expect("lines")
}

/// A small model with three compressed tables and a cache, 19 iterations an epoch and two epochs.
pub(crate) fn settings() -> TrainSettings {
    let mut settings = TrainSettings::new(Preset::Kaggle);
    settings.bottom = Some(vec![13, 16, 4]);
    settings.top = Some(vec![8, 1]);
    (settings.tt.tables, settings.tt.rank, settings.tt.lr_multiplier) = (3, 2, Some(2.0));
    // As small as they are.
    settings.tt.min_ratio = 0.0;
    (settings.cache.fraction, settings.cache.warmup, settings.cache.refresh) = (0.02, 0.2, 5);
    (settings.batch_size, settings.epochs, settings.seed) = (32, 2, 3);
    (settings.lr.warmup_steps, settings.lr.decay_start, settings.lr.decay_steps) = (6, 20, 15);
    settings
}

/// Options of a run that keeps its state.
pub(crate) fn kept(folder: &Path, every: u64, resume: bool) -> RunOptions {
    let checkpoints = CheckpointOptions { folder: folder.to_owned(), every, keep: 2, resume };
    RunOptions { eval_every: 7, log_every: None, checkpoints: Some(checkpoints), ..RunOptions::default() }
}

/// Stops a run after some iterations, or in an evaluation after them, and keeps what it is told.
#[derive(Default)]
pub(crate) struct Stop {
    pub(crate) after: Option<u64>,
    /// Kinds of the events.
    pub(crate) events: Vec<String>,
    iteration: u64,
}

impl Stop {
    pub(crate) fn after(iteration: u64) -> Self {
        Self { after: Some(iteration), ..Self::default() }
    }
}

impl Observer for Stop {
    fn progress(&mut self, progress: dlrm::train::Progress) {
        if let dlrm::train::Progress::Train { iteration, .. } = progress {
            self.iteration = iteration;
        }
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Event::Start { iteration, .. } = event {
            self.iteration = *iteration;
        }
        self.events.push(serde_json::to_string(event)?);
        Ok(())
    }

    fn stop(&self) -> bool {
        self.after.is_some_and(|after| self.iteration >= after)
    }
}

/// A run on a number of threads.
pub(crate) fn run(
    data: &Dataset,
    settings: &TrainSettings,
    options: &RunOptions,
    observer: &mut Stop,
    threads: usize,
) -> Result<Outcome, TrainError> {
    let mut queue = Threads::new(threads).expect("threads");
    let (backend, pool) = (Cpu::<f32>::new().expect("a backend"), queue.clone());
    pool.install(|| train(backend, &mut queue, data, settings, options, observer))
}

/// The bytes of the model at the end of a run.
pub(crate) fn final_bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("final.safetensors")).expect("a model")
}

/// The command, ready to be given arguments.
pub(crate) fn dlrm() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dlrm"))
}

/// The command with arguments, to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    dlrm().args(args).output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}
