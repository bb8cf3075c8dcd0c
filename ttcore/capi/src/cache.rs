//! The caches of a session: what they learn, which rows they hold, and what they know.

use ttcore::cache::CacheState;

use crate::config::numbers;
use crate::error::{Outcome, TTC_CACHE, TTC_LENGTH, ttc_error};
use crate::handle::call;
use crate::record::{Records, fill, records};
use crate::session::{ttc_batch, ttc_session, ttc_worker};
use crate::settings::write_list;
use crate::tables::TableViews;
use crate::view::ttc_view_mut;

/// Stands for no row, in a slot that is free.
pub const TTC_NO_ROW: u64 = u64::MAX;

/// What a cache did, and what a table takes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_statistics {
    /// `sizeof(ttc_statistics)`, set by the caller.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Rows in the cache now.
    pub cached_rows: usize,
    /// Lookups of cached rows since this was last asked, of any table of the session.
    pub hits: u64,
    /// All lookups of a table with a cache, since then.
    pub lookups: u64,
    /// Bytes of parameters.
    pub parameter_bytes: usize,
    /// Bytes of optimiser state.
    pub state_bytes: usize,
    /// Bytes of the cache's counter and index.
    pub counter_bytes: usize,
}

records!(ttc_statistics);

/// Shows a batch to the caches: its lookups are traffic, and in training they count as accesses. Once for each time it was
/// filled, however often it is called.
///
/// # Safety
///
/// Threads: this call uses session and batch alone; others on the session are refused meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_observe(session: *mut ttc_session, batch: *mut ttc_batch) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let session = ttc_session::of(session)?;
        let mut batch = ttc_batch::of(batch, session)?;
        session.exclusive()?.observe(&mut **batch)
    })
}

/// Lets every cache choose its rows anew, and loads those that are new from the cores, with fresh state. Batches that were
/// filled before must be filled again, if any row changed.
///
/// # Safety
///
/// `params` and `state` are `tables` structs each, and nobody uses their numbers meanwhile. Threads: this call uses session
/// and worker alone; others on the session are refused meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_refresh(
    session: *mut ttc_session,
    worker: *mut ttc_worker,
    params: *const ttc_view_mut,
    state: *const ttc_view_mut,
    tables: usize,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let session = ttc_session::of(session)?;
        let mut worker = ttc_worker::of(worker, session)?;
        let views = TableViews::new(params, state, tables)?;
        session.exclusive()?.refresh(&mut **worker, views)
    })
}

/// # Safety
///
/// NULL, or a session.
unsafe fn state(session: *const ttc_session, table: usize) -> Outcome<CacheState> {
    // SAFETY: the caller's.
    let state = unsafe { ttc_session::of(session) }?.shared()?.cache_state(table)?;
    state.ok_or_else(|| ttc_error::new(TTC_CACHE, "the table has no cache").of_table(table))
}

/// How long the lists are that `ttc_cache_state` writes: slots and counts.
///
/// # Safety
///
/// `slots` and `counts` are places for a number each. Threads: others may use the session meanwhile, but for calls that need
/// it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_cache_sizes(
    session: *const ttc_session,
    table: usize,
    slots: *mut usize,
    counts: *mut usize,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let state = state(session, table)?;
        write_list(slots, &[state.slots.len()], "slots")?;
        write_list(counts, &[state.counts.len()], "counts")
    })
}

/// What the cache of a table knows, for a checkpoint: the row in each slot, or `TTC_NO_ROW`, and the counts of rows, by
/// ascending row. The values of cached rows are among the parameters.
///
/// # Safety
///
/// `slots` has room for `slots_len` numbers, `counted_rows` and `counts` for `counts_len` each. Threads: others may use the
/// session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_cache_state(
    session: *const ttc_session,
    table: usize,
    slots: *mut u64,
    slots_len: usize,
    counted_rows: *mut u64,
    counts: *mut u64,
    counts_len: usize,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let state = state(session, table)?;
        for (what, got, want) in [("slots", slots_len, state.slots.len()), ("counts", counts_len, state.counts.len())] {
            if got != want {
                let message = format!("{what} of table {table} has {got} numbers, not {want}");
                return Err(ttc_error::new(TTC_LENGTH, message).of_table(table).value(got));
            }
        }
        let rows: Vec<u64> = state.slots.iter().map(|row| row.unwrap_or(TTC_NO_ROW)).collect();
        let (counted, times): (Vec<u64>, Vec<u64>) = state.counts.into_iter().unzip();
        write_list(slots, &rows, "slots")?;
        write_list(counted_rows, &counted, "counted_rows")?;
        write_list(counts, &times, "counts")
    })
}

/// Continues with what a cache knew. Batches must be filled again.
///
/// # Safety
///
/// `slots` are `slots_len` numbers, `counted_rows` and `counts` `counts_len` each. Threads: this call uses the session alone;
/// others are refused meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_set_cache_state(
    session: *mut ttc_session,
    table: usize,
    slots: *const u64,
    slots_len: usize,
    counted_rows: *const u64,
    counts: *const u64,
    counts_len: usize,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let slots = numbers(slots, slots_len, "slots")?;
        let counted = numbers(counted_rows, counts_len, "counted_rows")?;
        let counts = numbers(counts, counts_len, "counts")?;
        let slots = slots.iter().map(|&row| (row != TTC_NO_ROW).then_some(row)).collect();
        let counts = counted.iter().copied().zip(counts.iter().copied()).collect();
        let state = CacheState::new(slots, counts);
        let set = ttc_session::of(session)?.exclusive()?.set_cache_state(table, &state);
        set.map_err(|error| error.of_table(table))
    })
}

/// What the caches did since this was last called, and what the tables take: one struct for each table.
///
/// # Safety
///
/// `results` are `tables` structs with their size set. Threads: this call uses the session alone; others are refused
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_session_statistics(
    session: *mut ttc_session,
    results: *mut ttc_statistics,
    tables: usize,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let mut session = ttc_session::of(session)?.exclusive()?;
        let want = session.layout().tables().len();
        if tables != want {
            return Err(ttcore::Error::TableCount { what: "statistics", got: tables, tables: want }.into());
        }
        let results = Records::new(results.cast_const(), tables, "results")?;
        // All can be written before the traffic is taken.
        results.iter().try_for_each(|result| result.map(|_| ()))?;
        for (number, of_table) in session.statistics().into_iter().enumerate() {
            let traffic = of_table.traffic.unwrap_or_default();
            let result = |given| ttc_statistics {
                cached_rows: of_table.cached_rows,
                hits: traffic.hits,
                lookups: traffic.lookups,
                parameter_bytes: of_table.bytes.parameters(),
                state_bytes: of_table.bytes.state,
                counter_bytes: of_table.bytes.counter,
                ..given
            };
            fill(results.place(number).cast_mut(), "results", result)?;
        }
        Ok(())
    })
}
