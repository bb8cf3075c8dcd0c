//! Why a batch is refused.

use core::fmt;

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BagsError {
    /// A row number is negative or not below the table's rows.
    IndexOutOfRange {
        /// Position in `indices`.
        position: usize,
        /// The number there.
        index: i128,
        /// Rows of the table.
        rows: u64,
    },
    /// [`Offsets::WithLast`] has no entry; zero bags are one entry, 0.
    NoOffsets,
    /// There are lookups but no bag for them.
    LookupsWithoutBag {
        /// Number of lookups.
        lookups: usize,
    },
    /// The first offset is not 0.
    FirstOffset {
        /// The number there.
        offset: i128,
    },
    /// An offset is smaller than the one before it.
    OffsetDecreases {
        /// Position in `offsets`.
        position: usize,
        /// The number before.
        previous: i128,
        /// The number there.
        offset: i128,
    },
    /// A bag starts behind the last lookup.
    OffsetOutOfRange {
        /// Position in `offsets`.
        position: usize,
        /// The number there.
        offset: i128,
        /// Number of lookups.
        lookups: usize,
    },
    /// The last of `B + 1` offsets is not the number of lookups.
    LastOffset {
        /// Position in `offsets`.
        position: usize,
        /// The number there.
        offset: i128,
        /// Number of lookups.
        lookups: usize,
    },
    /// There is not one weight for each lookup.
    WeightsLength {
        /// Number of weights.
        weights: usize,
        /// Number of lookups.
        lookups: usize,
    },
}

impl fmt::Display for BagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IndexOutOfRange { position, index, rows } => {
                write!(f, "index {index} at position {position} is not a row of a table with {rows} rows")
            }
            Self::NoOffsets => write!(f, "offsets with a last entry cannot be empty: no bags are the one offset 0"),
            Self::LookupsWithoutBag { lookups } => write!(f, "{lookups} lookups but no bags"),
            Self::FirstOffset { offset } => write!(f, "the first offset is {offset}, not 0"),
            Self::OffsetDecreases { position, previous, offset } => {
                write!(f, "offset {offset} at position {position} is smaller than {previous} before it")
            }
            Self::OffsetOutOfRange { position, offset, lookups } => {
                write!(f, "offset {offset} at position {position} is behind the last of {lookups} lookups")
            }
            Self::LastOffset { position, offset, lookups } => {
                write!(f, "the last offset, {offset} at position {position}, is not the number of lookups, {lookups}")
            }
            Self::WeightsLength { weights, lookups } => {
                write!(f, "{weights} per-sample weights for {lookups} lookups")
            }
        }
    }
}

impl core::error::Error for BagsError {}
