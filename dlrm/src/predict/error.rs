//! What can go wrong with predictions.

use std::fmt;
use std::io;

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::train::TrainError;

/// Why there are no predictions.
#[derive(Debug)]
#[non_exhaustive]
pub enum PredictError {
    /// The model's file cannot be used.
    Checkpoint(CheckpointError),
    /// The vocabulary or the lines cannot be read, or a line is not a record.
    Data(DataError),
    /// The model cannot be made of its settings.
    Model(TrainError),
    /// The backend failed.
    Backend(String),
    /// The model is of columns that a schema describes, and was given records of Criteo's lines.
    Columns,
    /// Predictions cannot be written.
    Write(io::Error),
    /// Someone asked to stop.
    Interrupted,
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(error) => error.fmt(f),
            Self::Data(error) => error.fmt(f),
            Self::Model(error) => error.fmt(f),
            Self::Backend(error) => f.write_str(error),
            Self::Columns => f.write_str("the model was trained on other columns than those of these records"),
            Self::Write(error) => write!(f, "predictions cannot be written: {error}"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for PredictError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint(error) => Some(error),
            Self::Data(error) => Some(error),
            Self::Model(error) => Some(error),
            Self::Write(error) => Some(error),
            Self::Backend(_) | Self::Columns | Self::Interrupted => None,
        }
    }
}

impl From<CheckpointError> for PredictError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

impl From<DataError> for PredictError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<TrainError> for PredictError {
    fn from(error: TrainError) -> Self {
        Self::Model(error)
    }
}
