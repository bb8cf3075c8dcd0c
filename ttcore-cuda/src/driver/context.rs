//! The primary context of a GPU, made the calling thread's for as long as a call takes.

use std::ffi::c_int;
use std::ptr;

use cust::sys::{CUcontext, CUdevice, CUdevice_attribute};

use super::api::{Api, api};
use crate::error::Error;

/// The primary context of a GPU, which PyTorch, candle and others use too: memory and streams can be shared with them.
pub(crate) struct Primary {
    pub(crate) api: &'static Api,
    device: CUdevice,
    context: CUcontext,
}

// SAFETY: a context may be made current on any thread, and on several at once.
unsafe impl Send for Primary {}
// SAFETY: as above.
unsafe impl Sync for Primary {}

/// Until it is dropped, the context is the calling thread's; then the one before is.
pub(crate) struct Entered<'a> {
    api: &'a Api,
    /// None if it was this one already.
    before: Option<CUcontext>,
}

impl Primary {
    /// Of the GPU with this number.
    pub(crate) fn new(ordinal: u32) -> Result<Self, Error> {
        let api = api()?;
        let none = |error| match error {
            Error::Driver { answer, .. } => Error::NoDevice { answer },
            error => error,
        };
        // SAFETY: the calls write numbers and handles to where they are told.
        unsafe {
            api.check("start", (api.cuInit)(0)).map_err(none)?;
            let (mut devices, mut device, mut context) = (0, 0, ptr::null_mut());
            api.check("count GPUs", (api.cuDeviceGetCount)(&mut devices)).map_err(none)?;
            if devices == 0 {
                return Err(Error::NoDevice { answer: "the driver lists none".to_owned() });
            }
            let devices = devices.unsigned_abs();
            if ordinal >= devices {
                return Err(Error::NoSuchDevice { ordinal, devices });
            }
            api.check("find the GPU", (api.cuDeviceGet)(&mut device, ordinal as c_int))?;
            api.check("open the GPU", (api.cuDevicePrimaryCtxRetain)(&mut context, device))?;
            Ok(Self { api, device, context })
        }
    }

    /// A property of the GPU.
    pub(crate) fn attribute(&self, attribute: CUdevice_attribute) -> Result<i32, Error> {
        let mut value = 0;
        // SAFETY: writes the number.
        let answer = unsafe { (self.api.cuDeviceGetAttribute)(&mut value, attribute, self.device) };
        self.api.check("ask for a property of the GPU", answer)?;
        Ok(value)
    }

    /// The GPU's name.
    pub(crate) fn name(&self) -> Result<String, Error> {
        let mut name = [0u8; 256];
        // SAFETY: writes a text of at most so many bytes, with its end.
        let answer = unsafe { (self.api.cuDeviceGetName)(name.as_mut_ptr().cast(), name.len() as c_int, self.device) };
        self.api.check("ask for the GPU's name", answer)?;
        let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        Ok(String::from_utf8_lossy(&name[..len]).into_owned())
    }

    /// Makes the context the calling thread's, until what is returned is dropped.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, Error> {
        let (api, mut before) = (self.api, ptr::null_mut());
        // SAFETY: writes a handle.
        api.check("ask for the context", unsafe { (api.cuCtxGetCurrent)(&mut before) })?;
        if before == self.context {
            return Ok(Entered { api, before: None });
        }
        // SAFETY: retained in `new` and not released before `self` is dropped.
        api.check("use the GPU", unsafe { (api.cuCtxSetCurrent)(self.context) })?;
        Ok(Entered { api, before: Some(before) })
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // SAFETY: it was the thread's context. A failure leaves nothing to do.
            unsafe { (self.api.cuCtxSetCurrent)(before) };
        }
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        // SAFETY: retained in `new`, and released once. A failure leaves nothing to do.
        unsafe { (self.api.cuDevicePrimaryCtxRelease_v2)(self.device) };
    }
}
