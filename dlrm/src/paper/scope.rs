//! How large runs are, and on which lines.

use std::cell::RefCell;
use std::collections::BTreeSet;

use clap::ValueEnum;
use serde::Serialize;

use super::store::{Machine, Program, Store};
use super::time::{TimeResult, TimeRun};
use super::work::{Lines, Outcome, TrainResult, TrainRun, Work};
use crate::budget::Method;
use crate::data::{Dataset, Effects};
use crate::presets::Preset;
use crate::train::{DenseInitName, InitName, Optimizer, ScaleName};

/// How large the runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// That everything works
    #[value(hide = true)]
    Tiny,
    /// Small tables and 200,000 lines, one seed: about 5 minutes on two cores
    Quick,
    /// The tables of Criteo Kaggle and 500,000 lines, three seeds: more than an hour
    Standard,
    /// Two million lines, three seeds
    Full,
}

/// How large runs are, and on which lines.
#[derive(Clone, Debug)]
pub struct Scope {
    /// How large.
    pub budget: Budget,
    /// Seeds, from 1.
    pub seeds: u64,
    /// The lines that were given, and their name.
    pub given: Option<(String, Lines)>,
}

impl Scope {
    /// Of a budget, with so many seeds, on given lines if there are any.
    pub fn new(budget: Budget, seeds: Option<u64>, given: Option<(String, &Dataset)>) -> Self {
        let usual = if matches!(budget, Budget::Standard | Budget::Full) { 3 } else { 1 };
        let lines = |data: &Dataset| Lines::Given { fingerprint: data.fingerprint(), lines: data.len() as u64 };
        Self { budget, seeds: seeds.unwrap_or(usual).max(1), given: given.map(|(name, data)| (name, lines(data))) }
    }

    /// One of four numbers, by the budget.
    pub fn pick<T>(&self, tiny: T, quick: T, standard: T, full: T) -> T {
        match self.budget {
            Budget::Tiny => tiny,
            Budget::Quick => quick,
            Budget::Standard => standard,
            Budget::Full => full,
        }
    }

    /// The seeds.
    pub fn seeds(&self) -> impl Iterator<Item = u64> + Clone + use<> {
        1..=self.seeds
    }

    /// What runs are on, for titles.
    pub fn on(&self) -> String {
        self.given.as_ref().map_or("planted lines".to_owned(), |(name, _)| name.clone())
    }

    /// What the dots of a chart are.
    pub(super) fn dots(&self) -> String {
        match self.seeds {
            1 => "one seed, the same for both".to_owned(),
            seeds => format!("{seeds} seeds as dots, each beside its own"),
        }
    }

    /// Planted lines for the figures, of a seed.
    pub fn planted(&self, preset: Preset, effects: Effects, seed: u64) -> Lines {
        let lines = self.pick(3_500, 200_000, 500_000, 2_000_000);
        let head = self.pick(100, 1_000, 10_000, 10_000);
        Lines::Planted { preset, most: self.pick(2_000, 100_000, u64::MAX, u64::MAX), effects, head, lines, seed }
    }

    /// An uncompressed model as the paper's, of a seed: plain SGD at the reference's learning rate.
    pub fn dense(&self, preset: Preset, seed: u64) -> TrainRun {
        let lines = match &self.given {
            Some((_, lines)) => *lines,
            None => self.planted(preset, Effects::Scalars, seed),
        };
        TrainRun {
            lines,
            preset,
            // The Terabyte model's 12.6 GB would not fit everywhere.
            preset_rows: preset == Preset::Kaggle
                && self.given.is_none()
                && matches!(self.budget, Budget::Standard | Budget::Full),
            dim: None,
            tables: 0,
            method: Method::Tt,
            rank: 32,
            smaller: None,
            init: InitName::SampledGaussian,
            scale: ScaleName::Isometric,
            dense_init: DenseInitName::Uniform,
            cache: 0.0,
            warmup: 0.1,
            optimizer: Optimizer::Sgd,
            lr: preset.learning_rate(),
            batch: 128,
            seed,
        }
    }
}

/// Finished runs.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) program: &'a Program,
    pub(super) store: &'a Store,
    /// The lines that were given.
    pub(super) given: Option<&'a Dataset>,
    /// Whether runs of other programs and machines serve; the machines of all that are looked at are noted here.
    pub(super) of_any: Option<&'a Machines>,
}

/// Machines, in words.
pub(super) type Machines = RefCell<BTreeSet<String>>;

impl Known<'_> {
    pub(super) fn outcome(&self, work: &Work) -> Option<&Outcome> {
        let Some(machines) = self.of_any else {
            return self.store.get(&self.program.key(work)).map(|record| &record.outcome);
        };
        let record = self.store.last(work)?;
        let Machine { processor, threads, isa, .. } = &record.machine;
        machines.borrow_mut().insert(format!("{processor}, {threads} threads ({isa})"));
        Some(&record.outcome)
    }

    /// What a model came to; none if it is not finished, or did not come to an end.
    pub(super) fn train(&self, run: &TrainRun) -> Option<&TrainResult> {
        match self.outcome(&Work::Train(*run)) {
            Some(Outcome::Train(result)) => Some(result),
            _ => None,
        }
    }

    /// What a timing came to.
    pub(super) fn time(&self, run: &TimeRun) -> Result<&TimeResult, String> {
        match self.outcome(&Work::Time(*run)) {
            Some(Outcome::Time(result)) => Ok(result),
            Some(Outcome::Failed { reason }) => Err(reason.clone()),
            _ => Err(format!("{} is not finished", run.name())),
        }
    }
}
