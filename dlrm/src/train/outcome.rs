//! What came out of a training run.

use std::path::PathBuf;

use serde::Serialize;

use super::choice::KeptDense;
use super::optimizer::Optimizer;
use super::state::{Best, Evaluation};
use crate::model::Lookup;

/// One embedding table of the trained model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableSummary {
    /// Rows.
    pub rows: u64,
    /// Row factors, for a table in TT form.
    pub row_factors: Option<Vec<usize>>,
    /// Ranks `R_0 .. R_d`, for a table in TT form.
    pub ranks: Option<Vec<usize>>,
    /// Bytes as it is held, cached rows included.
    pub bytes: usize,
    /// Bytes uncompressed.
    pub dense_bytes: u128,
    /// Standard deviation of the entries of a new TT table.
    pub std_init: Option<f64>,
    /// How far a step of SGD moves a row of a new TT table whose cores are trained element by element, relative to a dense
    /// one: `K`, learning rate multiplier included. None under another rule.
    pub step: Option<f64>,
    /// Rows in the cache at the end.
    pub cached_rows: usize,
    /// Rows of their own beside a tensor train that holds the others.
    pub own_rows: u64,
    /// How categories share rows, where they do.
    pub shared: Option<Lookup>,
}

/// What the caches did, and cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CacheSummary {
    /// Rows cached at the end.
    pub rows: usize,
    /// Bytes of the cached rows; part of [`Outcome::compressed_bytes`].
    pub bytes: usize,
    /// Bytes of the counters and indices: needed in training alone.
    pub counter_bytes: usize,
    /// Share of cached rows among all lookups of tables with a cache, in training.
    pub hit_rate: f64,
}

/// What came out of a training run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Mean loss over the first tenth of the iterations.
    pub loss_first: f64,
    /// Mean loss over the last tenth of the iterations.
    pub loss_last: f64,
    /// [`Evaluation::auc`] on the test lines.
    pub auc: Option<f64>,
    /// [`Evaluation::accuracy`] on the test lines.
    pub accuracy: f64,
    /// [`Evaluation::log_loss`] on the test lines.
    pub log_loss: f64,
    /// Bytes of the embedding tables uncompressed.
    pub dense_bytes: u128,
    /// Bytes of the embedding tables as they are held.
    pub compressed_bytes: u128,
    /// `dense_bytes / compressed_bytes`.
    pub ratio: f64,
    /// Bytes of the tables' optimiser state: needed in training alone.
    pub state_bytes: usize,
    /// The caches, if there are any.
    pub cache: Option<CacheSummary>,
    /// Iterations, those before a resumption included.
    pub iterations: u64,
    /// Lines gone through, once for each epoch, those before a resumption included.
    pub samples: u64,
    /// Batches that were skipped, since a number of them is not finite, those before a resumption included.
    pub skipped_batches: u64,
    /// After how many iterations this run went on from a checkpoint; none if it began anew.
    pub resumed_at: Option<u64>,
    /// Training time of this run, evaluation and checkpoints not counted.
    pub seconds: f64,
    /// Training samples of this run a second; 0 if it had none.
    pub samples_per_second: f64,
    /// How many tables are in TT form.
    pub tt_tables: usize,
    /// Their largest TT-rank; 0 if there are none.
    pub tt_rank: usize,
    /// Tables among the largest that stayed uncompressed, since they would hardly have got smaller.
    pub kept_dense: Vec<KeptDense>,
    /// The update rule.
    pub optimizer: Optimizer,
    /// Seed of the run.
    pub seed: u64,
    /// Metrics on the test lines at the end.
    pub test: Evaluation,
    /// Metrics on the validation lines at the end.
    pub validation: Evaluation,
    /// The best metrics on the test lines, during training or at the end: what the reference reports. None if there are no
    /// test lines.
    pub best: Option<Best>,
    /// Where the model is, if it was kept.
    pub model: Option<PathBuf>,
    /// The tables, in order of the features.
    pub tables: Vec<TableSummary>,
}
