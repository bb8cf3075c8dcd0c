//! A batch's numbers in the model's type.

use ttcore::Real;

use super::Samples;
use crate::data::Batch;

/// A batch's numbers in the model's type; memory is reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floats<F> {
    dense: Vec<F>,
    labels: Vec<F>,
    /// `[tables]`, or nothing.
    weights: Vec<Vec<F>>,
}

impl<F: Real> Floats<F> {
    /// Takes the numbers of a batch.
    pub(crate) fn fill(&mut self, batch: &Batch) {
        let convert = |from: &[f32], to: &mut Vec<F>| {
            to.clear();
            to.extend(from.iter().map(|&x| F::of(f64::from(x))));
        };
        convert(&batch.dense, &mut self.dense);
        convert(&batch.labels, &mut self.labels);
        self.weights.resize_with(batch.weights.len(), Vec::new);
        self.weights.iter_mut().zip(&batch.weights).for_each(|(to, from)| convert(from, to));
    }

    /// The batch that was last taken, as samples.
    pub(crate) fn samples<'a>(&'a self, batch: &'a Batch) -> Samples<'a, F> {
        Samples {
            dense: &self.dense,
            indices: &batch.indices,
            offsets: &batch.offsets,
            weights: &self.weights,
            labels: &self.labels,
        }
    }
}
