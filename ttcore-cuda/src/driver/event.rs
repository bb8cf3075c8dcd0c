//! Events: places in the work of a stream.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

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
    /// For ordering alone.
    pub(super) fn new(context: &Arc<Primary>) -> Result<Self, Error> {
        Self::with_flags(context, CUevent_flags_enum::CU_EVENT_DISABLE_TIMING)
    }

    /// For telling times, too.
    pub(super) fn timed(context: &Arc<Primary>) -> Result<Self, Error> {
        Self::with_flags(context, CUevent_flags_enum::CU_EVENT_DEFAULT)
    }

    fn with_flags(context: &Arc<Primary>, flags: CUevent_flags_enum) -> Result<Self, Error> {
        let _entered = context.enter()?;
        let mut raw = ptr::null_mut();
        // SAFETY: writes the event.
        let answer = unsafe { (context.api.cuEventCreate)(&mut raw, flags as u32) };
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

    /// Time of the GPU from an earlier event to this one, both of [`Queue::timed_event`](super::Queue::timed_event), recorded
    /// and happened. To half a microsecond.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also if one has not happened yet, or cannot tell times.
    pub fn since(&self, earlier: &Self) -> Result<Duration, Error> {
        let _entered = self.context.enter()?;
        let mut milliseconds = 0.0f32;
        // SAFETY: made in `new`; writes the number.
        let answer = unsafe { (self.context.api.cuEventElapsedTime)(&mut milliseconds, earlier.raw, self.raw) };
        self.context.api.check("ask for a time", answer)?;
        Ok(Duration::try_from_secs_f64(f64::from(milliseconds) / 1e3).unwrap_or_default())
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
