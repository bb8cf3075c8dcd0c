//! What can go wrong with a data set.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::criteo::ParseError;

/// Why a file or directory gave no data set.
#[derive(Debug)]
pub struct DataError {
    /// The file or directory, or the name given for a reader.
    pub path: PathBuf,
    /// What happened.
    pub kind: DataErrorKind,
}

/// What can go wrong while reading or writing a data set.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataErrorKind {
    /// The file could not be read or written.
    Io(io::Error),
    /// A line is not a record.
    Parse(ParseError),
    /// There was not a single line.
    Empty,
    /// Every line was skipped or dropped.
    NothingKept,
    /// The share of negatives to drop is not at least 0 and below 1.
    Rate(f64),
    /// The directory has a prepared data set already.
    Exists,
    /// The directory has no header, so it is not a (finished) prepared data set.
    NotPrepared,
    /// The header is not one of `dlrm prepare`.
    Foreign,
    /// The header is of another version of the format.
    Version {
        /// The version found.
        found: u32,
        /// The version this program reads.
        known: u32,
    },
    /// The header is damaged: its checksum or its contents are wrong.
    Header,
    /// The rows are not as long as the header says.
    Length {
        /// Bytes found.
        found: u64,
        /// Bytes the header says.
        expected: u64,
    },
    /// The rows are damaged: their checksum is not the header's.
    Checksum {
        /// The checksum found.
        found: u64,
        /// The checksum the header says.
        expected: u64,
    },
}

impl fmt::Display for DataErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Parse(error) => write!(f, "{error}"),
            Self::Empty => f.write_str("no lines"),
            Self::NothingKept => f.write_str("no line is left: all were skipped or dropped"),
            Self::Rate(rate) => {
                write!(f, "{rate} is not a share of the negatives to drop: at least 0 and below 1")
            }
            Self::Exists => {
                f.write_str("has a prepared data set already; choose another directory or overwrite it (--force)")
            }
            Self::NotPrepared => {
                f.write_str("not a prepared data set, or an unfinished one (no header.bin); `dlrm prepare` makes one")
            }
            Self::Foreign => f.write_str("not a header of a prepared data set"),
            Self::Version { found, known } => {
                write!(f, "format version {found}, but this program reads version {known}; prepare the data again")
            }
            Self::Header => f.write_str("the header is damaged; prepare the data again"),
            Self::Length { found, expected } => {
                write!(f, "{found} bytes instead of {expected}; prepare the data again")
            }
            Self::Checksum { found, expected } => {
                write!(
                    f,
                    "the rows are damaged (checksum {found:016x} instead of {expected:016x}); prepare the data again"
                )
            }
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            // FILE:LINE is what editors and terminals make clickable.
            DataErrorKind::Parse(ParseError { line, field: 0, reason, .. }) => write!(f, "{path}:{line}: {reason}"),
            DataErrorKind::Parse(ParseError { line, field, name, reason }) => {
                write!(f, "{path}:{line}: field {field} ({name}): {reason}")
            }
            kind => write!(f, "{path}: {kind}"),
        }
    }
}

impl std::error::Error for DataErrorKind {}
impl std::error::Error for DataError {}

impl DataError {
    pub(super) fn new(path: impl Into<PathBuf>, kind: impl Into<DataErrorKind>) -> Self {
        Self { path: path.into(), kind: kind.into() }
    }
}

impl From<io::Error> for DataErrorKind {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ParseError> for DataErrorKind {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}
