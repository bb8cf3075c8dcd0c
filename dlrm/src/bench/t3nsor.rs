//! T3nsor's algorithm (Hrinchuk et al. 2020; paper, Figure 8): the whole table is expanded from its cores, then indexed; back,
//! the gradient of the whole table is pulled back to the cores. A baseline, as well as the algorithm allows: two large matrix
//! products forward and four back, nothing transposed, on one thread.
//!
//! ```text
//! T [m1 n1][m2 n2 R] = G1 [m1 n1][R] G2 [R][m2 n2 R]
//! W [m1 n1 m2 n2][m3 n3] = T [m1 n1 m2 n2][R] G3 [R][m3 n3]
//! ```

use std::time::{Duration, Instant};

use ttcore::TtShape;

use super::Workload;
use super::sgemm::{Matrix, product};
use super::turns::median_of;

/// What a step cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expanded {
    /// Median seconds of a step: expand, look up, gradient of the whole table, gradients of the cores, SGD.
    pub seconds: f64,
    /// Bytes of the table, its gradient, and what is between them and the cores.
    pub bytes: usize,
}

/// Cores with the rank in front or behind, so that products need no other order.
struct Cores {
    sizes: [usize; 3],
    columns: [usize; 3],
    ranks: [usize; 2],
    /// `[m1 n1][R1]`, `[R1][m2 n2 R2]`, `[R2][m3 n3]`
    cores: [Vec<f32>; 3],
    /// `[m1 n1][m2 n2 R2]` and its gradient.
    between: [Vec<f32>; 2],
    /// `[m1 n1 m2 n2][m3 n3]` and its gradient.
    table: [Vec<f32>; 2],
}

impl Cores {
    fn new(shape: &TtShape) -> Option<Self> {
        let (m, n, r) = (shape.row_factors(), shape.col_factors(), shape.ranks());
        let (&[m1, m2, m3], &[n1, n2, n3], &[_, r1, r2, _]) = (m, n, r) else { return None };
        let numbers = |len: usize, scale: f32| -> Vec<f32> {
            (0..len).map(|i| ((i * 7919 % 1013) as f32 / 506.0 - 1.0) * scale).collect()
        };
        let (outer, inner) = (m1 * n1, m2 * n2);
        Some(Self {
            sizes: [m1, m2, m3],
            columns: [n1, n2, n3],
            ranks: [r1, r2],
            cores: [numbers(outer * r1, 0.1), numbers(r1 * inner * r2, 0.1), numbers(r2 * m3 * n3, 0.1)],
            between: [(); 2].map(|()| vec![0.0; outer * inner * r2]),
            table: [(); 2].map(|()| vec![0.0; outer * inner * m3 * n3]),
        })
    }

    fn bytes(&self) -> usize {
        self.between.iter().chain(&self.table).map(|numbers| size_of_val(&numbers[..])).sum()
    }

    fn expand(&mut self) {
        let Self { sizes: [m1, m2, m3], columns: [n1, n2, n3], ranks: [r1, r2], cores, between, table } = self;
        let (outer, inner, last) = (*m1 * *n1, *m2 * *n2, *m3 * *n3);
        product(Matrix::new(&cores[0], outer, *r1), Matrix::new(&cores[1], *r1, inner * *r2), &mut between[0]);
        product(Matrix::new(&between[0], outer * inner, *r2), Matrix::new(&cores[2], *r2, last), &mut table[0]);
    }

    /// Where number `(j1, j2, j3)` of a row lies in the table, for all numbers in order.
    fn places(&self, row: usize) -> impl Iterator<Item = usize> + use<> {
        let ([_, m2, m3], [n1, n2, n3]) = (self.sizes, self.columns);
        let (i1, i2, i3) = (row / (m2 * m3), row / m3 % m2, row % m3);
        (0..n1 * n2 * n3).map(move |j| {
            let (j1, j2, j3) = (j / (n2 * n3), j / n3 % n2, j % n3);
            (((i1 * n1 + j1) * m2 + i2) * n2 + j2) * (m3 * n3) + i3 * n3 + j3
        })
    }

    /// One step with a gradient of `value` for every number of every row that is looked up.
    fn step(&mut self, rows: &[i64], value: f32, lr: f32) -> f32 {
        self.expand();
        let mut sum = 0.0;
        for &row in rows {
            sum += self.places(row as usize).map(|place| self.table[0][place]).sum::<f32>();
        }
        self.table[1].fill(0.0);
        for &row in rows {
            for place in self.places(row as usize) {
                self.table[1][place] += value;
            }
        }
        let ([m1, m2, m3], [n1, n2, n3], [r1, r2]) = (self.sizes, self.columns, self.ranks);
        let (outer, inner, last) = (m1 * n1, m2 * n2, m3 * n3);
        let mut grads = self.cores.each_ref().map(|core| vec![0.0; core.len()]);
        let grad_table = Matrix::new(&self.table[1], outer * inner, last);
        product(Matrix::new(&self.between[0], outer * inner, r2).transposed(), grad_table, &mut grads[2]);
        let [_, grad_between] = &mut self.between;
        product(grad_table, Matrix::new(&self.cores[2], r2, last).transposed(), grad_between);
        let grad_between = Matrix::new(grad_between, outer, inner * r2);
        product(Matrix::new(&self.cores[0], outer, r1).transposed(), grad_between, &mut grads[1]);
        product(grad_between, Matrix::new(&self.cores[1], r1, inner * r2).transposed(), &mut grads[0]);
        for (core, grad) in self.cores.iter_mut().zip(&grads) {
            core.iter_mut().zip(grad).for_each(|(number, grad)| *number -= lr * grad);
        }
        sum
    }
}

/// Times steps on the batches of a workload of a table of this shape, of three cores; none for another number of cores.
pub fn expanded_steps(shape: &TtShape, workload: &Workload, turns: usize) -> Option<Expanded> {
    let mut cores = Cores::new(shape)?;
    let bytes = cores.bytes();
    let mut turn = 0;
    let mut step = || -> Result<Duration, ()> {
        let start = Instant::now();
        std::hint::black_box(cores.step(workload.indices(turn % workload.batches()), 1e-4, 1e-3));
        turn += 1;
        Ok(start.elapsed())
    };
    // The first maps memory.
    step().ok()?;
    let seconds = median_of(turns, step).ok()?;
    Some(Expanded { seconds, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(cores: &Cores, row: usize, column: usize) -> f32 {
        let ([_, m2, m3], [_, n2, n3], [r1, r2]) = (cores.sizes, cores.columns, cores.ranks);
        let (i1, i2, i3) = (row / (m2 * m3), row / m3 % m2, row % m3);
        let (j1, j2, j3) = (column / (n2 * n3), column / n3 % n2, column % n3);
        let mut sum = 0.0;
        for a in 0..r1 {
            for b in 0..r2 {
                let first = cores.cores[0][(i1 * cores.columns[0] + j1) * r1 + a];
                let second = cores.cores[1][a * (m2 * n2 * r2) + (i2 * n2 + j2) * r2 + b];
                sum += first * second * cores.cores[2][b * (m3 * n3) + i3 * n3 + j3];
            }
        }
        sum
    }

    #[test]
    fn the_table_is_that_of_the_cores_and_gradients_are_its_derivatives() {
        let shape = TtShape::with_rank(60, &[3, 4, 5], &[2, 1, 3], 2).unwrap();
        let mut cores = Cores::new(&shape).unwrap();
        cores.expand();
        for row in [0, 7, 59] {
            for (column, place) in cores.places(row).enumerate() {
                assert!((cores.table[0][place] - number(&cores, row, column)).abs() < 1e-6, "{row} {column}");
            }
        }
        // A step of a gradient of ones on one row changes its sum by minus lr times the squares of the derivatives.
        let rows = [7i64];
        let sum = |cores: &Cores| (0..6).map(|column| f64::from(number(cores, 7, column))).sum::<f64>();
        let before = sum(&cores);
        let mut squares = 0.0;
        for core in 0..3 {
            for at in 0..cores.cores[core].len() {
                let was = cores.cores[core][at];
                cores.cores[core][at] = was + 0.01;
                let derivative = (sum(&cores) - before) / 0.01;
                cores.cores[core][at] = was;
                squares += derivative * derivative;
            }
        }
        let lr = 1e-3;
        assert!((f64::from(cores.step(&rows, 1.0, lr as f32)) - before).abs() < 1e-6);
        let change = (before - sum(&cores)) / lr;
        assert!((change / squares - 1.0).abs() < 0.02, "{change} for {squares}");
    }

    #[test]
    fn other_numbers_of_cores_have_none() {
        assert!(Cores::new(&TtShape::with_rank(6, &[2, 3], &[1, 2], 2).unwrap()).is_none());
    }
}
