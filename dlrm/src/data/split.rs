//! Which rows train, test and validate.

use std::ops::Range;

use serde::Serialize;

/// The reference cuts a single file into this many parts (days).
const PARTS: usize = 7;

/// Rows of the three uses of a data set; together they are `0 .. n`.
///
/// The last part is held out: its first half (rounded up) tests, its second half validates; the others train. With
/// several files the last part is the last file. A single file is cut into seven equal parts in file order, extra lines
/// going to the first parts; below seven lines the last part is empty and every line trains.
///
/// Parts are cut where they are in the file, before sub-sampling drops lines from them, as in the reference.
///
/// ```
/// let split = dlrm::data::Split::new(45_840_617);
/// assert_eq!([split.train.len(), split.test.len(), split.validation.len()], [39_291_958, 3_274_330, 3_274_329]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Split {
    /// Training rows.
    pub train: Range<usize>,
    /// Test rows, always taken in file order.
    pub test: Range<usize>,
    /// Validation rows, always taken in file order.
    pub validation: Range<usize>,
}

impl Split {
    /// Splits the `n` lines of a single file.
    pub fn new(n: usize) -> Self {
        Self::held_out(Self::last_part(n), n)
    }

    /// Splits `n` rows of which those from `train` on are held out; all train if `train` is more.
    pub fn held_out(train: usize, n: usize) -> Self {
        let train = train.min(n);
        let test = train + (n - train).div_ceil(2);
        Self { train: 0..train, test: train..test, validation: test..n }
    }

    /// The first line of the last of the seven parts of a single file.
    pub(super) fn last_part(lines: usize) -> usize {
        // lines % 7 < 7 extras never reach the last part.
        lines - lines / PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kaggle_counts() {
        let split = Split::new(45_840_617);
        assert_eq!(split.train, 0..39_291_958);
        assert_eq!(split.test.len(), 3_274_330);
        assert_eq!(split.validation.len(), 3_274_329);
    }

    #[test]
    fn agrees_with_cutting_into_parts() {
        for n in 0..200 {
            let sizes: Vec<usize> = (0..PARTS).map(|part| n / PARTS + usize::from(part < n % PARTS)).collect();
            let split = Split::new(n);
            assert_eq!(split.train, 0..sizes[..6].iter().sum());
            assert_eq!(split.test, split.train.end..split.train.end + sizes[6].div_ceil(2));
            assert_eq!(split.validation, split.test.end..n);
        }
    }

    #[test]
    fn a_last_day_is_halved() {
        let split = Split::held_out(10, 15);
        assert_eq!(split, Split { train: 0..10, test: 10..13, validation: 13..15 });
        assert_eq!(Split::held_out(9, 5), Split { train: 0..5, test: 5..5, validation: 5..5 });
    }
}
