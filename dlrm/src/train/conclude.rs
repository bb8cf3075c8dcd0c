//! What came out of a run, from the model and how far it is.

use std::path::PathBuf;
use std::time::Duration;

use super::choice::KeptDense;
use super::outcome::{CacheSummary, Outcome, TableSummary};
use super::state::Evaluation;
use super::tables::TableSettings;
use super::trainer::Trainer;
use crate::model::Engine;

/// Of a run, beside the model.
pub(super) struct Run {
    pub(super) resumed_at: Option<u64>,
    pub(super) samples: u64,
    pub(super) time: Duration,
    pub(super) kept_dense: Vec<KeptDense>,
    pub(super) model: Option<PathBuf>,
}

/// What came out of a run.
pub(super) fn conclude<B: Engine>(
    trainer: &mut Trainer<'_, B>,
    test: Evaluation,
    validation: Evaluation,
    run: Run,
) -> Outcome {
    let state = trainer.state();
    let statistics = trainer.model().tables().statistics();
    let settings = trainer.settings();
    let dim = settings.dim as u128;
    let tables: Vec<TableSummary> = statistics
        .iter()
        .zip(&settings.tables)
        .map(|(table, settings)| {
            let (row_factors, ranks) = match settings {
                TableSettings::Dense { .. } | TableSettings::Shared { .. } => (None, None),
                TableSettings::Tt { row_factors, ranks, .. } => (Some(row_factors.clone()), Some(ranks.clone())),
            };
            TableSummary {
                rows: settings.rows(),
                row_factors,
                ranks,
                bytes: table.bytes.parameters(),
                dense_bytes: u128::from(settings.rows()) * dim * size_of::<B::Float>() as u128,
                std_init: table.init.map(|init| init.std_table),
                step: (table.init.filter(|_| settings.is_element_wise()))
                    .map(|init| init.step * settings.lr_multiplier()),
                cached_rows: table.cached_rows,
                own_rows: if let TableSettings::Tt { own_rows, .. } = settings { *own_rows } else { 0 },
                shared: if let TableSettings::Shared { lookup, .. } = settings { Some(*lookup) } else { None },
            }
        })
        .collect();
    let with_cache = || statistics.iter().zip(&settings.tables).filter(|(_, settings)| settings.has_cache());
    let cache = settings.cache.map(|_| CacheSummary {
        rows: with_cache().map(|(table, _)| table.cached_rows).sum(),
        bytes: with_cache().map(|(table, _)| table.bytes.dense_rows).sum(),
        counter_bytes: with_cache().map(|(table, _)| table.bytes.counter).sum(),
        hit_rate: state.traffic().hit_rate(),
    });
    let dense_bytes = tables.iter().map(|table| table.dense_bytes).sum();
    let compressed_bytes = tables.iter().map(|table| table.bytes as u128).sum();
    let seconds = run.time.as_secs_f64();
    Outcome {
        loss_first: trainer.losses().first(),
        loss_last: trainer.losses().last(),
        auc: test.auc,
        accuracy: test.accuracy,
        log_loss: test.log_loss,
        dense_bytes,
        compressed_bytes,
        ratio: dense_bytes as f64 / compressed_bytes as f64,
        state_bytes: statistics.iter().map(|table| table.bytes.state).sum(),
        cache,
        iterations: state.iteration,
        samples: trainer.samples(),
        skipped_batches: state.skipped,
        resumed_at: run.resumed_at,
        seconds,
        samples_per_second: if run.samples == 0 { 0.0 } else { run.samples as f64 / seconds },
        tt_tables: settings.tables.iter().filter_map(TableSettings::rank).count(),
        tt_rank: settings.tables.iter().filter_map(TableSettings::rank).max().unwrap_or(0),
        kept_dense: run.kept_dense,
        optimizer: settings.optimizer,
        seed: settings.seed,
        best: state.best,
        test,
        validation,
        model: run.model,
        tables,
    }
}
