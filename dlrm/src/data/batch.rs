//! Samples as the model takes them.

use super::{CATEGORICAL, DENSE};

/// Memory for one batch of B samples, allocated by the first of the largest size and then reused.
///
/// There is one index per feature and sample, so the offsets of the embedding bags are 0, 1, .., B.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Transformed counts, `[B][13]` row major.
    pub dense: Vec<f32>,
    /// Category indices, 26 vectors of B (no vectors before the first use of a default batch); [`UNSEEN`](super::UNSEEN)
    /// where a value has none.
    pub indices: Vec<Vec<u32>>,
    /// 0 or 1, `[B]`.
    pub labels: Vec<f32>,
}

impl Batch {
    /// An empty batch with room for `samples` samples.
    pub fn with_capacity(samples: usize) -> Self {
        let mut batch = Self::default();
        batch.reset(samples);
        batch
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Empties the batch.
    pub fn clear(&mut self) {
        self.reset(0);
    }

    /// Empties the batch and makes room for `samples` samples.
    pub(super) fn reset(&mut self, samples: usize) {
        self.labels.clear();
        self.labels.reserve(samples);
        self.dense.clear();
        self.dense.reserve(samples * DENSE);
        self.indices.resize_with(CATEGORICAL, Vec::new);
        for indices in &mut self.indices {
            indices.clear();
            indices.reserve(samples);
        }
    }
}
