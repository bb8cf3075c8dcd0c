//! Streams that work is ordered on.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cust::sys::{CUstream, CUstream_flags_enum, CUstreamCaptureStatus};

use super::context::Primary;
use super::event::Event;
use super::kernels::Kernels;
use crate::blas::{Blas, Math};
use crate::error::Error;

/// A stream of a GPU that work is ordered on, of the backend's own or the caller's.
pub struct Queue {
    pub(super) blas: Option<Blas>,
    pub(super) stream: CUstream,
    pub(super) math: Math,
    own: bool,
    id: u64,
    kernels: Arc<Kernels>,
    context: Arc<Primary>,
}

/// A number that no queue had before. The driver's handles are given to new streams when old ones are gone.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

// SAFETY: a stream may be used on any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// On a stream of its own, which neither waits for the legacy default stream nor is waited for by it.
    pub(super) fn new(context: &Arc<Primary>, kernels: &Arc<Kernels>, math: Math) -> Result<Self, Error> {
        let _entered = context.enter()?;
        let mut stream = ptr::null_mut();
        let flags = CUstream_flags_enum::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: writes the stream.
        context.api.check("make a stream", unsafe { (context.api.cuStreamCreate)(&mut stream, flags) })?;
        Ok(Self {
            blas: None,
            stream,
            math,
            own: true,
            id: next_id(),
            kernels: kernels.clone(),
            context: context.clone(),
        })
    }

    /// On a caller's stream.
    ///
    /// # Safety
    ///
    /// As [`Driver::queue_on`](super::Driver::queue_on).
    pub(super) unsafe fn on(stream: *mut c_void, context: &Arc<Primary>, kernels: &Arc<Kernels>, math: Math) -> Self {
        Self {
            blas: None,
            stream: stream.cast(),
            math,
            own: false,
            id: next_id(),
            kernels: kernels.clone(),
            context: context.clone(),
        }
    }

    /// The driver's stream, `CUstream`, for work of others that is to be ordered with this queue's, and for capture. A
    /// stream of the queue's own is destroyed with it, when its work is done.
    pub fn stream(&self) -> *mut c_void {
        self.stream.cast()
    }

    /// An event, to be recorded here or elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn event(&self) -> Result<Event, Error> {
        Event::new(&self.context)
    }

    /// An event that tells times: see [`Event::since`].
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn timed_event(&self) -> Result<Event, Error> {
        Event::timed(&self.context)
    }

    /// Records an event behind all work so far.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also if the event is of another GPU.
    pub fn record(&mut self, event: &Event) -> Result<(), Error> {
        // SAFETY: the stream is this context's and lives as long as the queue.
        unsafe { event.record(self.stream) }
    }

    /// Work from now on begins when an event has happened, of this stream or another. Does not wait here.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn wait(&mut self, event: &Event) -> Result<(), Error> {
        let _entered = self.context.enter()?;
        // SAFETY: as above; the event lives longer than the call, which is all that the driver asks.
        let answer = unsafe { (self.context.api.cuStreamWaitEvent)(self.stream, event.raw().cast(), 0) };
        self.context.api.check("wait for an event", answer)
    }

    /// Its number, from 1.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether somebody captures the stream in a graph: nothing is executed then.
    pub(super) fn is_capturing(&self) -> bool {
        let Ok(_entered) = self.context.enter() else { return true };
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE as u32;
        // SAFETY: writes the status, through a pointer to a number of the enum's size: it may be one that cust does not know.
        let answer = unsafe { (self.context.api.cuStreamIsCapturing)(self.stream, ptr::from_mut(&mut status).cast()) };
        answer != 0 || status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE as u32
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Work may go on; the kernels stay until it is done. What is captured is the caller's to keep them for.
        if !self.is_capturing() {
            let event = Event::new(&self.context);
            let recorded = event.and_then(|event| self.record(&event).map(|()| event));
            if let Ok(event) = recorded {
                self.kernels.outlive(event);
            }
        }
        // Before the stream it is on; a failure leaves nothing to do.
        let Ok(_entered) = self.context.enter() else { return };
        self.blas = None;
        if self.own {
            // SAFETY: made in `new`. The driver finishes the work before it takes the stream away, without waiting here.
            unsafe { (self.context.api.cuStreamDestroy_v2)(self.stream) };
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("stream", &self.stream).field("own", &self.own).finish_non_exhaustive()
    }
}
