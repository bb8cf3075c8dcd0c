//! The way of a batch: grouped, forward, backward or step; and rows as they are.

use ttcore::backend::Sink;
use ttcore::{Mode, TableConfig, Update};
use ttcore_cpu::Cpu;

use crate::bags::ttc_bags;
use crate::config::{numbers, or_one, rule, ttc_rule, unknown, unreserved};
use crate::error::{Outcome, TTC_SETTING, ttc_error};
use crate::handle::call;
use crate::record::{Records, record, records};
use crate::session::{ttc_batch, ttc_session, ttc_worker};
use crate::tables::TableViews;
use crate::view::{Lender, Number, ttc_view, ttc_view_mut};

/// Forward leaves what backward needs, and lookups count as accesses for caches.
pub const TTC_TRAIN: u32 = 0;
/// Neither.
pub const TTC_EVALUATE: u32 = 1;

/// Gradients are added to `memory`, for an optimiser outside.
pub const TTC_ACCUMULATE: u32 = 1;
/// A rule is applied to `params`, with its state in `memory`.
pub const TTC_UPDATE: u32 = 2;
/// Nothing is computed for the table.
pub const TTC_FROZEN: u32 = 3;
/// Gradients are written to `memory`, whatever was there: zeros where the batch touches nothing.
pub const TTC_OVERWRITE: u32 = 4;

/// One step of a rule.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_update {
    /// `sizeof(ttc_update)`.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// The rule; NULL for the table's.
    pub rule: *const ttc_rule,
    /// The learning rate.
    pub lr: f64,
    /// What it is multiplied by for the cores; 0 for 1.
    pub core_lr_multiplier: f64,
    /// Which step it is, from 1, for Adam's corrections; 0 for the one behind those of `ttc_step`.
    pub step: u64,
}

/// What becomes of the gradients of a table.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_sink {
    /// `sizeof(ttc_sink)`.
    pub size: u32,
    /// `TTC_ACCUMULATE`, `TTC_UPDATE`, `TTC_FROZEN` or `TTC_OVERWRITE`.
    pub kind: u32,
    /// `[parameters]`, as they were in forward; written only by an update.
    pub params: *const ttc_view_mut,
    /// `[parameters]` of gradients to add to or to write; or `[state]`, as the rule of the update has it, zeros to begin with.
    /// NULL for a frozen table.
    pub memory: *const ttc_view_mut,
    /// For an update.
    pub update: *const ttc_update,
}

records!(ttc_update, ttc_sink);

/// The sink of a table whose next step is `step`.
///
/// # Safety
///
/// The structs it points at are as [`record`] wants them.
pub(crate) unsafe fn typed_sink<'a, F: Number>(
    lender: &mut Lender<'_, 'a>,
    sink: ttc_sink,
    config: &TableConfig,
    step: u64,
) -> Outcome<Sink<'a, Cpu<F>>> {
    // SAFETY: the caller's.
    let params = unsafe { record(sink.params, "params") }?;
    // SAFETY: the caller's.
    let memory = |what| unsafe { record(sink.memory, what) };
    match sink.kind {
        TTC_ACCUMULATE => Ok(Sink::Accumulate {
            params: lender.read(params, "params")?,
            grads: lender.write(memory("gradients")?, "gradients")?,
        }),
        TTC_OVERWRITE => Ok(Sink::Overwrite {
            params: lender.read(params, "params")?,
            grads: lender.write(memory("gradients")?, "gradients")?,
        }),
        TTC_UPDATE => {
            // SAFETY: the caller's.
            let given = unsafe { record(sink.update, "update") }?;
            unreserved(given.reserved)?;
            // SAFETY: the caller's.
            let rule = unsafe { rule(given.rule, config.table().cores().is_some()) }?;
            let (rule, core_rule) = rule.unwrap_or((config.rule(), config.core_rule()));
            let update = Update {
                rule,
                core_rule,
                lr: rate("lr", given.lr)?,
                core_lr_multiplier: rate("core_lr_multiplier", or_one(given.core_lr_multiplier))?,
                step: if given.step == 0 { step } else { given.step },
            };
            let params = lender.write(params, "params")?;
            Ok(Sink::Update { params, state: lender.write(memory("state")?, "state")?, update })
        }
        TTC_FROZEN => Ok(Sink::Frozen { params: lender.read(params, "params")? }),
        kind => Err(unknown("kind of sink", kind)),
    }
}

fn rate(what: &str, value: f64) -> Outcome<f64> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(ttc_error::new(TTC_SETTING, format!("{what} cannot be {value}")).number(value)),
    }
}

/// The struct of an optional pointer.
///
/// # Safety
///
/// NULL, or a struct as [`record`] wants it.
unsafe fn optional(view: *const ttc_view_mut, what: &str) -> Outcome<Option<ttc_view_mut>> {
    // SAFETY: the caller's.
    if view.is_null() { Ok(None) } else { unsafe { record(view, what) }.map(Some) }
}

/// Fills a batch with the bags of all tables, in order, checked and copied: indices and offsets are not used after the call,
/// and may be freed. `mode` is `TTC_TRAIN` or `TTC_EVALUATE`. A batch that is refused holds no bags.
///
/// # Safety
///
/// `bags` are `tables` structs, whose lists are as long as they say. Others may write indices and offsets meanwhile, if they
/// like rows that nobody knows; nobody writes `weights`. Threads: the batch is used by this call alone; other calls on the
/// session may run beside it, but for those that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_group(
    session: *const ttc_session,
    batch: *mut ttc_batch,
    bags: *const ttc_bags,
    tables: usize,
    mode: u32,
) -> *mut ttc_error {
    call(|| {
        let mode = match mode {
            TTC_TRAIN => Mode::Train,
            TTC_EVALUATE => Mode::Evaluate,
            mode => return Err(unknown("mode", mode)),
        };
        // SAFETY: the caller's, as said above.
        unsafe {
            let session = ttc_session::of(session)?;
            let mut batch = ttc_batch::of(batch, session)?;
            let bags = Records::new(bags, tables, "bags")?;
            session.shared()?.group(&mut **batch, bags, mode)
        }
    })
}

/// Pooled rows of all tables, `out` `[bags][stride]`: each table's at its columns, others left as they are. `params` are
/// `[parameters]` for each table, in order. In training mode the batch keeps what backward needs.
///
/// # Safety
///
/// `params` are `tables` structs; nobody writes the numbers of `params` or uses those of `out` meanwhile. Threads: worker and
/// batch are used by this call alone; other calls on the session may run beside it, but for those that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_forward(
    session: *const ttc_session,
    worker: *mut ttc_worker,
    batch: *mut ttc_batch,
    params: *const ttc_view,
    tables: usize,
    out: *const ttc_view_mut,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let session = ttc_session::of(session)?;
        let (mut worker, mut batch) = (ttc_worker::of(worker, session)?, ttc_batch::of(batch, session)?);
        let (params, out) = (Records::new(params, tables, "params")?, record(out, "out")?);
        session.shared()?.forward(&mut **worker, &mut **batch, params, out)
    })
}

/// Gradients of all tables from that of the output, `grad_out` `[bags][stride]`, into a sink for each table. `grad_weights`,
/// unless NULL, is written: the gradients of the weights of all lookups of table 0, then of table 1, .., of a weight of 1
/// where a table has none, and 0 for lookups that are skipped. An update changes the parameters: other batches need another
/// forward then.
///
/// # Safety
///
/// `sinks` are `tables` structs; nobody writes what is read nor uses what is written meanwhile. Threads: worker and batch are
/// used by this call alone; other calls on the session may run beside it, but for those that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_backward(
    session: *const ttc_session,
    worker: *mut ttc_worker,
    batch: *mut ttc_batch,
    sinks: *const ttc_sink,
    tables: usize,
    grad_out: *const ttc_view,
    grad_weights: *const ttc_view_mut,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let session = ttc_session::of(session)?;
        let (mut worker, mut batch) = (ttc_worker::of(worker, session)?, ttc_batch::of(batch, session)?);
        let (sinks, grad_out) = (Records::new(sinks, tables, "sinks")?, record(grad_out, "grad_out")?);
        let grad_weights = optional(grad_weights, "grad_weights")?;
        session.shared()?.backward(&mut **worker, &mut **batch, sinks, grad_out, grad_weights)
    })
}

/// Computes the gradients of all tables and applies their rules in one pass, with the learning rate `lr` times their
/// multipliers; frozen tables stay as they are. `params` `[parameters]` and `state` `[state]` are for each table, in order;
/// `state` is zeros to begin with. `grad_weights` as in `ttc_backward`.
///
/// # Safety
///
/// `params` and `state` are `tables` structs each; nobody writes `grad_out` nor uses the other numbers meanwhile. Threads:
/// worker and batch are used by this call alone; other calls on the session may run beside it, but for those that need it
/// alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_step(
    session: *const ttc_session,
    worker: *mut ttc_worker,
    batch: *mut ttc_batch,
    params: *const ttc_view_mut,
    state: *const ttc_view_mut,
    tables: usize,
    grad_out: *const ttc_view,
    lr: f64,
    grad_weights: *const ttc_view_mut,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let session = ttc_session::of(session)?;
        let (mut worker, mut batch) = (ttc_worker::of(worker, session)?, ttc_batch::of(batch, session)?);
        let lr = rate("lr", lr)?;
        let views = TableViews::new(params, state, tables)?;
        let (grad_out, grad_weights) = (record(grad_out, "grad_out")?, optional(grad_weights, "grad_weights")?);
        session.shared()?.step(&mut **worker, &mut **batch, views, grad_out, lr, grad_weights)
    })
}

/// Rows of a table as a lookup would give them, `out` `[len][dim]`: cached ones from the cache, others from the cores.
///
/// # Safety
///
/// `rows` are `len` numbers; nobody writes what is read nor uses `out` meanwhile. Threads: the worker is used by this call
/// alone; other calls on the session may run beside it, but for those that need it alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_rows(
    session: *const ttc_session,
    worker: *mut ttc_worker,
    table: usize,
    params: *const ttc_view,
    rows: *const u64,
    len: usize,
    out: *const ttc_view_mut,
) -> *mut ttc_error {
    // SAFETY: the caller's, as said above.
    call(|| unsafe {
        let session = ttc_session::of(session)?;
        let mut worker = ttc_worker::of(worker, session)?;
        let (params, out) = (record(params, "params")?, record(out, "out")?);
        let rows = numbers(rows, len, "rows")?;
        session.shared()?.rows(&mut **worker, table, params, rows, out)
    })
}
