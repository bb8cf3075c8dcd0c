//! Where work is ordered: a pool of threads.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Tasks of a region from which on it is shared: waking another thread for less takes longer than doing it.
const SHARED_TASKS: usize = 8;

/// The threads a call may use. Results do not depend on their number.
#[derive(Clone)]
pub struct Threads {
    pool: Option<Arc<ThreadPool>>,
}

/// A pool of threads could not be started.
#[derive(Debug)]
pub struct ThreadsError(rayon::ThreadPoolBuildError);

impl Threads {
    /// The calling thread alone.
    pub fn one() -> Self {
        Self { pool: None }
    }

    /// A pool of `threads` threads of its own; 0 for one for each core. One is the calling thread.
    ///
    /// # Errors
    ///
    /// If the system cannot start them.
    pub fn new(threads: usize) -> Result<Self, ThreadsError> {
        if threads == 1 {
            return Ok(Self::one());
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(ThreadsError)?;
        Ok(if pool.current_num_threads() == 1 { Self::one() } else { Self::shared(Arc::new(pool)) })
    }

    /// A pool that others use too.
    pub fn shared(pool: Arc<ThreadPool>) -> Self {
        Self { pool: Some(pool) }
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs `call` on one of the threads. Operations called from there find the others at once; called from outside,
    /// each hands its work over first, which a small batch notices. A training loop belongs in here.
    pub fn install<T: Send>(&self, call: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(call),
            None => call(),
        }
    }

    /// Runs a call with parallel regions of so many tasks at most: on these threads, unless there is nothing to share.
    pub(crate) fn enter<T: Send>(&self, tasks: usize, call: impl FnOnce() -> T + Send) -> T {
        if tasks >= SHARED_TASKS { self.install(call) } else { call() }
    }

    /// Runs `task(0)`, `task(1)`, .., in any order, inside [`Threads::enter`] with no fewer tasks.
    pub(crate) fn for_each(&self, tasks: usize, task: impl Fn(usize) + Sync + Send) {
        if self.pool.is_none() || tasks < SHARED_TASKS {
            (0..tasks).for_each(task);
        } else {
            (0..tasks).into_par_iter().with_max_len(1).for_each(task);
        }
    }

    /// Which of the threads this is, below [`Threads::count`].
    pub(crate) fn current(&self) -> usize {
        self.pool.as_ref().and_then(|pool| pool.current_thread_index()).unwrap_or(0)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("count", &self.count()).finish()
    }
}

impl fmt::Display for ThreadsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start threads: {}", self.0)
    }
}

impl std::error::Error for ThreadsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
