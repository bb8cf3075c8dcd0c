//! What the machine can do at best: the rate of a large matrix product.

// The product comes from a library that takes pointers.
#![allow(unsafe_code)]

use std::thread;
use std::time::{Duration, Instant};

use super::median;

/// Rows and columns of the matrices.
const SIZE: usize = 1024;

/// Runs that are timed: at least and at most, and no new one after the time.
const RUNS: (usize, usize) = (3, 9);
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// GFLOP/s of a `1024 x 1024 x 1024` product in `f32` on this many threads, each of which computes a block of rows:
/// the median of a few runs after one that is not timed.
pub fn machine_gflops(threads: usize) -> f64 {
    let numbers = |step: usize| (0..SIZE * SIZE).map(|i| (i * step % 17) as f32 / 17.0 - 0.5).collect::<Vec<_>>();
    let (a, b, mut c) = (numbers(3), numbers(5), vec![0.0; SIZE * SIZE]);
    multiply(&a, &b, &mut c, threads);
    let (begin, mut seconds) = (Instant::now(), Vec::with_capacity(RUNS.1));
    while seconds.len() < RUNS.0 || seconds.len() < RUNS.1 && begin.elapsed() < LONG_ENOUGH {
        let start = Instant::now();
        multiply(&a, &b, &mut c, threads);
        seconds.push(start.elapsed().as_secs_f64());
    }
    std::hint::black_box(&c);
    2.0 * (SIZE as f64).powi(3) / median(&mut seconds) / 1e9
}

/// `c = a b`, all `[SIZE][SIZE]`.
fn multiply(a: &[f32], b: &[f32], c: &mut [f32], threads: usize) {
    let block = SIZE.div_ceil(threads.max(1)) * SIZE;
    thread::scope(|scope| {
        let mut blocks = a.chunks(block).zip(c.chunks_mut(block));
        let own = blocks.next();
        for (a, c) in blocks {
            scope.spawn(move || multiply_block(a, b, c));
        }
        if let Some((a, c)) = own {
            multiply_block(a, b, c);
        }
    });
}

/// `c = a b` for any number of rows of `a` and `c`, `b` being `[SIZE][SIZE]`.
fn multiply_block(a: &[f32], b: &[f32], c: &mut [f32]) {
    let (m, n) = (a.len() / SIZE, SIZE);
    assert!(a.len() == m * n && c.len() == m * n && b.len() == n * n);
    let stride = n as isize;
    // SAFETY: with row stride `n` and column stride 1, the library reads `m x n` numbers of `a` and `n x n` of `b` and
    // writes `m x n` of `c`, which are their lengths by the assertion above; `c` is borrowed exclusively.
    unsafe {
        matrixmultiply::sgemm(
            m,
            n,
            n,
            1.0,
            a.as_ptr(),
            stride,
            1,
            b.as_ptr(),
            stride,
            1,
            0.0,
            c.as_mut_ptr(),
            stride,
            1,
        );
    }
}

/// A matrix in someone's memory.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    /// From one row to the next, and from one column to the next.
    strides: [isize; 2],
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(super) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Self { numbers, rows, columns, strides: [columns as isize, 1] }
    }

    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }
}

/// `c = a b`, row after row, on the calling thread.
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
    assert!(a.columns == b.rows && c.len() == a.rows * b.columns);
    let [[a_row, a_column], [b_row, b_column]] = [a.strides, b.strides];
    // SAFETY: both matrices have as many numbers as rows times columns, which their strides go through once each, by
    // construction; `c` has those of the product, by the assertion above, and is borrowed exclusively.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            b.columns,
            1.0,
            a.numbers.as_ptr(),
            a_row,
            a_column,
            b.numbers.as_ptr(),
            b_row,
            b_column,
            0.0,
            c.as_mut_ptr(),
            b.columns as isize,
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_make_the_whole_product() {
        // A permutation matrix, so that every number of the product is one of `a`.
        let a: Vec<f32> = (0..SIZE * SIZE).map(|i| i as f32).collect();
        let mut b = vec![0.0; SIZE * SIZE];
        for i in 0..SIZE {
            b[i * SIZE + (i + 1) % SIZE] = 1.0;
        }
        for threads in [0, 1, 3] {
            let mut c = vec![f32::NAN; SIZE * SIZE];
            multiply(&a, &b, &mut c, threads);
            for (row, product) in a.chunks(SIZE).zip(c.chunks(SIZE)) {
                assert_eq!((row[SIZE - 1], &row[..SIZE - 1]), (product[0], &product[1..]));
            }
        }
    }
}
