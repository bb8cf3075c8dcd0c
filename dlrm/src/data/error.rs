//! What can go wrong with a data set.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::columns::{CellError, SchemaError};
use super::criteo::{NAMES, ParseError};
use super::{Batch, DENSE, UNSEEN};

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
    /// A row of columns cannot be used.
    Cell(CellError),
    /// The file is no schema.
    Schema(SchemaError),
    /// The schema has a column that the file does not.
    NoColumn {
        /// The column.
        column: String,
        /// Those of the file.
        columns: Vec<String>,
    },
    /// The file has two columns of this name.
    TwoColumns(String),
    /// A column of categories has no value in any row: it would be a table without rows.
    NoValues(String),
    /// A column of a Parquet file has a type, or a nesting, that is not read.
    ColumnType {
        /// The column.
        column: String,
        /// What it is.
        what: String,
    },
    /// A Parquet file is damaged.
    Parquet(String),
    /// A Parquet file, which this program was built without.
    NoParquet,
    /// A setting for the lines of Criteo alone.
    LinesOnly(&'static str),
    /// The file is given more than once.
    Repeated,
    /// There was not a single line.
    Empty,
    /// Every line was skipped or dropped.
    NothingKept,
    /// The share of negatives to drop is not at least 0 and below 1.
    Rate(f64),
    /// The directory has a prepared data set already.
    Exists,
    /// Another run is writing to the directory.
    Busy,
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
    /// The file is not a vocabulary.
    ForeignVocabulary,
    /// The vocabulary is damaged where it says what it holds.
    Vocabulary,
    /// The vocabulary is another, or damaged: its checksum is not the one expected.
    VocabularyChecksum {
        /// The checksum found.
        found: u64,
        /// The checksum expected.
        expected: u64,
    },
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
            Self::Cell(error) => write!(f, "{error}"),
            Self::Schema(error) => write!(f, "{error}"),
            Self::NoColumn { column, columns } => {
                write!(f, "no column {column:?}; there are ")?;
                const SHOWN: usize = 20;
                columns
                    .iter()
                    .take(SHOWN)
                    .enumerate()
                    .try_for_each(|(number, column)| write!(f, "{}{column:?}", if number == 0 { "" } else { ", " }))?;
                if columns.len() > SHOWN { write!(f, " and {} more", columns.len() - SHOWN) } else { Ok(()) }
            }
            Self::TwoColumns(column) => write!(f, "two columns have the name {column:?}"),
            Self::NoValues(column) => {
                write!(f, "column {column:?} has no value in any row: leave it out of the schema")
            }
            Self::ColumnType { column, what } => write!(f, "column {column:?} is {what}, which is not read"),
            Self::Parquet(error) => write!(f, "not a whole Parquet file: {error}"),
            Self::NoParquet => f.write_str("a Parquet file: build dlrm with --features parquet to read it"),
            Self::LinesOnly(what) => {
                write!(f, "{what} is for lines in the form of Criteo, not for columns of a schema")
            }
            Self::Repeated => f.write_str("given more than once"),
            Self::Empty => f.write_str("no lines"),
            Self::NothingKept => f.write_str("no line is left: all were skipped or dropped"),
            Self::Rate(rate) => {
                write!(f, "{rate} is not a share of the negatives to drop: at least 0 and below 1")
            }
            Self::Exists => {
                f.write_str("has a prepared data set already; choose another directory or overwrite it (--force)")
            }
            Self::Busy => f.write_str("another run writes a data set to this directory: use another one"),
            Self::NotPrepared => {
                f.write_str("not a prepared data set, or an unfinished one (no header.bin); `dlrm prepare` makes one")
            }
            Self::Foreign => f.write_str("not a header of a prepared data set"),
            Self::Version { found, known } => {
                write!(f, "format version {found}, but this program reads version {known}; prepare the data again")
            }
            Self::Header => f.write_str("the header is damaged; prepare the data again"),
            Self::ForeignVocabulary => f.write_str("not a vocabulary of `dlrm prepare`"),
            Self::Vocabulary => f.write_str("the vocabulary is damaged"),
            Self::VocabularyChecksum { found, expected } => {
                write!(f, "another vocabulary, or a damaged one: checksum {found:016x} instead of {expected:016x}")
            }
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
            DataErrorKind::Parse(error) => {
                write!(f, "{path}:{}", error.line)?;
                error.write_in_line(f, ": ")
            }
            kind => write!(f, "{path}: {kind}"),
        }
    }
}

/// A row of a prepared data set that is damaged: no line gives such a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowError {
    /// The row, from 0.
    pub row: usize,
    /// The field, as in [`ParseError::name`].
    pub name: Cow<'static, str>,
    /// What is wrong there.
    pub fault: RowFault,
}

/// What no line gives.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RowFault {
    /// An index that is not below the rows of its table.
    Index {
        /// The index.
        index: u32,
        /// Rows of the table.
        rows: u64,
    },
    /// A count, or another number, that is infinite or not a number.
    Count(f32),
    /// A list that is not where it should be.
    Place(usize),
}

impl RowError {
    /// The first fault of row `row`, which is the last of the batch and has one.
    /// Where there are `unseen` values, [`UNSEEN`] is none.
    pub(super) fn of_last(row: usize, batch: &Batch, (table_rows, unseen): (&[u64], bool)) -> Self {
        let indices = batch.indices.iter().zip(table_rows).enumerate();
        let bad_index = indices.filter_map(|(feature, (indices, &rows))| {
            let index = *indices.last()?;
            let fault = RowFault::Index { index, rows };
            (u64::from(index) >= rows && !(unseen && index == UNSEEN)).then_some((1 + DENSE + feature, fault))
        });
        let counts = batch.dense.iter().rev().take(DENSE).rev().enumerate();
        let bad_count = counts.filter(|(_, count)| !count.is_finite());
        let mut faults = bad_count.map(|(count, &value)| (1 + count, RowFault::Count(value))).chain(bad_index);
        let (field, fault) = faults.next().unwrap_or((0, RowFault::Count(f32::NAN)));
        Self { row, name: NAMES[field].into(), fault }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, name, fault } = self;
        match fault {
            RowFault::Index { index, rows } => write!(f, "row {row}: {name} is {index} in a table of {rows} rows")?,
            RowFault::Count(value) => write!(f, "row {row}: {name} is {value}")?,
            RowFault::Place(place) => write!(f, "row {row}: {name} has no list at {place}")?,
        }
        f.write_str("; the prepared data is damaged: prepare it again")
    }
}

impl std::error::Error for RowError {}
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
