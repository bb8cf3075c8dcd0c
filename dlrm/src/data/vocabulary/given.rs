//! Values numbered by a vocabulary that others made.

use std::sync::Arc;

use rayon::prelude::*;

use super::super::CATEGORICAL;
use super::{UNSEEN, Vocabulary, Wider};

/// A vocabulary in use.
#[derive(Debug)]
pub(in crate::data) struct Given {
    vocabulary: Arc<Vocabulary>,
    features: [Feature; CATEGORICAL],
}

#[derive(Clone, Copy, Debug)]
struct Feature {
    /// Bytes of an index so far.
    width: u32,
    unseen: u64,
}

impl Given {
    pub(super) fn new(vocabulary: Arc<Vocabulary>) -> Self {
        let widths = vocabulary.first_widths();
        Self { vocabulary, features: widths.map(|width| Feature { width: width.into(), unseen: 0 }) }
    }

    pub(super) fn index(&mut self, columns: [Vec<&mut [u32]>; CATEGORICAL], first_row: usize) -> Vec<Wider> {
        let vocabulary = &*self.vocabulary;
        let features = self.features.par_iter_mut().zip(columns).enumerate().with_max_len(1);
        let mut wider: Vec<Wider> = features
            .flat_map_iter(|(number, (feature, pieces))| {
                let mut wider = Vec::new();
                // What has no row is packed as the index behind the last.
                let behind = vocabulary.table_rows()[number] as u32;
                let values = pieces.into_iter().flatten().enumerate();
                for (row, value) in values.map(|(at, value)| (first_row + at, value)) {
                    let (index, seen) = vocabulary.number(number, *value);
                    feature.unseen += u64::from(!seen);
                    *value = if index == UNSEEN { behind } else { index };
                    while feature.width < 4 && *value >> (8 * feature.width) != 0 {
                        feature.width += 1;
                        wider.push(Wider { row, feature: number });
                    }
                }
                wider
            })
            .collect();
        wider.sort_unstable();
        wider
    }

    pub(super) fn unseen(&self) -> [u64; CATEGORICAL] {
        self.features.map(|feature| feature.unseen)
    }

    pub(super) fn finish(self) -> Arc<Vocabulary> {
        self.vocabulary
    }
}
