//! Samples as the model takes them.

use super::{CATEGORICAL, DENSE};

/// What a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    /// Dense features.
    pub(super) dense: usize,
    /// Categorical features.
    pub(super) tables: usize,
}

impl Width {
    /// That of Criteo's lines.
    pub(super) const CRITEO: Self = Self { dense: DENSE, tables: CATEGORICAL };
}

/// Memory for one batch of B samples, allocated by the first of the largest size and then reused.
///
/// Of Criteo's lines there is one index per feature and sample; of columns there may be lists of them, in bags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Dense features, `[B][dense]` row major: 13 transformed counts of Criteo's lines.
    pub dense: Vec<f32>,
    /// Category indices, for each feature a vector of B, or of those of all bags where it has bags (no vectors before the first
    /// use of a default batch); [`UNSEEN`](super::UNSEEN) where a value has none.
    pub indices: Vec<Vec<u32>>,
    /// Where the bag of each sample begins, `[features][B]`; no vector, or an empty one, where every sample has one index.
    pub offsets: Vec<Vec<u32>>,
    /// What each row of a bag is multiplied by, for each feature as many as indices; no vector, or an empty one, where it is 1.
    pub weights: Vec<Vec<f32>>,
    /// 0 or 1, `[B]`.
    pub labels: Vec<f32>,
}

impl Batch {
    /// An empty batch with room for `samples` samples.
    pub fn with_capacity(samples: usize) -> Self {
        let mut batch = Self::default();
        batch.reset(samples, Width::CRITEO);
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
        self.labels.clear();
        self.dense.clear();
        self.indices.iter_mut().for_each(Vec::clear);
        self.offsets.iter_mut().for_each(Vec::clear);
        self.weights.iter_mut().for_each(Vec::clear);
    }

    /// The indices of a sample of a feature: one, or those of its bag.
    ///
    /// # Panics
    ///
    /// If there is no such feature or sample.
    pub fn indices_of(&self, feature: usize, sample: usize) -> &[u32] {
        let indices = &self.indices[feature];
        match self.offsets.get(feature).filter(|offsets| !offsets.is_empty()) {
            None => &indices[sample..=sample],
            Some(offsets) => {
                let end = offsets.get(sample + 1).map_or(indices.len(), |&end| end as usize);
                &indices[offsets[sample] as usize..end]
            }
        }
    }

    /// Empties the batch and makes room for `samples` samples.
    pub(super) fn reset(&mut self, samples: usize, width: Width) {
        self.clear();
        self.labels.reserve(samples);
        self.dense.reserve(samples * width.dense);
        self.indices.resize_with(width.tables, Vec::new);
        self.indices.iter_mut().for_each(|indices| indices.reserve(samples));
    }
}
