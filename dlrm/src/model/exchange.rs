//! Numbers that the tables and the host pass to each other.

use std::any::Any;

use ttcore::{Backend, Real};

/// Numbers on the backend, which the host reads and writes too: where they are, if the backend's buffers are vectors of
/// the host, or in a copy.
pub(super) struct Exchange<B: Backend> {
    buffer: B::Buffer,
    /// Empty where none is needed.
    copy: Vec<B::Float>,
}

impl<B: Backend> Exchange<B> {
    pub(super) fn new(backend: &B, queue: &mut B::Queue, len: usize) -> Result<Self, B::Error> {
        let buffer = backend.alloc(queue, len)?;
        let copy = if vector::<B>(&buffer).is_some() { 0 } else { len };
        Ok(Self { buffer, copy: vec![B::Float::of(0.0); copy] })
    }

    /// The first `len` numbers, on the backend.
    pub(super) fn view(&self, len: usize) -> B::View<'_> {
        B::slice(B::view(&self.buffer), 0..len)
    }

    /// The same, to write.
    pub(super) fn view_mut(&mut self, len: usize) -> B::ViewMut<'_> {
        B::slice_mut(B::view_mut(&mut self.buffer), 0..len)
    }

    /// The first `len` numbers, on the host, as [`Exchange::fetch`] or the host left them.
    pub(super) fn host(&self, len: usize) -> &[B::Float] {
        &vector::<B>(&self.buffer).unwrap_or(&self.copy)[..len]
    }

    /// The same, to write; the backend sees it after [`Exchange::send`].
    pub(super) fn host_mut(&mut self, len: usize) -> &mut [B::Float] {
        let Self { buffer, copy } = self;
        let vector = (buffer as &mut dyn Any).downcast_mut::<Vec<B::Float>>();
        &mut vector.unwrap_or(copy)[..len]
    }

    /// Brings the first `len` numbers to the host.
    pub(super) fn fetch(&mut self, backend: &B, queue: &mut B::Queue, len: usize) -> Result<(), B::Error> {
        if self.copy.is_empty() {
            return Ok(());
        }
        backend.download(queue, B::slice(B::view(&self.buffer), 0..len), &mut self.copy[..len])
    }

    /// Brings the first `len` numbers to the backend.
    pub(super) fn send(&mut self, backend: &B, queue: &mut B::Queue, len: usize) -> Result<(), B::Error> {
        if self.copy.is_empty() {
            return Ok(());
        }
        backend.upload(queue, &self.copy[..len], B::slice_mut(B::view_mut(&mut self.buffer), 0..len))
    }
}

/// The vector that a buffer is, on backends that compute on the host.
fn vector<B: Backend>(buffer: &B::Buffer) -> Option<&Vec<B::Float>> {
    (buffer as &dyn Any).downcast_ref()
}
