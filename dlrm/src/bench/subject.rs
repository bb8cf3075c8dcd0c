//! One table under measurement, with the memory of its batches.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use ttcore::embedding::Batch;
use ttcore::{Backend, Bags, Error, Mode, TableConfig, TtEmbeddingBag};

use super::Workload;

/// Learning rate of the steps. With gradients of a mean over the batch, a row moves by less than 1e-5 in a step.
const LR: f64 = 0.01;

/// The generator's stream for the gradient; others draw the lookups.
const STREAM: u64 = 2;

/// A table, TT or dense, and what one batch needs.
pub(super) struct Subject<'b, B: Backend> {
    backend: &'b B,
    table: TtEmbeddingBag<B>,
    batch: Batch<B>,
    out: B::Buffer,
    grad_out: B::Buffer,
    /// Rows of the table, and lookups of a batch.
    all: u64,
    lookups: usize,
}

impl<'b, B: Backend<Float = f32>> Subject<'b, B> {
    /// `own` becomes the table's; `backend`, another of the same, is for the buffers around it.
    pub(super) fn new(
        own: B,
        backend: &'b B,
        queue: &mut B::Queue,
        config: TableConfig,
        workload: &Workload,
        seed: u64,
    ) -> Result<Self, B::Error> {
        let (bags, len) = (workload.bags(), workload.bags() * config.table().dim());
        let table = TtEmbeddingBag::new(own, queue, config, bags, workload.lookups(), seed)?;
        let batch = table.batch(queue)?;
        let (out, mut grad_out) = (backend.alloc(queue, len)?, backend.alloc(queue, len)?);
        backend.upload(queue, &gradient(bags, len, seed), B::view_mut(&mut grad_out))?;
        backend.synchronize(queue)?;
        Ok(Self {
            backend,
            table,
            batch,
            out,
            grad_out,
            all: workload.rows(),
            lookups: workload.bags().min(workload.lookups()),
        })
    }

    /// Puts the first `rows` rows in the cache.
    pub(super) fn cache(&mut self, queue: &mut B::Queue, rows: u64) -> Result<(), B::Error> {
        let (all, lookups) = (self.all, self.lookups);
        for first in (0..rows).step_by(lookups) {
            let part: Vec<u64> = (first..rows.min(first + lookups as u64)).collect();
            let bags = Bags::one_per_bag(all, &part, None).map_err(Error::from)?;
            self.table.group(queue, &mut self.batch, bags, Mode::Train)?;
        }
        if rows > 0 {
            self.table.refresh(queue)?;
        }
        Ok(())
    }

    /// Bytes of one batch and the work on it.
    pub(super) fn workspace(&mut self) -> usize {
        let workspace = self.table.collection().workspace();
        workspace.group + workspace.saved + workspace.scratch
    }

    /// Time to find what is the same in a batch.
    pub(super) fn group(
        &mut self,
        queue: &mut B::Queue,
        workload: &Workload,
        batch: usize,
    ) -> Result<Duration, B::Error> {
        let bags = bags(workload, batch)?;
        let start = Instant::now();
        self.table.group(queue, &mut self.batch, bags, Mode::Train)?;
        self.backend.synchronize(queue)?;
        Ok(start.elapsed())
    }

    /// Time of a batch in evaluation.
    pub(super) fn forward(
        &mut self,
        queue: &mut B::Queue,
        workload: &Workload,
        batch: usize,
    ) -> Result<Duration, B::Error> {
        let bags = bags(workload, batch)?;
        let start = Instant::now();
        self.table.group(queue, &mut self.batch, bags, Mode::Evaluate)?;
        self.table.forward(queue, &mut self.batch, B::view_mut(&mut self.out))?;
        self.backend.synchronize(queue)?;
        Ok(start.elapsed())
    }

    /// Time of a batch in training.
    pub(super) fn step(
        &mut self,
        queue: &mut B::Queue,
        workload: &Workload,
        batch: usize,
    ) -> Result<Duration, B::Error> {
        let bags = bags(workload, batch)?;
        let start = Instant::now();
        self.table.group(queue, &mut self.batch, bags, Mode::Train)?;
        self.table.forward(queue, &mut self.batch, B::view_mut(&mut self.out))?;
        self.table.step(queue, &self.batch, B::view(&self.grad_out), LR, None)?;
        self.backend.synchronize(queue)?;
        Ok(start.elapsed())
    }
}

/// Validated before the clock starts: its cost is a figure of its own.
fn bags(workload: &Workload, batch: usize) -> Result<Bags<'_, f32>, Error> {
    workload.batch(batch).map_err(Error::from)
}

/// Uniform in `-1/bags .. 1/bags`, as of a mean over the batch.
fn gradient(bags: usize, len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let scale = 1.0 / bags as f32;
    (0..len).map(|_| (rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * scale).collect()
}
