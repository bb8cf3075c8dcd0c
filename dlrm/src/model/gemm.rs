//! The one matrix product of the dense layers.
//!
//! Where the CPU backend has vector kernels, they compute it: they read the matrices where they are, allocate nothing, and
//! are faster than a library at the sizes of these layers (docs/performance.md has the comparison). Elsewhere the library
//! `matrixmultiply` does, several times as fast as kernels that the compiler vectorises. It takes one buffer in every call.

// The library takes pointers.
#![allow(unsafe_code)]

use ttcore_cpu::{Element, Isa, Kernels};

/// Numbers that the dense layers are made of: `f32` and `f64`.
pub trait Number: Element {
    /// `C = A B`, or `C += A B` if `add`, by the library, with `size = [m, n, k]`: element (i, p) of `A` is
    /// `a[i * strides.0 + p * strides.1]`, `B` is k x n with row stride `ldb`, `C` is m x n with row stride `ldc >= n`.
    ///
    /// # Panics
    ///
    /// If a slice is too short for the sizes.
    fn library(size: [usize; 3], a: Strided<'_, Self>, b: Rows<'_, Self>, c: RowsMut<'_, Self>, add: bool);
}

/// A matrix with any strides: numbers, distance of rows, distance of columns.
pub(super) type Strided<'a, F> = (&'a [F], (usize, usize));
/// A matrix of rows: numbers, distance of rows.
pub(super) type Rows<'a, F> = (&'a [F], usize);
/// The same, to write.
pub(super) type RowsMut<'a, F> = (&'a mut [F], usize);

macro_rules! number {
    ($real:ty, $gemm:path) => {
        impl Number for $real {
            fn library(
                [m, n, k]: [usize; 3],
                (a, (row, column)): Strided<'_, Self>,
                (b, ldb): Rows<'_, Self>,
                (c, ldc): RowsMut<'_, Self>,
                add: bool,
            ) {
                assert!(n <= ldc, "rows of C overlap");
                assert!(holds(a.len(), (m, row), (k, column)), "A is too short");
                assert!(holds(b.len(), (k, ldb), (n, 1)), "B is too short");
                assert!(holds(c.len(), (m, ldc), (n, 1)), "C is too short");
                let beta = if add { 1.0 } else { 0.0 };
                let strides = [row, column, ldb, ldc].map(|stride| stride as isize);
                // SAFETY: by the assertions, element (i, j) of each matrix lies within its slice for all i and j below its
                // sizes; rows of C do not overlap, and C is borrowed exclusively.
                unsafe {
                    $gemm(
                        m,
                        k,
                        n,
                        1.0,
                        a.as_ptr(),
                        strides[0],
                        strides[1],
                        b.as_ptr(),
                        strides[2],
                        1,
                        beta,
                        c.as_mut_ptr(),
                        strides[3],
                        1,
                    );
                }
            }
        }
    };
}

number!(f32, matrixmultiply::sgemm);
number!(f64, matrixmultiply::dgemm);

/// Whether `len` numbers hold a matrix of so many rows and columns, each with a distance.
fn holds(len: usize, (rows, row): (usize, usize), (columns, column): (usize, usize)) -> bool {
    if rows == 0 || columns == 0 {
        return true;
    }
    let last = ((rows - 1).checked_mul(row)).zip((columns - 1).checked_mul(column));
    last.and_then(|(row, column)| row.checked_add(column)).is_some_and(|last| last < len)
}

/// What computes products: kernels, and whether large ones are left to the library.
#[derive(Clone, Copy)]
pub(super) struct Machine<K> {
    pub(super) kernels: K,
    library: bool,
}

impl<K> Machine<K> {
    pub(super) fn new(isa: Isa, kernels: K) -> Self {
        Self { kernels, library: isa == Isa::Portable }
    }

    /// [`Number::library`], by whichever is faster.
    pub(super) fn gemm<F: Number>(
        self,
        size: [usize; 3],
        a: Strided<'_, F>,
        b: Rows<'_, F>,
        c: RowsMut<'_, F>,
        add: bool,
    ) where
        K: Kernels<F>,
    {
        if self.library {
            F::library(size, a, b, c, add);
        } else {
            self.kernels.gemm(size, a.0, a.1, b.0, b.1, c.0, c.1, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_multiplies_parts_of_larger_matrices() {
        let (m, n, k, ldb, ldc) = (5, 3, 7, 4, 6);
        let a: Vec<f64> = (0..m * k).map(|i| i as f64 - 9.0).collect();
        let b: Vec<f64> = (0..k * ldb).map(|i| (i * i % 11) as f64).collect();
        for add in [false, true] {
            let mut c = vec![0.5; (m - 1) * ldc + n];
            // A is stored transposed.
            f64::library([m, n, k], (&a, (1, m)), (&b, ldb), (&mut c, ldc), add);
            for (at, &got) in c.iter().enumerate() {
                let (i, j) = (at / ldc, at % ldc);
                let product = || (0..k).map(|p| a[p * m + i] * b[p * ldb + j]).sum::<f64>();
                let want = if j >= n { 0.5 } else { product() + if add { 0.5 } else { 0.0 } };
                assert_eq!(got, want, "({i}, {j})");
            }
        }
    }

    #[test]
    fn sizes_beyond_the_slices_are_seen() {
        assert!(holds(12, (3, 4), (4, 1)) && holds(0, (0, 4), (4, 1)));
        assert!(!holds(11, (3, 4), (4, 1)) && !holds(12, (2, usize::MAX), (2, 1)) && !holds(0, (1, 1), (1, 1)));
        let short = std::panic::catch_unwind(|| {
            f32::library([2, 2, 2], (&[1.0; 4], (2, 1)), (&[1.0; 4], 2), (&mut [0.0; 3], 2), false);
        });
        assert!(short.is_err());
    }
}
