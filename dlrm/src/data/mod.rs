//! From lines of text to batches of numbers, by the rules of the reference DLRM.
//!
//! The way of the data, each step in its own module:
//!
//! 1. a tab-separated line becomes a [`Record`]: label, transformed counts, raw category values ([`criteo`]);
//! 2. a [`Vocabulary`] replaces each raw category value by its index, in order of first appearance ([`dataset`]);
//! 3. the indexed lines, all in memory, are a [`Dataset`];
//! 4. a [`Split`] names the lines that train, test and validate; [`permutation`] orders the training ones ([`split`]);
//! 5. [`Dataset::fill_batch`] gathers the chosen lines into a reusable [`Batch`].
//!
//! [`Synthetic`] writes files of the same form from a planted model, so that everything runs without the real file; its
//! lines go through the same parser.
//!
//! ```
//! use dlrm::data::{Batch, Dataset, Split, Synthetic};
//!
//! let data = Dataset::synthetic(&Synthetic { lines: 700, ..Synthetic::default() })?;
//! let split = Split::new(data.len());
//! let order = split.train_order(123);
//! let mut batch = Batch::default();
//! for rows in order.chunks(128) {
//!     data.fill_batch(rows, &mut batch);
//!     assert_eq!(batch.len(), rows.len());
//! }
//! # Ok::<(), dlrm::data::DataError>(())
//! ```

pub mod criteo;
pub mod dataset;
pub mod split;
pub mod synthetic;

pub use criteo::{DataError, DataErrorKind, ParseError, Reason, Record, read_records};
pub use dataset::{Batch, Dataset, Vocabulary};
pub use split::{Split, permutation};
pub use synthetic::{Synthetic, SyntheticError};

/// Number of dense (integer count) features of a line.
pub const DENSE: usize = 13;

/// Number of categorical features of a line, hence of embedding tables.
pub const CATEGORICAL: usize = 26;
