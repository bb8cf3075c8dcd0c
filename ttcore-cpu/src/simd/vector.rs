//! The operations on vectors of numbers that the kernels are made of, and the entry points of an instruction set.

use ttcore::Real;

/// A vector of [`Self::LANES`] numbers in a register.
///
/// All methods are `#[inline(always)]`: in a function with the target features they become single instructions.
///
/// # Safety
///
/// All methods, and everything generic over vectors, may only run on a machine with the instruction set of the vector.
/// Pointers must be valid for the numbers that a method says it reads or writes, at any alignment.
pub(super) trait Vector: Copy {
    /// The numbers.
    type Real: Real;
    /// Says which lanes are the first n.
    type First: Copy;

    /// Numbers in a vector.
    const LANES: usize;
    /// Vectors that fit in the register file.
    const REGISTERS: usize;
    /// Rows and columns of a block for [`Self::transpose`].
    const BLOCK: [usize; 2];

    /// `x` in all lanes.
    unsafe fn splat(x: Self::Real) -> Self;
    /// Reads a vector.
    unsafe fn load(from: *const Self::Real) -> Self;
    /// Writes a vector.
    unsafe fn store(self, to: *mut Self::Real);
    /// The first `n` lanes, 1 <= n <= LANES.
    unsafe fn first(n: usize) -> Self::First;
    /// Reads the first n numbers and nothing behind them; 0 in other lanes.
    unsafe fn load_first(from: *const Self::Real, first: Self::First) -> Self;
    /// Writes the first n numbers and nothing behind them.
    unsafe fn store_first(self, to: *mut Self::Real, first: Self::First);

    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`
    unsafe fn mul(self, other: Self) -> Self;
    /// `self / other`
    unsafe fn div(self, other: Self) -> Self;
    /// The square root.
    unsafe fn sqrt(self) -> Self;
    /// `self + a * b`, rounded once
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// `self - a * b`, rounded once
    unsafe fn fnma(self, a: Self, b: Self) -> Self;
    /// `self` in lanes where `g` is not zero, `other` where it is.
    unsafe fn where_nonzero(self, g: Self, other: Self) -> Self;

    /// The sum of the lanes.
    unsafe fn sum(self) -> Self::Real;
    /// The sums of the lanes of four vectors, all in the same order.
    unsafe fn sums(vectors: [Self; 4]) -> [Self::Real; 4];
    /// Writes the transpose of a block of rows with stride `from_ld` as rows with stride `to_ld`.
    unsafe fn transpose(from: *const Self::Real, from_ld: usize, to: *mut Self::Real, to_ld: usize);
}

/// The kernel `$body`, compiled with target features, called with the arguments of the method that this stands in.
macro_rules! entry {
    ($features:literal, $body:path, ($($name:ident: $type:ty),*) $(-> $output:ty)?) => {{
        #[target_feature(enable = $features)]
        #[allow(clippy::too_many_arguments, reason = "those of the method")]
        fn entry($($name: $type),*) $(-> $output)? {
            // SAFETY: the kernel asks for the instruction set of its vectors, which are the features of this function.
            unsafe { $body($($name),*) }
        }
        // SAFETY: a value of the type that this is a method of exists only where the features were detected.
        unsafe { entry($($name),*) }
    }};
}

/// Implements [`Kernels`](super::Kernels) for an instruction set by its features and its vectors.
macro_rules! kernels {
    ($isa:ty, $features:literal, $($real:ty => $vector:ty),+) => {$(
        impl $crate::simd::Kernels<$real> for $isa {
            fn gemm(
                self,
                size: [usize; 3],
                a: &[$real],
                strides: (usize, usize),
                b: &[$real],
                ldb: usize,
                c: &mut [$real],
                ldc: usize,
                add: bool,
            ) {
                $crate::simd::vector::entry!($features, $crate::simd::gemm::gemm::<$vector>, (
                    size: [usize; 3], a: &[$real], strides: (usize, usize), b: &[$real], ldb: usize, c: &mut [$real],
                    ldc: usize, add: bool
                ))
            }

            fn gemm_bt(
                self,
                size: [usize; 3],
                a: &[$real],
                lda: usize,
                b: &[$real],
                ldb: usize,
                c: &mut [$real],
                ldc: usize,
                add: bool,
            ) {
                $crate::simd::vector::entry!($features, $crate::simd::gemm_bt::gemm_bt::<$vector>, (
                    size: [usize; 3], a: &[$real], lda: usize, b: &[$real], ldb: usize, c: &mut [$real], ldc: usize,
                    add: bool
                ))
            }

            fn transpose(self, rows: usize, cols: usize, from: &[$real], to: &mut [$real]) {
                $crate::simd::vector::entry!($features, $crate::simd::elementwise::transpose::<$vector>, (
                    rows: usize, cols: usize, from: &[$real], to: &mut [$real]
                ))
            }

            fn axpy(self, a: $real, x: &[$real], y: &mut [$real]) {
                $crate::simd::vector::entry!($features, $crate::simd::elementwise::axpy::<$vector>, (
                    a: $real, x: &[$real], y: &mut [$real]
                ))
            }

            fn weighted_rows(
                self,
                factors: &[$real],
                numbers: $crate::simd::Numbers<'_>,
                matrix: &[$real],
                stride: usize,
                out: &mut [$real],
            ) {
                $crate::simd::vector::entry!($features, $crate::simd::gather::weighted_rows::<$vector>, (
                    factors: &[$real], numbers: $crate::simd::Numbers<'_>, matrix: &[$real], stride: usize,
                    out: &mut [$real]
                ))
            }

            fn dot(self, x: &[$real], y: &[$real]) -> $real {
                $crate::simd::vector::entry!($features, $crate::simd::elementwise::dot::<$vector>, (
                    x: &[$real], y: &[$real]
                ) -> $real)
            }

            fn update(
                self,
                update: &ttcore::Update,
                lr: f64,
                params: &mut [$real],
                grads: &[$real],
                state: [&mut [$real]; 2],
            ) {
                $crate::simd::vector::entry!($features, $crate::simd::elementwise::update::<$vector>, (
                    update: &ttcore::Update, lr: f64, params: &mut [$real], grads: &[$real], state: [&mut [$real]; 2]
                ))
            }

            #[inline(always)]
            fn prefetch(self, numbers: *const [$real]) {
                $crate::simd::elementwise::prefetch(numbers);
            }
        }
    )+};
}

pub(super) use {entry, kernels};
