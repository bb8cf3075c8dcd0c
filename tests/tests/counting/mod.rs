//! Counts what the threads of a test allocate. For test files of one test: the counter is the program's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::yield_now;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The system's allocator, counting on the threads of the test: the harness has others.
struct Counting;

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// From now on, what this thread allocates counts.
pub(crate) fn count_this_thread() {
    COUNTED.set(true);
}

/// Allocations of the counted threads while `work` ran. There must have been some before.
pub(crate) fn allocations_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "the allocator counts");
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// A pool of two counted threads.
pub(crate) fn pool() -> Arc<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    (0..2).for_each(|waiting| drop(pool.broadcast(|thread| count(thread.index(), waiting))));
    Arc::new(pool)
}

/// To be broadcast in a pool of two threads, for each of them as the one that waits: counts them, and makes each start and
/// take work from the other. Both take memory when first done.
pub(crate) fn count(index: usize, waiting: usize) {
    count_this_thread();
    if index == waiting {
        let taken = AtomicBool::new(false);
        // The first waits for the second, which only the other thread can do.
        let wait = || (0..).take_while(|_| !taken.load(Ordering::Acquire)).for_each(|_: u64| yield_now());
        rayon::join(wait, || taken.store(true, Ordering::Release));
    }
}
