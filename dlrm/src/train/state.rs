//! How far a run is.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use ttcore::cache::Traffic;

use crate::data::{DataError, Dataset, Vocabulary};

/// Metrics on lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many lines.
    pub lines: usize,
    /// How many of them are positive.
    pub positives: usize,
    /// For how many of them the model gives no finite probability: the metrics are of the others.
    #[serde(default)]
    pub non_finite: usize,
    /// Mean binary cross entropy, natural logarithm.
    #[serde(deserialize_with = "number")]
    pub log_loss: f64,
    /// Share of lines whose rounded prediction is the label.
    #[serde(deserialize_with = "number")]
    pub accuracy: f64,
    /// Area under the ROC curve; none if only one class is present.
    pub auc: Option<f64>,
}

/// JSON has no word for what is not a number, and writes null.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The evaluation on the test lines with the highest accuracy, the first of equal ones: what the reference reports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Iterations done.
    pub iteration: u64,
    /// The metrics then.
    pub test: Evaluation,
}

/// How far a run is. What is not here is in the model, or follows from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainState {
    /// Iterations done.
    pub iteration: u64,
    /// Where the next batch comes from.
    pub position: Position,
    /// Iterations without an update, since a number of their batch is not finite.
    #[serde(default)]
    pub skipped: u64,
    /// Lookups of tables with a cache so far, in training.
    pub lookups: u64,
    /// How many of them were of cached rows.
    pub hits: u64,
    /// The best of the evaluations during training.
    pub best: Option<Best>,
}

/// A place in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Epochs gone through.
    pub epoch: u64,
    /// Lines of the next one gone through.
    pub line: u64,
}

/// What tells one data set from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// How many lines.
    pub lines: usize,
    /// [`Dataset::fingerprint`], in hexadecimal digits.
    pub fingerprint: String,
    /// [`Vocabulary::checksum`](crate::data::Vocabulary::checksum), in hexadecimal digits; none for data that was prepared
    /// before vocabularies were kept.
    #[serde(default)]
    pub vocabulary: Option<String>,
}

impl TrainState {
    /// Takes note of lookups.
    pub(crate) fn note(&mut self, traffic: Traffic) {
        // A checkpoint may say any number.
        self.lookups = self.lookups.saturating_add(traffic.lookups);
        self.hits = self.hits.saturating_add(traffic.hits);
    }

    /// Lookups so far.
    pub fn traffic(&self) -> Traffic {
        Traffic::new(self.hits, self.lookups)
    }

    /// Takes note of an evaluation; whether it is the best. One of no lines never is.
    pub(crate) fn evaluated(&mut self, test: Evaluation) -> bool {
        let better = !test.accuracy.is_nan()
            && self.best.is_none_or(|best| best.test.accuracy.is_nan() || test.accuracy > best.test.accuracy);
        if better {
            self.best = Some(Best { iteration: self.iteration, test });
        }
        better
    }
}

impl Position {
    /// After this many iterations with batches of `batch` (at least 1) of `lines` lines, the last of an epoch shorter.
    pub fn after(iteration: u64, lines: usize, batch: usize) -> Self {
        let batches = lines.div_ceil(batch.max(1)).max(1) as u64;
        Self { epoch: iteration / batches, line: iteration % batches * batch as u64 }
    }
}

impl DataIdentity {
    /// That of a data set.
    pub fn of(data: &Dataset) -> Self {
        let vocabulary = data.vocabulary().map(|vocabulary| vocabulary.to_string());
        Self { lines: data.len(), fingerprint: format!("{:016x}", data.fingerprint()), vocabulary }
    }

    /// The vocabulary that a folder keeps for this data; none if the data has none.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not in the folder, or another's.
    pub fn open_vocabulary(&self, folder: &Path) -> Result<Option<Arc<Vocabulary>>, DataError> {
        let checksum = self.vocabulary.as_deref().map(|digits| u64::from_str_radix(digits, 16));
        // What is no number is that of no vocabulary.
        checksum.map(|checksum| Vocabulary::open_known(folder, checksum.unwrap_or_default())).transpose()
    }

    /// Whether categories have the same numbers; true if the vocabulary of one is not known.
    pub fn same_vocabulary(&self, other: &Self) -> bool {
        self.vocabulary.as_ref().zip(other.vocabulary.as_ref()).is_none_or(|(a, b)| a == b)
    }

    /// What differs, here and in another.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        if self.lines != other.lines {
            return Some(("lines", self.lines.to_string(), other.lines.to_string()));
        }
        let (a, b) = (&self.fingerprint, &other.fingerprint);
        if a != b {
            return Some(("fingerprint", a.clone(), b.clone()));
        }
        let known = self.vocabulary.as_ref().zip(other.vocabulary.as_ref());
        known.filter(|(a, b)| a != b).map(|(a, b)| ("vocabulary", a.clone(), b.clone()))
    }
}
