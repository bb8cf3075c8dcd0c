//! How well a model predicts where its rows are rare, and where they are frequent.
//!
//! A row of an embedding table is learned from the lines that have it, so a mean over all lines says little of the rare
//! rows, which are most of a large table. Here the log loss is told apart by how often a row occurs in the training lines:
//!
//! ```text
//! Counts     how often each row of the largest tables occurs in the training lines: one pass    data
//! Buckets    predictions of the evaluated lines, in buckets of such counts                      buckets
//! evaluate   both, around an evaluation of a Trainer
//! ```

mod buckets;

pub use buckets::{Bucket, ByFrequency, Count};

use self::buckets::Buckets;
use crate::data::Counts;
use crate::memory::largest_tables;
use crate::model::Engine;
use crate::train::{Evaluation, Observer, Part, Progress, TrainError, Trainer};

/// [`Trainer::evaluate`], and its log loss by how often the rows of the `largest` largest tables of the model occur in the
/// training lines of the trainer's data; none if `observer` wanted to stop before the end. Needs 4 bytes for each category
/// that the data has for these tables.
///
/// # Errors
///
/// As [`Trainer::evaluate`].
pub fn evaluate<B: Engine>(
    trainer: &mut Trainer<'_, B>,
    queue: &mut B::Queue,
    part: Part,
    largest: usize,
    observer: &mut dyn Observer,
) -> Result<Option<(Evaluation, ByFrequency)>, TrainError> {
    let rows: Vec<u64> = trainer.settings().tables.iter().map(|table| table.rows()).collect();
    let train = trainer.split().train.clone();
    let lines = train.len();
    let counts = Counts::new(trainer.data(), largest_tables(&rows, largest), train, |done| {
        observer.progress(Progress::Count { done, lines });
        !observer.stop()
    })?;
    let Some(counts) = counts else { return Ok(None) };
    let mut buckets = Buckets::default();
    let evaluation = trainer.evaluate_each(queue, part, observer, &mut |batch, predictions| {
        buckets.add(&counts, batch, predictions);
    })?;
    Ok(evaluation.map(|evaluation| (evaluation, buckets.summary(&counts))))
}
