//! Sorting of keys, stable, without allocation.

/// Memory to sort in.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    /// Key in the upper and position in the lower half: for keys of 32 bits.
    packed: Vec<u64>,
    spare: Vec<u64>,
    /// For longer keys.
    wide: Vec<(u64, u32)>,
}

/// From how many keys on a pass of the radix sort looks at 12 bits instead of 8: the counters still fit the first cache, but
/// adding them up takes as long as sorting some thousand keys.
const MANY: usize = 1 << 14;

/// Most passes: 32 bits, 8 at a time.
const MOST_PASSES: usize = 4;

/// Below this, comparing is faster than counting.
const SMALL: usize = 96;

impl Sorter {
    pub(super) fn with_capacity(len: usize) -> Self {
        Self { packed: Vec::with_capacity(len), spare: Vec::with_capacity(len), wide: Vec::with_capacity(len) }
    }

    pub(super) fn bytes(len: usize) -> usize {
        len * (2 * size_of::<u64>() + size_of::<(u64, u32)>())
    }

    /// Every key with its position in `keys`, in order of keys and, among equal ones, of positions.
    #[inline]
    pub(super) fn sort(&mut self, keys: impl ExactSizeIterator<Item = u64>, largest: u64) -> Sorted<'_> {
        if largest > u64::from(u32::MAX) {
            self.wide.clear();
            self.wide.extend(keys.zip(0..));
            self.wide.sort_unstable();
            return Sorted { packed: [].iter(), wide: self.wide.iter() };
        }
        self.packed.clear();
        self.packed.extend(keys.enumerate().map(|(position, key)| key << 32 | position as u64));
        let bits = u64::BITS - largest.leading_zeros();
        match self.packed.len() {
            0..SMALL => self.packed.sort_unstable(),
            SMALL..MANY => self.radix_sort::<8, { 1 << 8 }>(bits),
            _ => self.radix_sort::<12, { 1 << 12 }>(bits),
        }
        Sorted { packed: self.packed.iter(), wide: [].iter() }
    }

    /// A stable radix sort by the lower `bits` bits of the keys, `BITS` in a pass. Digits of all passes are counted in one.
    fn radix_sort<const BITS: u32, const BUCKETS: usize>(&mut self, bits: u32) {
        let digit = |item: u64, pass: usize| (item >> (32 + pass as u32 * BITS)) as usize % BUCKETS;
        let mut starts = [[0u32; BUCKETS]; MOST_PASSES];
        let starts = &mut starts[..bits.div_ceil(BITS) as usize];
        for &item in &self.packed {
            for (pass, counts) in starts.iter_mut().enumerate() {
                counts[digit(item, pass)] += 1;
            }
        }
        self.spare.resize(self.packed.len(), 0);
        for (pass, starts) in starts.iter_mut().enumerate() {
            let mut start = 0;
            for count in &mut *starts {
                (*count, start) = (start, start + *count);
            }
            for &item in &self.packed {
                let place = &mut starts[digit(item, pass)];
                self.spare[*place as usize] = item;
                *place += 1;
            }
            std::mem::swap(&mut self.packed, &mut self.spare);
        }
    }
}

/// Sorted keys with their positions: in one of two lists, by the length of the keys.
pub(super) struct Sorted<'a> {
    packed: std::slice::Iter<'a, u64>,
    wide: std::slice::Iter<'a, (u64, u32)>,
}

impl Iterator for Sorted<'_> {
    type Item = (u64, u32);

    #[inline(always)]
    fn next(&mut self) -> Option<(u64, u32)> {
        match self.packed.next() {
            Some(&item) => Some((item >> 32, item as u32)),
            None => self.wide.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.packed.len() + self.wide.len();
        (len, Some(len))
    }
}

impl ExactSizeIterator for Sorted<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_for_short_and_long_keys() {
        for (len, largest) in [
            (0, 0),
            (1, 0),
            (50, 7),
            (1000, 7),
            (1000, 300),
            (5000, u64::from(u32::MAX)),
            (40_000, 11_000_000),
            (700, u64::MAX),
        ] {
            let mut state = 1u64;
            let mut draw = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                if largest == u64::MAX { state } else { (state >> 20) % (largest + 1) }
            };
            let keys: Vec<u64> = (0..len).map(|_| draw()).collect();
            let mut want: Vec<(u64, u32)> = keys.iter().copied().zip(0..).collect();
            want.sort();
            let mut sorter = Sorter::with_capacity(len);
            for _ in 0..2 {
                let got: Vec<_> = sorter.sort(keys.iter().copied(), largest).collect();
                assert_eq!(got, want, "{len} keys up to {largest}");
            }
        }
    }
}
