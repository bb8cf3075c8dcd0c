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

/// Bits a pass of the radix sort looks at: more for many keys, but so that the counters stay in the first cache.
const RADIX_BITS: [u32; 2] = [8, 12];

/// From how many keys on the second.
const MANY: usize = 1 << 14;

/// Below this, comparing is faster than counting.
const SMALL: usize = 96;

impl Sorter {
    pub(super) fn with_capacity(len: usize) -> Self {
        Self { packed: Vec::with_capacity(len), spare: Vec::with_capacity(len), wide: Vec::with_capacity(len) }
    }

    pub(super) fn bytes(len: usize) -> usize {
        len * (2 * size_of::<u64>() + size_of::<(u64, u32)>())
    }

    /// Calls `visit` with every key and its position in `keys`, in order of keys and, among equal ones, of positions.
    pub(super) fn sort(
        &mut self,
        keys: impl ExactSizeIterator<Item = u64>,
        largest: u64,
        mut visit: impl FnMut(u64, u32),
    ) {
        if largest > u64::from(u32::MAX) {
            self.wide.clear();
            self.wide.extend(keys.zip(0..));
            self.wide.sort_unstable();
            self.wide.iter().for_each(|&(key, position)| visit(key, position));
            return;
        }
        self.packed.clear();
        self.packed.extend(keys.enumerate().map(|(position, key)| key << 32 | position as u64));
        if self.packed.len() < SMALL {
            self.packed.sort_unstable();
        } else {
            let bits = u64::BITS - largest.leading_zeros();
            let radix = RADIX_BITS[usize::from(self.packed.len() >= MANY)];
            for pass in 0..bits.div_ceil(radix) {
                match radix {
                    8 => self.pass::<{ 1 << 8 }>(32 + pass * radix),
                    _ => self.pass::<{ 1 << 12 }>(32 + pass * radix),
                }
            }
        }
        self.packed.iter().for_each(|&item| visit(item >> 32, item as u32));
    }

    /// One stable pass of a radix sort, by the digit at this bit.
    fn pass<const BUCKETS: usize>(&mut self, shift: u32) {
        let digit = |item: u64| (item >> shift) as usize % BUCKETS;
        let mut starts = [0u32; BUCKETS];
        for &item in &self.packed {
            starts[digit(item)] += 1;
        }
        let mut start = 0;
        for count in &mut starts {
            (*count, start) = (start, start + *count);
        }
        self.spare.resize(self.packed.len(), 0);
        for &item in &self.packed {
            let place = &mut starts[digit(item)];
            self.spare[*place as usize] = item;
            *place += 1;
        }
        std::mem::swap(&mut self.packed, &mut self.spare);
    }
}

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
            let mut got = Vec::new();
            let mut sorter = Sorter::with_capacity(len);
            for _ in 0..2 {
                got.clear();
                sorter.sort(keys.iter().copied(), largest, |key, position| got.push((key, position)));
                assert_eq!(got, want, "{len} keys up to {largest}");
            }
        }
    }
}
