//! Anyone's columns: CSV with the names of its columns in the first line, and Parquet (feature `parquet`).
//!
//! 1. a [`Schema`] says which columns are labels, numbers and categories (`schema`); [`inspect`] guesses one;
//! 2. a file is read in chunks of rows (`source`, `csv`, `parquet`), whose values become labels, numbers and keys (`cell`,
//!    `chunk`);
//! 3. keys become indices, learned or by a [`Vocabulary`](super::Vocabulary) (`numbers`);
//! 4. rows are stored, lists apart from the rest (`form`, `ingest`), or handed on as batches (`stream`).
//!
//! The schema is part of the vocabulary: whoever has a model can read files as it was trained on them.

mod cell;
mod chunk;
mod csv;
mod form;
mod header;
mod ingest;
mod inspect;
mod numbers;
#[cfg(feature = "parquet")]
mod parquet;
mod schema;
mod source;
mod stream;

use serde::{Deserialize, Serialize};

pub use cell::{CellError, CellFault};
pub(super) use form::{Form, Stored};
pub(super) use header::JsonHeader;
pub(super) use ingest::ingest;
pub use inspect::{Inspected, InspectedColumn, Kind, inspect};
pub use schema::{Categorical, Dense, ListPooling, Schema, SchemaError, Transform};
pub(super) use stream::stream;

/// What is known of a data set of columns, beside what is known of any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Bytes of the stored lists.
    pub bag_bytes: u64,
    /// Their checksum.
    pub(super) bag_checksum: u64,
    /// Words of four bytes before the lists of the rows that train, test and validate.
    pub(super) bases: [u64; 3],
    /// Values of lists that were left out, since they are longer than they may be.
    pub cut: u64,
}
