//! Vectors of AVX-512F.

use std::arch::x86_64::*;

use super::avx2::{F32x8, F64x4};
use super::vector::{Vector, kernels};

/// Kernels for machines with AVX-512F: a value of this type is the proof that this is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The kernels, if the machine has the instructions.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let smaller = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        (smaller && is_x86_feature_detected!("avx512f")).then_some(Self(()))
    }
}

kernels!(Avx512, "avx512f,avx2,fma", f32 => F32x16, f64 => F64x8);

/// Sixteen `f32`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct F32x16(__m512);

/// Eight `f64`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct F64x8(__m512d);

impl F32x16 {
    /// The sum of the two halves.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512F.
    #[inline(always)]
    unsafe fn halves(self) -> F32x8 {
        // SAFETY: needs AVX-512F only.
        unsafe {
            let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0));
            F32x8(_mm256_add_ps(_mm512_castps512_ps256(self.0), _mm256_castpd_ps(high)))
        }
    }
}

impl Vector for F32x16 {
    type Real = f32;
    type First = __mmask16;

    const LANES: usize = 16;
    const REGISTERS: usize = 32;
    const BLOCK: [usize; 2] = F32x8::BLOCK;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { Self(_mm512_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> __mmask16 {
        debug_assert!((1..=16).contains(&n));
        __mmask16::MAX >> (16 - n)
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, first: __mmask16) -> Self {
        // SAFETY: lanes that the mask leaves out are not read.
        unsafe { Self(_mm512_maskz_loadu_ps(first, from)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, first: __mmask16) {
        // SAFETY: lanes that the mask leaves out are not written.
        unsafe { _mm512_mask_storeu_ps(to, first, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_div_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_sqrt_ps(self.0)) }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn fnma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_fnmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn where_nonzero(self, g: Self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe {
            let nonzero = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(g.0, _mm512_setzero_ps());
            Self(_mm512_mask_blend_ps(nonzero, other.0, self.0))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: needs AVX-512F, and AVX2, which the type that uses these vectors was detected with.
        unsafe { self.halves().sum() }
    }

    #[inline(always)]
    unsafe fn sums(vectors: [Self; 4]) -> [f32; 4] {
        // SAFETY: needs AVX-512F, and AVX2, which the type that uses these vectors was detected with.
        unsafe {
            let [a, b, c, d] = vectors;
            F32x8::sums([a.halves(), b.halves(), c.halves(), d.halves()])
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_ld: usize, to: *mut f32, to_ld: usize) {
        // SAFETY: handed down, with AVX2, which the type that uses these vectors was detected with.
        unsafe { F32x8::transpose(from, from_ld, to, to_ld) }
    }
}

impl F64x8 {
    /// The sum of the two halves.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512F.
    #[inline(always)]
    unsafe fn halves(self) -> F64x4 {
        // SAFETY: needs AVX-512F only.
        unsafe {
            let (low, high) = (_mm512_castpd512_pd256(self.0), _mm512_extractf64x4_pd::<1>(self.0));
            F64x4(_mm256_add_pd(low, high))
        }
    }
}

impl Vector for F64x8 {
    type Real = f64;
    type First = __mmask8;

    const LANES: usize = 8;
    const REGISTERS: usize = 32;
    const BLOCK: [usize; 2] = F64x4::BLOCK;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_set1_pd(x)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { Self(_mm512_loadu_pd(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller's pointer, any alignment.
        unsafe { _mm512_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    unsafe fn first(n: usize) -> __mmask8 {
        debug_assert!((1..=8).contains(&n));
        __mmask8::MAX >> (8 - n)
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f64, first: __mmask8) -> Self {
        // SAFETY: lanes that the mask leaves out are not read.
        unsafe { Self(_mm512_maskz_loadu_pd(first, from)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f64, first: __mmask8) {
        // SAFETY: lanes that the mask leaves out are not written.
        unsafe { _mm512_mask_storeu_pd(to, first, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_add_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_sub_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_mul_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_div_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_sqrt_pd(self.0)) }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_fmadd_pd(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn fnma(self, a: Self, b: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe { Self(_mm512_fnmadd_pd(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn where_nonzero(self, g: Self, other: Self) -> Self {
        // SAFETY: needs AVX-512F only.
        unsafe {
            let nonzero = _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(g.0, _mm512_setzero_pd());
            Self(_mm512_mask_blend_pd(nonzero, other.0, self.0))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        // SAFETY: needs AVX-512F, and AVX2, which the type that uses these vectors was detected with.
        unsafe { self.halves().sum() }
    }

    #[inline(always)]
    unsafe fn sums(vectors: [Self; 4]) -> [f64; 4] {
        // SAFETY: needs AVX-512F, and AVX2, which the type that uses these vectors was detected with.
        unsafe {
            let [a, b, c, d] = vectors;
            F64x4::sums([a.halves(), b.halves(), c.halves(), d.halves()])
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f64, from_ld: usize, to: *mut f64, to_ld: usize) {
        // SAFETY: handed down, with AVX2, which the type that uses these vectors was detected with.
        unsafe { F64x4::transpose(from, from_ld, to, to_ld) }
    }
}
