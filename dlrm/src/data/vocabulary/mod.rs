//! Which index each raw value of a category has: learned from lines, kept with what was trained on them, and given to
//! number others by.

mod file;
mod given;
mod learning;

use std::num::NonZeroU32;
use std::sync::Arc;

use super::CATEGORICAL;
pub use file::Vocabulary;
pub(super) use file::{Known, write};
use given::Given;
use learning::Learning;

/// The index of a value that a vocabulary does not know and has no row for. Its embedding is zero, or that of the row which
/// all rare categories of the table share, where they do ([`Lookup::Shared`](crate::model::Lookup::Shared)).
pub const UNSEEN: u32 = u32::MAX;

/// The index of a feature needs one byte more from this row on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wider {
    pub(super) row: usize,
    pub(super) feature: usize,
}

/// What numbers the values of lines that are read.
pub(super) enum Numbers {
    /// They themselves, from the first on.
    Learned(Box<Learning>),
    /// Others before them.
    Given(Box<Given>),
}

impl Numbers {
    /// By a vocabulary, if there is one, or by the lines.
    pub(super) fn new(given: Option<Arc<Vocabulary>>) -> Self {
        match given {
            Some(vocabulary) => Self::Given(Box::new(Given::new(vocabulary))),
            None => Self::Learned(Box::default()),
        }
    }

    /// Replaces raw values by indices and returns, in order of rows, where indices outgrow their width.
    ///
    /// `columns[f]` has the values of feature `f` from `first_row` on, in pieces. The features do not depend on each
    /// other and each is gone through in the order of its rows, so the result is that of a sequential pass.
    pub(super) fn index(&mut self, columns: [Vec<&mut [u32]>; CATEGORICAL], first_row: usize) -> Vec<Wider> {
        match self {
            Self::Learned(learning) => learning.index(columns, first_row),
            Self::Given(given) => given.index(columns, first_row),
        }
    }

    /// How many values had no index, for each feature.
    pub(super) fn unseen(&self) -> Vec<u64> {
        match self {
            Self::Learned(_) => vec![0; CATEGORICAL],
            Self::Given(given) => given.unseen().to_vec(),
        }
    }

    /// The vocabulary at the end, of values that were taken modulo `range`.
    pub(super) fn finish(self, range: Option<NonZeroU32>) -> Arc<Vocabulary> {
        match self {
            Self::Learned(learning) => Arc::new(learning.finish(range)),
            Self::Given(given) => given.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::mapped::Bytes;
    use super::super::{DataErrorKind, ReadSettings};
    use super::*;

    /// What the same values are learned as, of every feature.
    fn learned(values: &[u32], range: Option<NonZeroU32>) -> Vocabulary {
        let mut copies = vec![values.to_vec(); CATEGORICAL];
        let mut columns = copies.iter_mut();
        let mut learning = Learning::default();
        learning.index(std::array::from_fn(|_| vec![columns.next().unwrap().as_mut_slice()]), 0);
        learning.finish(range)
    }

    proptest! {
        #[test]
        fn known_values_have_their_indices_and_others_none(
            values in proptest::collection::vec(prop_oneof![0..40u32, any::<u32>()], 1..3000),
            others in proptest::collection::vec(prop_oneof![0..80u32, any::<u32>()], 0..200),
        ) {
            let vocabulary = learned(&values, None);
            let mut known = HashMap::new();
            for &value in &values {
                let next = known.len() as u32;
                known.entry(value).or_insert(next);
            }
            prop_assert_eq!(vocabulary.table_rows(), [known.len() as u64; CATEGORICAL]);
            for value in values.iter().chain(&others) {
                let want = known.get(value).map_or((UNSEEN, false), |&index| (index, true));
                prop_assert_eq!(vocabulary.number(0, *value), want);
                prop_assert_eq!(vocabulary.number(25, *value), want);
            }
            // Its file is the same vocabulary.
            let again = Vocabulary::decode(Bytes::Owned(vocabulary.as_bytes().to_vec())).unwrap();
            prop_assert_eq!(&again, &vocabulary);
            prop_assert!(again.verify("here").is_ok());
        }

        /// Whatever its bytes are: no panic, and no index that is not one of its table.
        #[test]
        fn damage_is_found_or_does_no_harm(
            values in proptest::collection::vec(0..500u32, 1..300),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let whole = learned(&values, NonZeroU32::new(300)).as_bytes().to_vec();
            let mut bytes = whole.clone();
            damage.iter().for_each(|(at, value)| bytes[at.index(whole.len())] = *value);
            bytes.truncate(cut.map_or(whole.len(), |cut| cut.index(whole.len())));
            match Vocabulary::decode(Bytes::Owned(bytes.clone())) {
                Err(DataErrorKind::ForeignVocabulary | DataErrorKind::Vocabulary | DataErrorKind::Version { .. }) => {}
                Err(other) => prop_assert!(false, "{other}"),
                Ok(vocabulary) => {
                    prop_assert_eq!(vocabulary.verify("here").is_ok(), bytes == whole);
                    for value in 0..600 {
                        let (index, seen) = vocabulary.number(3, value);
                        prop_assert!(index == UNSEEN || u64::from(index) < vocabulary.table_rows()[3]);
                        prop_assert_eq!(index == UNSEEN, !seen);
                    }
                }
            }
        }
    }

    #[test]
    fn values_are_taken_modulo_what_they_were() {
        let vocabulary = learned(&[3, 1], NonZeroU32::new(10));
        assert_eq!((vocabulary.number(0, 13), vocabulary.number(0, 21)), ((0, true), (1, true)));
        assert_eq!(vocabulary.max_ind_range(), NonZeroU32::new(10));
        // Also where the settings ask for another number, which would give them others' rows.
        let line = |value: u32| format!("0{}\t{value:x}{}\n", "\t".repeat(13), "\t3".repeat(25));
        let settings = ReadSettings {
            max_ind_range: NonZeroU32::new(7),
            vocabulary: Some(Arc::new(vocabulary)),
            ..ReadSettings::default()
        };
        let text = line(13) + &line(21) + &line(12);
        let data = super::super::Dataset::from_reader_with(text.as_bytes(), "lines", &settings).unwrap();
        let mut batch = super::super::Batch::default();
        data.fill_batch(0..3, &mut batch).unwrap();
        assert_eq!(batch.indices[0], [0, 1, UNSEEN]);
        let known = data.header().vocabulary.clone().unwrap();
        assert_eq!((known.unseen[0], known.unseen[1], known.given), (1, 0, true));
    }

    #[test]
    fn the_same_lines_by_their_own_vocabulary_are_the_same_rows() {
        let lines = super::super::Synthetic { lines: 3000, ..Default::default() };
        for (numbering, min_count) in [
            (super::super::Numbering::Appearance, 1),
            (super::super::Numbering::Popularity, 1),
            (Default::default(), 4),
        ] {
            let learn = ReadSettings { numbering, min_count: NonZeroU32::new(min_count), ..ReadSettings::default() };
            let first = super::super::Dataset::synthetic_with(&lines, &learn).unwrap();
            let given = ReadSettings { vocabulary: first.vocabulary().cloned(), ..ReadSettings::default() };
            let second = super::super::Dataset::synthetic_with(&lines, &given).unwrap();
            assert_eq!(second.fingerprint(), first.fingerprint());
            assert_eq!(second.vocabulary(), first.vocabulary());
            assert!(min_count > 1 || !second.header().has_unseen());
        }
    }
}
