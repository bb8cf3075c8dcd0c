//! Work shared over the threads it is called from.
//!
//! Everything is cut into fixed parts, each with memory of its own; which thread does a part changes nothing in the result.

/// Does both: side by side if this is a thread of a rayon pool of several, one after the other elsewhere.
pub(super) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    // Asked from outside of a pool, rayon would start its global one.
    if rayon::current_thread_index().is_some() && rayon::current_num_threads() > 1 {
        rayon::join(a, b)
    } else {
        (a(), b())
    }
}

/// Work of several parts.
pub(super) trait Parts: Sized + Send {
    /// How many.
    fn len(&self) -> usize;
    /// The first `at` parts, and the others.
    fn split(self, at: usize) -> (Self, Self);
}

/// Calls `task` with every part alone.
pub(super) fn for_each<P: Parts>(parts: P, task: &(impl Fn(P) + Sync)) {
    match parts.len() {
        0 => (),
        1 => task(parts),
        len => {
            let (front, back) = parts.split(len / 2);
            join(|| for_each(front, task), || for_each(back, task));
        }
    }
}

/// The first `at` numbers of a slice, or as many as there are, and the others.
pub(super) fn cut<T>(slice: &[T], at: usize) -> (&[T], &[T]) {
    slice.split_at(at.min(slice.len()))
}

/// The same, to write.
pub(super) fn cut_mut<T>(slice: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    let at = at.min(slice.len());
    slice.split_at_mut(at)
}
