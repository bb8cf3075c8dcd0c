//! `C = A B^T`: scalar products of rows, tiles of them at a time.

#![allow(clippy::needless_range_loop, reason = "loops with constant bounds over registers")]

use ttcore::Real;

use super::bounds;
use super::gemm::height;
use super::vector::Vector;

/// A product with the first elements of its matrices; a part of it is the same with others.
struct Product<V: Vector> {
    k: usize,
    a: *const V::Real,
    lda: usize,
    b: *const V::Real,
    ldb: usize,
    c: *mut V::Real,
    ldc: usize,
    add: bool,
}

impl<V: Vector> Clone for Product<V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: Vector> Copy for Product<V> {}

/// [`Kernels::gemm_bt`](super::Kernels::gemm_bt).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[allow(clippy::too_many_arguments, reason = "those of the trait's method")]
#[inline(always)]
pub(super) unsafe fn gemm_bt<V: Vector>(
    [m, n, k]: [usize; 3],
    a: &[V::Real],
    lda: usize,
    b: &[V::Real],
    ldb: usize,
    c: &mut [V::Real],
    ldc: usize,
    add: bool,
) {
    bounds::output(c, m, n, ldc);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !add {
            for i in 0..m {
                c[i * ldc..][..n].fill(V::Real::of(0.0));
            }
        }
        return;
    }
    bounds::strided("A", a, (m, lda), (k, 1));
    bounds::strided("B", b, (n, ldb), (k, 1));
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    // Three or four rows by four columns: enough sums to keep the units busy, and they leave registers for the rows and for
    // adding up lanes. (Six rows by four would fit in 32 registers, but for that last part; it runs half as fast.)
    let most = if V::REGISTERS >= 32 { 4 } else { 3 };
    let mut i = 0;
    while i < m {
        let rows = height(m - i, most);
        // SAFETY: the checks above; m, n and k are positive, and rows i .. i + rows are below m.
        unsafe {
            let product: Product<V> = Product { k, a: a.add(i * lda), lda, b, ldb, c: c.add(i * ldc), ldc, add };
            match rows {
                1 => columns::<V, 1>(product, n),
                2 => columns::<V, 2>(product, n),
                3 => columns::<V, 3>(product, n),
                _ if V::REGISTERS >= 32 => columns::<V, 4>(product, n),
                _ => unreachable!("blocks of three rows at most"),
            }
        }
        i += rows;
    }
}

/// `M` rows, four columns at a time.
///
/// # Safety
///
/// The machine has the instructions; the matrices have M x k, n x k and M x n elements, k positive.
#[inline(always)]
unsafe fn columns<V: Vector, const M: usize>(mut product: Product<V>, n: usize) {
    let mut left = n;
    // SAFETY: handed down; `left` counts the rows of B and columns of C that the pointers have not passed.
    unsafe {
        while left >= 4 {
            tile::<V, M, 4>(product);
            left -= 4;
            if left > 0 {
                product.b = product.b.add(4 * product.ldb);
                product.c = product.c.add(4);
            }
        }
        match left {
            3 => tile::<V, M, 3>(product),
            2 => tile::<V, M, 2>(product),
            1 => tile::<V, M, 1>(product),
            _ => {}
        }
    }
}

/// `M` rows by `N <= 4` columns: a sum for each lane, then the sum of these.
///
/// # Safety
///
/// As [`columns`] with n = N.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(product: Product<V>) {
    let Product { k, a, lda, b, ldb, c, ldc, add } = product;
    // SAFETY: rows i < M of A and j < N of B are read in columns p .. p + LANES <= k, or in those left below k; C is read
    // and written at rows i < M and columns j < N.
    unsafe {
        // Sums that no column has stay zero.
        let mut sums = [[V::splat(V::Real::of(0.0)); 4]; M];
        let mut p = 0;
        while p + V::LANES <= k {
            let mut rows = [V::splat(V::Real::of(0.0)); M];
            for i in 0..M {
                rows[i] = V::load(a.add(i * lda + p));
            }
            for j in 0..N {
                let column = V::load(b.add(j * ldb + p));
                for i in 0..M {
                    sums[i][j] = sums[i][j].fma(rows[i], column);
                }
            }
            p += V::LANES;
        }
        if p < k {
            let first = V::first(k - p);
            let mut rows = [V::splat(V::Real::of(0.0)); M];
            for i in 0..M {
                rows[i] = V::load_first(a.add(i * lda + p), first);
            }
            for j in 0..N {
                let column = V::load_first(b.add(j * ldb + p), first);
                for i in 0..M {
                    sums[i][j] = sums[i][j].fma(rows[i], column);
                }
            }
        }
        for i in 0..M {
            let row = V::sums(sums[i]);
            for j in 0..N {
                let to = c.add(i * ldc + j);
                *to = if add { *to + row[j] } else { row[j] };
            }
        }
    }
}
