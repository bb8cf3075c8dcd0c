//! A seeded permutation of row numbers that is never stored.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Rounds of the network: after four, bits of both halves depend on all bits of both; two more for good measure.
const ROUNDS: usize = 6;

/// The generator's stream, another than that of the draws.
const STREAM: u64 = 1;

/// A bijection of `0 .. rows` to itself, drawn from a seed: which row has a popularity rank.
///
/// A Feistel network permutes the numbers of `2 w` bits, the fewest that hold all rows; a number that is not a row is
/// permuted again until it is one (cycle walking: under 4 times on average). So ten million rows need no memory, and
/// neighbouring ranks land on rows that have nothing in common.
#[derive(Clone, Debug)]
pub struct Scatter {
    rows: u64,
    /// Bits of a half, `w`.
    bits: u32,
    keys: [u64; ROUNDS],
}

impl Scatter {
    /// The permutation of a seed.
    pub fn new(rows: u64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let bits = (u64::BITS - rows.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
        Self { rows, bits, keys: std::array::from_fn(|_| rng.next_u64()) }
    }

    /// The row of a rank, both below `rows`.
    ///
    /// # Panics
    ///
    /// If `rank` is not below `rows`: walking from there may never end.
    pub fn row(&self, rank: u64) -> u64 {
        assert!(rank < self.rows, "rank {rank} of {} rows", self.rows);
        // The walk comes back to the rank itself at the latest, which is a row.
        let mut number = self.permute(rank);
        while number >= self.rows {
            number = self.permute(number);
        }
        number
    }

    /// One pass of the network over a number of `2 w` bits.
    fn permute(&self, number: u64) -> u64 {
        let mask = (1 << self.bits) - 1;
        let (mut left, mut right) = (number >> self.bits, number & mask);
        for key in self.keys {
            // The upper bits of a product depend on all bits of the factor.
            let hash = (right ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - self.bits);
            (left, right) = (right, left ^ hash);
        }
        left << self.bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_has_a_row_of_its_own() {
        for rows in [1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097, 65_537] {
            for seed in [0, 7] {
                let scatter = Scatter::new(rows, seed);
                let mut seen = vec![false; rows as usize];
                for rank in 0..rows {
                    let row = scatter.row(rank) as usize;
                    assert!(!std::mem::replace(&mut seen[row], true), "row {row} of {rows} comes twice");
                }
            }
        }
    }

    #[test]
    fn large_tables_and_other_seeds() {
        let scatter = Scatter::new(u64::MAX, 1);
        assert!((0..100).any(|rank| scatter.row(rank) > u64::MAX / 2));
        let rows = |seed| (0..100).map(|rank| Scatter::new(1_000_000, seed).row(rank)).collect::<Vec<_>>();
        assert_eq!(rows(3), rows(3));
        assert_ne!(rows(3), rows(4));
    }

    #[test]
    fn neighbouring_ranks_are_spread_evenly() {
        let (rows, parts) = (1_000_000, 10);
        let scatter = Scatter::new(rows, 0);
        let mut counts = [0u32; 10];
        for rank in 0..1000 {
            counts[(scatter.row(rank) * parts / rows) as usize] += 1;
        }
        // 100 expected in each, with a standard deviation of 9.5.
        assert!(counts.iter().all(|count| (55..145).contains(count)), "{counts:?}");
    }
}
