//! Numbers in memory of the device, owned and borrowed.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use crate::device::Device;

/// Shared view of contiguous numbers on the device.
#[derive(Debug)]
pub struct View<'a, F> {
    address: u64,
    len: usize,
    numbers: PhantomData<&'a [F]>,
}

/// Exclusive view of contiguous numbers on the device.
#[derive(Debug)]
pub struct ViewMut<'a, F> {
    address: u64,
    len: usize,
    numbers: PhantomData<&'a mut [F]>,
}

impl<F> Clone for View<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for View<'_, F> {}

impl<F> View<'_, F> {
    /// A view of `len` numbers that someone else owns, at an address of the device (`data_ptr()` in PyTorch).
    ///
    /// # Safety
    ///
    /// For the lifetime, which the caller chooses, and until the work that was given this view is done: there are so many
    /// numbers of this type at this address of the backend's device, aligned as one number, and nobody writes them
    /// unless in order with that work.
    pub unsafe fn from_raw(address: u64, len: usize) -> Self {
        Self { address, len, numbers: PhantomData }
    }

    /// Where the numbers are.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Self { address: part_address::<F>(self.address, self.len, &range), len: range.len(), ..self }
    }
}

impl<'a, F> ViewMut<'a, F> {
    /// A view of `len` numbers that someone else owns, to write.
    ///
    /// # Safety
    ///
    /// As [`View::from_raw`], and nobody else reads or writes them either, unless in order with that work.
    pub unsafe fn from_raw(address: u64, len: usize) -> Self {
        Self { address, len, numbers: PhantomData }
    }

    /// Where the numbers are.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first `at` numbers, and the others. Panics if there are fewer, as slices do.
    pub fn split_at(self, at: usize) -> (Self, Self) {
        let Self { address, len, numbers } = self;
        let back = part_address::<F>(address, len, &(at..len));
        (Self { address, len: at, numbers }, Self { address: back, len: len - at, numbers })
    }

    /// The same view for a while.
    pub fn reborrow(&mut self) -> ViewMut<'_, F> {
        ViewMut { address: self.address, len: self.len, numbers: PhantomData }
    }

    /// The same view, from now on only to read.
    pub fn read_only(self) -> View<'a, F> {
        View { address: self.address, len: self.len, numbers: PhantomData }
    }

    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Self { address: part_address::<F>(self.address, self.len, &range), len: range.len(), ..self }
    }
}

/// Where a part begins.
fn part_address<F>(address: u64, len: usize, range: &Range<usize>) -> u64 {
    assert!(range.start <= range.end && range.end <= len, "numbers {range:?} of a view of {len}");
    address + (range.start * size_of::<F>()) as u64
}

/// Owned numbers on a device.
pub struct Buffer<F, D: Device> {
    memory: D::Memory,
    len: usize,
    numbers: PhantomData<F>,
}

impl<F, D: Device> fmt::Debug for Buffer<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = D::address(&self.memory);
        f.debug_struct("Buffer").field("address", &address).field("len", &self.len).finish_non_exhaustive()
    }
}

impl<F, D: Device> Buffer<F, D> {
    pub(crate) fn new(memory: D::Memory, len: usize) -> Self {
        Self { memory, len, numbers: PhantomData }
    }

    /// All of it.
    pub fn view(&self) -> View<'_, F> {
        View { address: D::address(&self.memory), len: self.len, numbers: PhantomData }
    }

    /// All of it, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_, F> {
        ViewMut { address: D::address(&self.memory), len: self.len, numbers: PhantomData }
    }
}
