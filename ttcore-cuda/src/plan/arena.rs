//! Places in memory, and the most that a batch has of something.

use ttcore::{Table, TtShape};

/// Lists begin at multiples of this: what the largest load of a GPU wants.
pub(crate) const ALIGNMENT: usize = 16;

/// Hands out places one behind the other.
#[derive(Default)]
pub(crate) struct Arena {
    pub(crate) bytes: usize,
}

impl Arena {
    /// The place of a list of numbers of a type, in bytes.
    pub(crate) fn take<T>(&mut self, len: usize) -> usize {
        let place = self.bytes;
        self.bytes += (len * size_of::<T>()).next_multiple_of(ALIGNMENT);
        place
    }
}

/// Most pairs `(i_1, i_2)` of a batch.
pub(crate) fn most_pairs(shape: &TtShape, lookups: usize) -> usize {
    shape.row_factors()[0].saturating_mul(shape.row_factors()[1]).min(lookups)
}

/// Most unique rows of a batch that are held as they are.
pub(crate) fn most_dense_rows(table: &Table, lookups: usize) -> usize {
    usize::try_from(table.dense_rows()).unwrap_or(usize::MAX).min(lookups)
}

/// Most unique rows of a batch that are held by cores.
pub(crate) fn most_rows(shape: &TtShape, lookups: usize) -> usize {
    usize::try_from(shape.rows()).unwrap_or(usize::MAX).min(lookups)
}
