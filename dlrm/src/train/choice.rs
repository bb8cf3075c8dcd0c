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

/// How many times less memory training holds for a table as `compressed` than as `dense`: parameters, optimiser state, and
/// the counter of a cache.
pub(super) fn ratio(dense: &TableConfig, compressed: &TableConfig) -> f64 {
    bytes(dense) as f64 / bytes(compressed) as f64
}

fn bytes(config: &TableConfig) -> u128 {
    let numbers = config.table().parameters() as u128 + config.state_layout().len() as u128;
    let cached = config.table().cores().map_or(0, |_| config.table().dense_rows() as usize);
    let counter =
        if cached > 0 { FrequencyCache::bytes_of(cached, FrequencyCache::default_max_counted(cached)) } else { 0 };
    numbers * BYTES + counter
}
