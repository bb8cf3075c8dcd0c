//! Products by cuBLAS, which is loaded at run time.

use std::ffi::{c_int, c_void};

use cudarc::cublas::result::{self, CublasError};
use cudarc::cublas::sys;

use crate::device::{Gemm, Matrices, Transpose};
use crate::error::Error;

/// How products of `f32` are computed by cuBLAS: those of layers and of [`Method::Batched`](crate::Method::Batched). Sums are
/// `f32` in both; `f64` is not concerned, nor are the fused kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Math {
    /// In full `f32`, the reference for bits.
    #[default]
    Full,
    /// Factors are rounded to TF32, 10 bits behind the point: each by a relative error of at most `2^-11`, a product so by
    /// about `2^-10`, a thousandth. Tensor cores do that several times as fast, from compute capability 8.0 on; before, it is
    /// [`Math::Full`].
    Tf32,
}

/// cuBLAS on one stream.
#[derive(Debug)]
pub(crate) struct Blas {
    handle: sys::cublasHandle_t,
}

// SAFETY: a handle may be used on any thread, though on one at a time; it is only ever used through `&mut`.
unsafe impl Send for Blas {}

impl Blas {
    /// On a stream of the current context.
    ///
    /// # Safety
    ///
    /// The stream lives as long as this value.
    pub(crate) unsafe fn new(stream: *mut c_void, math: Math) -> Result<Self, Error> {
        // SAFETY: loads the library and runs its initialisers, which NVIDIA's has none of that do harm.
        if !unsafe { sys::is_culib_present() } {
            // The first call would panic.
            return Err(Error::NoLibrary { library: "cuBLAS", file: "libcublas.so" });
        }
        let this = Self { handle: result::create_handle().map_err(failed("make a handle"))? };
        // SAFETY: the handle was made above, and the caller answers for the stream.
        unsafe { result::set_stream(this.handle, stream.cast()) }.map_err(failed("use the stream"))?;
        if math == Math::Tf32 {
            // SAFETY: the handle was made above.
            let status = unsafe { sys::cublasSetMathMode(this.handle, sys::cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH) };
            status.result().map_err(failed("use TF32"))?;
        }
        Ok(this)
    }

    /// Starts products.
    ///
    /// # Safety
    ///
    /// As [`Device::gemm`](crate::Device::gemm).
    pub(crate) unsafe fn gemm(&mut self, double: bool, gemm: &Gemm) -> Result<(), Error> {
        let operation = |transpose| match transpose {
            Transpose::No => sys::cublasOperation_t::CUBLAS_OP_N,
            Transpose::Yes => sys::cublasOperation_t::CUBLAS_OP_T,
        };
        let [op_a, op_b] = gemm.transpose.map(operation);
        // Whoever asks for a product has checked that its sizes fit.
        let [m, n, k] = [gemm.m, gemm.n, gemm.k].map(|size| size as c_int);
        let [lda, ldb, ldc] = gemm.leading.map(|size| size as c_int);
        let blas = self.handle;
        macro_rules! call {
            ($one:ident, $batch:ident, $float:ty) => {{
                let (x, y): ($float, $float) = (1.0, 0.0);
                match gemm.matrices {
                    Matrices::One(addresses) => {
                        let [a, b, c] = addresses.map(|address| address as *mut $float);
                        // SAFETY: the caller answers for the matrices; the scalars are read during the call.
                        unsafe { sys::$one(blas, op_a, op_b, m, n, k, &x, a, lda, b, ldb, &y, c, ldc) }
                    }
                    Matrices::Batch { pointers, count } => {
                        let [a, b, c] = pointers.map(|array| array as *const *mut $float);
                        let (a, b, count) = (a.cast(), b.cast(), count as c_int);
                        // SAFETY: as above, for the arrays too.
                        unsafe { sys::$batch(blas, op_a, op_b, m, n, k, &x, a, lda, b, ldb, &y, c, ldc, count) }
                    }
                }
            }};
        }
        let status = if double {
            call!(cublasDgemm_v2, cublasDgemmBatched, f64)
        } else {
            call!(cublasSgemm_v2, cublasSgemmBatched, f32)
        };
        status.result().map_err(failed("multiply"))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and not used any more. A failure leaves nothing to do.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

fn failed(call: &'static str) -> impl Fn(CublasError) -> Error {
    move |error| Error::Blas { call, answer: error.to_string() }
}
