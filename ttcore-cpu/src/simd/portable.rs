//! The kernels in safe Rust: fixed numbers of lanes, for the compiler to vectorise.

use ttcore::{Real, Update};

use super::{Kernels, Numbers, bounds};

/// Columns of a tile of a product.
const COLS: usize = 8;
/// Partial sums of a scalar product.
const LANES: usize = 8;

/// Kernels for any machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl<F: Real> Kernels<F> for Portable {
    fn gemm(
        self,
        [m, n, k]: [usize; 3],
        a: &[F],
        strides: (usize, usize),
        b: &[F],
        ldb: usize,
        c: &mut [F],
        ldc: usize,
        add: bool,
    ) {
        bounds::output(c, m, n, ldc);
        bounds::strided("A", a, (m, strides.0), (k, strides.1));
        bounds::strided("B", b, (k, ldb), (n, 1));
        if n == 0 {
            return;
        }
        for i in (0..m).step_by(4) {
            let c = &mut c[i * ldc..];
            let a = if k == 0 { a } else { &a[i * strides.0..] };
            match m - i {
                1 => rows::<F, 1>(n, k, a, strides, b, ldb, c, ldc, add),
                2 => rows::<F, 2>(n, k, a, strides, b, ldb, c, ldc, add),
                3 => rows::<F, 3>(n, k, a, strides, b, ldb, c, ldc, add),
                _ => rows::<F, 4>(n, k, a, strides, b, ldb, c, ldc, add),
            }
        }
    }

    fn gemm_bt(
        self,
        [m, n, k]: [usize; 3],
        a: &[F],
        lda: usize,
        b: &[F],
        ldb: usize,
        c: &mut [F],
        ldc: usize,
        add: bool,
    ) {
        bounds::output(c, m, n, ldc);
        bounds::strided("A", a, (m, lda), (k, 1));
        bounds::strided("B", b, (n, ldb), (k, 1));
        if n == 0 {
            return;
        }
        for i in 0..m {
            let row = if k == 0 { a } else { &a[i * lda..] };
            let c = &mut c[i * ldc..][..n];
            for (j, c) in c.iter_mut().enumerate() {
                let column = if k == 0 { b } else { &b[j * ldb..] };
                let sum = dot(&row[..k], &column[..k]);
                *c = if add { *c + sum } else { sum };
            }
        }
    }

    fn transpose(self, rows: usize, cols: usize, from: &[F], to: &mut [F]) {
        bounds::dense(rows, cols, from.len(), to.len());
        if rows == 0 || cols == 0 {
            return;
        }
        for (j, to) in to.chunks_exact_mut(rows).enumerate() {
            for (to, from) in to.iter_mut().zip(from.chunks_exact(cols)) {
                *to = from[j];
            }
        }
    }

    fn axpy(self, a: F, x: &[F], y: &mut [F]) {
        bounds::same("y", x.len(), y.len());
        for (y, &x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    }

    fn weighted_rows(self, factors: &[F], numbers: Numbers<'_>, matrix: &[F], stride: usize, out: &mut [F]) {
        if factors.is_empty() {
            return out.fill(F::zero());
        }
        let last = bounds::last_row(matrix.len(), out.len(), stride);
        for (i, &factor) in factors.iter().enumerate() {
            let number = match numbers {
                Numbers::Short(numbers) => numbers[i] as usize,
                Numbers::Long(numbers) => numbers[i] as usize,
            };
            bounds::row(number, last);
            let row = &matrix[number * stride..][..out.len()];
            match i {
                0 => out.iter_mut().zip(row).for_each(|(y, &x)| *y = factor * x),
                _ => self.axpy(factor, row, out),
            }
        }
    }

    fn dot(self, x: &[F], y: &[F]) -> F {
        bounds::same("y", x.len(), y.len());
        dot(x, y)
    }

    fn update(self, update: &Update, lr: f64, params: &mut [F], grads: &[F], state: [&mut [F]; 2]) {
        bounds::same("the gradient", params.len(), grads.len());
        for plane in &state[..update.rule.state_per_parameter()] {
            bounds::same("the state", params.len(), plane.len());
        }
        update.apply(lr, params, grads, state);
    }

    fn prefetch(self, _numbers: *const [F]) {}
}

/// `M` rows of `C`, by tiles of columns.
#[allow(clippy::too_many_arguments, reason = "the sizes and strides of three matrices")]
fn rows<F: Real, const M: usize>(
    n: usize,
    k: usize,
    a: &[F],
    (row, col): (usize, usize),
    b: &[F],
    ldb: usize,
    c: &mut [F],
    ldc: usize,
    add: bool,
) {
    for j in (0..n).step_by(COLS) {
        let width = COLS.min(n - j);
        let mut tile = [[F::zero(); COLS]; M];
        if add {
            for (i, tile) in tile.iter_mut().enumerate() {
                tile[..width].copy_from_slice(&c[i * ldc + j..][..width]);
            }
        }
        for p in 0..k {
            let b = &b[p * ldb + j..][..width];
            let mut padded = [F::zero(); COLS];
            let b = match b.first_chunk::<COLS>() {
                Some(b) => b,
                None => {
                    padded[..width].copy_from_slice(b);
                    &padded
                }
            };
            for (i, tile) in tile.iter_mut().enumerate() {
                let a = a[i * row + p * col];
                for (c, &b) in tile.iter_mut().zip(b) {
                    *c += a * b;
                }
            }
        }
        for (i, tile) in tile.iter().enumerate() {
            c[i * ldc + j..][..width].copy_from_slice(&tile[..width]);
        }
    }
}

/// The sum of `x_i y_i`, by residues of i.
fn dot<F: Real>(x: &[F], y: &[F]) -> F {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    let mut sums = [F::zero(); LANES];
    for (x, y) in x.iter().zip(y) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    for ((sum, &x), &y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum += x * y;
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
