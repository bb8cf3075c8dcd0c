//! How a table is held and trained, as C says it.

use ttcore::factor::column_factors;
use ttcore::init::{CoreInit, Entries, Scale};
use ttcore::{CoreRule, Rule, TableConfig, TtShape};

use crate::error::{Outcome, TTC_ENUM, TTC_SETTING, TTC_SHAPE, ttc_error};
use crate::handle::null;
use crate::record::{aligned, record, records};

/// Rows as products of cores.
pub const TTC_TENSOR_TRAIN: u32 = 1;
/// Rows as they are.
pub const TTC_DENSE: u32 = 2;

/// `w -= lr g`.
pub const TTC_SGD: u32 = 1;
/// `h += g^2; w -= lr g / (sqrt(h) + eps)`: one number of state a parameter.
pub const TTC_ADAGRAD: u32 = 2;
/// As `torch.optim.Adam`: two numbers of state a parameter.
pub const TTC_ADAM: u32 = 3;
/// For tables with cores: `h += |g|^2; G -= lr g / (sqrt(h) + eps)` for each slice of a core and each cached row, with one
/// number of state. The default of a tensor train, with an `eps` of 1e-10.
pub const TTC_ADAGRAD_NORM: u32 = 4;

/// The tails of a Gaussian, as in the paper.
pub const TTC_SAMPLED_GAUSSIAN: u32 = 0;
/// A Gaussian.
pub const TTC_GAUSSIAN: u32 = 1;
/// Uniform around zero.
pub const TTC_UNIFORM: u32 = 2;
/// Plus or minus one.
pub const TTC_SIGNS: u32 = 3;

/// The core of the largest slices is small, the others keep lengths. A row then learns like one of a dense table.
pub const TTC_ISOMETRIC: u32 = 0;
/// All entries alike, and rows of the size they should have.
pub const TTC_CALIBRATED: u32 = 1;
/// As the published code of TT-Rec: for comparison.
pub const TTC_PAPER: u32 = 2;

/// An update rule, without its learning rate.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_rule {
    /// `sizeof(ttc_rule)`.
    pub size: u32,
    /// `TTC_SGD`, `TTC_ADAGRAD`, `TTC_ADAM` or `TTC_ADAGRAD_NORM`.
    pub kind: u32,
    /// Added to the root; not for SGD. PyTorch has 1e-10 for Adagrad and 1e-8 for Adam.
    pub eps: f64,
    /// Adam's decay of the mean, usually 0.9.
    pub beta1: f64,
    /// Adam's decay of the mean square, usually 0.999.
    pub beta2: f64,
}

/// How one table is held, drawn and trained. What is not set is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_table {
    /// `sizeof(ttc_table)`.
    pub size: u32,
    /// `TTC_TENSOR_TRAIN` or `TTC_DENSE`.
    pub kind: u32,
    /// Rows.
    pub rows: u64,
    /// Columns, the embedding dimension.
    pub dim: usize,
    /// How many cores, at least 2. For a tensor train, as the next four.
    pub cores: usize,
    /// `[cores]`, with a product of at least `rows`; NULL for those of the paper's rule.
    pub row_factors: *const usize,
    /// `[cores]`, with a product of `dim`; NULL for the most balanced ones.
    pub col_factors: *const usize,
    /// `[cores + 1]`, the first and the last 1; NULL for `rank` between all cores.
    pub ranks: *const usize,
    /// The rank, where `ranks` is NULL.
    pub rank: usize,
    /// How many of the most frequent rows of a tensor train are held as they are; 0 for none.
    pub cache_slots: usize,
    /// How many rows the cache counts at most; 0 for 16 a slot, at least 1024.
    pub max_counted: usize,
    /// The update rule; NULL for AdaGrad-Norm of a tensor train and SGD of a dense table.
    pub rule: *const ttc_rule,
    /// What the learning rate is multiplied by for this table; 0 for 1.
    pub lr_multiplier: f64,
    /// What it is multiplied by for the cores; 0 for 1.
    pub core_lr_multiplier: f64,
    /// Not 0 for a table that `ttc_step` leaves as it is.
    pub frozen: u32,
    /// The distribution new cores are drawn from, `TTC_SAMPLED_GAUSSIAN` ...
    pub init_entries: u32,
    /// Their scale, `TTC_ISOMETRIC` ...
    pub init_scale: u32,
    /// 0.
    pub reserved: u32,
    /// The standard deviation that numbers of a new tensor train should have; 0 for `1/sqrt(3 rows)`.
    pub init_std: f64,
}

records!(ttc_rule, ttc_table);

/// A value that is none of an enumeration.
pub(crate) fn unknown(what: &str, value: u32) -> Box<ttc_error> {
    ttc_error::new(TTC_ENUM, format!("there is no {what} {value}")).value(value)
}

/// That a field without a meaning is zero: one day it may have one.
pub(crate) fn unreserved(value: u32) -> Outcome {
    if value == 0 { Ok(()) } else { Err(unknown("use of a reserved field with", value)) }
}

/// The rule of a table or an update, as the two that a table has: `cores` says whether it has any.
///
/// # Safety
///
/// NULL, or a struct as [`record`] wants it.
pub(crate) unsafe fn rule(pointer: *const ttc_rule, cores: bool) -> Outcome<Option<(Rule, CoreRule)>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let ttc_rule { kind, eps, beta1, beta2, .. } = unsafe { record(pointer, "rule") }?;
    let setting = |what: &str, value: f64, right: bool| {
        let wrong = || ttc_error::new(TTC_SETTING, format!("{what} cannot be {value}")).number(value);
        if right { Ok(()) } else { Err(wrong()) }
    };
    if kind != TTC_SGD {
        setting("eps", eps, eps >= 0.0 && eps.is_finite())?;
    }
    let element_wise = |rule| Ok(Some((rule, CoreRule::ElementWise)));
    match kind {
        TTC_SGD => element_wise(Rule::Sgd),
        TTC_ADAGRAD => element_wise(Rule::Adagrad { eps }),
        TTC_ADAM => {
            setting("beta1", beta1, (0.0..1.0).contains(&beta1))?;
            setting("beta2", beta2, (0.0..1.0).contains(&beta2))?;
            element_wise(Rule::Adam { beta1, beta2, eps })
        }
        TTC_ADAGRAD_NORM if cores => Ok(Some((Rule::Sgd, CoreRule::AdagradNorm { eps }))),
        TTC_ADAGRAD_NORM => Err(ttc_error::new(TTC_ENUM, "AdaGrad-Norm is for tables with cores").value(kind)),
        kind => Err(unknown("rule", kind)),
    }
}

/// The configuration of a table.
///
/// # Safety
///
/// The lists of the table are as long as it says, and its rule is a struct as [`record`] wants it.
pub(crate) unsafe fn config(table: &ttc_table) -> Outcome<TableConfig> {
    let cores = table.kind == TTC_TENSOR_TRAIN;
    let mut config = match table.kind {
        // SAFETY: the caller's.
        TTC_TENSOR_TRAIN => TableConfig::tt(unsafe { shape(table) }?).with_cache(table.cache_slots)?,
        TTC_DENSE => TableConfig::dense(table.rows, table.dim)?,
        kind => return Err(unknown("kind of table", kind)),
    };
    // SAFETY: the caller's.
    if let Some((rule, core_rule)) = unsafe { rule(table.rule, cores) }? {
        config = config.with_rule(rule).with_core_rule(core_rule);
    }
    if table.max_counted > 0 {
        config = config.with_max_counted(table.max_counted);
    }
    if table.frozen != 0 {
        config = config.frozen();
    }
    unreserved(table.reserved)?;
    let mut init = CoreInit::default()
        .with_entries(match table.init_entries {
            TTC_SAMPLED_GAUSSIAN => Entries::SampledGaussian,
            TTC_GAUSSIAN => Entries::Gaussian,
            TTC_UNIFORM => Entries::Uniform,
            TTC_SIGNS => Entries::Signs,
            entries => return Err(unknown("distribution of entries", entries)),
        })
        .with_scale(match table.init_scale {
            TTC_ISOMETRIC => Scale::Isometric,
            TTC_CALIBRATED => Scale::Calibrated,
            TTC_PAPER => Scale::Paper,
            scale => return Err(unknown("scale of entries", scale)),
        });
    if table.init_std != 0.0 {
        init = init.with_std(table.init_std);
    }
    let config = config.with_init(init).with_lr_multiplier(or_one(table.lr_multiplier));
    Ok(config.with_core_lr_multiplier(or_one(table.core_lr_multiplier)))
}

/// A multiplier of the caller's.
pub(crate) fn or_one(multiplier: f64) -> f64 {
    if multiplier == 0.0 { 1.0 } else { multiplier }
}

/// # Safety
///
/// The lists of the table are as long as it says.
unsafe fn shape(table: &ttc_table) -> Outcome<TtShape> {
    let &ttc_table { rows, dim, cores, rank, .. } = table;
    if table.row_factors.is_null() && table.col_factors.is_null() && table.ranks.is_null() {
        return Ok(TtShape::paper(rows, dim, cores, rank)?);
    }
    // SAFETY: the caller's, for all three.
    let lists = unsafe {
        [
            list(table.row_factors, cores, "row_factors")?,
            list(table.col_factors, cores, "col_factors")?,
            list(table.ranks, cores.saturating_add(1), "ranks")?,
        ]
    };
    let [row_factors, col_factors, ranks] = lists.map(|list| list.map(<[usize]>::to_vec));
    let row_factors = row_factors.map_or_else(|| ttcore::factor::paper_row_factors(rows, cores), Ok)?;
    let col_factors = col_factors.map_or_else(|| column_factors(dim, cores), Ok)?;
    let shape = match ranks {
        Some(ranks) => TtShape::new(rows, &row_factors, &col_factors, &ranks)?,
        None => TtShape::with_rank(rows, &row_factors, &col_factors, rank)?,
    };
    if shape.dim() != dim {
        let message = format!("the column factors multiply to {}, not {dim}", shape.dim());
        return Err(ttc_error::new(TTC_SHAPE, message).value(shape.dim()));
    }
    Ok(shape)
}

/// A list of sizes, if there is one.
///
/// # Safety
///
/// For `'a`: NULL, or so many numbers.
unsafe fn list<'a>(start: *const usize, len: usize, what: &str) -> Outcome<Option<&'a [usize]>> {
    if start.is_null() {
        return Ok(None);
    }
    aligned(start, what)?;
    if len > 65 {
        return Err(ttc_error::new(TTC_SHAPE, format!("{what} of {len} are too many")).value(len));
    }
    // SAFETY: aligned, not NULL, and so many, as the caller says.
    Ok(Some(unsafe { std::slice::from_raw_parts(start, len) }))
}

/// Numbers of the caller's, of a type that he need not name.
///
/// # Safety
///
/// For `'a`: NULL where there are none, or so many numbers, which nothing writes meanwhile.
pub(crate) unsafe fn numbers<'a, T>(start: *const T, len: usize, what: &str) -> Outcome<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(null(what));
    }
    aligned(start, what)?;
    if len > isize::MAX as usize / size_of::<T>() {
        let message = format!("{what} has {len} numbers, more than fit in memory");
        return Err(ttc_error::new(crate::error::TTC_LENGTH, message).value(len));
    }
    // SAFETY: aligned, not NULL, and so many, as the caller says.
    Ok(unsafe { std::slice::from_raw_parts(start, len) })
}
