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
    /// [`Offsets::WithLast`](super::Offsets::WithLast) or [`Offsets::Window`](super::Offsets::Window) has no entry; zero
    /// bags are one entry.
    NoOffsets,
    /// There are lookups but no bag for them.
    LookupsWithoutBag {
        /// Number of lookups.
        lookups: usize,
    },
    /// A window begins with a negative offset.
    NegativeOffset {
        /// The number there.
        offset: i128,
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
        /// The first offset: 0, unless they are a window.
        base: i128,
        /// Number of lookups.
        lookups: usize,
    },
    /// The last of `B + 1` offsets is not the number of lookups.
    LastOffset {
        /// Position in `offsets`.
        position: usize,
        /// The number there.
        offset: i128,
        /// The first offset: 0, unless they are a window.
        base: i128,
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
    /// A weight is NaN or infinite.
    WeightNotFinite {
        /// Position in the weights.
        position: usize,
        /// `"NaN"`, `"infinity"` or `"-infinity"`.
        value: &'static str,
    },
}

impl fmt::Display for BagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = |f: &mut fmt::Formatter<'_>, base: &i128| match base {
            0 => Ok(()),
            base => write!(f, " from {base}"),
        };
        match self {
            Self::IndexOutOfRange { position, index, rows } => {
                write!(f, "index {index} at position {position} is not a row of a table with {rows} rows")
            }
            Self::NoOffsets => write!(f, "offsets with a last entry cannot be empty: no bags are one offset"),
            Self::LookupsWithoutBag { lookups } => write!(f, "{lookups} lookups but no bags"),
            Self::NegativeOffset { offset } => write!(f, "the first offset, {offset}, is negative"),
            Self::FirstOffset { offset } => write!(f, "the first offset is {offset}, not 0"),
            Self::OffsetDecreases { position, previous, offset } => {
                write!(f, "offset {offset} at position {position} is smaller than {previous} before it")
            }
            Self::OffsetOutOfRange { position, offset, base, lookups } => {
                write!(f, "offset {offset} at position {position} is behind the last of {lookups} lookups")?;
                from(f, base)
            }
            Self::LastOffset { position, offset, base: 0, lookups } => {
                write!(f, "the last offset, {offset} at position {position}, is not the number of lookups, {lookups}")
            }
            Self::LastOffset { position, offset, base, lookups } => {
                write!(f, "the last offset, {offset} at position {position}, is not the end of {lookups} lookups")?;
                from(f, base)
            }
            Self::WeightNotFinite { position, value } => write!(f, "the weight at position {position} is {value}"),
            Self::WeightsLength { weights, lookups } => {
                write!(f, "{weights} per-sample weights for {lookups} lookups")
            }
        }
    }
}

impl core::error::Error for BagsError {}
