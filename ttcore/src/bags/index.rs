//! Integers of callers: row numbers and offsets, in whichever type they come.

use core::fmt;

/// Integers that number rows: `i32`, `i64`, `u32` or `u64`.
pub trait Index: Copy + sealed::Sealed {
    /// The indices as one of the four kinds.
    fn slice(indices: &[Self]) -> IndexSlice<'_>;

    /// The number itself, whatever its sign.
    fn to_i128(self) -> i128;
}

mod sealed {
    pub trait Sealed {}
}

/// Borrowed row numbers of one of the four kinds: match once, then loop.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum IndexSlice<'a> {
    /// `i32` numbers.
    I32(&'a [i32]),
    /// `i64` numbers.
    I64(&'a [i64]),
    /// `u32` numbers.
    U32(&'a [u32]),
    /// `u64` numbers.
    U64(&'a [u64]),
}

macro_rules! index {
    ($($int:ty, $variant:ident;)*) => {$(
        impl sealed::Sealed for $int {}
        impl Index for $int {
            fn slice(indices: &[Self]) -> IndexSlice<'_> {
                IndexSlice::$variant(indices)
            }

            fn to_i128(self) -> i128 {
                i128::from(self)
            }
        }
    )*};
}
index! { i32, I32; i64, I64; u32, U32; u64, U64; }

impl IndexSlice<'_> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Self::I32(s) => s.len(),
            Self::I64(s) => s.len(),
            Self::U32(s) => s.len(),
            Self::U64(s) => s.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `j`. Negative numbers, which validation refuses, wrap.
    pub(super) fn get(&self, j: usize) -> u64 {
        match self {
            Self::I32(s) => s[j] as u64,
            Self::I64(s) => s[j] as u64,
            Self::U32(s) => u64::from(s[j]),
            Self::U64(s) => s[j],
        }
    }
}

impl fmt::Debug for IndexSlice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::I32(_) => "I32",
            Self::I64(_) => "I64",
            Self::U32(_) => "U32",
            Self::U64(_) => "U64",
        };
        write!(f, "{kind}({} numbers)", self.len())
    }
}
