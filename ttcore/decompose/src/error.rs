//! Why something could not be done.

use std::fmt;
use std::io;

use ttcore::ShapeError;

/// Why a table or train could not be decomposed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Factors and ranks are no shape of a table.
    Shape(ShapeError),
    /// The column factors do not multiply to the table's columns.
    Columns {
        /// Product of the column factors.
        product: usize,
        /// Columns of the table.
        columns: usize,
    },
    /// The table could not be read.
    Source(SourceError),
    /// A number of the table is NaN or infinite.
    NotFinite {
        /// Its row.
        row: u64,
        /// Its column.
        column: usize,
        /// The number.
        value: f64,
    },
    /// A number of a core is NaN or infinite.
    CoreNotFinite {
        /// The core, from 0.
        core: usize,
        /// Its position within the core's numbers.
        position: usize,
        /// The number.
        value: f64,
    },
    /// The square of the table's norm is not within what `f64` holds with all its digits.
    Range {
        /// What came out.
        norm_squared: f64,
    },
    /// The weights of a digit are not as many as it has values.
    WeightsLength {
        /// The core of the digit, from 0.
        core: usize,
        /// Weights given.
        given: usize,
        /// Values of the digit, `m_k`.
        wanted: usize,
    },
    /// Weights are not given for as many digits as there are cores.
    WeightsCores {
        /// Digits with weights.
        given: usize,
        /// Cores, `d`.
        wanted: usize,
    },
    /// A weight is negative, NaN or infinite.
    Weight {
        /// The core of the digit, from 0.
        core: usize,
        /// The digit's value.
        digit: usize,
        /// The weight.
        value: f64,
    },
    /// All weights of a digit are zero, so that no row counts.
    NoWeight {
        /// The core of the digit, from 0.
        core: usize,
    },
    /// A row that is to be left out is none of the table's.
    Row {
        /// The row.
        row: u64,
        /// Rows of the table.
        rows: u64,
    },
    /// A bound of the error is negative, NaN or infinite.
    Bound {
        /// The bound.
        value: f64,
    },
    /// Not even ranks of 1 fit into the bytes.
    Bytes {
        /// Bytes given.
        given: usize,
        /// Bytes at ranks of 1.
        least: usize,
    },
    /// Something would need more memory than is allowed.
    Memory {
        /// What it is.
        what: &'static str,
        /// Bytes it would need.
        bytes: u128,
        /// Bytes allowed.
        allowed: usize,
    },
    /// Two trains are of tables of other factors, rows or columns.
    Different,
    /// Eigenvalues or singular values did not converge.
    NoConvergence {
        /// Rows and columns of the matrix.
        size: (usize, usize),
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(f),
            Self::Columns { product, columns } => {
                write!(f, "the column factors multiply to {product}, but the table has {columns} columns")
            }
            Self::Source(error) => error.fmt(f),
            Self::NotFinite { row, column, value } => write!(f, "row {row}, column {column} of the table is {value}"),
            Self::CoreNotFinite { core, position, value } => {
                write!(f, "number {position} of core {core} is {value}")
            }
            Self::Range { norm_squared } => write!(
                f,
                "the squared norm of the table is {norm_squared}, outside of what f64 holds exactly: scale the table"
            ),
            Self::WeightsLength { core, given, wanted } => {
                write!(f, "{given} weights for the digit of core {core}, which has {wanted} values")
            }
            Self::WeightsCores { given, wanted } => write!(f, "weights for {given} digits, of {wanted} cores"),
            Self::Weight { core, digit, value } => {
                write!(f, "weight {digit} of core {core} is {value}, not a number from 0 up")
            }
            Self::NoWeight { core } => write!(f, "all weights of core {core} are zero"),
            Self::Row { row, rows } => write!(f, "row {row} of a table of {rows} rows"),
            Self::Bound { value } => write!(f, "the bound of the error is {value}, not a number from 0 up"),
            Self::Bytes { given, least } => {
                write!(f, "{given} bytes, but ranks of 1 already take {least}")
            }
            Self::Memory { what, bytes, allowed } => {
                write!(f, "{what} would take {bytes} bytes, of {allowed} allowed")
            }
            Self::Different => write!(f, "the trains are of tables of different shapes"),
            Self::NoConvergence { size: (rows, columns) } => {
                write!(f, "the singular values of a matrix of {rows} x {columns} did not converge")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shape(error) => Some(error),
            Self::Source(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Why a table could not be read.
#[derive(Debug)]
pub struct SourceError {
    /// The file, or whatever the table is read from.
    pub file: String,
    /// Where, in bytes from the file's begin.
    pub position: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The system could not read it.
    Io(io::Error),
    /// It ends before the table does.
    Truncated,
    /// The header is not what the format says.
    Header(String),
    /// It has no tensor of this name.
    NoTensor(String),
    /// The table is not of numbers that are read: `f32` and `f64`, little endian.
    Type(String),
    /// It is not of two dimensions, row major, with at least one row and column.
    Dimensions(String),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: ", self.file, self.position)?;
        match &self.fault {
            Fault::Io(error) => error.fmt(f),
            Fault::Truncated => write!(f, "the file ends before the table does"),
            Fault::Header(what) => write!(f, "the header is damaged: {what}"),
            Fault::NoTensor(name) => write!(f, "there is no tensor {name:?}"),
            Fault::Type(what) => write!(f, "numbers of type {what}, not f32 or f64 in little endian"),
            Fault::Dimensions(what) => write!(f, "a table has rows and columns, row major, not {what}"),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            _ => None,
        }
    }
}
