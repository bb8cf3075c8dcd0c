//! A vocabulary that grows as lines are read: indices in order of first appearance.

use std::num::NonZeroU32;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::super::CATEGORICAL;
use super::{Vocabulary, Wider, file};

/// Widths grow when an index no longer fits: the first that does not fit one, two and three bytes.
const FIRST_WIDER: [u32; 3] = [1 << 8, 1 << 16, 1 << 24];

/// For each feature, the index of each raw value seen so far.
///
/// hashbrown's default hasher draws its key when the program starts, so a file made to collide cannot know it; indices
/// do not depend on it.
#[derive(Debug, Default)]
pub(in crate::data) struct Learning {
    features: [Dictionary; CATEGORICAL],
}

#[derive(Debug, Default)]
struct Dictionary {
    known: HashMap<u32, u32>,
    /// Positions in a column of the values not seen before it.
    unknown: Vec<usize>,
}

impl Learning {
    /// Replaces raw values by indices and returns, in order of rows, where indices outgrow their width.
    ///
    /// `columns[f]` has the values of feature `f` from `first_row` on, in pieces. The features do not depend on each
    /// other and each is gone through in the order of its rows, so the result is that of a sequential pass.
    pub(super) fn index(&mut self, columns: [Vec<&mut [u32]>; CATEGORICAL], first_row: usize) -> Vec<Wider> {
        let features = self.features.par_iter_mut().zip(columns).enumerate().with_max_len(1);
        let mut wider: Vec<Wider> = features
            .flat_map_iter(|(feature, (dictionary, pieces))| {
                let mut rows = Vec::new();
                let mut row = first_row;
                for piece in pieces {
                    dictionary.index(piece, row, &mut rows);
                    row += piece.len();
                }
                rows.into_iter().map(move |row| Wider { row, feature })
            })
            .collect();
        wider.sort_unstable();
        wider
    }

    /// Number of distinct values of each feature: the rows its embedding table needs.
    pub(super) fn table_rows(&self) -> [u64; CATEGORICAL] {
        self.features.each_ref().map(|dictionary| dictionary.known.len() as u64)
    }

    /// What was learned, of values that were taken modulo `range`.
    pub(super) fn finish(self, range: Option<NonZeroU32>) -> Vocabulary {
        let entries =
            |feature: usize| self.features[feature].known.iter().map(|(&value, &index)| (file::key(value), index));
        let rows = self.table_rows().to_vec();
        let known = file::Known { range, rows, unseen: vec![None; CATEGORICAL], ..file::Known::default() };
        file::write(&known, entries)
    }
}

impl Dictionary {
    fn index(&mut self, values: &mut [u32], first_row: usize, wider: &mut Vec<usize>) {
        self.unknown.clear();
        // First only lookups, which do not wait for each other, so that the processor fetches several at a time.
        for (position, value) in values.iter_mut().enumerate() {
            match self.known.get(value) {
                Some(&index) => *value = index,
                None => self.unknown.push(position),
            }
        }
        for &position in &self.unknown {
            // There are at most 2^32 values, so the next index always fits.
            let next = self.known.len() as u32;
            let index = *self.known.entry(values[position]).or_insert(next);
            values[position] = index;
            if index == next && FIRST_WIDER.contains(&next) {
                wider.push(first_row + position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indexes the same values for every feature.
    fn index(vocabulary: &mut Learning, values: &[u32], first_row: usize) -> (Vec<u32>, Vec<Wider>) {
        let mut copies = vec![values.to_vec(); CATEGORICAL];
        let mut columns = copies.iter_mut();
        let columns = std::array::from_fn(|_| {
            let (left, right) = columns.next().unwrap().split_at_mut(values.len() / 3);
            vec![left, right]
        });
        let wider = vocabulary.index(columns, first_row);
        assert!(copies.iter().all(|copy| *copy == copies[0]));
        (copies.swap_remove(0), wider)
    }

    #[test]
    fn indices_follow_first_appearance() {
        let mut vocabulary = Learning::default();
        assert_eq!(index(&mut vocabulary, &[7, 9, 7, 0, 9, u32::MAX], 0).0, [0, 1, 0, 2, 1, 3]);
        assert_eq!(index(&mut vocabulary, &[5, 9, 5], 6), (vec![4, 1, 4], vec![]));
        assert!(index(&mut vocabulary, &[], 9).0.is_empty());
        assert_eq!(vocabulary.table_rows(), [5; CATEGORICAL]);
    }

    #[test]
    fn says_where_indices_outgrow_their_width() {
        let mut vocabulary = Learning::default();
        // Twice each: the width must grow at the first appearance.
        let values: Vec<u32> = (0..70_000).flat_map(|value| [value * 3, value * 3]).collect();
        let (indices, wider) = index(&mut vocabulary, &values, 1000);
        assert_eq!(indices[2 * 69_999 + 1], 69_999);
        let rows: Vec<usize> = wider.iter().filter(|w| w.feature == 11).map(|w| w.row).collect();
        assert_eq!(rows, [1000 + 2 * 256, 1000 + 2 * 65_536]);
        assert_eq!(wider.len(), 2 * CATEGORICAL);
        assert!(wider.is_sorted());
    }
}
