//! The kernels on a GPU.

use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use cust::sys::{CUdevice_attribute, CUfunction, CUmodule};

use super::context::Primary;
use super::event::Event;
use crate::device::Kernel;
use crate::error::Error;
use crate::nvrtc::{self, Image};

/// The kernels, compiled for a GPU and loaded.
pub(crate) struct Kernels {
    /// For each of [`Kernel::ALL`], for `f32` and `f64`.
    functions: Vec<[CUfunction; 2]>,
    module: CUmodule,
    /// Behind the work of queues that are gone, as far as it may not be done: the module is not unloaded before.
    left: Mutex<Vec<Event>>,
    context: Arc<Primary>,
}

// SAFETY: names for functions, valid on every thread as long as their module is loaded.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

impl Kernels {
    /// Compiles the kernels and loads them.
    pub(crate) fn new(context: &Arc<Primary>) -> Result<Self, Error> {
        let api = context.api;
        let major = context.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = context.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let mut version = 0;
        // SAFETY: writes the number.
        api.check("ask for its version", unsafe { (api.cuDriverGetVersion)(&mut version) })?;
        let image = nvrtc::compile((major, minor), version / 1000)?;
        let load = match *image {
            Image::Code(_) => "load the kernels",
            Image::Ptx(_) => {
                "load the kernels, which NVRTC has no machine code for (is NVRTC newer than the driver? `nvidia-smi` shows \
                 the version that it knows)"
            }
        };
        let _entered = context.enter()?;
        let mut module = ptr::null_mut();
        // SAFETY: machine code says how long it is, and PTX ends with a zero; both are read during the call.
        api.check(load, unsafe { (api.cuModuleLoadData)(&mut module, image.bytes().as_ptr().cast()) })?;
        let left = Mutex::default();
        let mut this = Self { functions: Vec::new(), module, left, context: context.clone() };
        let function = |kernel: Kernel, double| {
            let mut function = ptr::null_mut();
            // SAFETY: writes the function; the name ends with a zero and is read during the call.
            let answer = unsafe { (api.cuModuleGetFunction)(&mut function, module, kernel.entry(double).as_ptr()) };
            api.check("find a kernel", answer).map(|()| function)
        };
        let functions = Kernel::ALL.iter().map(|&kernel| Ok([function(kernel, false)?, function(kernel, true)?]));
        this.functions = functions.collect::<Result<_, Error>>()?;
        Ok(this)
    }

    /// A kernel, for `f64` if `double`.
    pub(crate) fn function(&self, kernel: Kernel, double: bool) -> CUfunction {
        self.functions[kernel as usize][usize::from(double)]
    }

    /// Does not unload the kernels before what was recorded.
    pub(crate) fn outlive(&self, event: Event) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|event| !event.is_done());
        left.push(event);
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        // Only for the work of this crate: other streams of the context are not waited for. A failure leaves nothing to do.
        for event in self.left.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = event.synchronize();
        }
        let Ok(_entered) = self.context.enter() else { return };
        // SAFETY: loaded in `new`, and no kernel of it runs any more.
        unsafe { (self.context.api.cuModuleUnload)(self.module) };
    }
}
