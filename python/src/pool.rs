//! Threads: one pool for all sessions that use as many, made anew after a fork.
//!
//! The thread that imports the module, from which most calls come, is one of its pool: calls need no hand-over there.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use ttcore_cpu::{Threads, ThreadsError};

/// Forks behind this process: a pool of another number has no threads here.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// The pools there are. Locked with the interpreter held and for no longer, so that no fork finds it locked.
static POOLS: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

/// Read by calls that hold locks without the interpreter, written by who forks: the new process has no thread that would
/// release them.
static CALLS: RwLock<()> = RwLock::new(());

thread_local! {
    static FORKING: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// The thread that imported the module.
static MAIN: OnceLock<ThreadId> = OnceLock::new();

/// To be called once, when the module is imported.
pub(crate) fn imported() {
    MAIN.get_or_init(|| thread::current().id());
}

struct Pool {
    forks: usize,
    count: usize,
    threads: Threads,
}

/// Runs a call with the interpreter released. No fork finds it under way.
pub(crate) fn detached<T: Send>(py: Python<'_>, call: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let _reader = CALLS.read().unwrap_or_else(PoisonError::into_inner);
        call()
    })
}

/// To be called before a fork, with the interpreter held: waits for the calls under way.
#[pyfunction]
pub(crate) fn forking() {
    let writer = CALLS.write().unwrap_or_else(PoisonError::into_inner);
    FORKING.with_borrow_mut(|forking| *forking = Some(writer));
}

/// To be called after a fork in either process. The memory of a new one has pools, but no threads run in it.
#[pyfunction]
pub(crate) fn forked(child: bool) {
    FORKS.fetch_add(usize::from(child), Relaxed);
    FORKING.with_borrow_mut(|forking| *forking = None);
}

/// The threads of this process, so many. With one, the calling thread.
pub(crate) fn threads(_attached: Python<'_>, count: usize) -> PyResult<Threads> {
    if count == 1 {
        return Ok(Threads::one());
    }
    let forks = FORKS.load(Relaxed);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    // To drop a pool is to wake its threads, which are not there.
    pools.extract_if(.., |pool| pool.forks != forks).for_each(std::mem::forget);
    if let Some(pool) = pools.iter().find(|pool| pool.count == count) {
        return Ok(pool.threads.clone());
    }
    let threads = start(count, forks).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    pools.push(Pool { forks, count, threads: threads.clone() });
    Ok(threads)
}

/// New threads: those beside the thread that imported the module, where this is it.
///
/// Not on others, which may be many and short-lived, and not after a fork: there this thread is one of a pool without threads.
fn start(count: usize, forks: usize) -> Result<Threads, ThreadsError> {
    let here = forks == 0 && MAIN.get() == Some(&thread::current().id());
    // A thread is in one pool: another number of threads needs one without it.
    if here { Threads::here(count).or_else(|_| Threads::new(count)) } else { Threads::new(count) }
}
