//! What is run, as plain data: the same settings are the same run, for every item that wants it.

use serde::{Deserialize, Serialize};

use super::time::{TimeResult, TimeRun};
use crate::budget::Method;
use crate::data::{Dataset, Effects, Numbering, ReadSettings, Synthetic};
use crate::memory::largest_tables;
use crate::presets::Preset;
use crate::train::{CacheSettings, DenseInitName, InitName, LrPolicy, Optimizer, ScaleName, TrainSettings};

/// Lines to train on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Lines {
    /// Made from a planted model.
    Planted {
        /// Sizes of the tables.
        preset: Preset,
        /// The most categories of a table.
        most: u64,
        /// How rows of the largest tables matter.
        effects: Effects,
        /// How many of their popular rows do.
        head: u32,
        /// How many lines.
        lines: u64,
        /// Of the planted model and the lines.
        seed: u64,
    },
    /// Those that the command was given, by their fingerprint.
    Given {
        /// [`Dataset::fingerprint`].
        fingerprint: u64,
        /// How many lines.
        lines: u64,
    },
}

/// A model that is trained and evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRun {
    /// On what; categories are numbered by popularity.
    pub lines: Lines,
    /// Sizes of layers, and of tables where `preset_rows`.
    pub preset: Preset,
    /// Tables have the preset's rows where the data has fewer categories.
    pub preset_rows: bool,
    /// Embedding dimension instead of the preset's.
    pub dim: Option<usize>,
    /// How many tables are made smaller.
    pub tables: usize,
    /// How.
    pub method: Method,
    /// Rank of tensor trains, where no bytes are given.
    pub rank: usize,
    /// How many times smaller these tables get, all together, instead of a rank.
    pub smaller: Option<u32>,
    /// Distribution of new cores.
    pub init: InitName,
    /// Their scale.
    pub scale: ScaleName,
    /// Distribution of new dense tables.
    pub dense_init: DenseInitName,
    /// Share of rows in the cache.
    pub cache: f64,
    /// Share of the iterations before it is filled.
    pub warmup: f64,
    /// The update rule.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub lr: f64,
    /// Samples of a batch.
    pub batch: usize,
    /// Of all draws of the model.
    pub seed: u64,
}

/// What came out of one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainResult {
    /// AUC on the test lines.
    pub auc: f64,
    /// Accuracy on them.
    pub accuracy: f64,
    /// Log loss on them.
    pub log_loss: f64,
    /// AUC on the validation lines.
    pub validation_auc: f64,
    /// Bytes of all tables as they are held.
    pub bytes: u64,
    /// Bytes of all tables uncompressed.
    pub dense_bytes: u64,
    /// Bytes of the tables that are among those to be made smaller, as they are held.
    pub largest_bytes: u64,
    /// The same, uncompressed.
    pub largest_dense_bytes: u64,
    /// Share of lookups served by the cache.
    pub hit_rate: Option<f64>,
    /// Training samples a second, beside whatever else ran.
    pub samples_per_second: f64,
}

/// Something to run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// A model to train.
    Train(TrainRun),
    /// Something to time.
    Time(TimeRun),
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// Of a model.
    Train(TrainResult),
    /// Of a timing.
    Time(TimeResult),
    /// It could not be run to its end: why.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Lines {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Planted { lines, .. } | Self::Given { lines, .. } => *lines,
        }
    }

    /// Makes the lines of a planted model; none if they are given.
    pub(super) fn make(&self) -> Result<Option<Dataset>, String> {
        let Self::Planted { preset, most, effects, head, lines, seed } = *self else { return Ok(None) };
        let cardinalities = preset.table_rows().map(|rows| rows.min(most));
        let synthetic = Synthetic { lines, seed, head, effects, cardinalities, ..Synthetic::default() };
        let settings = ReadSettings { numbering: Numbering::Popularity, ..ReadSettings::default() };
        Dataset::synthetic_with(&synthetic, &settings).map(Some).map_err(|error| error.to_string())
    }
}

impl TrainRun {
    /// As the trainer takes it, for data with tables of these rows.
    pub fn settings(&self, table_rows: &[u64]) -> TrainSettings {
        let mut settings = TrainSettings::new(self.preset);
        settings.preset_rows = self.preset_rows;
        if let Some(dim) = self.dim {
            let mut bottom = self.preset.bottom().to_vec();
            bottom.pop();
            bottom.push(dim);
            settings.bottom = Some(bottom);
        }
        settings.tt.tables = self.tables;
        settings.tt.rank = self.rank;
        settings.tt.min_ratio = 0.0;
        settings.tt.init = self.init;
        settings.tt.scale = self.scale;
        settings.method = self.method;
        settings.table_bytes = self.smaller.map(|times| {
            let dim = self.dim.unwrap_or(self.preset.embedding_dim()) as u64;
            let rows: u64 = largest_tables(table_rows, self.tables).into_iter().map(|table| table_rows[table]).sum();
            rows * dim * size_of::<f32>() as u64 / u64::from(times.max(1))
        });
        settings.dense_init = self.dense_init;
        settings.cache = CacheSettings { fraction: self.cache, warmup: self.warmup, refresh: 0 };
        settings.optimizer = self.optimizer;
        settings.lr = LrPolicy::constant(self.lr);
        settings.batch_size = self.batch;
        settings.seed = self.seed;
        settings
    }
}

impl Work {
    /// About how long it takes, in samples of an uncompressed Kaggle model: for the bar.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Train(run) => {
                // The Terabyte model has wider layers.
                let width = if run.preset == Preset::Kaggle { 1 } else { 3 };
                run.lines.count() * width
            }
            Self::Time(run) => run.weight(),
        }
    }
}
