//! Which lines train, test and validate, and in which order the training ones are taken.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The reference cuts its file into this many parts (days).
const PARTS: usize = 7;

/// Line numbers of the three uses of a data set; together they are `0..n`.
///
/// The lines are cut into seven equal parts in file order, extra lines going to the first parts. The last part's first
/// half (rounded up) tests, its second half validates, the other six parts train. Below seven lines the last part is
/// empty and every line trains.
///
/// ```
/// let split = dlrm::data::Split::new(45_840_617);
/// assert_eq!([split.train.len(), split.test.len(), split.validation.len()], [39_291_958, 3_274_330, 3_274_329]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Training lines.
    pub train: Range<usize>,
    /// Test lines, always taken in file order.
    pub test: Range<usize>,
    /// Validation lines, always taken in file order.
    pub validation: Range<usize>,
}

impl Split {
    /// Splits `n` lines.
    pub fn new(n: usize) -> Self {
        // n % 7 < 7 extras never reach the last part.
        let last = n / PARTS;
        let train = n - last;
        let test = train + last.div_ceil(2);
        Self { train: 0..train, test: train..test, validation: test..n }
    }

    /// The training lines in shuffled order, the same order for every epoch as in the reference.
    pub fn train_order(&self, seed: u64) -> Vec<usize> {
        let mut order = permutation(self.train.len(), seed);
        // Free when the range starts at 0, as it does from `new`.
        order.iter_mut().for_each(|row| *row += self.train.start);
        order
    }
}

/// A uniformly random order of `0..n`: the same for the same seed on every platform, not the reference's (which comes
/// from NumPy's generator).
pub fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let j = below(&mut rng, i as u64 + 1);
        order.swap(i, j as usize);
    }
    order
}

/// A number below `bound` without bias: the high half of a 128-bit product, redrawn while the low half falls among
/// the first `2^64 mod bound` values, which would occur once too often.
fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        let low = product as u64;
        // The division is needed only in the rare case that the cheap test does not settle.
        if low >= bound || low >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
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
    fn order_holds_each_training_line_once() {
        for n in 0..30 {
            let split = Split::new(n);
            let mut order = split.train_order(5);
            order.sort_unstable();
            assert_eq!(order, split.train.clone().collect::<Vec<_>>());
        }
        let moved = Split { train: 10..14, test: 0..5, validation: 5..10 };
        assert!(moved.train_order(1).iter().all(|row| moved.train.contains(row)));
    }

    #[test]
    fn order_depends_on_the_seed_alone() {
        assert_eq!(permutation(1000, 1), permutation(1000, 1));
        assert_ne!(permutation(1000, 1), permutation(1000, 2));
        // Pinned: a change of generator would make old runs irreproducible.
        assert_eq!(permutation(8, 123), [0, 5, 4, 7, 3, 2, 1, 6]);
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        let draws = 24_000;
        for seed in 0..draws {
            *counts.entry(permutation(4, seed)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        let expected = draws as f64 / 24.0;
        let chi2: f64 = counts.values().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        // 23 degrees of freedom: 49.7 is exceeded once in a thousand.
        assert!(chi2 < 49.7, "{chi2}");
    }

    #[test]
    fn bounded_draw_redraws_the_excess() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        // Three quarters of 2^64: without the redraw half of all results, not a third, would be divisible by 3.
        let divisible = (0..30_000).filter(|_| below(&mut rng, 3 << 62).is_multiple_of(3)).count();
        assert!((9_500..10_500).contains(&divisible), "{divisible}");
        assert!((0..1000).all(|_| below(&mut rng, 1) == 0));
        assert!((1..1000).all(|bound| below(&mut rng, bound) < bound));
    }
}
