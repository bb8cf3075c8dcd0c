//! Threads: one pool for all sessions that use as many, made anew after a fork.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use ttcore_cpu::Threads;

/// Forks behind this process: a pool of another number has no threads here.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// The pools there are. Locked with the interpreter held and for no longer, so that no fork finds it locked.
static POOLS: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

struct Pool {
    forks: usize,
    count: usize,
    threads: Threads,
}

/// To be called in a process that was forked: its memory has pools, but no threads run in it.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, Relaxed);
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
    let threads = Threads::new(count).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    pools.push(Pool { forks, count, threads: threads.clone() });
    Ok(threads)
}
