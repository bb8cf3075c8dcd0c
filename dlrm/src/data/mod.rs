//! From lines of text to batches of numbers, by the rules of the reference DLRM.
//!
//! The way of the data, each step in its own module:
//!
//! 1. files, plain or compressed, become blocks of whole lines (`input`);
//! 2. a tab-separated line becomes a [`Record`]: label, transformed counts, raw category values ([`criteo`]);
//! 3. each raw category value is replaced by its index, in order of first appearance (`vocabulary`), or later by
//!    popularity ([`Numbering`]), or by the [`Vocabulary`] that other lines gave;
//! 4. the indexed lines are packed into rows (`rows`), on all cores (`ingest`);
//! 5. the rows are a [`Dataset`], in memory, or mapped from the directory that [`prepare`] wrote them to;
//! 6. its [`Split`] names the rows that train, test and validate; an [`Order`] shuffles the training ones;
//! 7. [`Dataset::fill_batch`] gathers the chosen rows into a reusable [`Batch`].
//!
//! [`stream`] gives the lines of files as batches numbered by a [`Vocabulary`], for a model that is trained, and keeps none.
//! [`Counts`] says how often each row of a table occurs in some lines.
//!
//! Files of other [`columns`], CSV or Parquet, which a [`Schema`] describes, go the same way from 4. on, in a form of their own.
//!
//! [`Synthetic`] writes files of the same form from a planted model, so that everything runs without the real file; its
//! lines go through the same parser.
//!
//! ```
//! use dlrm::data::{Batch, Dataset, Order, Synthetic};
//!
//! let data = Dataset::synthetic(&Synthetic { lines: 700, ..Synthetic::default() })?;
//! let order = Order::new(data.split().train.clone(), 123);
//! let mut batch = Batch::default();
//! for first in (0..order.len()).step_by(128) {
//!     data.fill_batch(order.rows(first..first + 128), &mut batch)?;
//!     assert!(batch.len() <= 128);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ahead;
mod batch;
pub mod columns;
mod counts;
pub mod criteo;
mod dataset;
mod error;
mod gzip;
mod header;
mod ingest;
mod input;
mod magic;
mod mapped;
mod numbering;
mod order;
mod order_of_files;
mod prepared;
mod rows;
mod spill;
mod split;
mod stream;
mod synthetic;
mod temporary;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use batch::Batch;
pub use columns::{CellError, CellFault, Schema, SchemaError, inspect};
pub use counts::Counts;
pub use criteo::{ParseError, Reason, Record};
pub use dataset::Dataset;
pub use error::{DataError, DataErrorKind, RowError, RowFault};
pub use header::{Header, KnownVocabulary, ReadSettings};
pub use ingest::{Ingested, ReadProgress};
pub use numbering::Numbering;
pub use order::Order;
pub use order_of_files::names_out_of_order;
pub use prepared::prepare;
pub use split::Split;
pub use stream::{BadLine, Source, StreamedLines, stream};
pub use synthetic::{Effects, Planted, Synthetic, SyntheticError};
pub use vocabulary::{UNSEEN, Vocabulary};

use rand_core::Rng;

/// Number of dense (integer count) features of a line.
pub const DENSE: usize = 13;

/// Number of categorical features of a line, hence of embedding tables.
pub const CATEGORICAL: usize = 26;

/// A fixed bijective hash of 64 bits (the finaliser of SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform on [0, 1) in steps of 2^-53.
fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * 0.5f64.powi(53)
}
