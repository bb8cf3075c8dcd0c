//! The dense part on the host, for tables on any backend.

use std::fmt;
use std::time::Instant;

use ttcore::{Backend, Mode, Real, Update, check};
use ttcore_cpu::Isa;

use super::cross::Cross;
use super::dense::{Batch, Dense};
use super::engine::{DenseModel, DensePart, Passed};
use super::exchange::Exchange;
use super::gemm::Number;
use super::mlp::Mlp;
use super::phases::Phases;
use super::{Samples, parallel};

/// The dense part on the host, on the threads of the rayon pool it is called from. Embeddings come from the memory of the
/// backend `B`, and their gradients go there; where that is the host's, neither is copied.
pub struct Host<B: Backend> {
    dense: Dense<B::Float>,
    /// Output of the tables and its gradient, `[B][tables N]`.
    embedded: Exchange<B>,
    grad_embedded: Exchange<B>,
    probabilities: Vec<B::Float>,
    /// Numbers of a sample that the tables give.
    width: usize,
}

impl<B: Backend> fmt::Debug for Host<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("width", &self.width).finish_non_exhaustive()
    }
}

impl<B: Backend<Float: Number>> DensePart<B> for Host<B> {
    const ASYNC: bool = false;

    fn new(on: &B, queue: &mut B::Queue, model: DenseModel<B::Float>) -> Result<Self, B::Error> {
        let DenseModel { bottom, cross, top, interaction, largest_batch } = model;
        let width = interaction.dim * interaction.embeddings;
        let len = largest_batch.saturating_mul(width);
        let bytes =
            Dense::numbers_of_a_sample(&bottom, cross.as_ref(), &top, interaction).saturating_mul(largest_batch);
        check::memory("memory of the layers", bytes.saturating_mul(B::Float::BYTES))?;
        Ok(Self {
            embedded: Exchange::new(on, queue, len)?,
            grad_embedded: Exchange::new(on, queue, len)?,
            probabilities: check::zeros("probabilities", largest_batch)?,
            dense: Dense::new(bottom, cross, top, interaction, largest_batch),
            width,
        })
    }

    fn with_isa(mut self, isa: Isa) -> Self {
        self.dense.isa = if isa.available() { isa } else { Isa::best() };
        self
    }

    fn embedded(&mut self, batch: usize) -> B::ViewMut<'_> {
        self.embedded.view_mut(batch * self.width)
    }

    fn pass<T: Send>(
        &mut self,
        on: &B,
        queue: &mut B::Queue,
        (samples, mode): (Samples<'_, B::Float>, Mode),
        beside: impl FnOnce() -> T + Send,
        phases: &mut Phases,
    ) -> Result<Passed<T>, B::Error> {
        let (batch, len) = (samples.labels.len(), samples.labels.len() * self.width);
        let start = Instant::now();
        self.embedded.fetch(on, queue, len)?;
        phases.embedding_forward += start.elapsed();

        let start = Instant::now();
        let work = Batch {
            dense: samples.dense,
            labels: samples.labels,
            embedded: self.embedded.host(len),
            grad_embedded: self.grad_embedded.host_mut(len),
            probabilities: &mut self.probabilities[..batch],
        };
        let dense = &mut self.dense;
        let (result, (loss, clock)) = parallel::join(beside, || dense.pass(work, mode));
        phases.set_dense(clock, start.elapsed());
        Ok((loss, result))
    }

    fn grad_embedded(&mut self, on: &B, queue: &mut B::Queue, batch: usize) -> Result<B::View<'_>, B::Error> {
        let len = batch * self.width;
        self.grad_embedded.send(on, queue, len)?;
        Ok(self.grad_embedded.view(len))
    }

    fn update(&mut self, _on: &B, _queue: &mut B::Queue, rule: &Update, dense: &[B::Float]) -> Result<(), B::Error> {
        self.dense.update(rule, dense);
        Ok(())
    }

    fn probabilities(&mut self, _on: &B, _queue: &mut B::Queue, batch: usize) -> Result<&[B::Float], B::Error> {
        Ok(&self.probabilities[..batch])
    }

    fn cross(&mut self) -> Option<&mut Cross<B::Float>> {
        self.dense.cross.as_mut()
    }

    fn mlps(&mut self, _on: &B, _queue: &mut B::Queue) -> Result<[&mut Mlp<B::Float>; 2], B::Error> {
        Ok([&mut self.dense.bottom, &mut self.dense.top])
    }
}
