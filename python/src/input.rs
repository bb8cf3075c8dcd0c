//! What is looked up: the tensors of a call, and their lists as validated batches.

use pyo3::prelude::*;
use ttcore::{Bags, BagsError, KeptLookups, Pooling, Real, Skip};

use crate::lists::Lists;
use crate::numbers::Numbers;
use crate::table::Table;

/// The tensors of a call, as they come.
pub(crate) struct Input<'a, 'py> {
    /// One tensor for a single table, or for all where `offsets` are those of a jagged tensor; else one for each feature.
    pub(crate) values: &'a Bound<'py, PyAny>,
    /// As many tensors or `None`; or `F B + 1` entries for all, feature by feature.
    pub(crate) offsets: Option<&'a Bound<'py, PyAny>>,
    /// Per-sample weights: of the shape of the values, or of those of all features one behind the other.
    pub(crate) weights: Option<&'a Bound<'py, PyAny>>,
    /// Whether offsets have an entry behind the last bag. Its value counts for nothing: the last bag takes what is left.
    pub(crate) last: bool,
    /// Whether it is a jagged tensor.
    pub(crate) jagged: bool,
}

/// What a lookup of a table means.
pub(crate) struct Use {
    rows: u64,
    pooling: Pooling,
    pub(crate) padding: Option<u64>,
}

impl From<&Table> for Use {
    fn from(table: &Table) -> Self {
        Self { rows: table.config.rows(), pooling: table.pooling, padding: table.padding }
    }
}

/// Validates lists: one batch for each table. Those of tables with padding are kept without it.
///
/// # Safety
///
/// As [`Numbers::get`] for the weights.
pub(crate) unsafe fn bags<'a, F: Real>(
    lists: &'a Lists,
    tables: &[Use],
    weights: Option<Numbers<F>>,
    kept: &'a mut [KeptLookups<F>],
) -> Result<Vec<Bags<'a, F>>, ttcore::Error> {
    let (got, want) = (lists.tables().len(), tables.len());
    if got != want {
        return Err(ttcore::Error::TableCount { what: "lists of indices", got, tables: want });
    }
    let mut all = Vec::with_capacity(want);
    for (number, (((indices, offsets, place), table), kept)) in lists.tables().zip(tables).zip(kept).enumerate() {
        // SAFETY: the caller's.
        let weights = weights.map(|weights| unsafe { weights.part(place).get() });
        let (rows, pooling) = (table.rows, table.pooling);
        let bags = match table.padding {
            None => Bags::new(rows, indices, offsets, pooling, weights),
            Some(row) => kept.fill(Skip::default().with_padding(row), rows, indices, offsets, pooling, weights),
        };
        let place = |error: BagsError| if want == 1 { error.into() } else { error.of_table(number) };
        all.push(bags.map_err(place)?);
    }
    Ok(all)
}
