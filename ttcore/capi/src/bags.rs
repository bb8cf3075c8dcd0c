//! A batch, as C says it.

use std::ffi::c_void;

use ttcore::{Bags, KeptLookups, Layout, Offsets, Pooling, Skip, check};

use crate::config::{numbers, unknown};
use crate::error::Outcome;
use crate::record::{record, records};
use crate::view::{Number, ttc_view};

/// Integers of 32 bits, `int32_t`.
pub const TTC_I32: u32 = 1;
/// Integers of 64 bits, `int64_t`.
pub const TTC_I64: u32 = 2;

/// `B` offsets, where each bag begins; the first is 0, and the last bag ends with the lookups.
pub const TTC_STARTS: u32 = 0;
/// `B + 1` offsets; the first is 0, the last the number of lookups.
pub const TTC_WITH_LAST: u32 = 1;
/// `B + 1` offsets of a longer list: lookup 0 is at the first, whatever that is, and the last is the end of the lookups.
pub const TTC_WINDOW: u32 = 2;
/// No offsets: bag `b` has lookup `b` alone.
pub const TTC_ONE_PER_BAG: u32 = 3;

/// Rows of a bag are summed.
pub const TTC_SUM: u32 = 0;
/// The sum is divided by the number of lookups of the bag.
pub const TTC_MEAN: u32 = 1;

/// Lookups of the row `padding` count for nothing.
pub const TTC_SKIP_PADDING: u32 = 1;
/// Lookups of negative rows count for nothing. They are refused otherwise.
pub const TTC_SKIP_NEGATIVE: u32 = 2;

/// The batch of one table: `B` bags of rows. What is not set is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_bags {
    /// `sizeof(ttc_bags)`.
    pub size: u32,
    /// `TTC_I32` or `TTC_I64`: what `indices` points at.
    pub index_type: u32,
    /// `TTC_I32` or `TTC_I64`: what `offsets` points at, if there are any.
    pub offset_type: u32,
    /// `TTC_STARTS`, `TTC_WITH_LAST`, `TTC_WINDOW` or `TTC_ONE_PER_BAG`.
    pub offset_form: u32,
    /// `TTC_SUM` or `TTC_MEAN`.
    pub pooling: u32,
    /// `TTC_SKIP_PADDING`, `TTC_SKIP_NEGATIVE`, both or 0. What is skipped is neither in a sum nor in the divisor of a mean.
    pub skip: u32,
    /// The row that `TTC_SKIP_PADDING` skips, which need not be a row of the table.
    pub padding: u64,
    /// `[lookups]`, row numbers; may be NULL if there are none.
    pub indices: *const c_void,
    /// How many lookups.
    pub lookups: usize,
    /// `[offsets_len]`; may be NULL if there are none.
    pub offsets: *const c_void,
    /// How many offsets.
    pub offsets_len: usize,
    /// `[lookups]`, what the rows are multiplied by; NULL for 1.
    pub weights: *const ttc_view,
}

records!(ttc_bags);

/// The batch of one table, copied from the caller: what is checked cannot change any more.
#[derive(Debug, Default)]
pub(crate) struct Copied<F> {
    indices: Vec<i64>,
    offsets: Vec<i64>,
    kept: KeptLookups<F>,
    /// Whether `kept` is what counts.
    skips: bool,
}

impl<F: Number> Copied<F> {
    /// Copies and checks the batch of table `table` of so many rows, if there is room for it in the layout.
    ///
    /// # Safety
    ///
    /// For `'a`: the lists are as long as the struct says, and nothing writes the weights.
    pub(crate) unsafe fn fill<'a>(
        &'a mut self,
        bags: &ttc_bags,
        layout: &Layout,
        table: usize,
        rows: u64,
    ) -> Outcome<Bags<'a, F>> {
        let count = match bags.offset_form {
            TTC_STARTS => bags.offsets_len,
            TTC_WITH_LAST | TTC_WINDOW => bags.offsets_len.saturating_sub(1),
            TTC_ONE_PER_BAG => bags.lookups,
            form => return Err(unknown("form of offsets", form)),
        };
        check::batch_size(layout, table, count, bags.lookups, None)?;
        let weights = match bags.weights.is_null() {
            true => None,
            false => {
                // SAFETY: the caller's.
                let view = unsafe { record(bags.weights, "weights") }?;
                // SAFETY: the caller's.
                Some(unsafe { view.numbers::<F>("weights") }?)
            }
        };
        // SAFETY: the caller's.
        unsafe {
            copy(bags.indices, bags.index_type, bags.lookups, "indices", &mut self.indices)?;
            if bags.offset_form == TTC_ONE_PER_BAG {
                self.offsets.clear();
            } else {
                copy(bags.offsets, bags.offset_type, bags.offsets_len, "offsets", &mut self.offsets)?;
            }
        }
        let offsets = match bags.offset_form {
            TTC_STARTS => Offsets::Starts(&self.offsets[..]),
            TTC_WITH_LAST => Offsets::WithLast(&self.offsets),
            TTC_WINDOW => Offsets::Window(&self.offsets),
            _ => Offsets::OnePerBag,
        };
        let pooling = match bags.pooling {
            TTC_SUM => Pooling::Sum,
            TTC_MEAN => Pooling::Mean,
            pooling => return Err(unknown("pooling", pooling)),
        };
        self.skips = bags.skip != 0;
        let bags = match bags.skip {
            0 => Bags::new(rows, &self.indices, offsets, pooling, weights),
            1..=3 => {
                let mut skip = Skip::default();
                if bags.skip & TTC_SKIP_PADDING != 0 {
                    skip = skip.with_padding(bags.padding);
                }
                if bags.skip & TTC_SKIP_NEGATIVE != 0 {
                    skip = skip.with_negative();
                }
                self.kept.fill(skip, rows, &self.indices, offsets, pooling, weights)
            }
            skip => return Err(unknown("way to skip lookups", skip)),
        };
        Ok(bags.map_err(|error| error.of_table(table))?)
    }

    /// All lookups of the batch, and which of them count, if some may not.
    pub(crate) fn lookups(&self) -> (usize, Option<&KeptLookups<F>>) {
        (self.indices.len(), self.skips.then_some(&self.kept))
    }
}

/// Copies integers of a type.
///
/// # Safety
///
/// NULL where there are none, or so many integers of the type.
unsafe fn copy(start: *const c_void, integers: u32, len: usize, what: &str, to: &mut Vec<i64>) -> Outcome {
    to.clear();
    match integers {
        // SAFETY: the caller's.
        TTC_I64 => to.extend_from_slice(unsafe { numbers::<i64>(start.cast(), len, what) }?),
        TTC_I32 => {
            // SAFETY: the caller's.
            let numbers = unsafe { numbers::<i32>(start.cast(), len, what) }?;
            to.extend(numbers.iter().map(|&number| i64::from(number)));
        }
        other => return Err(unknown("type of integers", other)),
    }
    Ok(())
}
