//! Batches with lookups that count for nothing.

use alloc::vec::Vec;
use core::fmt;

use super::error::BagsError;
use super::index::{Index, IndexSlice};
use super::offsets::{Bounds, Offsets};
use super::{Bags, Pooling};
use crate::check;
use crate::error::Error;
use crate::real::Real;

/// Which lookups count for nothing. By default, none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Skip {
    /// Those of this number (`padding_idx` in PyTorch), which need not be a row.
    pub padding: Option<u64>,
    /// Those of negative numbers, which are refused otherwise.
    pub negative: bool,
}

impl Skip {
    /// Lookups of this number too.
    pub fn with_padding(self, padding: u64) -> Self {
        Self { padding: Some(padding), ..self }
    }

    /// Lookups of negative numbers too.
    pub fn with_negative(self) -> Self {
        Self { negative: true, ..self }
    }

    fn skips(self, index: i128) -> bool {
        self.padding.is_some_and(|padding| index == i128::from(padding)) || self.negative && index < 0
    }
}

/// The lookups of a batch that count, without those that do not: what is skipped is neither in a sum nor in the divisor of
/// a mean, and its row gets no gradient, because a backend does not see it. A bag without other lookups is empty.
///
/// It owns what [`Bags`] borrows, and once as large as the largest batch it does not allocate. Batches where nothing is
/// skipped need no such copy.
///
/// ```
/// use ttcore::{KeptLookups, Offsets, Pooling, Skip};
///
/// // Bags of the same length, filled up with row 0: (3), (5, 9) and none.
/// let (indices, skip) = ([3i64, 0, 5, 9, 0, 0], Skip::default().with_padding(0));
/// let mut kept = KeptLookups::<f32>::default();
/// let bags = kept.fill(skip, 10, &indices, Offsets::Starts(&[0, 2, 4]), Pooling::Mean, None)?;
/// assert_eq!((bags.bags(), bags.lookups(), bags.scale(0), bags.scale(1)), (3, 3, 1.0, 0.5));
///
/// // Gradients of per-sample weights are those of the lookups that count; the others' are 0.
/// let mut grads = [f32::NAN; 6];
/// kept.spread(&[1.0, 2.0, 3.0], &mut grads)?;
/// assert_eq!(grads, [1.0, 0.0, 2.0, 3.0, 0.0, 0.0]);
/// # Ok::<(), ttcore::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct KeptLookups<F> {
    rows: Vec<u64>,
    /// Start of each bag, and the number of lookups that count.
    offsets: Vec<u64>,
    weights: Vec<F>,
    /// Where each lookup that counts is among all.
    positions: Vec<usize>,
    /// All lookups.
    lookups: usize,
}

impl<F: Real> KeptLookups<F> {
    /// With room for batches of this size.
    pub fn with_capacity(bags: usize, lookups: usize) -> Self {
        Self {
            rows: Vec::with_capacity(lookups),
            offsets: Vec::with_capacity(bags + 1),
            weights: Vec::with_capacity(lookups),
            positions: Vec::with_capacity(lookups),
            lookups: 0,
        }
    }

    /// Validates a batch, as [`Bags::new`] does, but for what is skipped, and keeps the other lookups.
    ///
    /// # Errors
    ///
    /// [`BagsError`], with positions among all lookups; nothing is kept then.
    pub fn fill<I: Index, O: Index>(
        &mut self,
        skip: Skip,
        rows: u64,
        indices: &[I],
        offsets: Offsets<'_, O>,
        pooling: Pooling,
        weights: Option<&[F]>,
    ) -> Result<Bags<'_, F>, BagsError> {
        self.clear();
        for (position, index) in indices.iter().map(|index| index.to_i128()).enumerate() {
            if !skip.skips(index) && !(0..i128::from(rows)).contains(&index) {
                return Err(BagsError::IndexOutOfRange { position, index, rows });
            }
        }
        let lookups = indices.len();
        let bounds = Bounds::new(offsets, lookups)?;
        if let Some(weights) = weights.filter(|w| w.len() != lookups) {
            return Err(BagsError::WeightsLength { weights: weights.len(), lookups });
        }
        self.lookups = lookups;
        self.offsets.push(0);
        bounds.for_each(|bag| {
            for position in bag.filter(|&j| !skip.skips(indices[j].to_i128())) {
                self.rows.push(indices[position].to_i128() as u64);
                self.positions.push(position);
                self.weights.extend(weights.map(|weights| weights[position]));
            }
            self.offsets.push(self.rows.len() as u64);
        });
        let (indices, bounds) = (IndexSlice::U64(&self.rows), Bounds::with_last(&self.offsets));
        Ok(Bags { rows, indices, bounds, pooling, weights: weights.map(|_| &self.weights[..]) })
    }

    /// Where each lookup that counts is among all, ascending.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// One number for each of all lookups, from one for each that counts; 0 for what was skipped. For gradients of
    /// per-sample weights.
    ///
    /// # Errors
    ///
    /// [`Error::Length`].
    pub fn spread(&self, kept: &[F], all: &mut [F]) -> Result<(), Error> {
        check::length("numbers of kept lookups", None, kept.len(), self.positions.len())?;
        check::length("numbers of all lookups", None, all.len(), self.lookups)?;
        all.fill(F::zero());
        self.positions.iter().zip(kept).for_each(|(&position, &number)| all[position] = number);
        Ok(())
    }

    /// Runs a backward that writes gradients of the per-sample weights of several tables, one behind the other, and gives
    /// `all` lookups theirs: see [`spread`](Self::spread). `tables` are the lookups of each, and which of them count, where
    /// some may not. `room` is memory for the gradients of those that do, which is used again.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `all` are not as many as the lookups, before anything runs; or those of `backward`.
    pub fn spread_over<'k, E: From<Error>>(
        tables: impl Iterator<Item = (usize, Option<&'k Self>)> + Clone,
        room: &mut Vec<F>,
        all: &mut [F],
        backward: impl FnOnce(&mut [F]) -> Result<(), E>,
    ) -> Result<(), E>
    where
        F: 'k,
    {
        let count = |(lookups, kept): (usize, Option<&Self>)| kept.map_or(lookups, |kept| kept.positions.len());
        let lookups = tables.clone().map(|(lookups, _)| lookups).sum();
        check::length("gradient of the weights", None, all.len(), lookups)?;
        let counted = tables.clone().map(count).sum();
        if counted == lookups {
            return backward(all);
        }
        room.clear();
        room.resize(counted, F::zero());
        backward(room)?;
        let (mut from, mut to) = (&room[..], all);
        for table in tables {
            let (numbers, behind) = from.split_at(count(table));
            let (places, others) = to.split_at_mut(table.0);
            match table.1 {
                Some(kept) => kept.spread(numbers, places)?,
                None => places.copy_from_slice(numbers),
            }
            (from, to) = (behind, others);
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.offsets.clear();
        self.weights.clear();
        self.positions.clear();
        self.lookups = 0;
    }
}

/// Lists are as long as batches are large: what is printed is how long.
impl<F> fmt::Debug for KeptLookups<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.positions.len();
        f.debug_struct("KeptLookups").field("kept", &kept).field("lookups", &self.lookups).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PADDING: Skip = Skip { padding: Some(7), negative: false };
    const NEGATIVE: Skip = Skip { padding: None, negative: true };

    fn fill<'k>(kept: &'k mut KeptLookups<f64>, skip: Skip, indices: &[i64]) -> Result<Bags<'k, f64>, BagsError> {
        kept.fill(skip, 7, indices, Offsets::WithLast(&[0u32, 1, 1, 4]), Pooling::Mean, Some(&[1.0, 2.0, 3.0, 4.0]))
    }

    #[test]
    fn what_is_skipped_is_not_there() {
        let mut kept = KeptLookups::default();
        // Not a row: 7 is refused unless it is skipped.
        let bags = fill(&mut kept, PADDING, &[7, 6, 7, 5]).unwrap();
        assert_eq!((bags.bags(), bags.bag(0), bags.bag(1), bags.bag(2)), (3, 0..0, 0..0, 0..2));
        assert_eq!((bags.row(0), bags.row(1), bags.scale(2), bags.weights()), (6, 5, 0.5, Some(&[2.0, 4.0][..])));
        let again = Bags::<f64>::new(7, &[6u32, 5], Offsets::Starts(&[0, 0, 0]), Pooling::Mean, None).unwrap();
        assert_eq!(bags.fingerprint(), again.fingerprint());
        assert_eq!(kept.positions(), [1, 3]);

        let both = Skip { padding: Some(6), ..NEGATIVE };
        assert_eq!(fill(&mut kept, both, &[6, -1, i64::MIN, 0]).unwrap().lookups(), 1);
        assert_eq!(fill(&mut kept, Skip::default(), &[0, 1, 2, 3]).unwrap().lookups(), 4);
        assert_eq!(kept.positions(), [0, 1, 2, 3]);
    }

    #[test]
    fn errors_name_positions_among_all() {
        let mut kept = KeptLookups::default();
        let error = |index, position| BagsError::IndexOutOfRange { position, index, rows: 7 };
        assert_eq!(fill(&mut kept, PADDING, &[7, 7, -1, 0]).err().unwrap(), error(-1, 2));
        assert_eq!(fill(&mut kept, NEGATIVE, &[-3, -3, 0, 7]).err().unwrap(), error(7, 3));
        let lookups = BagsError::LastOffset { position: 3, offset: 4, base: 0, lookups: 5 };
        assert_eq!(fill(&mut kept, NEGATIVE, &[-1; 5]).err().unwrap(), lookups);
        assert!(kept.positions().is_empty() && kept.spread(&[], &mut []).is_ok());
    }

    #[test]
    fn gradients_of_several_tables_go_to_all_their_lookups() {
        let (mut some, mut every, mut room) = (KeptLookups::default(), KeptLookups::default(), Vec::new());
        fill(&mut some, PADDING, &[7, 6, 7, 5]).unwrap();
        fill(&mut every, PADDING, &[0, 1, 2, 3]).unwrap();
        // So many gradients are wanted, and they are 1, 2, ..
        fn count(grads: &mut [f64], want: usize) -> Result<(), Error> {
            assert_eq!(grads.len(), want);
            grads.iter_mut().zip(1..).for_each(|(grad, number)| *grad = f64::from(number));
            Ok(())
        }
        let mut all = [9.0; 7];
        let tables = [(1, None), (4, Some(&some)), (2, None)].into_iter();
        KeptLookups::spread_over(tables.clone(), &mut room, &mut all, |grads| count(grads, 5)).unwrap();
        assert_eq!(all, [1.0, 0.0, 2.0, 0.0, 3.0, 4.0, 5.0]);
        let refused =
            KeptLookups::spread_over(tables, &mut room, &mut all[1..], |_| -> Result<(), Error> { panic!("run") });
        assert_eq!(refused, check::length("gradient of the weights", None, 6, 7));
        // Where all count, they are written where they belong.
        let tables = [(3, None), (4, Some(&every))].into_iter();
        KeptLookups::spread_over(tables, &mut room, &mut all, |grads| count(grads, 7)).unwrap();
        assert_eq!((all, room.len()), ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 5));
    }

    #[test]
    fn numbers_of_other_lengths_are_refused() {
        let mut kept = KeptLookups::with_capacity(3, 4);
        fill(&mut kept, PADDING, &[7, 6, 7, 5]).unwrap();
        let mut all = [9.0; 4];
        assert!(kept.spread(&[1.0], &mut all).is_err() && kept.spread(&[1.0, 2.0], &mut all[..3]).is_err());
        assert_eq!(all, [9.0; 4]);
        kept.spread(&[1.0, 2.0], &mut all).unwrap();
        assert_eq!(all, [0.0, 1.0, 0.0, 2.0]);
    }
}
