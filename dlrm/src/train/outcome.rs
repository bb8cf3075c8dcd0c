//! What came out of a training run.

use serde::Serialize;
use ttcore::Backend;

use super::TrainSettings;
use crate::data::Dataset;
use crate::model::Dlrm;

/// Metrics on lines that were not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many lines.
    pub lines: usize,
    /// How many of them are positive.
    pub positives: usize,
    /// Mean binary cross entropy, natural logarithm.
    pub log_loss: f64,
    /// Share of lines whose rounded prediction is the label.
    pub accuracy: f64,
    /// Area under the ROC curve; none if only one class is present.
    pub auc: Option<f64>,
}

/// One embedding table of the trained model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableSummary {
    /// Rows.
    pub rows: u64,
    /// Row factors, for a table in TT form.
    pub row_factors: Option<Vec<usize>>,
    /// Bytes as it is held.
    pub bytes: usize,
    /// Bytes uncompressed.
    pub dense_bytes: u128,
    /// Standard deviation of the entries of a new TT table.
    pub std_init: Option<f64>,
    /// How far a step of SGD moves a row of a new TT table, relative to a dense one: `K`, learning rate multiplier
    /// included.
    pub step: Option<f64>,
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
    /// Iterations.
    pub iterations: usize,
    /// Lines trained on, once for each epoch.
    pub samples: usize,
    /// Training time, evaluation not counted.
    pub seconds: f64,
    /// Training samples a second.
    pub samples_per_second: f64,
    /// How many tables are in TT form.
    pub tt_tables: usize,
    /// Their TT-rank.
    pub tt_rank: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Metrics on the test lines.
    pub test: Evaluation,
    /// Metrics on the validation lines.
    pub validation: Evaluation,
    /// The tables, in order of the features.
    pub tables: Vec<TableSummary>,
}

impl Outcome {
    pub(super) fn new<B: Backend>(
        settings: &TrainSettings,
        data: &Dataset,
        model: &mut Dlrm<B>,
        losses: &[f64],
        seconds: f64,
        test: Evaluation,
        validation: Evaluation,
    ) -> Self {
        let shapes: Vec<_> = model.config().tables().iter().map(|config| config.table().cores().cloned()).collect();
        let tables: Vec<TableSummary> = shapes
            .iter()
            .zip(model.tables().statistics())
            .map(|(shape, table)| TableSummary {
                rows: table.rows,
                row_factors: shape.as_ref().map(|shape| shape.row_factors().to_vec()),
                bytes: table.bytes.parameters(),
                dense_bytes: table.bytes.uncompressed,
                std_init: table.init.map(|init| init.std_table),
                step: table.init.map(|init| init.step * settings.tt.lr_multiplier),
            })
            .collect();
        let dense_bytes = tables.iter().map(|table| table.dense_bytes).sum();
        let compressed_bytes = tables.iter().map(|table| table.bytes as u128).sum();
        let tenth = losses.len().div_ceil(10);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let samples = data.split().train.len() * settings.epochs;
        Self {
            loss_first: mean(&losses[..tenth]),
            loss_last: mean(&losses[losses.len() - tenth..]),
            auc: test.auc,
            accuracy: test.accuracy,
            log_loss: test.log_loss,
            dense_bytes,
            compressed_bytes,
            ratio: dense_bytes as f64 / compressed_bytes as f64,
            iterations: losses.len(),
            samples,
            seconds,
            samples_per_second: samples as f64 / seconds,
            tt_tables: shapes.iter().flatten().count(),
            tt_rank: settings.tt.rank,
            seed: settings.seed,
            test,
            validation,
            tables,
        }
    }
}
