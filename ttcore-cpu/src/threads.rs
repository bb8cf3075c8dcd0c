//! Where work is ordered: a pool of threads.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Tasks of a region from which on it is shared: waking another thread for less takes longer than doing it.
const SHARED_TASKS: usize = 8;

thread_local! {
    /// The pool of [`Threads::here`] that this thread is one of: a thread can be in no other, and leaves it only with its end.
    static HERE: RefCell<Option<Arc<ThreadPool>>> = const { RefCell::new(None) };
}

/// The threads a call may use. Results do not depend on their number.
///
/// | queue | a call from outside |
/// |---|---|
/// | [`Threads::one`] | runs on the calling thread |
/// | [`Threads::here`] | runs at once, on the thread that made the queue and its helpers |
/// | [`Threads::new`], [`Threads::shared`] | is handed over to the pool, if there is enough to share, and the caller waits |
///
/// A program that is a training loop makes a pool and loops inside of it ([`Threads::install`]). Who is called, from Python
/// or C, one operation at a time, makes a queue here.
#[derive(Clone)]
pub struct Threads {
    pool: Option<Arc<ThreadPool>>,
}

/// More threads than any machine has: they are started one by one, each the slower the more there are.
const MOST: usize = 4096;

/// Why there are no such threads.
#[derive(Debug)]
#[non_exhaustive]
pub enum ThreadsError {
    /// The system could not start them.
    Start(ThreadPoolBuildError),
    /// More than 4096 were asked for.
    TooMany {
        /// How many.
        want: usize,
    },
    /// [`Threads::here`] on a thread of a pool of someone else's: it cannot be in two.
    InPool,
    /// [`Threads::here`] on a thread that has another number of threads beside it already.
    Count {
        /// How many there are, itself included.
        have: usize,
        /// How many were asked for.
        want: usize,
    },
}

impl Threads {
    /// The calling thread alone.
    pub fn one() -> Self {
        Self { pool: None }
    }

    /// A pool of `threads` threads of its own; 0 for one for each core. One is the calling thread.
    ///
    /// # Errors
    ///
    /// [`ThreadsError::TooMany`] of more than 4096, [`ThreadsError::Start`] if the system cannot start them.
    pub fn new(threads: usize) -> Result<Self, ThreadsError> {
        if threads == 1 {
            return Ok(Self::one());
        }
        let pool = builder(threads)?.build().map_err(ThreadsError::Start)?;
        Ok(if pool.current_num_threads() == 1 { Self::one() } else { Self::shared(Arc::new(pool)) })
    }

    /// The calling thread and `threads - 1` helpers; 0 for one thread for each core, or for as many as there are already. One
    /// is the calling thread alone, whichever that is.
    ///
    /// Calls from this thread need no hand-over: it takes its part in them, and where the helpers wake up too late it does
    /// all of it. Calls from other threads, to which the queue or a clone of it may be moved, are handed over to the
    /// helpers, as to a pool without this thread; also after this thread has ended.
    ///
    /// A thread is in one pool at most, as long as it lives. So a second queue made on it is a clone of the first, and rayon
    /// finds that pool too, wherever this thread uses it. The helpers sleep while there is nothing to do; they end when this
    /// thread has ended and all its queues are dropped. Rayon does not give back some kilobytes then: a queue for each of many
    /// short-lived threads is better made by [`Threads::one`] or cloned from one of [`Threads::new`].
    ///
    /// # Errors
    ///
    /// [`ThreadsError::InPool`] on a thread of another pool, [`ThreadsError::Count`] if this thread has another number of
    /// threads beside it, [`ThreadsError::TooMany`] of more than 4096, [`ThreadsError::Start`] if the system cannot start them; rayon holds this thread for one in a pool
    /// from then on.
    pub fn here(threads: usize) -> Result<Self, ThreadsError> {
        if threads == 1 {
            return Ok(Self::one());
        }
        let pool = match HERE.try_with(|here| here.borrow().clone()) {
            Ok(Some(pool)) => pool,
            _ if rayon::current_thread_index().is_some() => return Err(ThreadsError::InPool),
            _ => {
                let pool = Arc::new(builder(threads)?.use_current_thread().build().map_err(ThreadsError::Start)?);
                // A thread that is ending does not keep it: then its queues alone do.
                let _ = HERE.try_with(|here| here.replace(Some(pool.clone())));
                pool
            }
        };
        match pool.current_num_threads() {
            1 if threads == 0 => Ok(Self::one()),
            have if threads == 0 || have == threads => Ok(Self::shared(pool)),
            have => Err(ThreadsError::Count { have, want: threads }),
        }
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

fn builder(threads: usize) -> Result<ThreadPoolBuilder, ThreadsError> {
    if threads > MOST {
        return Err(ThreadsError::TooMany { want: threads });
    }
    Ok(ThreadPoolBuilder::new().num_threads(threads))
}

impl fmt::Display for ThreadsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "cannot start threads: {error}"),
            Self::TooMany { want } => write!(f, "{want} threads are more than {MOST}"),
            Self::InPool => write!(f, "this thread is in a pool of threads already, and cannot be in two"),
            Self::Count { have, want } => {
                write!(f, "this thread computes as one of {have} already, and cannot as one of {want}")
            }
        }
    }
}

impl std::error::Error for ThreadsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => Some(error),
            Self::TooMany { .. } | Self::InPool | Self::Count { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::thread::{self, ThreadId};

    use super::*;

    /// On a thread of its own, which no other test made one of a pool.
    fn fresh<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(call).join().expect("no panic")
    }

    fn pool(threads: &Threads) -> Weak<ThreadPool> {
        Arc::downgrade(threads.pool.as_ref().expect("a pool"))
    }

    /// The thread that a call runs on.
    fn runs_on(threads: &Threads) -> ThreadId {
        threads.install(|| thread::current().id())
    }

    #[test]
    fn a_call_runs_where_the_queue_was_made() {
        fresh(|| {
            let here = Threads::here(3).expect("threads");
            assert_eq!((here.count(), here.current(), runs_on(&here)), (3, 0, thread::current().id()));
            let inside = here.install(|| (here.current(), rayon::current_num_threads()));
            assert_eq!(inside, (0, 3));
            // From elsewhere it runs on a helper.
            let elsewhere = here.clone();
            let (caller, runs) = fresh(move || (thread::current().id(), runs_on(&elsewhere)));
            assert!(runs != caller && runs != thread::current().id());
        });
    }

    #[test]
    fn the_calling_thread_and_its_helpers_share_the_tasks() {
        fresh(|| {
            let here = Threads::here(2).expect("threads");
            let arrived = std::sync::Barrier::new(2);
            // Neither thread could do two tasks at once.
            here.enter(SHARED_TASKS, || {
                here.for_each(SHARED_TASKS, |task| {
                    if task == 0 || task == SHARED_TASKS - 1 {
                        arrived.wait();
                    }
                });
            });
        });
    }

    #[test]
    fn a_thread_has_one_pool() {
        fresh(|| {
            let first = Threads::here(2).expect("threads");
            let again = [2, 0].map(|threads| Threads::here(threads).expect("threads"));
            assert!(again.iter().all(|again| Weak::ptr_eq(&pool(again), &pool(&first))));
            drop((first, again));
            assert!(Threads::here(2).is_ok(), "as long as the thread lives");
            assert!(matches!(Threads::here(3), Err(ThreadsError::Count { have: 2, want: 3 })));
            assert_eq!(Threads::here(1).expect("one thread").count(), 1);
            assert!(matches!(Threads::new(usize::MAX), Err(ThreadsError::TooMany { want: usize::MAX })));
            let other = Threads::new(2).expect("threads");
            assert!(matches!(other.install(|| Threads::here(2)), Err(ThreadsError::InPool)));
            assert_ne!(runs_on(&other), thread::current().id());
        });
    }

    #[test]
    fn a_pool_outlives_its_thread_as_long_as_it_has_a_queue() {
        let here = fresh(|| Threads::here(2).expect("threads"));
        let pool = pool(&here);
        assert_ne!(runs_on(&here), thread::current().id());
        drop(here);
        assert!(pool.upgrade().is_none());
    }
}
