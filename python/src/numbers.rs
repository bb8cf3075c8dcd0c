//! Numbers of a tensor, without the interpreter.

use std::marker::PhantomData;
use std::ops::Range;

/// Contiguous numbers of a tensor, which may go to where the interpreter is released.
#[derive(Clone, Copy)]
pub(crate) struct Numbers<T> {
    data: *mut T,
    len: usize,
    kind: PhantomData<T>,
}

// SAFETY: an address. What may be done with it is said where it is made a slice.
unsafe impl<T: Send> Send for Numbers<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Numbers<T> {}

impl<T> Numbers<T> {
    /// So many numbers at an address.
    ///
    /// # Safety
    ///
    /// They are there, and aligned, unless there are none.
    pub(crate) unsafe fn new(data: *mut T, len: usize) -> Self {
        Self { data, len, kind: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where they lie, in bytes.
    pub(crate) fn addresses(&self) -> Range<usize> {
        self.data.addr()..self.data.addr() + self.len * size_of::<T>()
    }

    /// A part of them. Panics if there are not so many.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len);
        // Within the same tensor.
        Self { data: self.data.wrapping_add(range.start), len: range.len(), ..self }
    }

    /// To read.
    ///
    /// # Safety
    ///
    /// The tensor is held by the caller for `'a`, and nothing of this process writes it meanwhile. As everywhere in PyTorch,
    /// that is the user's part where threads share a tensor.
    pub(crate) unsafe fn get<'a>(self) -> &'a [T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: of this length, aligned and not null when it was made; the caller's for the rest.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }

    /// To write.
    ///
    /// # Safety
    ///
    /// As [`Numbers::get`], and nothing reads it meanwhile: no other slice of it is in use.
    pub(crate) unsafe fn get_mut<'a>(self) -> &'a mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as in `get`.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}
