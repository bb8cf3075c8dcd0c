//! How much of a batch is the same work twice, and what a step computes.

use ttcore::TtShape;

use super::Workload;

/// Different rows, and different products of slices, in a batch: means over the batches of a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// Different rows, `U`.
    pub rows: f64,
    /// Different prefixes of `d - 1` digits, `P`: the pairs `(i_1, i_2)` for three cores. Rows that share one share the
    /// product of all slices but the last.
    pub pairs: f64,
}

impl Counts {
    /// Of a workload, looked up in tables of this shape.
    pub fn new(workload: &Workload, shape: &TtShape) -> Self {
        // Numbers without their last digit; the last factor of a shape is never zero.
        let last = shape.row_factors().last().map_or(1, |&factor| factor as i64);
        let mean = |divisor: i64| {
            let batches = 0..workload.batches();
            let total: usize = batches.map(|b| unique(workload.indices(b).iter().map(|&row| row / divisor))).sum();
            total as f64 / workload.batches() as f64
        };
        Self { rows: mean(1), pairs: mean(last) }
    }

    /// Floating point operations of one training step: `3 P E1 + 3 U E2` with `E1 = 2 n_1 R_1 n_2 R_2` and
    /// `E2 = 2 n_1 n_2 R_2 n_3`.
    ///
    /// That is the least known: pair products made once and kept for backward, and gradients of rows summed before the
    /// cores see them. `None` unless there are three cores.
    pub fn step_flops(&self, shape: &TtShape) -> Option<f64> {
        let &[n1, n2, n3] = shape.col_factors() else { return None };
        let &[_, r1, r2, _] = shape.ranks() else { return None };
        let [pair, row] =
            [[n1, r1, n2, r2], [n1, n2, r2, n3]].map(|f| 2.0 * f.iter().map(|&f| f as f64).product::<f64>());
        Some(3.0 * self.pairs * pair + 3.0 * self.rows * row)
    }
}

/// How many different numbers there are.
fn unique(numbers: impl Iterator<Item = i64>) -> usize {
    let mut numbers: Vec<i64> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{Generator, Order};
    use super::*;

    #[test]
    fn counts_are_those_of_sets_of_digits() {
        let shape = TtShape::with_rank(1000, &[9, 10, 12], &[2, 2, 2], 4).unwrap();
        for order in [Order::Scattered, Order::Sorted] {
            let generator = Generator { rows: 1000, bags: 30, pooling: 4, order, batches: 3, ..Generator::default() };
            let workload = Workload::generate(&generator).unwrap();
            let (mut rows, mut pairs) = (0, 0);
            for batch in 0..3 {
                let digits = |&row: &i64| shape.digits(row as u64).unwrap();
                let all: HashSet<Vec<usize>> = workload.indices(batch).iter().map(digits).collect();
                rows += all.len();
                pairs += all.iter().map(|digits| &digits[..2]).collect::<HashSet<_>>().len();
            }
            let want = Counts { rows: rows as f64 / 3.0, pairs: pairs as f64 / 3.0 };
            assert_eq!(Counts::new(&workload, &shape), want);
            assert!(want.pairs < want.rows && want.rows < 120.0);
        }
    }

    #[test]
    fn operations_of_the_papers_first_table() {
        let counts = Counts { rows: 10.0, pairs: 5.0 };
        let shape = TtShape::paper(10_131_227, 16, 3, 32).unwrap();
        assert_eq!(counts.step_flops(&shape), Some(3.0 * (5.0 * 8192.0 + 10.0 * 1024.0)));
        let shape = TtShape::with_rank(100, &[10, 10], &[2, 2], 4).unwrap();
        assert_eq!(counts.step_flops(&shape), None);
    }
}
