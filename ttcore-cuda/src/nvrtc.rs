//! The kernels' source, compiled for a GPU by NVRTC, which is loaded at run time.

use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts, sys};

use crate::error::Error;

/// The kernels, one source.
const SOURCE: &str = concat!(
    include_str!("../kernels/common.cuh"),
    include_str!("../kernels/batched.cu"),
    include_str!("../kernels/dense.cu"),
    include_str!("../kernels/patch.cuh"),
    include_str!("../kernels/fused.cuh"),
    include_str!("../kernels/tiles.cuh"),
    include_str!("../kernels/fused_forward.cu"),
    include_str!("../kernels/fused_backward.cu"),
    include_str!("../kernels/fused_outer.cu"),
    include_str!("../kernels/slices.cu"),
    include_str!("../kernels/untouched.cu"),
    include_str!("../kernels/layers.cu"),
);

/// Whether the library is found.
pub fn available() -> bool {
    // SAFETY: loads the library and runs its initialisers, which NVIDIA's has none of that do harm.
    unsafe { sys::is_culib_present() }
}

/// The kernels as PTX for GPUs of a compute capability, such as `(9, 0)`, and later ones.
///
/// # Errors
///
/// [`Error::NoLibrary`]; [`Error::Compile`], with the compiler's log.
pub fn compile((major, minor): (i32, i32)) -> Result<String, Error> {
    // The first call to a missing library panics.
    if !available() {
        return Err(Error::NoLibrary { library: "NVRTC", file: "libnvrtc.so" });
    }
    let options = vec![format!("--gpu-architecture=compute_{major}{minor}"), "--std=c++17".to_owned()];
    let name = Some("ttcore.cu".to_owned());
    let compiled = compile_ptx_with_opts(SOURCE, CompileOptions { name, options, ..CompileOptions::default() });
    compiled.map(|ptx| ptx.to_src()).map_err(|error| Error::Compile {
        log: match error {
            CompileError::CompileError { log, nvrtc, .. } => format!("{nvrtc}: {}", log.to_string_lossy()),
            other => other.to_string(),
        },
    })
}
