//! Handles: a session, the workers that compute for it and the batches that go through it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLockReadGuard, RwLockWriteGuard};

use ttcore::{Layout, TableConfig};
use ttcore_cpu::{Cpu, Threads};

use crate::config::{config, numbers, ttc_table, unreserved};
use crate::error::{Outcome, TTC_CLOSED, TTC_DTYPE, TTC_OTHER_SESSION, TTC_SYSTEM, ttc_error};
use crate::handle::{Guarded, InUse, call, null, required};
use crate::record::{Records, record, records};
use crate::tables::{Memory, Tables};
use crate::typed::Typed;
use crate::view::{Number, TTC_F32, TTC_F64};

/// What a session is made for. What is not set is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_options {
    /// `sizeof(ttc_options)`.
    pub size: u32,
    /// `TTC_F32` or `TTC_F64`: the type of all numbers.
    pub dtype: u32,
    /// Room for so many bags in a batch.
    pub bags: usize,
    /// Room for so many lookups of one table in a batch.
    pub lookups: usize,
    /// `[tables]`, the first output column of each table; NULL for outputs side by side.
    pub columns: *const usize,
    /// Numbers in an output row, where `columns` are given.
    pub stride: usize,
    /// Threads that compute; 0 for one for each core, 1 for the calling thread alone. Results do not depend on their number.
    pub threads: u32,
    /// 0.
    pub reserved: u32,
}

records!(ttc_options);

/// What is known of the tables of a model, without their numbers: shapes, caches, rules, steps, and which batch belongs to
/// which parameters.
pub struct ttc_session {
    tables: Guarded<Box<dyn Tables>>,
    closed: AtomicBool,
}

/// Memory for one thread to work in.
pub struct ttc_worker {
    session: Arc<ttc_session>,
    memory: Guarded<Memory>,
}

/// One batch of all tables, filled again and again.
pub struct ttc_batch {
    session: Arc<ttc_session>,
    memory: Guarded<Memory>,
}

macro_rules! debug {
    ($($handle:ident),*) => {$(
        impl std::fmt::Debug for $handle {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($handle)).finish_non_exhaustive()
            }
        }
    )*};
}
debug!(ttc_session, ttc_worker, ttc_batch);

type Alone<'a> = InUse<'a, RwLockWriteGuard<'a, Memory>>;

impl ttc_session {
    /// # Safety
    ///
    /// NULL, or a session; freed only if a worker or batch of it is left.
    pub(crate) unsafe fn of<'a>(session: *const Self) -> Outcome<&'a Self> {
        // SAFETY: the caller's; workers and batches keep a session where it is.
        let session = unsafe { required(session, "session") }?;
        match session.closed.load(Ordering::Acquire) {
            true => Err(ttc_error::new(TTC_CLOSED, "the session was freed")),
            false => Ok(session),
        }
    }

    pub(crate) fn shared(&self) -> Outcome<InUse<'_, RwLockReadGuard<'_, Box<dyn Tables>>>> {
        self.tables.shared()
    }

    pub(crate) fn exclusive(&self) -> Outcome<InUse<'_, RwLockWriteGuard<'_, Box<dyn Tables>>>> {
        self.tables.exclusive()
    }

    /// # Safety
    ///
    /// Made by `ttc_session_new`, and not freed.
    unsafe fn owner(&self) -> Arc<Self> {
        let this: *const Self = self;
        // SAFETY: all sessions are made as an Arc, of which the caller's pointer is one owner.
        unsafe {
            Arc::increment_strong_count(this);
            Arc::from_raw(this)
        }
    }
}

/// The memory of a worker or batch of this session.
fn memory<'a>(
    session: &ttc_session,
    owner: &Arc<ttc_session>,
    memory: &'a Guarded<Memory>,
    what: &str,
) -> Outcome<Alone<'a>> {
    if std::ptr::eq(session, &**owner) {
        return memory.exclusive();
    }
    Err(ttc_error::new(TTC_OTHER_SESSION, format!("this {what} was made for another session")))
}

impl ttc_worker {
    /// # Safety
    ///
    /// NULL, or a worker that was not freed.
    pub(crate) unsafe fn of<'a>(worker: *const Self, session: &ttc_session) -> Outcome<Alone<'a>> {
        // SAFETY: the caller's.
        let worker = unsafe { required(worker, "worker") }?;
        memory(session, &worker.session, &worker.memory, "worker")
    }
}

impl ttc_batch {
    /// # Safety
    ///
    /// NULL, or a batch that was not freed.
    pub(crate) unsafe fn of<'a>(batch: *const Self, session: &ttc_session) -> Outcome<Alone<'a>> {
        // SAFETY: the caller's.
        let batch = unsafe { required(batch, "batch") }?;
        memory(session, &batch.session, &batch.memory, "batch")
    }
}

fn typed<F: Number>(threads: Threads, configs: Vec<TableConfig>, layout: Layout) -> Outcome<Box<dyn Tables>> {
    let cpu = Cpu::<F>::new().map_err(|error| ttc_error::new(TTC_SYSTEM, error.to_string()))?;
    Ok(Box::new(Typed::new(threads, configs, layout, cpu)?))
}

/// Gives a handle to the caller.
///
/// # Safety
///
/// A place to write to.
unsafe fn give<T>(to: *mut *mut T, what: &str, handle: impl FnOnce() -> Outcome<*mut T>) -> Outcome {
    if to.is_null() {
        return Err(null(what));
    }
    // SAFETY: the caller's.
    unsafe { to.write(std::ptr::null_mut()) };
    let handle = handle()?;
    // SAFETY: as above.
    unsafe { to.write(handle) };
    Ok(())
}

/// A session for these tables: `*session`, or NULL if it fails. Nothing of what is given is used after the call.
///
/// # Safety
///
/// `tables` are `count` structs, whose lists are as long as they say; `columns` of the options are `count` numbers; `session`
/// is a place for a pointer. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_session_new(
    tables: *const ttc_table,
    count: usize,
    options: *const ttc_options,
    session: *mut *mut ttc_session,
) -> *mut ttc_error {
    let make = || {
        // SAFETY: the caller's, as said above.
        let (options, tables) = unsafe { (record(options, "options")?, Records::new(tables, count, "tables")?) };
        unreserved(options.reserved)?;
        let mut configs = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            // SAFETY: the caller's, as said above.
            configs.push(unsafe { config(&table?) }.map_err(|error| error.of_table(number))?);
        }
        let tables = configs.iter().map(|config| config.table().clone()).collect();
        let layout = if options.columns.is_null() {
            Layout::new(tables, options.bags, options.lookups)?
        } else {
            // SAFETY: the caller's, as said above.
            let columns = unsafe { numbers(options.columns, count, "columns") }?;
            Layout::with_columns(tables, columns.to_vec(), options.stride, options.bags, options.lookups)?
        };
        let threads = Threads::new(options.threads as usize);
        let threads = threads.map_err(|error| ttc_error::new(TTC_SYSTEM, error.to_string()))?;
        let tables = match options.dtype {
            TTC_F32 => typed::<f32>(threads, configs, layout)?,
            TTC_F64 => typed::<f64>(threads, configs, layout)?,
            dtype => {
                return Err(ttc_error::new(TTC_DTYPE, format!("there are no numbers of type {dtype}")).value(dtype));
            }
        };
        let session = ttc_session { tables: Guarded::new("session", tables), closed: AtomicBool::new(false) };
        Ok(Arc::into_raw(Arc::new(session)).cast_mut())
    };
    // SAFETY: the caller's, as said above.
    call(|| unsafe { give(session, "place for a session", make) })
}

/// Frees a session. Its workers and batches are freed on their own, before it or after it, and refuse to work meanwhile. NULL
/// is nothing to free.
///
/// # Safety
///
/// NULL, or a session that was not freed. Threads: no other call uses the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_session_free(session: *mut ttc_session) {
    free(|| {
        // SAFETY: the caller's, as said above.
        if let Some(alive) = unsafe { session.as_ref() }
            && !alive.closed.swap(true, Ordering::AcqRel)
        {
            // SAFETY: it was given as an Arc, and is given back once.
            drop(unsafe { Arc::from_raw(session.cast_const()) });
        }
    });
}

/// Drops what is given back; if that panics, quietly.
fn free(drop: impl FnOnce()) {
    let error = call(|| {
        drop();
        Ok(())
    });
    // SAFETY: NULL, or an error of this call.
    unsafe { crate::error::ttc_error_free(error) };
}

/// A worker for a session: `*worker`, or NULL if it fails. Each thread that computes needs one.
///
/// # Safety
///
/// `worker` is a place for a pointer. Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_worker_new(session: *const ttc_session, worker: *mut *mut ttc_worker) -> *mut ttc_error {
    let make = || {
        // SAFETY: the caller's, as said above.
        let (session, owner) = unsafe { ttc_session::of(session).map(|session| (session, session.owner()))? };
        let memory = Guarded::new("worker", session.shared()?.worker()?);
        Ok(Box::into_raw(Box::new(ttc_worker { session: owner, memory })))
    };
    // SAFETY: the caller's, as said above.
    call(|| unsafe { give(worker, "place for a worker", make) })
}

/// Frees a worker. NULL is nothing to free.
///
/// # Safety
///
/// NULL, or a worker that was not freed. Threads: no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_worker_free(worker: *mut ttc_worker) {
    if !worker.is_null() {
        // SAFETY: it was given as a box, and is given back once.
        free(|| drop(unsafe { Box::from_raw(worker) }));
    }
}

/// A batch for a session: `*batch`, or NULL if it fails. Several may be under way at once.
///
/// # Safety
///
/// `batch` is a place for a pointer. Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_batch_new(session: *const ttc_session, batch: *mut *mut ttc_batch) -> *mut ttc_error {
    let make = || {
        // SAFETY: the caller's, as said above.
        let (session, owner) = unsafe { ttc_session::of(session).map(|session| (session, session.owner()))? };
        let memory = Guarded::new("batch", session.shared()?.batch()?);
        Ok(Box::into_raw(Box::new(ttc_batch { session: owner, memory })))
    };
    // SAFETY: the caller's, as said above.
    call(|| unsafe { give(batch, "place for a batch", make) })
}

/// Frees a batch. NULL is nothing to free.
///
/// # Safety
///
/// NULL, or a batch that was not freed. Threads: no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_batch_free(batch: *mut ttc_batch) {
    if !batch.is_null() {
        // SAFETY: it was given as a box, and is given back once.
        free(|| drop(unsafe { Box::from_raw(batch) }));
    }
}
