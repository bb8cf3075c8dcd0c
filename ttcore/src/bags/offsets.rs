//! Where bags begin and end.

use core::fmt;
use core::ops::Range;

use super::error::BagsError;
use super::index::{Index, IndexSlice};

/// Where bags begin, in integers of any type.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Offsets<'a, O> {
    /// `B + 1` entries: the first is 0, the last the number of lookups (`include_last_offset=True` in PyTorch).
    WithLast(&'a [O]),
    /// `B` entries: the last bag ends with the lookups (PyTorch's default).
    Starts(&'a [O]),
    /// `B + 1` entries of a longer list, such as those of one feature of a jagged tensor: lookup 0 is at the first entry,
    /// whatever that is, and the last is the end of the lookups. The entry where the next feature begins belongs to it.
    Window(&'a [O]),
    /// Bag `b` has lookup `b` alone, as features with one value have: no list is needed, and nothing to check.
    OnePerBag,
}

/// Offsets that were checked.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// `B` entries or `B + 1`; none for one lookup a bag.
    entries: Option<IndexSlice<'a>>,
    /// The entry that stands for lookup 0.
    base: u64,
    bags: usize,
    lookups: usize,
}

impl<'a> Bounds<'a> {
    /// Checks that offsets begin at 0, or anywhere if they are a window, never decrease and end at the lookups.
    pub(super) fn new<O: Index>(offsets: Offsets<'a, O>, lookups: usize) -> Result<Self, BagsError> {
        let (entries, with_last) = match offsets {
            Offsets::WithLast(entries) | Offsets::Window(entries) => (entries, true),
            Offsets::Starts(entries) => (entries, false),
            Offsets::OnePerBag => return Ok(Self { entries: None, base: 0, bags: lookups, lookups }),
        };
        let bags = entries.len() - usize::from(with_last && !entries.is_empty());
        let Some(first) = entries.first() else {
            return match (with_last, lookups) {
                (true, _) => Err(BagsError::NoOffsets),
                (false, 0) => Ok(Self { entries: Some(O::slice(entries)), base: 0, bags, lookups }),
                (false, lookups) => Err(BagsError::LookupsWithoutBag { lookups }),
            };
        };
        let base = match (offsets, first.to_i128()) {
            (Offsets::Window(_), offset @ ..0) => return Err(BagsError::NegativeOffset { offset }),
            (Offsets::Window(_), offset) | (_, offset @ 0) => offset,
            (_, offset) => return Err(BagsError::FirstOffset { offset }),
        };
        let (mut previous, end) = (base, base + lookups as i128);
        for (position, entry) in entries.iter().enumerate() {
            let offset = entry.to_i128();
            if offset < previous {
                return Err(BagsError::OffsetDecreases { position, previous, offset });
            }
            if offset > end {
                return Err(BagsError::OffsetOutOfRange { position, offset, base, lookups });
            }
            previous = offset;
        }
        if with_last && previous != end {
            return Err(BagsError::LastOffset { position: bags, offset: previous, base, lookups });
        }
        Ok(Self { entries: Some(O::slice(entries)), base: base as u64, bags, lookups })
    }

    /// Those of offsets that are known to be right: the start of each bag, and the number of lookups.
    pub(super) fn with_last(entries: &'a [u64]) -> Self {
        let (bags, lookups) = (entries.len().saturating_sub(1), entries.last().map_or(0, |&last| last as usize));
        Self { entries: Some(IndexSlice::U64(entries)), base: 0, bags, lookups }
    }

    /// Number of bags.
    pub(super) fn bags(&self) -> usize {
        self.bags
    }

    /// The lookups of bag `b`. Panics if there is none.
    pub(super) fn bag(&self, b: usize) -> Range<usize> {
        assert!(b < self.bags, "bag {b} of {}", self.bags);
        let Some(entries) = self.entries else { return b..b + 1 };
        let at = |b| (entries.get(b) - self.base) as usize;
        at(b)..if b + 1 < entries.len() { at(b + 1) } else { self.lookups }
    }

    /// Writes where each bag begins.
    pub(super) fn write_starts(&self, to: &mut [u32]) {
        assert_eq!(to.len(), self.bags, "one place for each bag");
        let base = self.base;
        match self.entries {
            None => to.iter_mut().zip(0..).for_each(|(to, start)| *to = start),
            Some(IndexSlice::I32(starts)) => put(to, starts, |&start| start as u64 - base),
            Some(IndexSlice::I64(starts)) => put(to, starts, |&start| start as u64 - base),
            Some(IndexSlice::U32(starts)) => put(to, starts, |&start| u64::from(start) - base),
            Some(IndexSlice::U64(starts)) => put(to, starts, |&start| start - base),
        }
    }

    /// The lookups of every bag, in order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(Range<usize>)) {
        let mut start = 0;
        let mut next = |end: u64| visit(core::mem::replace(&mut start, end as usize)..end as usize);
        let base = self.base;
        // The first offset is where lookups begin: every other one ends a bag, and the lookups end the last.
        match self.entries {
            _ if self.bags == 0 => return,
            None => return (1..=self.bags as u64).for_each(next),
            Some(IndexSlice::I32(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end as u64 - base)),
            Some(IndexSlice::I64(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end as u64 - base)),
            Some(IndexSlice::U32(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(u64::from(end) - base)),
            Some(IndexSlice::U64(offsets)) => offsets[1..self.bags].iter().for_each(|&end| next(end - base)),
        }
        next(self.lookups as u64);
    }
}

/// Writes offsets, of which there may be one more.
fn put<O>(to: &mut [u32], offsets: &[O], start: impl Fn(&O) -> u64) {
    to.iter_mut().zip(offsets).for_each(|(to, offset)| *to = start(offset) as u32);
}

/// Lists are as long as batches are large: what is printed is how long.
impl<O> fmt::Debug for Offsets<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithLast(entries) => write!(f, "WithLast({} entries)", entries.len()),
            Self::Starts(entries) => write!(f, "Starts({} entries)", entries.len()),
            Self::Window(entries) => write!(f, "Window({} entries)", entries.len()),
            Self::OnePerBag => write!(f, "OnePerBag"),
        }
    }
}
