//! What is trained, and how.

use std::fmt;

use serde::Serialize;
use ttcore::init::CoreInit;
use ttcore::{TableConfig, TtShape};

use crate::memory::{CORES, largest_tables};
use crate::model::{ConfigError, ModelConfig, interaction};
use crate::presets::Preset;

/// Which tables are in TT form, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TtSettings {
    /// How many of the largest tables.
    pub tables: usize,
    /// Their TT-rank.
    pub rank: usize,
    /// How their cores are initialised.
    pub init: CoreInit,
    /// What the learning rate is multiplied by for their cores.
    pub lr_multiplier: f64,
}

/// Settings of a training run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainSettings {
    /// Sizes of the embeddings and layers; the tables' rows come from the data.
    pub preset: Preset,
    /// The compressed tables.
    pub tt: TtSettings,
    /// Samples in a batch.
    pub batch_size: usize,
    /// How often the training lines are gone through.
    pub epochs: usize,
    /// Learning rate of SGD.
    pub lr: f64,
    /// All random draws come from it.
    pub seed: u64,
}

/// Settings or data that cannot be trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of range.
    Setting {
        /// Which.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The data has too few lines for the split.
    TooFewLines {
        /// Lines of the data.
        lines: usize,
    },
    /// A table cannot be made.
    Table {
        /// Which.
        table: usize,
        /// Why.
        reason: String,
    },
    /// The layers do not fit together.
    Model(String),
    /// The backend failed.
    Backend(String),
}

impl TrainSettings {
    /// The model for tables of these rows, the largest in TT form.
    ///
    /// # Errors
    ///
    /// [`TrainError`].
    pub fn model(&self, table_rows: &[u64]) -> Result<ModelConfig, TrainError> {
        self.check()?;
        let (dim, compressed) = (self.preset.embedding_dim(), largest_tables(table_rows, self.tt.tables));
        let table = |(number, &rows): (usize, &u64)| {
            let config = if compressed.contains(&number) {
                TtShape::paper(rows, dim, CORES, self.tt.rank)
                    .map(|shape| {
                        let config = TableConfig::tt(shape).with_init(self.tt.init);
                        config.with_core_lr_multiplier(self.tt.lr_multiplier)
                    })
                    .map_err(ttcore::Error::from)
            } else {
                TableConfig::dense(rows, dim)
            };
            config.map_err(|error| TrainError::Table { table: number, reason: error.to_string() })
        };
        let tables = table_rows.iter().enumerate().map(table).collect::<Result<Vec<_>, _>>()?;
        let mut top = self.preset.top().to_vec();
        top[0] = interaction::width(dim, tables.len());
        ModelConfig::new(dim, self.preset.bottom().to_vec(), top, tables).map_err(TrainError::from)
    }

    fn check(&self) -> Result<(), TrainError> {
        let positive = "be at least 1";
        for (name, value) in [("batch size", self.batch_size), ("epochs", self.epochs), ("TT-rank", self.tt.rank)] {
            if value == 0 {
                return Err(TrainError::Setting { name, must: positive });
            }
        }
        for (name, value) in [("learning rate", self.lr), ("learning rate multiplier", self.tt.lr_multiplier)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(TrainError::Setting { name, must: "be a number that is not negative" });
            }
        }
        Ok(())
    }
}

impl From<ConfigError> for TrainError {
    fn from(error: ConfigError) -> Self {
        Self::Model(error.to_string())
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, must } => write!(f, "the {name} must {must}"),
            Self::TooFewLines { lines } => {
                write!(f, "{lines} lines leave none to train on: the last seventh is held out for testing")
            }
            Self::Table { table, reason } => write!(f, "embedding table {table}: {reason}"),
            Self::Model(reason) | Self::Backend(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for TrainError {}
