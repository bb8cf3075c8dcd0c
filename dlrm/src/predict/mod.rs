//! A trained model on lines it has never seen: their categories are numbered by the vocabulary that it was trained with.
//!
//! ```text
//! folder of `dlrm export`, or a checkpoint    -> Predictor    open
//! records, or batches, from one line up       -> [B]          Predictor::predict, Predictor::predict_batch
//! files of lines, labelled or not             -> a text       predict_lines: a probability for each line
//! ```
//!
//! The probability of a line depends on nothing but the line and the model: not on the lines beside it, nor on the number of
//! threads.

mod error;
mod lines;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointErrorKind, MODEL};
use crate::data::{Batch, Record, Vocabulary};
use crate::model::{Dlrm, Engine, Floats};
pub use error::PredictError;
pub use lines::{LineSettings, Predicted, predict_lines};

/// A model that predicts.
pub struct Predictor<B: Engine> {
    model: Dlrm<B>,
    vocabulary: Arc<Vocabulary>,
    largest_batch: usize,
    /// Records as a batch.
    batch: Batch,
    floats: Floats<B::Float>,
}

impl<B: Engine> fmt::Debug for Predictor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor").field("model", &self.model).finish_non_exhaustive()
    }
}

/// The file of the model, and the folder of its vocabulary.
fn parts(path: &Path) -> (PathBuf, PathBuf) {
    if path.is_dir() {
        (path.join(MODEL), path.to_owned())
    } else {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (path.to_owned(), folder.to_owned())
    }
}

impl<B: Engine> Predictor<B> {
    /// The model of an exported folder, or a checkpoint with its vocabulary beside it, for batches of at most `largest_batch`
    /// lines. Both files are read whole and compared with their checksums.
    ///
    /// # Errors
    ///
    /// [`PredictError`] if a file is missing, damaged or another's, or does not say how its categories are numbered.
    pub fn open(
        backend: B,
        queue: &mut B::Queue,
        path: impl AsRef<Path>,
        largest_batch: usize,
    ) -> Result<Self, PredictError> {
        let (file, folder) = parts(path.as_ref());
        let mut checkpoint = Checkpoint::open(&file)?;
        checkpoint.verify()?;
        let vocabulary = checkpoint.description().data.open_vocabulary(&folder)?;
        let none = || CheckpointError::new(&file, CheckpointErrorKind::NoVocabulary);
        let vocabulary = vocabulary.ok_or_else(none)?;
        vocabulary.verify(&folder)?;
        let settings = &checkpoint.description().settings;
        settings.check_features(vocabulary.dense_features(), vocabulary.table_rows(), &vocabulary.longest())?;
        let (config, seed) = (settings.model()?, settings.seed);
        let largest_batch = largest_batch.max(1);
        let mut model = Dlrm::new(backend, queue, config, largest_batch, seed)
            .map_err(|error| PredictError::Backend(error.to_string()))?;
        checkpoint.restore(&mut model, queue)?;
        let batch = Batch::with_capacity(largest_batch);
        Ok(Self { model, vocabulary, largest_batch, batch, floats: Floats::default() })
    }

    /// What numbers the categories.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The most lines of a batch.
    pub fn largest_batch(&self) -> usize {
        self.largest_batch
    }

    /// Probabilities of the positive class of some records, `[B]`. Allocates in the first call of a size alone.
    ///
    /// # Errors
    ///
    /// [`PredictError::Columns`] for a model of other columns than those of Criteo's lines; [`PredictError::Backend`], also for more
    /// records than the largest batch.
    pub fn predict<'r>(
        &mut self,
        queue: &mut B::Queue,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Result<&[B::Float], PredictError> {
        if self.vocabulary.schema().is_some() {
            return Err(PredictError::Columns);
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        for record in records {
            batch.push(record, &self.vocabulary);
        }
        let predicted = self.run(queue, &batch);
        self.batch = batch;
        predicted?;
        self.probabilities(queue, self.batch.len())
    }

    /// Probabilities of the positive class of a batch that is numbered by this model's vocabulary, `[B]`; labels do not matter.
    ///
    /// # Errors
    ///
    /// [`PredictError::Backend`], also for a batch that is larger than the largest, or has indices above the tables.
    pub fn predict_batch(&mut self, queue: &mut B::Queue, batch: &Batch) -> Result<&[B::Float], PredictError> {
        self.run(queue, batch)?;
        self.probabilities(queue, batch.len())
    }

    fn run(&mut self, queue: &mut B::Queue, batch: &Batch) -> Result<(), PredictError> {
        self.floats.fill(batch);
        self.model
            .predict(queue, self.floats.samples(batch))
            .map_err(|error| PredictError::Backend(error.to_string()))?;
        Ok(())
    }

    fn probabilities(&mut self, queue: &mut B::Queue, lines: usize) -> Result<&[B::Float], PredictError> {
        self.model.probabilities(queue, lines).map_err(|error| PredictError::Backend(error.to_string()))
    }
}
