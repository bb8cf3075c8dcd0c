//! Memory that the tasks of one region write in disjoint parts.
//!
//! Which part belongs to which task follows from the group: every slice of a core, every node of the prefix tree, every
//! row and every bag has one owner. The borrow checker cannot see that, so this file is the one place outside of the
//! kernels that goes around it; lengths are always checked.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;

/// A view that tasks share. It borrows what it points to for `'a`.
#[derive(Debug)]
pub(crate) struct Shared<'a, F> {
    start: *mut F,
    len: usize,
    borrow: PhantomData<&'a mut [F]>,
}

// SAFETY: a view is a borrow of numbers, which may be used on any thread; that no two tasks use the same ones in
// conflicting ways is what `get` and `get_mut` ask of their callers.
unsafe impl<F: Send + Sync> Send for Shared<'_, F> {}
// SAFETY: as above.
unsafe impl<F: Send + Sync> Sync for Shared<'_, F> {}

impl<F> Clone for Shared<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Shared<'_, F> {}

impl<'a, F> Shared<'a, F> {
    /// A view to read and write.
    pub(crate) fn new(numbers: &'a mut [F]) -> Self {
        Self { start: numbers.as_mut_ptr(), len: numbers.len(), borrow: PhantomData }
    }

    /// A view to read: `get_mut` must not be called on it.
    pub(crate) fn read_only(numbers: &'a [F]) -> Self {
        Self { start: numbers.as_ptr().cast_mut(), len: numbers.len(), borrow: PhantomData }
    }

    /// A part, to read.
    ///
    /// # Safety
    ///
    /// Until the part is dropped, no task writes it.
    pub(crate) unsafe fn get(self, range: Range<usize>) -> &'a [F] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: the range lies inside the slice this was made from, which is borrowed for 'a; the caller answers for
        // the absence of writes.
        unsafe { std::slice::from_raw_parts(self.start.add(range.start), range.len()) }
    }

    /// Where a part is, to point at: another task may be writing it.
    pub(crate) fn place(self, range: Range<usize>) -> *const [F] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        std::ptr::slice_from_raw_parts(self.start.wrapping_add(range.start), range.len())
    }

    /// A part, to write.
    ///
    /// # Safety
    ///
    /// The view was made by [`Shared::new`], and until the part is dropped no other task reads or writes it.
    #[allow(clippy::mut_from_ref, reason = "the caller answers for exclusivity")]
    pub(crate) unsafe fn get_mut(self, range: Range<usize>) -> &'a mut [F] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: the range lies inside the slice this was made from, which is exclusively borrowed for 'a; the caller
        // answers for exclusivity among tasks.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Owned numbers that tasks share like a [`Shared`] view.
#[derive(Default)]
pub(crate) struct Cells<F>(Vec<UnsafeCell<F>>);

// SAFETY: as for `Shared`: whoever reads or writes answers for the absence of conflicts.
unsafe impl<F: Send + Sync> Sync for Cells<F> {}

impl<F: Copy> Cells<F> {
    /// `len` times this number.
    pub(crate) fn new(number: F, len: usize) -> Self {
        Self((0..len).map(|_| UnsafeCell::new(number)).collect())
    }

    /// A part, to read.
    ///
    /// # Safety
    ///
    /// Until the part is dropped, no task writes it.
    pub(crate) unsafe fn get(&self, range: Range<usize>) -> &[F] {
        let cells = &self.0[range];
        // SAFETY: an UnsafeCell has the layout of what is in it; the caller answers for the absence of writes.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) }
    }

    /// A part, to write.
    ///
    /// # Safety
    ///
    /// Until the part is dropped, no other task reads or writes it.
    #[allow(clippy::mut_from_ref, reason = "the caller answers for exclusivity")]
    pub(crate) unsafe fn get_mut(&self, range: Range<usize>) -> &mut [F] {
        let cells = &self.0[range];
        // SAFETY: UnsafeCell lets a shared borrow be written through; the caller answers for exclusivity.
        unsafe { std::slice::from_raw_parts_mut(UnsafeCell::raw_get(cells.as_ptr()), cells.len()) }
    }
}
