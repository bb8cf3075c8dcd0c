//! Lines of a data set as samples.

use ttcore::Real;

use crate::data::{Batch, Dataset, RowError};
use crate::model::{Floats, Samples};

/// Lines of a data set as samples in the model's type of numbers; memory is reused.
#[derive(Default)]
pub(super) struct Reader<F> {
    batch: Batch,
    floats: Floats<F>,
}

impl<F: Real> Reader<F> {
    /// Reads some lines, in that order; none if one is damaged.
    pub(super) fn read(&mut self, data: &Dataset, rows: impl ExactSizeIterator<Item = usize>) -> Result<(), RowError> {
        let read = data.fill_batch(rows, &mut self.batch);
        self.floats.fill(&self.batch);
        read
    }

    /// The lines last read.
    pub(super) fn samples(&self) -> Samples<'_, F> {
        self.floats.samples(&self.batch)
    }

    /// They as the data has them.
    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Their labels.
    pub(super) fn labels(&self) -> &[f32] {
        &self.batch.labels
    }
}
