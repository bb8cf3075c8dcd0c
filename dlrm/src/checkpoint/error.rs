//! What can go wrong with a checkpoint.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;

use crate::train::Difference;

/// Why a checkpoint could not be written or used: which file, and what is wrong.
#[derive(Debug)]
pub struct CheckpointError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: CheckpointErrorKind,
}

/// What is wrong with a checkpoint.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointErrorKind {
    /// Reading or writing failed.
    Io(io::Error),
    /// It is not a safetensors file, or does not have the length that its header says.
    Format(SafeTensorError),
    /// Its content is not what was written.
    Checksum {
        /// That of the content.
        got: u64,
        /// That in the file.
        want: u64,
    },
    /// It is a safetensors file, but not one of these checkpoints.
    Foreign {
        /// What is missing or not understood.
        what: String,
    },
    /// It was written by another version of this program.
    Version {
        /// Version of its format.
        got: u32,
        /// The version that is understood.
        want: u32,
    },
    /// It is of a run with another setting.
    Setting(Difference),
    /// It is of a run on other data.
    Data {
        /// What differs.
        what: &'static str,
        /// In the checkpoint.
        checkpoint: String,
        /// Now.
        now: String,
    },
    /// It is a model for predictions, without the state of a run.
    ForPredictions,
    /// It does not say which vocabulary its categories are numbered by: it is of data that was prepared before these were kept.
    NoVocabulary,
    /// The model has a number that is not finite, so it was not written.
    NonFinite {
        /// The first such tensor.
        tensor: String,
    },
    /// The backend failed to take or give the numbers.
    Backend(String),
    /// The folder has checkpoints of an earlier run, and this one does not go on from them.
    Occupied,
    /// Another run that is still going on writes to the folder.
    Busy,
}

impl CheckpointError {
    pub(crate) fn new(path: &Path, kind: impl Into<CheckpointErrorKind>) -> Self {
        Self { path: path.to_owned(), kind: kind.into() }
    }

    /// For `map_err`.
    pub(crate) fn at<E: Into<CheckpointErrorKind>>(path: &Path) -> impl Fn(E) -> Self {
        move |error| Self::new(path, error)
    }

    /// Whether the file itself cannot be used, so that an older one may take its place.
    ///
    /// Not so if it could not be read: it may be whole, and the next attempt may succeed.
    pub fn is_damage(&self) -> bool {
        use CheckpointErrorKind as Kind;
        match &self.kind {
            Kind::Format(_) | Kind::Checksum { .. } | Kind::Foreign { .. } => true,
            // It was cut short since its length was asked for.
            Kind::Io(error) => error.kind() == io::ErrorKind::UnexpectedEof,
            _ => false,
        }
    }
}

impl CheckpointErrorKind {
    pub(crate) fn foreign(what: impl Into<String>) -> Self {
        Self::Foreign { what: what.into() }
    }
}

impl From<io::Error> for CheckpointErrorKind {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SafeTensorError> for CheckpointErrorKind {
    fn from(error: SafeTensorError) -> Self {
        Self::Format(error)
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.kind)
    }
}

impl fmt::Display for CheckpointErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Format(error) => write!(f, "not a whole safetensors file: {error}"),
            Self::Checksum { got, want } => {
                write!(f, "the content is damaged: its checksum is {got:016x}, not {want:016x}")
            }
            Self::Foreign { what } => write!(f, "not a checkpoint of this program: {what}"),
            Self::Version { got, want } => write!(f, "a checkpoint of format {got}; this program reads format {want}"),
            Self::Setting(Difference { setting, first, second }) => write!(
                f,
                "the checkpoint was made with {setting} = {first}, this run has {second}: use the same settings, or \
                 another folder for checkpoints"
            ),
            Self::Data { what, checkpoint, now } => write!(
                f,
                "the checkpoint was made on other data ({what} {checkpoint}, now {now}): use the same data, or another \
                 folder for checkpoints"
            ),
            Self::ForPredictions => f.write_str("a model for predictions: what a run needs to go on was left out"),
            Self::NoVocabulary => f.write_str(
                "it does not say how categories are numbered: its data was prepared before vocabularies were kept; prepare \
                 the data again and train on it",
            ),
            Self::NonFinite { tensor } => write!(f, "not written, since not all of `{tensor}` is finite"),
            Self::Backend(reason) => f.write_str(reason),
            Self::Occupied => f.write_str(
                "the folder has checkpoints of an earlier run: add --resume to go on from them, or use another folder",
            ),
            Self::Busy => f.write_str("another run writes its checkpoints to this folder: use another one"),
        }
    }
}

impl std::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            CheckpointErrorKind::Io(error) => Some(error),
            CheckpointErrorKind::Format(error) => Some(error),
            _ => None,
        }
    }
}
