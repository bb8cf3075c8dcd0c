//! Batches with a number that is not finite, and what follows.

use std::fmt;

use serde::Serialize;

use crate::model::NonFinite;

/// So many batches in a row that are not finite are no accident.
pub(super) const MOST_SKIPPED_IN_A_ROW: u64 = 100;

/// What follows when a number of a batch, its loss or its gradient is not finite. Nothing is updated with such a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnNonFinite {
    /// The run ends with an error; the last checkpoint stays
    #[default]
    Stop,
    /// The batch is skipped and counted; more than 100 in a row, or parameters that are not finite, end the run all the same
    Skip,
}

/// A batch with a number that is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonFiniteBatch {
    /// The iteration, from 1, that it is the batch of.
    pub iteration: u64,
    /// Epochs gone through before.
    pub epoch: u64,
    /// Batches of this epoch gone through before.
    pub batch: u64,
    /// Row of the data that the sample is, from 0.
    pub row: usize,
    /// The number, and the sample's position in the batch.
    pub number: NonFinite,
}

impl fmt::Display for NonFiniteBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iteration, epoch, batch, row, number } = self;
        let sample = number.sample;
        write!(f, "iteration {iteration} (batch {batch} of epoch {epoch}), sample {sample} (row {row}): {number}")
    }
}
