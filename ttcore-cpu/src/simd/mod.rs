//! The kernels of the CPU backend: small dense products and element-wise loops, once for every instruction set.
//!
//! [`Kernels`] is the list of them. A value of a type that implements it proves that the machine has the instructions, so
//! all methods are safe. [`Element::dispatch`] picks the type for an [`Isa`] and runs [`Work`] with it.
//!
//! Results depend on the instruction set and on the sizes, never on addresses, alignment or neighbouring rows and
//! columns: an element of a product is summed in an order that is a function of the length `k` of the sum alone, so a row
//! gets the same bits whether it is computed alone or among a hundred. Nothing here allocates, packs or starts threads.
//!
//! | file | content |
//! |---|---|
//! | `portable.rs` | the kernels in safe Rust, for the compiler to vectorise |
//! | `vector.rs` | the operations on vectors of numbers that the others are made of |
//! | `gemm.rs`, `gemm_bt.rs`, `gather.rs`, `elementwise.rs` | the kernels on any vectors, and their bounds checks |
//! | `avx2.rs`, `avx512.rs` | vectors of the instruction sets, and the kernels compiled for them |

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx512;
mod bounds;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod elementwise;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod gather;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod gemm;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod gemm_bt;
mod isa;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod vector;

use ttcore::{Real, Update};

#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) use avx2::Avx2;
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) use avx512::Avx512;
pub use isa::{Isa, IsaError};
pub(crate) use portable::Portable;

/// Kernels for numbers of type `F`. Values of implementing types exist only where the machine has the instructions: they
/// are the proof.
///
/// # Panics
///
/// All methods panic if a slice is too short for the sizes: an error of the caller. They check once a call.
#[allow(clippy::too_many_arguments, reason = "the sizes and strides of three matrices, as in every BLAS")]
pub trait Kernels<F>: Copy + Send + Sync + 'static {
    /// `C = A B`, or `C += A B` if `add`, with `size = [m, n, k]`.
    ///
    /// `C` is m x n with row stride `ldc >= n`; element (i, p) of `A` is `a[i * strides.0 + p * strides.1]`; `B` is k x n
    /// with row stride `ldb`. No terms (k = 0) make zeros. Numbers of `c` between the rows stay as they are.
    ///
    /// An element is one running sum over p = 0, 1, ..., k - 1, which begins with 0 or, if `add`, with the element: adding
    /// the two halves of a sum one after the other gives the same bits as adding it at once.
    fn gemm(
        self,
        size: [usize; 3],
        a: &[F],
        strides: (usize, usize),
        b: &[F],
        ldb: usize,
        c: &mut [F],
        ldc: usize,
        add: bool,
    );

    /// `C = A B^T`, or `C += A B^T` if `add`, with `size = [m, n, k]`: `A` is m x k with row stride `lda`, `B` is n x k with
    /// row stride `ldb`, `C` is m x n with row stride `ldc >= n`.
    ///
    /// The order of summation is a function of k.
    fn gemm_bt(self, size: [usize; 3], a: &[F], lda: usize, b: &[F], ldb: usize, c: &mut [F], ldc: usize, add: bool);

    /// `to` `[cols][rows]` becomes the transpose of `from` `[rows][cols]`, both dense.
    fn transpose(self, rows: usize, cols: usize, from: &[F], to: &mut [F]);

    /// `y += a x`; same length.
    fn axpy(self, a: F, x: &[F], y: &mut [F]);

    /// `out = sum_i factors[i] row(numbers[i])`, where row `r` is `matrix[r * stride ..]`, as many numbers as `out` has. One
    /// running sum in the order of i; no terms make zeros.
    ///
    /// Numbers behind the factors' may follow, of what is summed next: their rows are asked for ahead.
    fn weighted_rows(self, factors: &[F], numbers: Numbers<'_>, matrix: &[F], stride: usize, out: &mut [F]);

    /// The sum of `x_i y_i`, in an order that is a function of the length; same length.
    fn dot(self, x: &[F], y: &[F]) -> F;

    /// [`Update::apply`], up to fused roundings: parameters `[n]`, gradients `[n]`, and the planes of the state `[n]` each,
    /// empty where the rule has none. SGD and Adagrad leave elements with zero gradient exactly as they are.
    fn update(self, update: &Update, lr: f64, params: &mut [F], grads: &[F], state: [&mut [F]; 2]);

    /// A hint that these numbers will be read or written soon: their first eight cache lines.
    fn prefetch(self, numbers: *const [F]);
}

/// Numbers of rows, for [`Kernels::weighted_rows`].
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Of 32 bits.
    Short(&'a [u32]),
    /// Of 64 bits.
    Long(&'a [u64]),
}

impl<'a> Numbers<'a> {
    /// Some of them.
    pub(crate) fn slice(self, range: std::ops::Range<usize>) -> Self {
        match self {
            Self::Short(numbers) => Self::Short(&numbers[range]),
            Self::Long(numbers) => Self::Long(&numbers[range]),
        }
    }
}

/// Generic work, to be run with the kernels of some instruction set.
pub trait Work<F> {
    /// What it returns.
    type Output;

    /// Does it.
    fn run<K: Kernels<F>>(self, kernels: K) -> Self::Output;
}

/// Numbers that there are kernels for: `f32` and `f64`.
pub trait Element: Real {
    /// Runs `work` with the kernels of `isa`, or of the best available below it if the machine has not got it.
    fn dispatch<W: Work<Self>>(isa: Isa, work: W) -> W::Output;
}

macro_rules! element {
    ($($real:ty),+) => {$(
        impl Element for $real {
            fn dispatch<W: Work<Self>>(isa: Isa, work: W) -> W::Output {
                #[cfg(all(target_arch = "x86_64", not(miri)))]
                {
                    if isa >= Isa::Avx512 && let Some(kernels) = Avx512::detect() {
                        return work.run(kernels);
                    }
                    if isa >= Isa::Avx2 && let Some(kernels) = Avx2::detect() {
                        return work.run(kernels);
                    }
                }
                let _ = isa;
                work.run(Portable)
            }
        }
    )+};
}

element!(f32, f64);
