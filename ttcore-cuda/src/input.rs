//! Numbers of the host for the device, batch after batch.

use std::fmt;

use ttcore::check;

use crate::backend::Cuda;
use crate::device::{Device, Element};
use crate::error::Error;
use crate::view::{Buffer, View};

/// Numbers that the host gives the device for every batch: written to pinned memory, and copied from there without waiting.
pub struct Input<F, D: Device> {
    staging: D::Staging,
    buffer: Buffer<F, D>,
}

impl<F, D: Device> fmt::Debug for Input<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

impl<F: Element, D: Device> Input<F, D> {
    pub(crate) fn new(staging: D::Staging, memory: D::Memory, len: usize) -> Self {
        Self { staging, buffer: Buffer::new(memory, len) }
    }

    /// Copies parts one behind the other, in order on the queue. Waits for the last such copy only.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error::Length`] for more numbers than there is room for; the device's.
    pub fn load(&mut self, backend: &Cuda<F, D>, queue: &mut D::Queue, parts: &[&[F]]) -> Result<(), Error> {
        let (len, room) = (parts.iter().map(|part| part.len()).sum::<usize>(), self.buffer.view().len());
        if len > room {
            check::length("input", None, len, room)?;
        }
        let mut bytes = backend.device().staged(&mut self.staging)?;
        for part in parts {
            let (front, back) = bytes.split_at_mut(size_of_val(*part));
            front.copy_from_slice(bytemuck::cast_slice(part));
            bytes = back;
        }
        let to = self.buffer.view_mut().address();
        // SAFETY: the buffer has room for so many numbers, and is borrowed; later work of the queue comes after the copy.
        unsafe { backend.device().send(queue, &mut self.staging, to, len * F::BYTES) }
    }

    /// All of it, on the device.
    pub fn view(&self) -> View<'_, F> {
        self.buffer.view()
    }
}
