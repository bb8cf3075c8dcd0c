//! What can go wrong in a run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::non_finite::{MOST_SKIPPED_IN_A_ROW, NonFiniteBatch};
use super::part::Part;
use crate::budget::BudgetError;
use crate::checkpoint::CheckpointError;
use crate::data::RowError;
use crate::model::ConfigError;

/// Why a model was not trained or evaluated.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of range.
    Setting {
        /// Which.
        name: &'static str,
        /// What it must.
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
    /// A rank is larger than is of use to a table.
    Rank {
        /// Which table.
        table: usize,
        /// The rank.
        rank: usize,
        /// The largest useful one.
        useful: usize,
    },
    /// The method keeps the rows of the lowest numbers, but these are not the most popular.
    Numbering {
        /// A table of which they are not.
        table: usize,
    },
    /// There are too few bytes for the tables.
    Budget(BudgetError),
    /// Data for another model: a table has fewer rows than the data has categories.
    Data {
        /// Which table.
        table: usize,
        /// Categories of the data.
        categories: u64,
        /// Rows of the table.
        rows: u64,
    },
    /// Data for another model: of other features.
    Features {
        /// Dense or categorical ones.
        what: &'static str,
        /// Those of the model.
        model: usize,
        /// Those of the data.
        data: usize,
    },
    /// Data for another model: it has longer lists.
    Lists {
        /// Which table.
        table: usize,
        /// The longest that the model takes.
        model: u32,
        /// The longest of the data.
        data: u32,
    },
    /// A row of the data is damaged.
    Row(RowError),
    /// The layers do not fit together.
    Model(String),
    /// The backend failed.
    Backend(String),
    /// A checkpoint could not be written or read, or is of another run.
    Checkpoint(CheckpointError),
    /// A number of a batch is not finite. Nothing was updated with it.
    NonFinite {
        /// What, and where.
        batch: NonFiniteBatch,
        /// The last good checkpoint, if there is one.
        checkpoint: Option<PathBuf>,
    },
    /// Parameters or optimiser state are not finite: an update was too large for the type of numbers.
    Diverged {
        /// Iterations done.
        iteration: u64,
        /// The first such tensor, by its name in a checkpoint.
        tensor: String,
        /// The last good checkpoint, if there is one.
        checkpoint: Option<PathBuf>,
    },
    /// The model gives probabilities that are not finite.
    Predictions {
        /// On which lines.
        part: Part,
        /// For how many of them.
        non_finite: usize,
        /// How many lines.
        lines: usize,
    },
    /// Whoever follows the run could not write down what happened.
    Observer(io::Error),
    /// The run was interrupted.
    Interrupted {
        /// Iterations done.
        iteration: u64,
        /// Where its state is, if it was to be kept.
        checkpoint: Option<PathBuf>,
    },
}

impl TrainError {
    /// An error of the backend, as text: the type differs from backend to backend.
    pub(crate) fn backend(error: impl fmt::Display) -> Self {
        Self::Backend(error.to_string())
    }

    /// For `map_err`: what is wrong with a table.
    pub(crate) fn table<E: fmt::Display>(table: usize) -> impl Fn(E) -> Self {
        move |error| Self::Table { table, reason: error.to_string() }
    }
}

impl From<ConfigError> for TrainError {
    fn from(error: ConfigError) -> Self {
        Self::Model(error.to_string())
    }
}

impl From<RowError> for TrainError {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<CheckpointError> for TrainError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, must } => write!(f, "the {name} must {must}"),
            Self::TooFewLines { lines } => {
                write!(
                    f,
                    "{lines} lines leave none to train on: the last seventh, or the last of several files, is held out"
                )
            }
            Self::Rank { table, rank, useful } => write!(
                f,
                "embedding table {table}: rank {rank} is above {useful}, the largest that a table of its factors can use"
            ),
            Self::Table { table, reason } => write!(f, "embedding table {table}: {reason}"),
            Self::Data { table, categories, rows } => write!(
                f,
                "the data has {categories} categories for table {table}, the model {rows} rows: evaluate on data \
                 prepared with the one it was trained on"
            ),
            Self::Features { what, model, data } => write!(f, "the data has {data} {what}, the model {model}"),
            Self::Lists { table, model, data } => write!(
                f,
                "a line of the data has {data} categories for table {table}, the model takes {model}: number the data by the \
                 vocabulary of the model, or give the column max-values in the schema"
            ),
            Self::Numbering { table } => write!(
                f,
                "the categories of table {table} are not numbered by popularity, by which this method keeps rows: prepare the \
                 lines with --numbering popularity"
            ),
            Self::Budget(error) => error.fmt(f),
            Self::Row(error) => error.fmt(f),
            Self::Model(reason) | Self::Backend(reason) => f.write_str(reason),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Observer(error) => write!(f, "the log: {error}"),
            Self::NonFinite { batch, checkpoint } => {
                write!(
                    f,
                    "{batch}; nothing was updated with it (--on-non-finite skip passes over up to {MOST_SKIPPED_IN_A_ROW} such batches in a row); "
                )?;
                last_good(f, checkpoint.as_deref())
            }
            Self::Diverged { iteration, tensor, checkpoint } => {
                write!(f, "the model has diverged: after iteration {iteration} not all of `{tensor}` is finite; ")?;
                last_good(f, checkpoint.as_deref())
            }
            Self::Predictions { part, non_finite, lines } => write!(
                f,
                "the model gives no finite probability for {non_finite} of the {lines} {part} lines: it has diverged, or \
                 their dense features are not finite"
            ),
            Self::Interrupted { iteration, checkpoint: Some(path) } => {
                write!(f, "interrupted after iteration {iteration}; --resume goes on from {}", path.display())
            }
            Self::Interrupted { iteration: 0, .. } => f.write_str("interrupted before the first iteration"),
            Self::Interrupted { iteration, checkpoint: None } => write!(
                f,
                "interrupted after iteration {iteration}; nothing is kept, since no --checkpoint-dir was given"
            ),
        }
    }
}

/// Where a run that fails can be taken up.
fn last_good(f: &mut fmt::Formatter<'_>, checkpoint: Option<&Path>) -> fmt::Result {
    match checkpoint {
        Some(path) => write!(f, "the last good checkpoint is {}", path.display()),
        None => f.write_str("there is no checkpoint"),
    }
}

impl std::error::Error for TrainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Budget(error) => Some(error),
            Self::Row(error) => Some(error),
            Self::Checkpoint(error) => Some(error),
            Self::Observer(error) => Some(error),
            _ => None,
        }
    }
}
