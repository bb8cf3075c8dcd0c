//! The checks every backend makes, so that all refuse the same input with the same error.

use alloc::vec::Vec;

use crate::backend::Version;
use crate::bags::Bags;
use crate::error::{Error, Stale};
use crate::layout::Layout;
use crate::real::Real;
use crate::table::Table;

/// That there is memory for so many bytes, of something that is made in many pieces: asked for at once and given back, since
/// the pieces themselves end the program where there is none.
///
/// # Errors
///
/// [`Error::TooLarge`].
pub fn memory(what: &'static str, bytes: usize) -> Result<(), Error> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Error::TooLarge { what })
}

/// So many zeros.
///
/// # Errors
///
/// [`Error::TooLarge`] if there is no memory for them.
pub fn zeros<F: Real>(what: &'static str, len: usize) -> Result<Vec<F>, Error> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(len).map_err(|_| Error::TooLarge { what })?;
    zeros.resize(len, F::zero());
    Ok(zeros)
}

/// The sum, or as much as can be counted: of sizes that are asked for, not of what there is.
pub fn total(sizes: impl IntoIterator<Item = usize>) -> usize {
    sizes.into_iter().fold(0, usize::saturating_add)
}

/// That all numbers are finite: a gradient that is not makes every parameter so that it reaches, and nothing brings them back.
/// Steps do not look, as it is one more pass over the gradient: call it before where gradients may be anything.
///
/// # Errors
///
/// [`Error::NotFinite`], naming the first.
pub fn finite<F: Real>(what: &'static str, numbers: &[F]) -> Result<(), Error> {
    match numbers.iter().position(|x| !x.is_finite()) {
        Some(position) => Err(Error::NotFinite { what, position, value: name_of(numbers[position]) }),
        None => Ok(()),
    }
}

/// What a number is that is not finite.
pub(crate) fn name_of<F: Real>(number: F) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > F::zero() => "infinity",
        _ => "-infinity",
    }
}

/// That the bags of table `table` fit the layout, and those of the tables before, if any: all are of `rows_before` output
/// rows. Gives how many output rows there are, `B`.
///
/// # Errors
///
/// [`Error::TableCount`], [`Error::Rows`], or as [`batch_size`].
pub fn bags<F: Real>(
    layout: &Layout,
    table: usize,
    bags: &Bags<'_, F>,
    rows_before: Option<usize>,
) -> Result<usize, Error> {
    let Some(shape) = layout.tables().get(table) else {
        return Err(count(layout, "batches", table + 1));
    };
    if bags.rows() != shape.addresses() {
        return Err(Error::Rows { table, got: bags.rows(), want: shape.addresses() });
    }
    batch_size(layout, table, bags.bags(), bags.lookups(), rows_before)
}

/// That a batch of table `table` has a bag of every feature for each output row, as many of these as those before, and is
/// not larger than the layout allows. Gives how many output rows there are, `B`.
///
/// # Errors
///
/// [`Error::UnevenBags`], [`Error::BagCount`] or [`Error::Capacity`]; [`Error::NoTable`].
pub fn batch_size(
    layout: &Layout,
    table: usize,
    bags: usize,
    lookups: usize,
    rows_before: Option<usize>,
) -> Result<usize, Error> {
    let features = match layout.features().get(table) {
        Some(features) => features.count(),
        None => return Err(Error::NoTable { table, tables: layout.tables().len() }),
    };
    let rows = bags / features;
    match rows_before {
        // The tables before had no more than fit.
        Some(before) if bags != before.saturating_mul(features) => {
            return Err(Error::BagCount { table, got: bags, want: before.saturating_mul(features) });
        }
        None if bags != rows * features => return Err(Error::UnevenBags { table, got: bags, features }),
        _ => {}
    }
    // The layout has no more places than 32 bits, and one for each bag.
    for (what, got, capacity) in [("bags", bags, features * layout.bags()), ("lookups", lookups, layout.lookups())] {
        if got > capacity {
            return Err(Error::Capacity { what, table, got, capacity });
        }
    }
    Ok(rows)
}

/// That something there is one of for each table came `got` times.
///
/// # Errors
///
/// [`Error::TableCount`].
pub fn table_count(layout: &Layout, what: &'static str, got: usize) -> Result<(), Error> {
    if got == layout.tables().len() { Ok(()) } else { Err(count(layout, what, got)) }
}

/// The items of a call, one for each table.
///
/// # Errors
///
/// [`Error::TableCount`]. It takes no more than one item too many, so an endless iterator ends.
pub fn collect<T>(layout: &Layout, what: &'static str, items: impl IntoIterator<Item = T>) -> Result<Vec<T>, Error> {
    let items: Vec<T> = items.into_iter().take(layout.tables().len() + 1).collect();
    table_count(layout, what, items.len()).map(|()| items)
}

/// That a buffer, of a table if it belongs to one, has the length its shape needs.
///
/// # Errors
///
/// [`Error::Length`].
pub fn length(what: &'static str, table: Option<usize>, got: usize, want: usize) -> Result<(), Error> {
    if got == want { Ok(()) } else { Err(Error::Length { what, table, got, want }) }
}

/// The table of a number.
///
/// # Errors
///
/// [`Error::NoTable`].
pub fn table(layout: &Layout, table: usize) -> Result<&Table, Error> {
    let tables = layout.tables();
    tables.get(table).ok_or(Error::NoTable { table, tables: tables.len() })
}

/// That all rows wanted of a table are below its addresses.
///
/// # Errors
///
/// [`Error::NoTable`] or [`Error::Row`].
pub fn rows(layout: &Layout, table: usize, rows: &[u64]) -> Result<(), Error> {
    let addresses = self::table(layout, table)?.addresses();
    match rows.iter().position(|&row| row >= addresses) {
        Some(position) => Err(Error::Row { table, position, row: rows[position], rows: addresses }),
        None => Ok(()),
    }
}

/// The fingerprint of a batch of several tables: that of the tables before, with that of the bags of the next.
pub fn fingerprint<F: Real>(before: u64, bags: &Bags<'_, F>) -> u64 {
    (before.rotate_left(23) ^ bags.fingerprint()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// That a value made for a plan is used with one of the same layout.
///
/// # Errors
///
/// [`Error::OtherPlan`].
pub fn same_layout(what: &'static str, plan: &Layout, value: &Layout) -> Result<(), Error> {
    if core::ptr::eq(plan, value) || plan == value { Ok(()) } else { Err(Error::OtherPlan { what }) }
}

/// What a `Saved` is bound to: the batch and the version of the parameters it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp(Option<(u64, Version)>);

impl Stamp {
    /// Bound to a batch with this fingerprint and to this version.
    pub fn new(fingerprint: u64, version: Version) -> Self {
        Self(Some((fingerprint, version)))
    }

    /// That backward is given the same batch and version.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`].
    pub fn check(&self, fingerprint: u64, version: Version) -> Result<(), Error> {
        let what = match self.0 {
            None => Stale::Nothing,
            Some((_, saved)) if saved != version => Stale::Parameters,
            Some((saved, _)) if saved != fingerprint => Stale::Group,
            Some(_) => return Ok(()),
        };
        Err(Error::Stale { what })
    }
}

fn count(layout: &Layout, what: &'static str, got: usize) -> Error {
    Error::TableCount { what, got, tables: layout.tables().len() }
}
