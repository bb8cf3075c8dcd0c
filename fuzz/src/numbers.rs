//! Numbers as inputs have them: mostly small, as real ones are, and sometimes anything.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Numbers where something changes.
const EDGES: [i128; 14] = [
    -1,
    1 << 31,
    (1 << 31) - 1,
    -(1 << 31),
    1 << 32,
    (1 << 32) - 1,
    1 << 53,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    -(1 << 63),
    (1 << 64) - 1,
    (1 << 60) - 1,
    1 << 21,
];

/// An integer of up to 64 bits, with or without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int(pub i128);

impl<'a> Arbitrary<'a> for Int {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u.arbitrary::<u8>()? {
            small @ 0..=199 => i128::from(small % 50),
            200..=229 => i128::from(u.arbitrary::<u16>()?),
            edge @ 230..=243 => EDGES[usize::from(edge - 230)],
            244..=249 => i128::from(u.arbitrary::<i64>()?),
            _ => i128::from(u.arbitrary::<u64>()?),
        }))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, Some(9))
    }
}

impl Int {
    /// As a size; a negative number wraps to a large one.
    pub fn size(self) -> usize {
        self.0 as usize
    }

    /// As a number of 64 bits; a negative number wraps to a large one.
    pub fn u64(self) -> u64 {
        self.0 as u64
    }
}

/// As sizes.
pub fn sizes(numbers: &[Int]) -> Vec<usize> {
    numbers.iter().map(|number| number.size()).collect()
}

/// The input as a value of this type, if it is long enough for one.
pub fn decode<T: for<'a> Arbitrary<'a>>(data: &[u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}
