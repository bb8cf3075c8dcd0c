//! Weighted sums of rows of a matrix: pooling, and the gradient of a row from those of its bags.

#![allow(clippy::needless_range_loop, reason = "loops with constant bounds over registers")]

use ttcore::Real;

use super::vector::Vector;
use super::{Numbers, bounds, elementwise};

/// Rows between asking for one and adding it.
const AHEAD: usize = 24;

/// A number of a row.
trait Number: Copy {
    fn get(self) -> usize;
}

impl Number for u32 {
    #[inline(always)]
    fn get(self) -> usize {
        self as usize
    }
}

impl Number for u64 {
    #[inline(always)]
    fn get(self) -> usize {
        self as usize
    }
}

/// [`Kernels::weighted_rows`](super::Kernels::weighted_rows).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn weighted_rows<V: Vector>(
    factors: &[V::Real],
    numbers: Numbers<'_>,
    matrix: &[V::Real],
    stride: usize,
    out: &mut [V::Real],
) {
    // SAFETY: handed down.
    unsafe {
        match numbers {
            Numbers::Short(numbers) => rows::<V, u32>(factors, numbers, matrix, stride, out),
            Numbers::Long(numbers) => rows::<V, u64>(factors, numbers, matrix, stride, out),
        }
    }
}

/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn rows<V: Vector, N: Number>(
    factors: &[V::Real],
    numbers: &[N],
    matrix: &[V::Real],
    stride: usize,
    out: &mut [V::Real],
) {
    let (n, count) = (out.len(), factors.len());
    if count == 0 || n == 0 {
        return out.fill(V::Real::of(0.0));
    }
    let (own, most) = (&numbers[..count], bounds::last_row(matrix.len(), n, stride));
    own.iter().for_each(|number| bounds::row(number.get(), most));
    for ahead in &numbers[numbers.len().min(AHEAD)..numbers.len().min(count + AHEAD)] {
        elementwise::prefetch(std::ptr::slice_from_raw_parts(
            matrix.as_ptr().wrapping_add(ahead.get().wrapping_mul(stride)),
            n,
        ));
    }
    let mut at = 0;
    // SAFETY: rows of `own` have n numbers in the matrix, as has `out`, and panels end there.
    unsafe {
        let matrix = matrix.as_ptr();
        while at < n {
            let (matrix, to) = (matrix.add(at), out.as_mut_ptr().add(at));
            match (n - at) / V::LANES {
                0 => {
                    let first = V::first(n - at);
                    let mut sum = V::splat(factors[0]).mul(V::load_first(matrix.add(own[0].get() * stride), first));
                    for i in 1..count {
                        let row = V::load_first(matrix.add(own[i].get() * stride), first);
                        sum = sum.fma(V::splat(factors[i]), row);
                    }
                    sum.store_first(to, first);
                    at = n;
                }
                1 => at += panel::<V, N, 1>(factors, own, matrix, stride, to),
                2 | 3 => at += panel::<V, N, 2>(factors, own, matrix, stride, to),
                _ => at += panel::<V, N, 4>(factors, own, matrix, stride, to),
            }
        }
    }
}

/// `P` vectors of the sum; gives how many numbers that is.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `out`, and every row from `matrix`, have `P` vectors; there is a factor for
/// every number, and at least one.
#[inline(always)]
unsafe fn panel<V: Vector, N: Number, const P: usize>(
    factors: &[V::Real],
    numbers: &[N],
    matrix: *const V::Real,
    stride: usize,
    out: *mut V::Real,
) -> usize {
    // SAFETY: handed down.
    unsafe {
        let mut sums = [V::splat(factors[0]); P];
        for q in 0..P {
            sums[q] = sums[q].mul(V::load(matrix.add(numbers[0].get() * stride + q * V::LANES)));
        }
        for (&factor, number) in factors[1..].iter().zip(&numbers[1..]) {
            let factor = V::splat(factor);
            for q in 0..P {
                sums[q] = sums[q].fma(factor, V::load(matrix.add(number.get() * stride + q * V::LANES)));
            }
        }
        for q in 0..P {
            sums[q].store(out.add(q * V::LANES));
        }
    }
    P * V::LANES
}
