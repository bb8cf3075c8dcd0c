//! Batched products by cuBLAS, which is loaded at run time.

use std::ffi::{c_int, c_void};

use cudarc::cublas::result::{self, CublasError};
use cudarc::cublas::sys;

use crate::device::{Gemm, Transpose};
use crate::error::Error;

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
    pub(crate) unsafe fn new(stream: *mut c_void) -> Result<Self, Error> {
        // SAFETY: loads the library and runs its initialisers, which NVIDIA's has none of that do harm.
        if !unsafe { sys::is_culib_present() } {
            // The first call would panic.
            return Err(Error::NoLibrary { library: "cuBLAS", file: "libcublas.so" });
        }
        let this = Self { handle: result::create_handle().map_err(failed("make a handle"))? };
        // SAFETY: the handle was made above, and the caller answers for the stream.
        unsafe { result::set_stream(this.handle, stream.cast()) }.map_err(failed("use the stream"))?;
        Ok(this)
    }

    /// Starts batched products.
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
        // The plan checked that all sizes fit.
        let [m, n, k, count] = [gemm.m, gemm.n, gemm.k, gemm.count].map(|size| size as c_int);
        let [lda, ldb, ldc] = gemm.leading.map(|size| size as c_int);
        macro_rules! call {
            ($function:ident, $float:ty) => {{
                let [a, b, c] = gemm.pointers.map(|array| array as *const *mut $float);
                let (a, b) = (a.cast(), b.cast());
                let (one, zero): ($float, $float) = (1.0, 0.0);
                // SAFETY: the caller answers for the arrays and matrices; the scalars are read during the call.
                unsafe { sys::$function(self.handle, op_a, op_b, m, n, k, &one, a, lda, b, ldb, &zero, c, ldc, count) }
            }};
        }
        let status = if double { call!(cublasDgemmBatched, f64) } else { call!(cublasSgemmBatched, f32) };
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
