//! The errors of the contract: what a caller can get wrong, with the numbers that say where.

use core::fmt;

use crate::bags::BagsError;
use crate::shape::ShapeError;

/// What every backend refuses, and how. A backend's own error type is made from it by `From`, as it is from the other error
/// types of this crate, so that `?` works on all of them in a function that returns either.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A shape is not valid.
    Shape(ShapeError),
    /// The batch of a table is not valid.
    Bags {
        /// Which table, where that was said: see [`BagsError::of_table`].
        table: Option<usize>,
        /// What is wrong with it.
        error: BagsError,
    },
    /// A layout without tables.
    NoTables,
    /// A call brought another number of items than the plan has tables.
    TableCount {
        /// What there is one of for each table.
        what: &'static str,
        /// How many came; one more than the tables stands for too many.
        got: usize,
        /// Tables of the plan.
        tables: usize,
    },
    /// The output columns of a table's feature overlap another's or leave the row.
    Columns {
        /// Which table.
        table: usize,
        /// The feature's first column.
        column: usize,
        /// Numbers in an output row.
        stride: usize,
    },
    /// A table of a layout has no feature.
    NoFeatures {
        /// Which table.
        table: usize,
    },
    /// Something would not fit in the address space.
    TooLarge {
        /// What.
        what: &'static str,
    },
    /// A number is NaN or infinite.
    NotFinite {
        /// What it is of.
        what: &'static str,
        /// Its position there.
        position: usize,
        /// `"NaN"`, `"infinity"` or `"-infinity"`.
        value: &'static str,
    },
    /// A buffer does not have the length its shape needs.
    Length {
        /// Which buffer.
        what: &'static str,
        /// Of which table, where it belongs to one.
        table: Option<usize>,
        /// Its length.
        got: usize,
        /// The length needed.
        want: usize,
    },
    /// A batch is larger than the plan was made for: make a plan with more room.
    Capacity {
        /// `"bags"` or `"lookups"`.
        what: &'static str,
        /// Which table.
        table: usize,
        /// How many the batch has.
        got: usize,
        /// How many the plan has room for.
        capacity: usize,
    },
    /// Two tables of one batch have bags for different numbers of output rows.
    BagCount {
        /// The table that differs from the first.
        table: usize,
        /// Its bags.
        got: usize,
        /// One of each of its features for every output row of the first table.
        want: usize,
    },
    /// The bags of a table are not equally many for each of its features.
    UnevenBags {
        /// Which table.
        table: usize,
        /// Its bags.
        got: usize,
        /// Its features, of which their number is to be a multiple.
        features: usize,
    },
    /// Bags were validated for a table with another number of rows.
    Rows {
        /// Which table.
        table: usize,
        /// Rows the bags were validated for.
        got: u64,
        /// Rows of the table.
        want: u64,
    },
    /// A row number is not below the table's rows.
    Row {
        /// Which table.
        table: usize,
        /// Position in the list of rows.
        position: usize,
        /// The number there.
        row: u64,
        /// Rows of the table.
        rows: u64,
    },
    /// What forward saved belongs to other parameters or another batch than backward was given.
    Stale {
        /// What changed in between.
        what: Stale,
    },
    /// A value was made for a plan of another layout, or for another collection.
    OtherPlan {
        /// `"group"`, `"saved"`, `"scratch"` or `"batch"`.
        what: &'static str,
    },
    /// A table that was asked for does not exist.
    NoTable {
        /// The number given.
        table: usize,
        /// Tables of the plan.
        tables: usize,
    },
    /// A configuration is of another table, by shape or slots, than the one it is given to.
    OtherTable {
        /// Which table.
        table: usize,
    },
    /// A number that a table is configured with does not make sense.
    Setting {
        /// Which number.
        what: &'static str,
        /// Of which table.
        table: usize,
        /// What it is.
        value: f64,
    },
    /// The state of a cache does not fit the cache it is given to.
    CacheState {
        /// What does not fit.
        what: &'static str,
    },
}

/// Why a [`Saved`](crate::Backend::Saved) cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stale {
    /// Forward did not save anything: it was an evaluation, or there was none.
    Nothing,
    /// The parameters have another version now.
    Parameters,
    /// The group holds another batch now.
    Group,
    /// The cache was refreshed after the batch was grouped: its addresses may belong to other rows now.
    Cache,
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

/// Of no table in particular: bags are validated on their own, before they are one table's of many.
impl From<BagsError> for Error {
    fn from(error: BagsError) -> Self {
        Self::Bags { table: None, error }
    }
}

impl BagsError {
    /// The error of the batch of this table, where there are many.
    pub fn of_table(self, table: usize) -> Error {
        Error::Bags { table: Some(table), error: self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(f),
            Self::Bags { table: Some(table), error } => write!(f, "table {table}: {error}"),
            Self::Bags { table: None, error } => error.fmt(f),
            Self::NoTables => write!(f, "a plan needs at least one table"),
            Self::TableCount { what, got, tables } => write!(f, "{got} {what} for {tables} tables"),
            Self::Columns { table, column, stride } => {
                write!(f, "output of table {table} at column {column} overlaps another or leaves the row of {stride}")
            }
            Self::NoFeatures { table } => write!(f, "table {table} has no feature"),
            Self::TooLarge { what } => write!(f, "the {what} would not fit in memory"),
            Self::NotFinite { what, position, value } => write!(f, "the {what} is {value} at position {position}"),
            Self::Length { what, table: Some(table), got, want } => {
                write!(f, "{what} of table {table} has {got} numbers, not {want}")
            }
            Self::Length { what, table: None, got, want } => write!(f, "{what} has {got} numbers, not {want}"),
            Self::Capacity { what, table, got, capacity } => write!(
                f,
                "table {table} has {got} {what} in this batch, the plan has room for {capacity}: make a larger plan"
            ),
            Self::BagCount { table, got, want } => {
                write!(
                    f,
                    "table {table} has {got} bags in this batch, not {want} for the output rows of the first table"
                )
            }
            Self::UnevenBags { table, got, features } => {
                write!(f, "table {table} has {got} bags in this batch, which is no multiple of its {features} features")
            }
            Self::Rows { table, got, want } => {
                write!(f, "bags for a table with {got} rows were given to table {table}, which has {want}")
            }
            Self::Row { table, position, row, rows } => {
                write!(f, "row {row} at position {position} is not a row of table {table} with {rows} rows")
            }
            Self::Stale { what } => f.write_str(match what {
                Stale::Nothing => "backward needs a forward in training mode before it",
                Stale::Parameters => "the parameters changed after this forward: run it again",
                Stale::Group => "the group holds another batch than this forward saw: run it again",
                Stale::Cache => "the cache was refreshed after this batch was grouped: group it again",
            }),
            Self::OtherPlan { what } => write!(f, "this {what} was made for other tables or another size of batch"),
            Self::NoTable { table, tables } => write!(f, "there is no table {table}, only {tables} tables"),
            Self::OtherTable { table } => {
                write!(f, "this configuration is of a table of another shape or cache than table {table}")
            }
            Self::Setting { what, table, value } => write!(f, "the {what} of table {table} cannot be {value}"),
            Self::CacheState { what } => write!(f, "this cache state does not fit: {what}"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::{Backend, Bags, Offsets, Pooling, Reference, TtShape};

    /// What a caller writes, once for a backend's error and once for this crate's.
    fn steps<E: From<Error> + From<ShapeError> + From<BagsError>>(rows: u64, index: u64) -> Result<(), E> {
        TtShape::new(rows, &[2, 2], &[1, 1], &[1, 1, 1])?;
        Bags::<f32>::new(rows, &[index], Offsets::Starts(&[0]), Pooling::Sum, None)?;
        Err(Error::NoTables.into())
    }

    #[test]
    fn every_error_becomes_the_one_of_the_contract() {
        let all = |rows, index| [steps::<Error>(rows, index), steps::<<Reference<f32> as Backend>::Error>(rows, index)];
        assert!(all(0, 0).iter().all(|result| *result == Err(ShapeError::NoRows.into())));
        let error = BagsError::IndexOutOfRange { position: 0, index: 4, rows: 4 };
        assert!(all(4, 4).iter().all(|result| *result == Err(Error::Bags { table: None, error })));
        assert!(all(4, 3).iter().all(|result| *result == Err(Error::NoTables)));
    }

    #[test]
    fn a_batch_is_of_a_table_where_that_was_said() {
        let error = BagsError::NoOffsets;
        assert_eq!(Error::from(error).to_string(), error.to_string());
        assert_eq!(error.of_table(3).to_string(), alloc::format!("table 3: {error}"));
    }
}
