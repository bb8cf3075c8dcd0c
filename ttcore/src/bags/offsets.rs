//! Where bags begin and end.

use core::fmt;
use core::ops::Range;

use super::error::BagsError;
use super::index::{Index, IndexSlice};

/// Where bags begin. Offsets have the type of the indices.
#[derive(Clone, Copy)]
pub enum Offsets<'a, I> {
    /// `B + 1` entries: the first is 0, the last the number of lookups (`include_last_offset=True` in PyTorch).
    WithLast(&'a [I]),
    /// `B` entries: the last bag ends with the lookups (PyTorch's default).
    Starts(&'a [I]),
    /// Bag `b` has lookup `b` alone, as features with one value have: no list is needed, and nothing to check.
    OnePerBag,
}

/// Offsets that were checked.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// `B` entries or `B + 1`; none for one lookup a bag.
    entries: Option<IndexSlice<'a>>,
    bags: usize,
    lookups: usize,
}

impl<'a> Bounds<'a> {
    /// Checks that offsets begin at 0, never decrease and end at the lookups.
    pub(super) fn new<I: Index>(offsets: Offsets<'a, I>, lookups: usize) -> Result<Self, BagsError> {
        let (entries, with_last) = match offsets {
            Offsets::WithLast(entries) => (entries, true),
            Offsets::Starts(entries) => (entries, false),
            Offsets::OnePerBag => return Ok(Self { entries: None, bags: lookups, lookups }),
        };
        let bags = entries.len() - usize::from(with_last && !entries.is_empty());
        let Some(first) = entries.first() else {
            return match (with_last, lookups) {
                (true, _) => Err(BagsError::NoOffsets),
                (false, 0) => Ok(Self { entries: Some(I::slice(entries)), bags, lookups }),
                (false, lookups) => Err(BagsError::LookupsWithoutBag { lookups }),
            };
        };
        if first.to_i128() != 0 {
            return Err(BagsError::FirstOffset { offset: first.to_i128() });
        }
        let mut previous = 0;
        for (position, entry) in entries.iter().enumerate() {
            let offset = entry.to_i128();
            if offset < previous {
                return Err(BagsError::OffsetDecreases { position, previous, offset });
            }
            if offset > lookups as i128 {
                return Err(BagsError::OffsetOutOfRange { position, offset, lookups });
            }
            previous = offset;
        }
        if with_last && previous != lookups as i128 {
            return Err(BagsError::LastOffset { position: bags, offset: previous, lookups });
        }
        Ok(Self { entries: Some(I::slice(entries)), bags, lookups })
    }

    /// Number of bags.
    pub(super) fn bags(&self) -> usize {
        self.bags
    }

    /// The lookups of bag `b`. Panics if there is none.
    pub(super) fn bag(&self, b: usize) -> Range<usize> {
        assert!(b < self.bags, "bag {b} of {}", self.bags);
        let Some(entries) = self.entries else { return b..b + 1 };
        let end = if b + 1 < entries.len() { entries.get(b + 1) as usize } else { self.lookups };
        entries.get(b) as usize..end
    }

    /// The lookups of every bag, in order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(Range<usize>)) {
        let mut start = 0;
        let mut next = |end: usize| visit(core::mem::replace(&mut start, end)..end);
        // The first offset is 0: every other one ends a bag, and the lookups end the last.
        match self.entries {
            _ if self.bags == 0 => return,
            None => return (1..=self.bags).for_each(next),
            Some(IndexSlice::I32(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end as usize)),
            Some(IndexSlice::I64(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end as usize)),
            Some(IndexSlice::U32(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end as usize)),
            Some(IndexSlice::U64(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end as usize)),
        }
        next(self.lookups);
    }
}

/// Lists are as long as batches are large: what is printed is how long.
impl<I> fmt::Debug for Offsets<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithLast(entries) => write!(f, "WithLast({} entries)", entries.len()),
            Self::Starts(entries) => write!(f, "Starts({} entries)", entries.len()),
            Self::OnePerBag => write!(f, "OnePerBag"),
        }
    }
}
