//! Vectors of AVX2 and FMA.

use std::arch::x86_64::*;

use super::vector::{Vector, kernels};

/// Kernels for machines with AVX2 and FMA: a value of this type is the proof that this is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The kernels, if the machine has the instructions.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

kernels!(Avx2, "avx2,fma", f32 => F32x8, f64 => F64x4);

/// The first `n` lanes, as a number and as a mask of sign bits.
#[derive(Clone, Copy)]
pub(super) struct First {
    n: usize,
    mask: __m256i,
}

/// Eight `f32`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct F32x8(pub(super) __m256);

/// Four `f64`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct F64x4(pub(super) __m256d);

impl Vector for F32x8 {
    type Real = f32;
    type First = First;

    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    const BLOCK: [usize; 2] = [8, 4];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { Self(_mm256_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> First {
        const WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        debug_assert!((1..=8).contains(&n));
        // SAFETY: 8 - n + 8 <= 16 for n of 0 to 8.
        unsafe { First { n, mask: _mm256_loadu_si256(WINDOW.as_ptr().add(8 - n).cast()) } }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, first: First) -> Self {
        // SAFETY: lanes that the mask leaves out are not read.
        unsafe { Self(_mm256_maskload_ps(from, first.mask)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, first: First) {
        // Masked stores take dozens of cycles on some machines.
        // SAFETY: 4, 2 and 1 numbers make up the n < 8 (or all 8) that the caller's pointer is valid for.
        unsafe {
            let (mut to, mut rest) = (to, _mm256_castps256_ps128(self.0));
            if first.n == 8 {
                return self.store(to);
            }
            if first.n & 4 != 0 {
                _mm_storeu_ps(to, rest);
                to = to.add(4);
                rest = _mm256_extractf128_ps::<1>(self.0);
            }
            if first.n & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(rest));
                to = to.add(2);
                rest = _mm_movehl_ps(rest, rest);
            }
            if first.n & 1 != 0 {
                _mm_store_ss(to, rest);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_sub_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_div_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_sqrt_ps(self.0)) }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs FMA only.
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn fnma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs FMA only.
        unsafe { Self(_mm256_fnmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn where_nonzero(self, g: Self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe {
            let nonzero = _mm256_cmp_ps::<_CMP_NEQ_UQ>(g.0, _mm256_setzero_ps());
            Self(_mm256_blendv_ps(other.0, self.0, nonzero))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: needs AVX only.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // SAFETY: needs AVX only; the array has the four numbers of the vector.
        unsafe {
            // Fewer operations than three horizontal additions. In each half: (a02, b02, a13, b13), (c02, d02, c13, d13),
            // then (a, b, c, d).
            let ab = _mm256_add_ps(_mm256_unpacklo_ps(a.0, b.0), _mm256_unpackhi_ps(a.0, b.0));
            let cd = _mm256_add_ps(_mm256_unpacklo_ps(c.0, d.0), _mm256_unpackhi_ps(c.0, d.0));
            let halves = _mm256_add_ps(_mm256_shuffle_ps::<0x4e>(ab, cd), _mm256_blend_ps::<0xcc>(ab, cd));
            let sums = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            let mut numbers = [0.0; 4];
            _mm_storeu_ps(numbers.as_mut_ptr(), sums);
            numbers
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_ld: usize, to: *mut f32, to_ld: usize) {
        // SAFETY: four numbers of eight rows are read, eight numbers of four rows written.
        unsafe {
            // Rows i and i + 4 side by side: the transposes of the two halves are the halves of the columns.
            let half = from.add(4 * from_ld);
            let a = _mm256_loadu2_m128(half, from);
            let b = _mm256_loadu2_m128(half.add(from_ld), from.add(from_ld));
            let c = _mm256_loadu2_m128(half.add(2 * from_ld), from.add(2 * from_ld));
            let d = _mm256_loadu2_m128(half.add(3 * from_ld), from.add(3 * from_ld));
            let (ab, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(ab, cd));
            _mm256_storeu_ps(to.add(to_ld), _mm256_shuffle_ps::<0xee>(ab, cd));
            _mm256_storeu_ps(to.add(2 * to_ld), _mm256_shuffle_ps::<0x44>(ab_high, cd_high));
            _mm256_storeu_ps(to.add(3 * to_ld), _mm256_shuffle_ps::<0xee>(ab_high, cd_high));
        }
    }
}

impl Vector for F64x4 {
    type Real = f64;
    type First = First;

    const LANES: usize = 4;
    const REGISTERS: usize = 16;
    const BLOCK: [usize; 2] = [4, 2];

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_set1_pd(x)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { Self(_mm256_loadu_pd(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { _mm256_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> First {
        const WINDOW: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
        debug_assert!((1..=4).contains(&n));
        // SAFETY: 4 - n + 4 <= 8 for n of 0 to 4.
        unsafe { First { n, mask: _mm256_loadu_si256(WINDOW.as_ptr().add(4 - n).cast()) } }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f64, first: First) -> Self {
        // SAFETY: lanes that the mask leaves out are not read.
        unsafe { Self(_mm256_maskload_pd(from, first.mask)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f64, first: First) {
        // SAFETY: 2 and 1 numbers make up the n < 4 (or all 4) that the caller's pointer is valid for.
        unsafe {
            let (mut to, mut rest) = (to, _mm256_castpd256_pd128(self.0));
            if first.n == 4 {
                return self.store(to);
            }
            if first.n & 2 != 0 {
                _mm_storeu_pd(to, rest);
                to = to.add(2);
                rest = _mm256_extractf128_pd::<1>(self.0);
            }
            if first.n & 1 != 0 {
                _mm_store_sd(to, rest);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_add_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_sub_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_mul_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_div_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: needs AVX only.
        unsafe { Self(_mm256_sqrt_pd(self.0)) }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs FMA only.
        unsafe { Self(_mm256_fmadd_pd(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn fnma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs FMA only.
        unsafe { Self(_mm256_fnmadd_pd(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn where_nonzero(self, g: Self, other: Self) -> Self {
        // SAFETY: needs AVX only.
        unsafe {
            let nonzero = _mm256_cmp_pd::<_CMP_NEQ_UQ>(g.0, _mm256_setzero_pd());
            Self(_mm256_blendv_pd(other.0, self.0, nonzero))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        // SAFETY: needs AVX only.
        unsafe {
            let two = _mm_add_pd(_mm256_castpd256_pd128(self.0), _mm256_extractf128_pd::<1>(self.0));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f64; 4] {
        // SAFETY: needs AVX only; the array has the four numbers of the vector.
        unsafe {
            // Lanes (a01, b01, a23, b23) and (c01, d01, c23, d23).
            let (ab, cd) = (_mm256_hadd_pd(a.0, b.0), _mm256_hadd_pd(c.0, d.0));
            let low = _mm256_permute2f128_pd::<0x20>(ab, cd);
            let high = _mm256_permute2f128_pd::<0x31>(ab, cd);
            let mut numbers = [0.0; 4];
            _mm256_storeu_pd(numbers.as_mut_ptr(), _mm256_add_pd(low, high));
            numbers
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f64, from_ld: usize, to: *mut f64, to_ld: usize) {
        // SAFETY: two numbers of four rows are read, four numbers of two rows written.
        unsafe {
            // Rows i and i + 2 side by side: the transposes of the two halves are the halves of the columns.
            let half = from.add(2 * from_ld);
            let a = _mm256_loadu2_m128d(half, from);
            let b = _mm256_loadu2_m128d(half.add(from_ld), from.add(from_ld));
            _mm256_storeu_pd(to, _mm256_unpacklo_pd(a, b));
            _mm256_storeu_pd(to.add(to_ld), _mm256_unpackhi_pd(a, b));
        }
    }
}
