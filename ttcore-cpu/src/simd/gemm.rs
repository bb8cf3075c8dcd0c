//! `C = A B` by tiles of `C` that stay in registers while `A` and `B` are read where they are.

#![allow(clippy::needless_range_loop, reason = "loops with constant bounds over registers")]

use super::bounds;
use super::vector::Vector;

/// Most rows of a tile.
const ROWS: usize = 6;

/// A product with the first elements of its matrices; a part of it is the same with others.
struct Product<V: Vector> {
    k: usize,
    a: *const V::Real,
    strides: (usize, usize),
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

/// [`Kernels::gemm`](super::Kernels::gemm).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[allow(clippy::too_many_arguments, reason = "those of the trait's method")]
#[inline(always)]
pub(super) unsafe fn gemm<V: Vector>(
    [m, n, k]: [usize; 3],
    a: &[V::Real],
    strides: (usize, usize),
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
                c[i * ldc..][..n].fill(num(0.0));
            }
        }
        return;
    }
    bounds::strided("A", a, (m, strides.0), (k, strides.1));
    bounds::strided("B", b, (k, ldb), (n, 1));
    let product: Product<V> = Product { k, a: a.as_ptr(), strides, b: b.as_ptr(), ldb, c: c.as_mut_ptr(), ldc, add };
    if m <= ROWS {
        // SAFETY: the checks above; m, n and k are positive.
        return unsafe { block(product, m, n) };
    }
    // The inner loop goes over the longer side, so that it reads the smaller matrix again and again.
    let panel = if m >= n { n } else { n.min(2 * V::LANES * (V::REGISTERS / 16)) };
    let mut j = 0;
    while j < n {
        let mut i = 0;
        while i < m {
            let rows = height(m - i, ROWS);
            // SAFETY: the checks above; row i < m of A and C and column j < n of B and C are in them, and so are those
            // that follow, up to m and n or fewer.
            unsafe {
                let (a, b) = (product.a.add(i * strides.0), product.b.add(j));
                block(Product { a, b, c: product.c.add(i * ldc + j), ..product }, rows, panel.min(n - j));
            }
            i += rows;
        }
        j += panel;
    }
}

/// The height of the next block of rows when so many are left: `most`, but the last two are nearly the same, since few rows
/// cannot keep the units busy.
#[inline(always)]
pub(super) fn height(left: usize, most: usize) -> usize {
    if left <= most {
        left
    } else if left < 2 * most {
        left.div_ceil(2)
    } else {
        most
    }
}

fn num<F: ttcore::Real>(x: f64) -> F {
    F::of(x)
}

/// Up to [`ROWS`] rows. Few rows take more columns at a time: eight sums and more are under way at any time.
///
/// # Safety
///
/// The machine has the instructions; the matrices have m x k, k x n and m x n elements, none of these zero, m <= ROWS.
#[inline(always)]
unsafe fn block<V: Vector>(product: Product<V>, m: usize, n: usize) {
    // SAFETY: handed down.
    unsafe {
        if V::REGISTERS >= 32 {
            match m {
                1 => columns::<V, 1, 8>(product, n),
                2 => columns::<V, 2, 4>(product, n),
                3 => columns::<V, 3, 4>(product, n),
                4 => columns::<V, 4, 4>(product, n),
                5 => columns::<V, 5, 4>(product, n),
                _ => columns::<V, 6, 4>(product, n),
            }
        } else {
            match m {
                1 => columns::<V, 1, 8>(product, n),
                2 => columns::<V, 2, 4>(product, n),
                3 => columns::<V, 3, 4>(product, n),
                4 => columns::<V, 4, 2>(product, n),
                5 => columns::<V, 5, 2>(product, n),
                _ => columns::<V, 6, 2>(product, n),
            }
        }
    }
}

/// `M` rows, by tiles of `N` vectors, then of two vectors and fewer.
///
/// # Safety
///
/// As [`block`], with m = M.
#[inline(always)]
unsafe fn columns<V: Vector, const M: usize, const N: usize>(mut product: Product<V>, mut n: usize) {
    // SAFETY: handed down; `n` counts the columns that are left behind those the pointers have passed, and a tile takes no
    // more of them than there are.
    unsafe {
        while n >= N * V::LANES {
            tile::<V, M, N, false>(product, V::LANES);
            product.b = product.b.add(N * V::LANES);
            product.c = product.c.add(N * V::LANES);
            n -= N * V::LANES;
        }
        while N > 2 && n >= 2 * V::LANES {
            tile::<V, M, 2, false>(product, V::LANES);
            product.b = product.b.add(2 * V::LANES);
            product.c = product.c.add(2 * V::LANES);
            n -= 2 * V::LANES;
        }
        if n > V::LANES {
            tile::<V, M, 2, true>(product, n - V::LANES);
        } else if n == V::LANES {
            tile::<V, M, 1, false>(product, V::LANES);
        } else if n > 0 {
            tile::<V, M, 1, true>(product, n);
        }
    }
}

/// `M` rows by `N` vectors of columns, of whose last vector there are only `last` columns if `TAIL`.
///
/// # Safety
///
/// As [`block`], with m = M and n = (N - 1) LANES + last, 1 <= last <= LANES, last = LANES unless `TAIL`.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize, const TAIL: bool>(product: Product<V>, last: usize) {
    let Product { k, mut a, strides: (row, col), mut b, ldb, c, ldc, add } = product;
    // SAFETY: vectors begin at column v LANES < n of rows i < M of C and p < k of B; all but a tail are complete, and a
    // tail reads and writes `last` numbers. A is read at rows i < M and columns p < k. Pointers are moved to the next
    // row of B and column of A only while there is one.
    unsafe {
        let first = V::first(last);
        let mut sums = [[V::splat(num(0.0)); N]; M];
        if add {
            for i in 0..M {
                for v in 0..N {
                    sums[i][v] = load::<V, TAIL>(c.add(i * ldc + v * V::LANES), v + 1 == N, first);
                }
            }
        }
        let mut p = 0;
        loop {
            // The shorter side of the tile waits in registers.
            if M < N {
                let mut column = [V::splat(num(0.0)); M];
                for i in 0..M {
                    column[i] = V::splat(*a.add(i * row));
                }
                for v in 0..N {
                    let x = load::<V, TAIL>(b.add(v * V::LANES), v + 1 == N, first);
                    for i in 0..M {
                        sums[i][v] = sums[i][v].fma(column[i], x);
                    }
                }
            } else {
                let mut line = [V::splat(num(0.0)); N];
                for v in 0..N {
                    line[v] = load::<V, TAIL>(b.add(v * V::LANES), v + 1 == N, first);
                }
                for i in 0..M {
                    let x = V::splat(*a.add(i * row));
                    for v in 0..N {
                        sums[i][v] = sums[i][v].fma(x, line[v]);
                    }
                }
            }
            p += 1;
            if p == k {
                break;
            }
            a = a.add(col);
            b = b.add(ldb);
        }
        for i in 0..M {
            for v in 0..N {
                let to = c.add(i * ldc + v * V::LANES);
                if TAIL && v + 1 == N { sums[i][v].store_first(to, first) } else { sums[i][v].store(to) }
            }
        }
    }
}

/// A complete vector, or a tail if it is the last of a tile with one.
///
/// # Safety
///
/// As the vector's methods.
#[inline(always)]
unsafe fn load<V: Vector, const TAIL: bool>(from: *const V::Real, last: bool, first: V::First) -> V {
    // SAFETY: handed down.
    unsafe { if TAIL && last { V::load_first(from, first) } else { V::load(from) } }
}
