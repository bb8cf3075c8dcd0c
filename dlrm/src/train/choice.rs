//! Which tables are worth a tensor train.

use serde::Serialize;
use ttcore::{FrequencyCache, TableConfig};

/// Bytes of a number of the models: `f32`.
const BYTES: u128 = size_of::<f32>() as u128;

/// A table that stays uncompressed though it is among those asked for, since too little would be saved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KeptDense {
    /// Its number, from 0.
    pub table: usize,
    /// Its rows.
    pub rows: u64,
    /// How many times smaller a tensor train would have been; below 1, larger.
    pub ratio: f64,
}

/// How many times smaller a table is as `compressed` than as `dense`: what is kept to predict with, or what training holds
/// with optimiser state and a cache's counter, whichever gains less.
pub(super) fn ratio(dense: &TableConfig, compressed: &TableConfig) -> f64 {
    let ratio = |bytes: fn(&TableConfig) -> u128| bytes(dense) as f64 / bytes(compressed) as f64;
    ratio(model_bytes).min(ratio(training_bytes))
}

fn model_bytes(config: &TableConfig) -> u128 {
    config.table().parameters() as u128 * BYTES
}

fn training_bytes(config: &TableConfig) -> u128 {
    let cached = config.cache_slots();
    let counter =
        if cached > 0 { FrequencyCache::bytes_of(cached, FrequencyCache::default_max_counted(cached)) } else { 0 };
    model_bytes(config) + config.state_layout().len() as u128 * BYTES + counter
}
