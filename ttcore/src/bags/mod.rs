//! A batch of one table: bags of row numbers in compressed sparse row form, validated once.

mod error;
mod index;
mod kept;
mod offsets;

use core::fmt;
use core::ops::Range;

use crate::check::name_of;
use crate::real::Real;
use offsets::Bounds;

pub use error::BagsError;
pub use index::{Index, IndexSlice};
pub use kept::{KeptLookups, Skip};
pub use offsets::Offsets;

/// How the rows of a bag become one output row (paper, Equation 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pooling {
    /// `y_b = sum_j a_j w_j`, with `a_j = 1` where there are no per-sample weights.
    #[default]
    Sum,
    /// The sum divided by the number of lookups in the bag, also with per-sample weights.
    Mean,
}

impl Pooling {
    /// What the sum of a bag of so many lookups is multiplied by: 1, or one over their number for a mean.
    pub fn scale<F: Real>(self, lookups: usize) -> F {
        match self {
            Self::Mean if lookups > 0 => F::of(lookups as f64).recip(),
            _ => F::one(),
        }
    }
}

/// A batch of one table: `B` bags over `L` lookups, with pooling and optional per-sample weights.
///
/// Of a table with several [features](crate::Features), the bags of each are behind those of the one before, and there are
/// as many times more. Borrowed and validated: every row number is below the table's rows, and [`Offsets`] start at 0, never decrease and end
/// at `L`. Bags may be empty (their output is zero) and there may be none.
///
/// ```
/// use ttcore::{Bags, Offsets, Pooling};
///
/// // Two bags of a table with 10 rows: rows 3 and 5, then rows 5, 5 and 9.
/// let bags = Bags::<f32>::new(10, &[3i64, 5, 5, 5, 9], Offsets::Starts(&[0, 2]), Pooling::Sum, None)?;
/// assert_eq!((bags.bags(), bags.lookups(), bags.bag(1)), (2, 5, 2..5));
///
/// let error = Bags::<f32>::new(10, &[3, -1], Offsets::Starts(&[0]), Pooling::Sum, None).unwrap_err();
/// assert_eq!(error.to_string(), "index -1 at position 1 is not a row of a table with 10 rows");
///
/// // A jagged tensor: one list of values for all features, one of offsets. The second feature's bags are 7, 8 and 9.
/// let (values, offsets) = ([1u32, 2, 3, 7, 8, 9], [0i64, 2, 3, 5, 6]);
/// let bags = Bags::<f32>::new(10, &values[3..6], Offsets::Window(&offsets[2..]), Pooling::Sum, None)?;
/// assert_eq!((bags.bags(), bags.bag(0), bags.bag(1)), (2, 0..2, 2..3));
/// # Ok::<(), ttcore::BagsError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Bags<'a, F> {
    rows: u64,
    indices: IndexSlice<'a>,
    bounds: Bounds<'a>,
    pooling: Pooling,
    weights: Option<&'a [F]>,
}

impl<'a, F: Real> Bags<'a, F> {
    /// Validates a batch for a table with `rows` rows, in one pass over `indices` `[L]` and one over the offsets.
    ///
    /// `weights` are the per-sample weights `a_j`, one for each lookup.
    ///
    /// # Errors
    ///
    /// [`BagsError`], naming the position and the value.
    pub fn new<I: Index, O: Index>(
        rows: u64,
        indices: &'a [I],
        offsets: Offsets<'a, O>,
        pooling: Pooling,
        weights: Option<&'a [F]>,
    ) -> Result<Self, BagsError> {
        let out_of_range = |i: &I| !(0..i128::from(rows)).contains(&i.to_i128());
        if let Some(position) = indices.iter().position(out_of_range) {
            return Err(BagsError::IndexOutOfRange { position, index: indices[position].to_i128(), rows });
        }
        let lookups = indices.len();
        let bounds = Bounds::new(offsets, lookups)?;
        if let Some(weights) = weights.filter(|w| w.len() != lookups) {
            return Err(BagsError::WeightsLength { weights: weights.len(), lookups });
        }
        if let Some(weights) = weights
            && let Some(position) = weights.iter().position(|weight| !weight.is_finite())
        {
            return Err(BagsError::WeightNotFinite { position, value: name_of(weights[position]) });
        }
        Ok(Self { rows, indices: I::slice(indices), bounds, pooling, weights })
    }

    /// Bags of one lookup each: [`Bags::new`] with [`Offsets::OnePerBag`], whose offsets have no type to name here.
    ///
    /// # Errors
    ///
    /// As [`Bags::new`].
    pub fn one_per_bag<I: Index>(rows: u64, indices: &'a [I], weights: Option<&'a [F]>) -> Result<Self, BagsError> {
        // The mean of one is that one.
        Self::new::<I, I>(rows, indices, Offsets::OnePerBag, Pooling::Sum, weights)
    }

    /// The same bags over other numbers of the same length, all below `rows`: the cache's addresses for rows.
    pub(crate) fn with_addresses<'b>(&self, addresses: &'b [u64], rows: u64) -> Bags<'b, F>
    where
        'a: 'b,
    {
        debug_assert!(addresses.len() == self.lookups() && addresses.iter().all(|&a| a < rows));
        Bags { rows, indices: IndexSlice::U64(addresses), ..*self }
    }

    /// Rows of the table the batch was validated for.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of bags, `B`.
    pub fn bags(&self) -> usize {
        self.bounds.bags()
    }

    /// Number of lookups, `L`.
    pub fn lookups(&self) -> usize {
        self.indices.len()
    }

    /// How bags are pooled.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The per-sample weights `[L]`, if there are any.
    pub fn weights(&self) -> Option<&'a [F]> {
        self.weights
    }

    /// The row numbers `[L]`, all below [`Bags::rows`].
    pub fn indices(&self) -> IndexSlice<'a> {
        self.indices
    }

    /// The row of lookup `j`.
    ///
    /// # Panics
    ///
    /// If `j >= L`.
    pub fn row(&self, j: usize) -> u64 {
        self.indices.get(j)
    }

    /// Calls `visit` with the row of every lookup, in order: faster than asking for each.
    pub fn for_each_row(&self, mut visit: impl FnMut(u64)) {
        match self.indices {
            IndexSlice::I32(rows) => rows.iter().for_each(|&row| visit(row as u64)),
            IndexSlice::I64(rows) => rows.iter().for_each(|&row| visit(row as u64)),
            IndexSlice::U32(rows) => rows.iter().for_each(|&row| visit(u64::from(row))),
            IndexSlice::U64(rows) => rows.iter().for_each(|&row| visit(row)),
        }
    }

    /// The lookups of bag `b`.
    ///
    /// # Panics
    ///
    /// If `b >= B`.
    pub fn bag(&self, b: usize) -> Range<usize> {
        self.bounds.bag(b)
    }

    /// What the sum of bag `b` is multiplied by: 1, or one over its lookups for a mean. An empty bag's is 1.
    ///
    /// # Panics
    ///
    /// If `b >= B`.
    pub fn scale(&self, b: usize) -> F {
        self.pooling.scale(self.bag(b).len())
    }

    /// Calls `visit` with the lookups of every bag, in order: faster than asking for each.
    pub fn for_each_bag(&self, visit: impl FnMut(Range<usize>)) {
        self.bounds.for_each(visit);
    }

    /// Writes the first lookup of every bag, in order: where a list of them is wanted, in the fastest way. Batches that backends
    /// take have fewer than 2^32 lookups; of more, the lower 32 bits are written.
    ///
    /// # Panics
    ///
    /// If there is not one place for each bag.
    pub fn write_starts(&self, to: &mut [u32]) {
        self.bounds.write_starts(to);
    }

    /// A 64-bit digest of the rows and bags: what [`Saved`](crate::Backend::Saved) values are bound to.
    ///
    /// Two different batches have the same digest with a probability of about 2^-64. Not a defence against an
    /// adversary, who could only harm their own step.
    pub fn fingerprint(&self) -> u64 {
        let mut digest = mix(self.lookups() as u64 ^ (self.bags() as u64).rotate_left(32));
        // One multiplication a word, as this is in every step; the words of a batch are mixed once more at the end.
        let mut add = |word: u64| digest = (digest.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.for_each_row(&mut add);
        self.for_each_bag(|bag| add(bag.start as u64));
        mix(digest)
    }
}

/// The output function of SplitMix64: every bit of the input reaches every bit of the output.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Lists are as long as batches are large: what is printed is how long.
impl<F: Real> fmt::Debug for Bags<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bags")
            .field("rows", &self.rows)
            .field("bags", &self.bags())
            .field("indices", &self.indices)
            .field("pooling", &self.pooling)
            .field("weighted", &self.weights.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn bags<'a>(indices: &'a [i64], offsets: Offsets<'a, i64>) -> Result<Bags<'a, f32>, BagsError> {
        Bags::new(10, indices, offsets, Pooling::Mean, None)
    }

    #[test]
    fn both_forms_of_offsets_give_the_same_bags() {
        let indices = [3, 3, 9, 0];
        let with_last = bags(&indices, Offsets::WithLast(&[0, 0, 3, 4, 4])).unwrap();
        let starts = bags(&indices, Offsets::Starts(&[0, 0, 3, 4])).unwrap();
        for batch in [with_last, starts] {
            assert_eq!(batch.bags(), 4);
            let all: alloc::vec::Vec<_> = (0..4).map(|b| batch.bag(b)).collect();
            assert_eq!(all, [0..0, 0..3, 3..4, 4..4]);
            let mut again = alloc::vec::Vec::new();
            batch.for_each_bag(|bag| again.push(bag));
            assert_eq!(again, all);
            let mut starts = [9; 4];
            batch.write_starts(&mut starts);
            assert_eq!(starts, [0, 0, 3, 4]);
            assert_eq!((batch.scale(0), batch.scale(1)), (1.0, 1.0 / 3.0));
        }
        assert_eq!(with_last.fingerprint(), starts.fingerprint());
    }

    #[test]
    fn one_lookup_a_bag_needs_no_offsets() {
        let indices = [3, 3, 9];
        let [one, starts] = [Offsets::OnePerBag, Offsets::Starts(&[0, 1, 2])].map(|form| bags(&indices, form).unwrap());
        assert_eq!((one.bags(), one.lookups(), one.scale(2)), (3, 3, 1.0));
        let mut visited = alloc::vec::Vec::new();
        one.for_each_bag(|bag| visited.push(bag));
        assert_eq!(visited, [0..1, 1..2, 2..3]);
        let mut written = [9; 3];
        one.write_starts(&mut written);
        assert_eq!(written, [0, 1, 2]);
        assert!((0..3).all(|b| one.bag(b) == starts.bag(b)));
        assert_eq!(one.fingerprint(), starts.fingerprint());
        let none = bags(&[], Offsets::OnePerBag).unwrap();
        assert_eq!(none.fingerprint(), bags(&[], Offsets::Starts(&[])).unwrap().fingerprint());
        none.for_each_bag(|_| panic!("there is none"));
        let weights = Bags::one_per_bag(10, &[1u32, 2], Some(&[1f64][..]));
        assert_eq!(weights.err().unwrap(), BagsError::WeightsLength { weights: 1, lookups: 2 });
    }

    #[test]
    fn every_error_names_position_and_value() {
        use BagsError::*;
        let error = |indices: &[i64], offsets: Offsets<'_, i64>| bags(indices, offsets).err().unwrap();
        let rows = 10;
        assert_eq!(error(&[1, 10], Offsets::Starts(&[0])), IndexOutOfRange { position: 1, index: 10, rows });
        assert_eq!(error(&[-1], Offsets::Starts(&[0])), IndexOutOfRange { position: 0, index: -1, rows });
        assert_eq!(error(&[], Offsets::WithLast(&[])), NoOffsets);
        assert_eq!(error(&[1], Offsets::Starts(&[])), LookupsWithoutBag { lookups: 1 });
        assert_eq!(error(&[1], Offsets::Starts(&[1])), FirstOffset { offset: 1 });
        assert_eq!(error(&[1], Offsets::WithLast(&[-4, 1])), FirstOffset { offset: -4 });
        assert_eq!(
            error(&[1, 2], Offsets::WithLast(&[0, 2, 1, 2])),
            OffsetDecreases { position: 2, previous: 2, offset: 1 }
        );
        assert_eq!(
            error(&[1], Offsets::Starts(&[0, 2])),
            OffsetOutOfRange { position: 1, offset: 2, base: 0, lookups: 1 }
        );
        assert_eq!(
            error(&[1, 2], Offsets::WithLast(&[0, 1])),
            LastOffset { position: 1, offset: 1, base: 0, lookups: 2 }
        );
        let weights = Bags::new(10, &[1u32, 2], Offsets::Starts(&[0]), Pooling::Sum, Some(&[1f64][..]));
        assert_eq!(weights.err().unwrap(), WeightsLength { weights: 1, lookups: 2 });
    }

    #[test]
    fn a_window_begins_anywhere() {
        let indices = [3, 3, 9, 0];
        let whole = bags(&indices, Offsets::WithLast(&[0, 0, 3, 4])).unwrap();
        for base in [0, 7, i64::MAX - 4] {
            let entries = [0, 0, 3, 4].map(|entry| base + entry);
            let window = bags(&indices, Offsets::Window(&entries)).unwrap();
            assert!((0..3).all(|b| window.bag(b) == whole.bag(b)) && window.bags() == 3);
            let mut starts = [9; 3];
            window.write_starts(&mut starts);
            assert_eq!(starts, [0, 0, 3]);
            assert_eq!(window.fingerprint(), whole.fingerprint());
        }
        assert_eq!(bags(&[], Offsets::Window(&[5])).unwrap().bags(), 0);
    }

    #[test]
    fn errors_of_a_window_name_what_was_given() {
        let error = |entries: &[i64]| bags(&[1, 2], Offsets::Window(entries)).err().unwrap();
        assert_eq!(error(&[]), BagsError::NoOffsets);
        assert_eq!(error(&[-2, 0]), BagsError::NegativeOffset { offset: -2 });
        assert_eq!(error(&[5, 7, 6]), BagsError::OffsetDecreases { position: 2, previous: 7, offset: 6 });
        let behind = error(&[5, 8, 9]);
        assert_eq!(behind, BagsError::OffsetOutOfRange { position: 1, offset: 8, base: 5, lookups: 2 });
        assert_eq!(behind.to_string(), "offset 8 at position 1 is behind the last of 2 lookups from 5");
        let last = error(&[5, 6]);
        assert_eq!(last, BagsError::LastOffset { position: 1, offset: 6, base: 5, lookups: 2 });
        assert_eq!(last.to_string(), "the last offset, 6 at position 1, is not the end of 2 lookups from 5");
    }

    #[test]
    fn indices_and_offsets_of_different_types() {
        let wide = Bags::<f32>::new(10, &[3i64, 9], Offsets::Starts(&[0u32, 1]), Pooling::Sum, None).unwrap();
        let narrow = Bags::<f32>::new(10, &[3u32, 9], Offsets::WithLast(&[0u64, 1, 2]), Pooling::Sum, None).unwrap();
        let one = Bags::<f32>::one_per_bag(10, &[3i32, 9], None).unwrap();
        assert!([narrow, one].iter().all(|bags| bags.fingerprint() == wide.fingerprint() && bags.bag(1) == (1..2)));
    }

    #[test]
    fn no_bags_and_wide_numbers() {
        assert_eq!(bags(&[], Offsets::Starts(&[])).unwrap().bags(), 0);
        assert_eq!(bags(&[], Offsets::WithLast(&[0])).unwrap().bags(), 0);
        bags(&[], Offsets::WithLast(&[0])).unwrap().for_each_bag(|_| panic!("there is none"));
        let wide = Bags::<f32>::new(u64::MAX, &[u64::MAX - 1], Offsets::Starts(&[0]), Pooling::Sum, None).unwrap();
        assert_eq!(wide.row(0), u64::MAX - 1);
        assert!(Bags::<f32>::new(u64::MAX, &[u64::MAX], Offsets::Starts(&[0]), Pooling::Sum, None).is_err());
    }

    #[test]
    fn fingerprints_tell_batches_apart() {
        let a = bags(&[1, 2], Offsets::Starts(&[0])).unwrap().fingerprint();
        assert_ne!(a, bags(&[2, 1], Offsets::Starts(&[0])).unwrap().fingerprint());
        assert_ne!(a, bags(&[1, 2], Offsets::Starts(&[0, 1])).unwrap().fingerprint());
    }
}
