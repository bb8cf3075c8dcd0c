//! What a table costs, and what its cache does.

use super::TableConfig;
use crate::cache::{FrequencyCache, Traffic};
use crate::init::Report;
use crate::real::Real;

/// Bytes of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Bytes {
    /// What the table would take uncompressed.
    pub uncompressed: u128,
    /// The cores.
    pub cores: usize,
    /// Dense rows, those of the cache included.
    pub dense_rows: usize,
    /// Optimiser state.
    pub state: usize,
    /// The cache's counter and index.
    pub counter: usize,
}

impl Bytes {
    /// What the model needs to predict: cores and dense rows.
    pub fn parameters(&self) -> usize {
        self.cores + self.dense_rows
    }

    /// All that training holds for the table between steps.
    pub fn total(&self) -> usize {
        self.parameters() + self.state + self.counter
    }
}

/// Statistics of one table.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TableStatistics {
    /// Rows of the table.
    pub rows: u64,
    /// Bytes.
    pub bytes: Bytes,
    /// What the initialisation of the cores means, for a TT table.
    pub init: Option<Report>,
    /// Rows in the cache now.
    pub cached_rows: usize,
    /// Lookups and hits since statistics were last taken, for a table with a cache.
    pub traffic: Option<Traffic>,
}

impl TableStatistics {
    pub(super) fn new<F: Real>(config: &TableConfig, cache: &mut Option<FrequencyCache>) -> Self {
        let (table, bytes) = (config.table(), F::BYTES);
        Self {
            rows: config.rows(),
            bytes: Bytes {
                uncompressed: u128::from(config.rows()) * (table.dim() * bytes) as u128,
                cores: table.core_parameters() * bytes,
                dense_rows: (table.parameters() - table.core_parameters()) * bytes,
                state: config.state_layout().len() * bytes,
                counter: cache.as_ref().map_or(0, FrequencyCache::bytes),
            },
            init: table.cores().map(|shape| config.init().report(shape)),
            cached_rows: cache.as_ref().map_or(0, |cache| cache.rows().iter().flatten().count()),
            traffic: cache.as_mut().map(FrequencyCache::take_traffic),
        }
    }
}
