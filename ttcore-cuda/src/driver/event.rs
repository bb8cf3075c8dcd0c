//! Events: places in the work of a stream.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cust::sys::{CUevent, CUevent_flags_enum, CUstream};

use super::context::Primary;
use crate::error::Error;

/// A place in the work of a stream, that another stream or a thread can wait for.
pub struct Event {
    raw: CUevent,
    context: Arc<Primary>,
}

// SAFETY: an event may be used on any thread.
unsafe impl Send for Event {}
// SAFETY: the driver takes calls on one event from several threads.
unsafe impl Sync for Event {}

impl Event {
    pub(super) fn new(context: &Arc<Primary>) -> Result<Self, Error> {
        let _entered = context.enter()?;
        let mut raw = ptr::null_mut();
        // SAFETY: writes the event.
        let answer =
            unsafe { (context.api.cuEventCreate)(&mut raw, CUevent_flags_enum::CU_EVENT_DISABLE_TIMING as u32) };
        context.api.check("make an event", answer)?;
        Ok(Self { raw, context: context.clone() })
    }

    /// The driver's event, `CUevent`. It is destroyed with this value.
    pub fn raw(&self) -> *mut c_void {
        self.raw.cast()
    }

    /// Waits for the work it was last recorded behind; not at all if it never was.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also if that work failed.
    pub fn synchronize(&self) -> Result<(), Error> {
        let _entered = self.context.enter()?;
        // SAFETY: made in `new`.
        self.context.api.check("wait for an event", unsafe { (self.context.api.cuEventSynchronize)(self.raw) })
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_done(&self) -> bool {
        let Ok(_entered) = self.context.enter() else { return false };
        // SAFETY: made in `new`.
        unsafe { (self.context.api.cuEventQuery)(self.raw) == 0 }
    }

    /// Records it behind the work of a stream.
    ///
    /// # Safety
    ///
    /// It is a stream of this context.
    pub(super) unsafe fn record(&self, stream: CUstream) -> Result<(), Error> {
        let _entered = self.context.enter()?;
        // SAFETY: the caller's; made in `new`.
        self.context.api.check("record an event", unsafe { (self.context.api.cuEventRecord)(self.raw, stream) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // A failure leaves nothing to do.
        let Ok(_entered) = self.context.enter() else { return };
        // SAFETY: made in `new`, and not used any more.
        unsafe { (self.context.api.cuEventDestroy_v2)(self.raw) };
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("raw", &self.raw).finish_non_exhaustive()
    }
}
