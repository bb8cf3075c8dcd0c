//! The reference DLRM, number for number, with embedding tables on any backend.
//!
//! ```text
//! dense [B][13]        -> bottom MLP          -> x [B][N]
//! indices, one a table -> embedding bags      -> e [B][tables N]
//! x, e                 -> interaction         -> [B][N + pairs]
//! interaction          -> top MLP, sigmoid    -> p [B]
//! ```
//!
//! and back, in [`Dlrm::train_step`]. MLPs are plain loops on the host; the tables run on the backend `B`.

mod config;
pub mod interaction;
mod linear;
mod loss;
mod mlp;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use ttcore::backend::Backend;
use ttcore::embedding::Batch;
use ttcore::{Bags, EmbeddingBagCollection, Error, Mode, Offsets, Pooling, Real};

pub use config::{ConfigError, ModelConfig};
pub use linear::Linear;
pub use loss::{binary_cross_entropy, sigmoid};
pub use mlp::Mlp;

/// Random stream of the MLPs, apart from those of the tables.
const MLP_STREAM: u64 = 1 << 63;

/// Samples of one batch, borrowed: `B` of them.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, F> {
    /// Dense features, `[B][bottom inputs]`.
    pub dense: &'a [F],
    /// One row for each sample, for each table: `[tables][B]`.
    pub indices: &'a [Vec<u32>],
    /// Labels, 0 or 1, `[B]`.
    pub labels: &'a [F],
}

/// A deep learning recommendation model.
pub struct Dlrm<B: Backend> {
    config: ModelConfig,
    bottom: Mlp<B::Float>,
    top: Mlp<B::Float>,
    tables: EmbeddingBagCollection<B>,
    batch: Batch<B>,
    largest_batch: usize,
    /// Offsets of bags of one lookup: 0, 1, ..
    starts: Vec<u32>,
    /// Output of the tables and its gradient, `[B][tables N]`, on the backend and on the host.
    embedded: (B::Buffer, Vec<B::Float>),
    grad_embedded: (B::Buffer, Vec<B::Float>),
    interaction: Vec<B::Float>,
    grad_interaction: Vec<B::Float>,
    grad_bottom: Vec<B::Float>,
    probabilities: Vec<B::Float>,
    grad_logits: Vec<B::Float>,
}

impl<B: Backend> Dlrm<B> {
    /// A new model for batches of at most `largest_batch` samples. The initial numbers depend on the seed alone.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error::TooLarge`], or the backend's.
    pub fn new(
        backend: B,
        queue: &mut B::Queue,
        config: ModelConfig,
        largest_batch: usize,
        seed: u64,
    ) -> Result<Self, B::Error> {
        let starts = (0..largest_batch).map(u32::try_from).collect::<Result<_, _>>();
        let starts = starts.map_err(|_| Error::TooLarge { what: "batch" })?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(MLP_STREAM);
        let bottom = Mlp::init(config.bottom(), true, largest_batch, &mut rng);
        let top = Mlp::init(config.top(), false, largest_batch, &mut rng);
        let embedded = largest_batch * config.dim() * config.tables().len();
        let mut buffer = || Ok::<_, B::Error>((backend.alloc(queue, embedded)?, zeros(embedded)));
        let (embedded, grad_embedded) = (buffer()?, buffer()?);
        let tables = config.tables().to_vec();
        let tables = EmbeddingBagCollection::new(backend, queue, tables, largest_batch, largest_batch, seed)?;
        let batch = tables.batch(queue)?;
        let interaction = largest_batch * config.interaction_width();
        Ok(Self {
            bottom,
            top,
            tables,
            batch,
            largest_batch,
            starts,
            embedded,
            grad_embedded,
            interaction: zeros(interaction),
            grad_interaction: zeros(interaction),
            grad_bottom: zeros(largest_batch * config.dim()),
            probabilities: zeros(largest_batch),
            grad_logits: zeros(largest_batch),
            config,
        })
    }

    /// What the model is made of.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The embedding tables.
    pub fn tables(&mut self) -> &mut EmbeddingBagCollection<B> {
        &mut self.tables
    }

    /// The bottom and the top MLP.
    pub fn mlps(&mut self) -> [&mut Mlp<B::Float>; 2] {
        [&mut self.bottom, &mut self.top]
    }

    /// Probabilities of the positive class, `[B]`.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error`] for samples that do not fit the model, or the backend's.
    pub fn predict(&mut self, queue: &mut B::Queue, samples: Samples<'_, B::Float>) -> Result<&[B::Float], B::Error> {
        self.forward(queue, samples, Mode::Evaluate)?;
        Ok(self.probabilities(samples.labels.len()))
    }

    /// Probabilities of the last forward of `batch` samples.
    pub fn probabilities(&self, batch: usize) -> &[B::Float] {
        &self.probabilities[..batch]
    }

    /// One step of SGD on one batch; gives the loss before it.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error`] for samples that do not fit the model, or the backend's.
    pub fn train_step(
        &mut self,
        queue: &mut B::Queue,
        samples: Samples<'_, B::Float>,
        lr: f64,
    ) -> Result<f64, B::Error> {
        self.forward(queue, samples, Mode::Train)?;
        let batch = samples.labels.len();
        let loss = loss::binary_cross_entropy(&self.probabilities[..batch], samples.labels);
        self.backward(queue, samples, lr)?;
        Ok(loss)
    }

    fn forward(&mut self, queue: &mut B::Queue, samples: Samples<'_, B::Float>, mode: Mode) -> Result<(), B::Error> {
        let batch = samples.labels.len();
        self.check(samples)?;
        let bottom = self.bottom.forward(samples.dense, batch);

        let starts = Offsets::Starts(&self.starts[..batch]);
        let mut bags = Vec::with_capacity(self.config.tables().len());
        for (table, (config, indices)) in self.config.tables().iter().zip(samples.indices).enumerate() {
            let valid = Bags::new(config.rows(), indices, starts, Pooling::Sum, None);
            bags.push(valid.map_err(|error| Error::Bags { table, error })?);
        }
        let (dim, tables) = (self.config.dim(), self.config.tables().len());
        let embedded = &mut self.embedded.1[..batch * tables * dim];
        self.tables.group(queue, &mut self.batch, bags, mode)?;
        let out = B::slice_mut(B::view_mut(&mut self.embedded.0), 0..embedded.len());
        self.tables.forward(queue, &mut self.batch, out)?;
        let out = B::slice(B::view(&self.embedded.0), 0..embedded.len());
        self.tables.backend().download(queue, out, embedded)?;

        let interaction = &mut self.interaction[..batch * self.config.interaction_width()];
        interaction::forward(dim, tables, bottom, embedded, interaction);
        let logits = self.top.forward(interaction, batch);
        for (p, &logit) in self.probabilities.iter_mut().zip(logits) {
            *p = sigmoid(logit);
        }
        Ok(())
    }

    fn backward(&mut self, queue: &mut B::Queue, samples: Samples<'_, B::Float>, lr: f64) -> Result<(), B::Error> {
        let batch = samples.labels.len();
        let (dim, tables, width) = (self.config.dim(), self.config.tables().len(), self.config.interaction_width());
        let grad_logits = &mut self.grad_logits[..batch];
        loss::logit_gradient(&self.probabilities[..batch], samples.labels, grad_logits);
        let grad_interaction = &mut self.grad_interaction[..batch * width];
        self.top.backward(&self.interaction[..batch * width], batch, grad_logits, Some(grad_interaction));

        let grad_bottom = &mut self.grad_bottom[..batch * dim];
        let grad_embedded = &mut self.grad_embedded.1[..batch * tables * dim];
        let inputs = (self.bottom.output(batch), &self.embedded.1[..batch * tables * dim]);
        interaction::backward(dim, tables, inputs, grad_interaction, grad_bottom, grad_embedded);
        self.bottom.backward(samples.dense, batch, grad_bottom, None);

        let range = 0..grad_embedded.len();
        let to = B::slice_mut(B::view_mut(&mut self.grad_embedded.0), range.clone());
        self.tables.backend().upload(queue, grad_embedded, to)?;
        let grad_out = B::slice(B::view(&self.grad_embedded.0), range);
        self.tables.step(queue, &self.batch, grad_out, lr, None)?;
        self.bottom.step(<B::Float as Real>::of(lr));
        self.top.step(<B::Float as Real>::of(lr));
        Ok(())
    }

    fn check(&self, samples: Samples<'_, B::Float>) -> Result<(), Error> {
        let (batch, capacity) = (samples.labels.len(), self.largest_batch);
        if batch > capacity {
            return Err(Error::Capacity { what: "samples", table: 0, got: batch, capacity });
        }
        let tables = self.config.tables().len();
        if samples.indices.len() != tables {
            return Err(Error::TableCount { what: "lists of indices", got: samples.indices.len(), tables });
        }
        ttcore::check::length("dense features", None, samples.dense.len(), batch * self.config.bottom()[0])?;
        for (table, indices) in samples.indices.iter().enumerate() {
            ttcore::check::length("indices", Some(table), indices.len(), batch)?;
        }
        Ok(())
    }
}

fn zeros<F: Real>(len: usize) -> Vec<F> {
    vec![F::zero(); len]
}
