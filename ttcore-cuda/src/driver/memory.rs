//! Memory of a GPU, and memory of the host that it reads.

use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use super::context::Primary;
use super::event::Event;
use crate::error::Error;

/// Memory of a GPU. Freeing it waits for all work of the GPU's context, as `cuMemFree` does.
pub struct Memory {
    pub(super) address: u64,
    bytes: usize,
    context: Arc<Primary>,
}

/// Memory of the host that a GPU can read, and whether it still does.
pub struct Staging {
    start: NonNull<u8>,
    bytes: usize,
    /// Behind the last copy from it.
    pub(super) sent: Event,
    context: Arc<Primary>,
}

// SAFETY: it owns what it points to, which is written through `&mut` only.
unsafe impl Send for Staging {}
// SAFETY: as above.
unsafe impl Sync for Staging {}

impl Memory {
    /// So many bytes; their contents are whatever was there.
    pub(super) fn new(context: &Arc<Primary>, bytes: usize) -> Result<Self, Error> {
        let _entered = context.enter()?;
        // Empty memory would have no address.
        let (mut address, bytes) = (0, bytes.max(1));
        // SAFETY: writes the address.
        let answer = unsafe { (context.api.cuMemAlloc_v2)(&mut address, bytes) };
        context.api.check("allocate memory", answer)?;
        Ok(Self { address, bytes, context: context.clone() })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A failure leaves nothing to do.
        let Ok(_entered) = self.context.enter() else { return };
        // SAFETY: allocated in `new`, and not used any more.
        unsafe { (self.context.api.cuMemFree_v2)(self.address) };
    }
}

impl Staging {
    /// So many zeros.
    pub(super) fn new(context: &Arc<Primary>, bytes: usize) -> Result<Self, Error> {
        let sent = Event::new(context)?;
        let _entered = context.enter()?;
        let (mut start, bytes) = (ptr::null_mut(), bytes.max(1));
        // SAFETY: writes the address.
        let answer = unsafe { (context.api.cuMemAllocHost_v2)(&mut start, bytes) };
        context.api.check("allocate memory of the host", answer)?;
        let missing = || Error::Contract(ttcore::Error::TooLarge { what: "memory of the host" });
        let start = NonNull::new(start.cast()).ok_or_else(missing)?;
        // SAFETY: so many bytes were allocated, and nobody else has them.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { start, bytes, sent, context: context.clone() })
    }

    /// The bytes, after the last copy from them is done.
    pub(super) fn bytes(&mut self) -> Result<&mut [u8], Error> {
        self.sent.synchronize()?;
        // SAFETY: so many bytes, written in `new`, and borrowed with `self`.
        Ok(unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) })
    }

    /// Where the first `bytes` are, and how many that is at most.
    pub(super) fn first(&self, bytes: usize) -> (*const u8, usize) {
        (self.start.as_ptr(), bytes.min(self.bytes))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Not before the last copy is done. A failure leaves nothing to do.
        let _ = self.sent.synchronize();
        let Ok(_entered) = self.context.enter() else { return };
        // SAFETY: allocated in `new`, and not used any more.
        unsafe { (self.context.api.cuMemFreeHost)(self.start.as_ptr().cast()) };
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
