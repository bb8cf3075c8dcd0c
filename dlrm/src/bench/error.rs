//! Why there is nothing to measure.

use std::fmt;
use std::io;
use std::path::PathBuf;

use safetensors::SafeTensorError;
use ttcore::{BagsError, Error};

use crate::model::ConfigError;

/// Why there is no workload, or no model to run it on.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkloadError {
    /// A setting is out of range.
    Setting {
        /// Which.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// A file cannot be read or written.
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not a workload for this table.
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: Content,
    },
    /// An embedding table cannot be made.
    Table {
        /// Which.
        table: usize,
        /// Why.
        error: Error,
    },
    /// The parts of a model do not fit together.
    Model(ConfigError),
}

/// What is wrong with the content of a workload file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Content {
    /// It is not a safetensors file.
    Format(SafeTensorError),
    /// A tensor is missing.
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A tensor is not of `i64` numbers.
    Type {
        /// Its name.
        name: &'static str,
        /// What it holds.
        got: String,
    },
    /// A tensor has another shape.
    Shape {
        /// Its name.
        name: &'static str,
        /// The shape wanted.
        want: &'static str,
        /// Its shape.
        got: Vec<usize>,
    },
    /// A batch is not valid for the table.
    Batch {
        /// Which batch.
        batch: usize,
        /// What is wrong with it.
        error: BagsError,
    },
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, must } => write!(f, "the {name} must be {must}"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Content { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Table { table, error } => write!(f, "embedding table {table}: {error}"),
            Self::Model(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => write!(f, "not a safetensors file: {error}"),
            Self::Missing { name } => write!(f, "there is no tensor \"{name}\""),
            Self::Type { name, got } => write!(f, "tensor \"{name}\" holds {got}, not I64"),
            Self::Shape { name, want, got } => write!(f, "tensor \"{name}\" has shape {got:?}, not {want}"),
            Self::Batch { batch, error } => write!(f, "batch {batch}: {error}"),
        }
    }
}

impl std::error::Error for WorkloadError {}
