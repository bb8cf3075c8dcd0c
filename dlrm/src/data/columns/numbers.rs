//! From keys to indices.

use std::sync::Arc;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::chunk::{Chunk, Values};
use super::schema::Schema;
use crate::data::vocabulary::{Known, write};
use crate::data::{UNSEEN, Vocabulary};

/// What numbers the keys of rows.
pub(super) enum Numbers {
    /// They themselves, in order of first appearance.
    Learned(Vec<Learning>),
    /// Others before them.
    Given(Arc<Vocabulary>, Vec<Seen>),
}

/// A feature whose keys are learned.
#[derive(Default)]
pub(super) struct Learning {
    known: HashMap<u64, u32>,
    longest: u32,
}

/// What was seen of a feature that is numbered by a vocabulary.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    longest: u32,
    unseen: u64,
    cut: u64,
}

impl Numbers {
    pub(super) fn new(schema: &Schema, given: Option<Arc<Vocabulary>>) -> Self {
        match given {
            Some(vocabulary) => {
                let seen =
                    vocabulary.longest().into_iter().map(|longest| Seen { longest, ..Seen::default() }).collect();
                Self::Given(vocabulary, seen)
            }
            None => Self::Learned(schema.categorical.iter().map(|_| Learning::default()).collect()),
        }
    }

    /// Gives all keys of a chunk their indices. Features do not depend on each other, and each is gone through in the order of
    /// its rows: the result is that of a sequential pass.
    pub(super) fn number(&mut self, chunk: &mut Chunk) {
        match self {
            Self::Learned(features) => {
                features
                    .par_iter_mut()
                    .zip(&mut chunk.features)
                    .with_max_len(1)
                    .for_each(|(feature, values)| feature.number(values));
            }
            Self::Given(vocabulary, seen) => {
                let features = seen.par_iter_mut().zip(&mut chunk.features).enumerate().with_max_len(1);
                features.for_each(|(number, (seen, values))| seen.number(vocabulary, number, values));
            }
        }
    }

    /// How many values had no index, for each feature.
    pub(super) fn unseen(&self) -> Vec<u64> {
        match self {
            Self::Learned(features) => vec![0; features.len()],
            Self::Given(_, seen) => seen.iter().map(|seen| seen.unseen).collect(),
        }
    }

    /// Values of lists that are longer than any that the vocabulary was learned from.
    pub(super) fn cut(&self) -> u64 {
        match self {
            Self::Learned(_) => 0,
            Self::Given(_, seen) => seen.iter().map(|seen| seen.cut).sum(),
        }
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self, Self::Given(..))
    }

    /// The vocabulary at the end; the number of a feature without any value, of which there is no table.
    pub(super) fn finish(self, schema: &Arc<Schema>) -> Result<Arc<Vocabulary>, usize> {
        let features = match self {
            Self::Given(vocabulary, _) => return Ok(vocabulary),
            Self::Learned(features) => features,
        };
        if let Some(feature) = features.iter().position(|feature| feature.known.is_empty()) {
            return Err(feature);
        }
        // A list that is never longer than one may be empty: it is one of lists all the same.
        let longest = features.iter().map(|feature| feature.longest.max(1)).collect();
        let known = Known {
            columns: Some((schema.clone(), longest)),
            rows: features.iter().map(|feature| feature.known.len() as u64).collect(),
            unseen: vec![None; features.len()],
            ..Known::default()
        };
        let entries = |feature: usize| features[feature].known.iter().map(|(&key, &index)| (key, index));
        Ok(Arc::new(write(&known, entries)))
    }
}

impl Learning {
    fn number(&mut self, values: &mut Values) {
        let Self { known, longest } = self;
        values.indices.extend(values.keys.iter().map(|&key| {
            // As many as fit into memory.
            let next = known.len() as u32;
            *known.entry(key).or_insert(next)
        }));
        let mut start = 0;
        for &end in &values.ends {
            *longest = (*longest).max(end - start);
            start = end;
        }
    }
}

impl Seen {
    fn number(&mut self, vocabulary: &Vocabulary, feature: usize, values: &mut Values) {
        let Values { keys, indices, ends, weights } = values;
        let mut number = |key| {
            let (index, seen) = vocabulary.number_key(feature, key);
            self.unseen += u64::from(!seen);
            index
        };
        if ends.is_empty() {
            indices.extend(keys.iter().map(|&key| number(key)));
            return;
        }
        let mut start = 0;
        let mut kept_weights = 0;
        for end in ends {
            let values = start as usize..*end as usize;
            start = *end;
            let most = values.start + values.len().min(self.longest as usize);
            self.cut += (values.end - most) as u64;
            for at in values.start..most {
                let index = number(keys[at]);
                // It adds nothing, and counts for nothing.
                if index != UNSEEN {
                    indices.push(index);
                    if !weights.is_empty() {
                        weights[kept_weights] = weights[at];
                        kept_weights += 1;
                    }
                }
            }
            *end = indices.len() as u32;
        }
        weights.truncate(kept_weights);
    }
}
