//! The driver's functions, loaded at run time, and its answers.
//!
//! The types and constants are cust's. Its functions are not called, for three reasons. They return the driver's answer as a
//! Rust enum of CUDA 11.4, which may not hold a code of a later driver: undefined behaviour, and in practice a program that
//! dies where it should have an error. They link to `libcuda.so.1`, without which the program would not start. And they
//! change what they are asked for: a stream that is to be non-blocking is made without that flag.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use cust::sys::{
    CUcontext, CUdevice, CUdevice_attribute, CUevent, CUfunction, CUmodule, CUstream, CUstreamCaptureStatus,
};
use libloading::Library;

use crate::error::Error;

/// The file of the driver.
const FILE: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// What a driver answers when all is well.
const SUCCESS: u32 = 0;

macro_rules! functions {
    ($($name:ident($($type:ty),*);)*) => {
        /// Functions of the driver, by their names. All return an answer.
        #[allow(non_snake_case, reason = "the driver's names")]
        pub(crate) struct Api {
            $(pub(crate) $name: unsafe extern "C" fn($($type),*) -> u32,)*
        }

        impl Api {
            fn find(library: &'static Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the driver's function of this name has this type since CUDA 12.0 and before.
                    $($name: unsafe { *library.get(concat!(stringify!($name), "\0").as_bytes())? },)*
                })
            }
        }
    };
}

functions! {
    cuInit(c_uint);
    cuDriverGetVersion(*mut c_int);
    cuGetErrorName(u32, *mut *const c_char);
    cuGetErrorString(u32, *mut *const c_char);
    cuDeviceGetCount(*mut c_int);
    cuDeviceGet(*mut CUdevice, c_int);
    cuDeviceGetName(*mut c_char, c_int, CUdevice);
    cuDeviceGetAttribute(*mut c_int, CUdevice_attribute, CUdevice);
    cuDevicePrimaryCtxRetain(*mut CUcontext, CUdevice);
    cuDevicePrimaryCtxRelease_v2(CUdevice);
    cuCtxGetCurrent(*mut CUcontext);
    cuCtxSetCurrent(CUcontext);
    cuModuleLoadData(*mut CUmodule, *const c_void);
    cuModuleGetFunction(*mut CUfunction, CUmodule, *const c_char);
    cuModuleUnload(CUmodule);
    cuStreamCreate(*mut CUstream, c_uint);
    cuStreamDestroy_v2(CUstream);
    cuStreamSynchronize(CUstream);
    cuStreamWaitEvent(CUstream, CUevent, c_uint);
    cuStreamIsCapturing(CUstream, *mut CUstreamCaptureStatus);
    cuMemAlloc_v2(*mut u64, usize);
    cuMemFree_v2(u64);
    cuMemAllocHost_v2(*mut *mut c_void, usize);
    cuMemFreeHost(*mut c_void);
    cuMemcpyHtoDAsync_v2(u64, *const c_void, usize, CUstream);
    cuMemcpyDtoHAsync_v2(*mut c_void, u64, usize, CUstream);
    cuMemsetD8Async(u64, u8, usize, CUstream);
    cuEventCreate(*mut CUevent, c_uint);
    cuEventDestroy_v2(CUevent);
    cuEventRecord(CUevent, CUstream);
    cuEventQuery(CUevent);
    cuEventSynchronize(CUevent);
    cuEventElapsedTime(*mut f32, CUevent, CUevent);
    cuLaunchKernel(
        CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream, *mut *mut c_void, *mut *mut c_void
    );
}

/// The driver of this machine, loaded once.
///
/// # Errors
///
/// [`Error::NoDevice`] if there is none, or one that is older than CUDA 12.
pub(crate) fn api() -> Result<&'static Api, Error> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    let load = || {
        // SAFETY: loads the library and runs its initialisers, which NVIDIA's has none of that do harm.
        let library = unsafe { Library::new(FILE) }.map_err(|error| format!("{FILE} cannot be loaded: {error}"))?;
        // For the rest of the process: functions of it are used until then.
        let library: &'static Library = Box::leak(Box::new(library));
        Api::find(library).map_err(|error| format!("{FILE} lacks a function, is it older than CUDA 12? {error}"))
    };
    API.get_or_init(load).as_ref().map_err(|answer| Error::NoDevice { answer: answer.clone() })
}

impl Api {
    /// The driver's answer as a result.
    pub(crate) fn check(&self, call: &'static str, answer: u32) -> Result<(), Error> {
        if answer == SUCCESS { Ok(()) } else { Err(Error::Driver { call, code: answer, answer: self.text(answer) }) }
    }

    /// Name, number and description of an answer, as far as the driver knows them.
    pub(crate) fn text(&self, answer: u32) -> String {
        // SAFETY: writes a pointer to a text that lives as long as the library, or none.
        let ask = |function: unsafe extern "C" fn(u32, *mut *const c_char) -> u32| unsafe {
            let mut text = ptr::null();
            let known = function(answer, &mut text) == SUCCESS && !text.is_null();
            known.then(|| CStr::from_ptr(text).to_string_lossy())
        };
        match (ask(self.cuGetErrorName), ask(self.cuGetErrorString)) {
            (Some(name), Some(text)) => format!("{name} ({answer}): {text}"),
            (Some(name), None) => format!("{name} ({answer})"),
            (None, _) => format!("code {answer}, which the driver has no name for"),
        }
    }
}
