//! What a session knows of its tables: sizes, shapes, rules, steps, room.

use ttcore::{StateLayout, TableConfig};

use crate::config::{config, ttc_table};
use crate::error::{Outcome, TTC_LENGTH, TTC_SHAPE, ttc_error};
use crate::handle::{call, null};
use crate::record::{aligned, fill, record, records};
use crate::session::ttc_session;
use crate::view::ttc_view_mut;

/// Sizes of one table: what to allocate for it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_sizes {
    /// `sizeof(ttc_sizes)`, set by the caller.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Rows of the table.
    pub rows: u64,
    /// Columns.
    pub dim: usize,
    /// Numbers of parameters: cores `G_1 .. G_d`, each `[m_k][R_(k-1)][n_k][R_k]`, then dense or cached rows `[rows][dim]`.
    pub parameters: usize,
    /// Those of the cores.
    pub core_parameters: usize,
    /// Numbers of optimiser state, zeros to begin with; may be 0.
    pub state: usize,
    /// How many cores; 0 for a dense table.
    pub cores: usize,
    /// First output column in a session, 0 without one.
    pub column: usize,
}

/// Sizes of a session.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_layout {
    /// `sizeof(ttc_layout)`, set by the caller.
    pub size: u32,
    /// `TTC_F32` or `TTC_F64`.
    pub dtype: u32,
    /// How many tables.
    pub tables: usize,
    /// Numbers in an output row.
    pub stride: usize,
    /// Room for so many bags in a batch.
    pub bags: usize,
    /// Room for so many lookups of one table in a batch.
    pub lookups: usize,
    /// Updates by `ttc_step` so far.
    pub steps: u64,
}

records!(ttc_sizes, ttc_layout);

fn sizes(given: ttc_sizes, config: &TableConfig, column: usize) -> ttc_sizes {
    let table = config.table();
    ttc_sizes {
        rows: config.rows(),
        dim: table.dim(),
        parameters: table.parameters(),
        core_parameters: table.core_parameters(),
        state: StateLayout::len(&config.state_layout()),
        cores: table.cores().map_or(0, |shape| shape.cores()),
        column,
        ..given
    }
}

/// Sizes of a table that is not in a session yet.
///
/// # Safety
///
/// The lists of the table are as long as it says. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_table_sizes(table: *const ttc_table, result: *mut ttc_sizes) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let config = config(&record(table, "table")?)?;
        fill(result, "result", |given| sizes(given, &config, 0))
    })
}

/// Sizes of table `table`, counted from 0.
///
/// # Safety
///
/// Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_session_sizes(
    session: *const ttc_session,
    table: usize,
    result: *mut ttc_sizes,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let tables = ttc_session::of(session)?.shared()?;
        let config = tables.config(table)?;
        fill(result, "result", |given| sizes(given, config, tables.layout().features()[table].columns()[0]))
    })
}

/// Sizes of the session.
///
/// # Safety
///
/// Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_session_layout(session: *const ttc_session, result: *mut ttc_layout) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let tables = ttc_session::of(session)?.shared()?;
        let layout = tables.layout();
        fill(result, "result", |given| ttc_layout {
            dtype: tables.dtype(),
            tables: layout.tables().len(),
            stride: layout.stride(),
            bags: layout.bags(),
            lookups: layout.lookups(),
            steps: tables.steps(),
            ..given
        })
    })
}

/// The shape of a tensor train, as it was given or chosen: `row_factors` and `col_factors` `[cores]`, `ranks`
/// `[cores + 1]`.
///
/// # Safety
///
/// The lists have room for so many numbers. Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_session_shape(
    session: *const ttc_session,
    table: usize,
    cores: usize,
    row_factors: *mut usize,
    col_factors: *mut usize,
    ranks: *mut usize,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let tables = ttc_session::of(session)?.shared()?;
        let Some(shape) = tables.config(table)?.table().cores() else {
            return Err(ttc_error::new(TTC_SHAPE, "a dense table has no cores").of_table(table));
        };
        if cores != shape.cores() {
            let message = format!("the table has {} cores, not {cores}", shape.cores());
            return Err(ttc_error::new(TTC_LENGTH, message).of_table(table).value(cores));
        }
        write_list(row_factors, shape.row_factors(), "row_factors")?;
        write_list(col_factors, shape.col_factors(), "col_factors")?;
        write_list(ranks, shape.ranks(), "ranks")
    })
}

/// # Safety
///
/// NULL, or room for all the numbers, which nothing else uses.
pub(crate) unsafe fn write_list<T: Copy>(to: *mut T, numbers: &[T], what: &str) -> Outcome {
    if numbers.is_empty() {
        return Ok(());
    }
    if to.is_null() {
        return Err(null(what));
    }
    aligned(to.cast_const(), what)?;
    // SAFETY: aligned, not NULL, and the caller's in all else.
    unsafe { to.copy_from_nonoverlapping(numbers.as_ptr(), numbers.len()) };
    Ok(())
}

/// Draws new parameters of a table from a seed: the same for the same seed, on all machines. Rows of a cache begin at zero,
/// which nothing reads.
///
/// # Safety
///
/// Nobody uses the numbers meanwhile. Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_draw(
    session: *const ttc_session,
    table: usize,
    seed: u64,
    params: *const ttc_view_mut,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe { ttc_session::of(session)?.shared()?.draw(table, seed, record(params, "params")?) })
}

/// To be called when parameters were changed by anyone but this library: a forward before that cannot be followed by a
/// backward any more.
///
/// # Safety
///
/// Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_parameters_changed(session: *const ttc_session) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        ttc_session::of(session)?.shared()?.parameters_changed();
        Ok(())
    })
}

/// Continues as after so many steps: Adam's corrections depend on it.
///
/// # Safety
///
/// Threads: others may use the session meanwhile, but for calls that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_set_steps(session: *const ttc_session, steps: u64) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        ttc_session::of(session)?.shared()?.set_steps(steps);
        Ok(())
    })
}

/// Holds or trains a table in another way from now on: rule, multipliers, frozen or not. Shape and cache must be the same. A
/// rule with other state needs other state, zeros to begin with: `ttc_session_sizes`.
///
/// # Safety
///
/// The lists of `changed` are as long as it says. Threads: this call uses the session alone; others are refused meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_set_table(
    session: *mut ttc_session,
    table: usize,
    changed: *const ttc_table,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let config = config(&record(changed, "changed")?).map_err(|error| error.of_table(table))?;
        ttc_session::of(session)?.exclusive()?.set_config(table, config)
    })
}

/// Makes room for larger batches. Batches under way go on, and take the new room when they are filled again.
///
/// # Safety
///
/// Threads: this call uses the session alone; others are refused meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_reserve(session: *mut ttc_session, bags: usize, lookups: usize) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe { ttc_session::of(session)?.exclusive()?.reserve(bags, lookups) })
}
