//! The reference DLRM, number for number, with embedding tables on any backend.
//!
//! ```text
//! dense [B][13]        -> bottom MLP          -> x [B][N]
//! indices, one a table -> embedding bags      -> e [B][tables N]      lookup: which rows of its table a category has
//! x, e                 -> interaction         -> [B][N + pairs], or [B][(tables + 1) N] of a cross network
//! interaction          -> top MLP, sigmoid    -> p [B]
//! ```
//!
//! and back, in [`Dlrm::train_step`]. The tables run on the backend `B`, the dense part beside it, where its [`Engine`] says:
//!
//! * [`Host`]: on the threads of the rayon pool it is called from, cut into fixed parts, each of which one thread computes:
//!   the same bits for any number of threads, and on one thread alone outside of a pool. No step but the first allocates,
//!   as far as the backend does not; where the machine has no vector kernels, a library takes one buffer for each product.
//! * `Gpu` (features `cuda` and `emulator`): where the tables are. A step waits for the device once, for the loss.

mod addressing;
mod config;
mod cross;
mod dense;
mod engine;
mod exchange;
mod finite;
mod floats;
mod gemm;
#[cfg(any(feature = "cuda", feature = "emulator"))]
mod gpu;
mod host;
pub mod interaction;
mod linear;
pub mod lookup;
mod loss;
mod mlp;
mod parallel;
mod phases;
mod product;
mod tensors;

use std::fmt;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use ttcore::embedding::Batch;
use ttcore::embedding::Session;
use ttcore::{Bags, EmbeddingBagCollection, Error, Mode, Real, Update};
use ttcore_cpu::Isa;

use addressing::Addressing;
use product::Products;

pub use config::{ConfigError, Feature, ModelConfig, width};
pub(crate) use cross::matrix_name;
pub use cross::{Cross, CrossSize};
pub use engine::{DenseModel, DensePart, Engine, Passed};
pub use finite::{NonFinite, Quantity, StepError};
pub(crate) use floats::Floats;
pub use gemm::Number;
#[cfg(any(feature = "cuda", feature = "emulator"))]
pub use gpu::Gpu;
pub use host::Host;
pub use interaction::Interaction;
pub use linear::Linear;
pub use lookup::Lookup;
pub use loss::{binary_cross_entropy, sigmoid};
pub use mlp::Mlp;
pub use phases::Phases;
pub(crate) use tensors::{TableTensor, table_tensors};

/// Random stream of the MLPs, apart from those of the tables.
const MLP_STREAM: u64 = 1 << 63;

/// Samples of one batch, borrowed: `B` of them.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, F> {
    /// Dense features, `[B][bottom inputs]`.
    pub dense: &'a [F],
    /// The categories of each table's feature: `[tables][B]` where every sample has one, [`UNSEEN`](crate::data::UNSEEN) for
    /// one that has no row, else `[tables][L]`, those of the first sample first.
    pub indices: &'a [Vec<u32>],
    /// Where each sample's bag of categories begins in them, `[tables][B]`; nothing for a table where every sample has one, or
    /// for all of them.
    pub offsets: &'a [Vec<u32>],
    /// What each embedding of a bag is multiplied by before they are summed, `[tables][L]`; nothing for a table where that is 1,
    /// or for all of them. There are none without offsets.
    pub weights: &'a [Vec<F>],
    /// Labels, 0 or 1, `[B]`.
    pub labels: &'a [F],
}

impl<'a, F> Samples<'a, F> {
    /// Samples that have one category of each table: `dense` `[B][bottom inputs]`, `indices` `[tables][B]`, `labels` `[B]`.
    pub fn new(dense: &'a [F], indices: &'a [Vec<u32>], labels: &'a [F]) -> Self {
        Self { dense, indices, offsets: &[], weights: &[], labels }
    }

    /// Where the bags of a table begin; nothing where every sample has one category.
    pub(crate) fn offsets_of(&self, table: usize) -> &'a [u32] {
        self.offsets.get(table).map_or(&[], Vec::as_slice)
    }

    /// The weights of a table's bags; nothing where they have none.
    pub(crate) fn weights_of(&self, table: usize) -> &'a [F] {
        self.weights.get(table).map_or(&[], Vec::as_slice)
    }
}

/// A deep learning recommendation model.
pub struct Dlrm<B: Engine> {
    config: ModelConfig,
    dense: B::Dense,
    tables: EmbeddingBagCollection<B>,
    batch: Batch<B>,
    largest_batch: usize,
    addressing: Addressing<B::Float>,
    /// What makes embeddings of the tables' rows, where these are not embeddings already.
    products: Option<Products<B>>,
    /// The bags of a call, which end with it: kept for their memory.
    bags: Vec<Bags<'static, B::Float>>,
    phases: Phases,
    /// Whether every phase ends only when its work is done.
    watched: bool,
}

impl<B: Engine> fmt::Debug for Dlrm<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dlrm")
            .field("config", &self.config)
            .field("largest_batch", &self.largest_batch)
            .finish_non_exhaustive()
    }
}

impl<B: Engine> Dlrm<B> {
    /// What the model is made of.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The embedding tables.
    pub fn tables(&mut self) -> &mut EmbeddingBagCollection<B> {
        &mut self.tables
    }

    /// The bottom and the top MLP as they are now, on the host. What is changed there counts from the next step on.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn mlps(&mut self, queue: &mut B::Queue) -> Result<[&mut Mlp<B::Float>; 2], B::Error> {
        self.dense.mlps(self.tables.backend(), queue)
    }

    /// The cross network as it is now, if there is one; as [`Dlrm::mlps`].
    pub fn cross(&mut self) -> Option<&mut Cross<B::Float>> {
        self.dense.cross()
    }

    /// Probabilities of the last forward, of `batch` samples.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn probabilities(&mut self, queue: &mut B::Queue, batch: usize) -> Result<&[B::Float], B::Error> {
        self.dense.probabilities(self.tables.backend(), queue, batch)
    }

    /// Where the time of the last [`Dlrm::train_step`] went.
    pub fn phases(&self) -> Phases {
        self.phases
    }

    /// Waits at the end of every phase from now on, where work may still be under way when a call returns: for times that
    /// are those of the phases. Steps take longer.
    pub fn watch_phases(&mut self) {
        self.watched = true;
        self.dense.watch();
    }

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
        u32::try_from(largest_batch).map_err(|_| Error::TooLarge { what: "batch" })?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(MLP_STREAM);
        let bottom = Mlp::init(config.bottom(), true, config.rule(), &mut rng);
        let top = Mlp::init(config.top(), false, config.rule(), &mut rng);
        let interaction = Interaction { dim: config.dim(), embeddings: config.tables().len() };
        let cross = config.cross().map(|size| Cross::init(config.interaction_width(), size, config.rule(), &mut rng));
        let dense = B::Dense::new(&backend, queue, DenseModel { bottom, cross, top, interaction, largest_batch })?;
        let products = Products::new(&backend, queue, &config, largest_batch)?;
        let layout = addressing::layout(&config, largest_batch)?;
        let session = Session::with_layout(backend, queue, config.tables().to_vec(), layout)?;
        let tables = EmbeddingBagCollection::drawn(session, queue, seed)?;
        Ok(Self {
            addressing: Addressing::new(&config, largest_batch),
            products,
            dense,
            batch: tables.batch(queue)?,
            tables,
            largest_batch,
            bags: Vec::with_capacity(config.tables().len()),
            phases: Phases::default(),
            watched: false,
            config,
        })
    }

    /// The same model with the dense part computed by another instruction set than the one `TTCORE_ISA` names, or the best
    /// of this machine; where the host computes it.
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.dense = self.dense.with_isa(isa);
        self
    }

    /// Probabilities of the positive class, `[B]`.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error`] for samples that do not fit the model, or the backend's.
    pub fn predict(&mut self, queue: &mut B::Queue, samples: Samples<'_, B::Float>) -> Result<&[B::Float], B::Error> {
        self.embed(queue, samples, Mode::Evaluate)?;
        // What is not finite shows in the probabilities.
        let _ = self.pass(queue, samples, Mode::Evaluate, || ())?;
        self.probabilities(queue, samples.labels.len())
    }

    /// One step on one batch, by the rules of the MLPs and of the tables; gives the loss before it.
    ///
    /// # Errors
    ///
    /// [`StepError::NonFinite`] if a number of the batch, or one that it comes to, is not finite. All parameters and states
    /// are as before then; only caches have counted the lookups. [`StepError::Backend`] with [`ttcore::Error`] for
    /// samples that do not fit the model, or with the backend's own, after which the model may be half of each.
    pub fn train_step(
        &mut self,
        queue: &mut B::Queue,
        samples: Samples<'_, B::Float>,
        lr: f64,
    ) -> Result<f64, StepError<B::Error>> {
        self.train_step_beside(queue, samples, lr, || ()).map(|(loss, ())| loss)
    }

    /// [`Dlrm::train_step`], and something else while the dense part computes, such as reading the next batch: on another
    /// thread of the pool this is called from, or before it where there is none. It is not begun if the tables cannot be
    /// looked up.
    ///
    /// # Errors
    ///
    /// As [`Dlrm::train_step`].
    pub fn train_step_beside<T: Send>(
        &mut self,
        queue: &mut B::Queue,
        samples: Samples<'_, B::Float>,
        lr: f64,
        beside: impl FnOnce() -> T + Send,
    ) -> Result<(f64, T), StepError<B::Error>> {
        let batch = samples.labels.len();
        self.embed(queue, samples, Mode::Train)?;
        let (loss, result) = self.pass(queue, samples, Mode::Train, beside)?;
        let loss = loss.map_err(StepError::NonFinite)?;

        let start = Instant::now();
        let mut gradient = self.dense.grad_embedded(self.tables.backend(), queue, batch)?;
        if let Some(products) = &mut self.products {
            gradient = products.backward(self.tables.backend(), queue, batch, gradient)?;
        }
        self.tables.step(queue, &self.batch, gradient, lr, None)?;
        self.settle(queue)?;
        self.phases.embedding_backward = start.elapsed();

        let start = Instant::now();
        // The tables count the steps of the model.
        let step = self.tables.steps();
        let update = Update { rule: self.config.rule(), step, ..Update::sgd(lr) };
        self.dense.update(self.tables.backend(), queue, &update, samples.dense)?;
        self.settle(queue)?;
        self.phases.update = start.elapsed();
        Ok((loss / batch as f64, result))
    }

    /// Looks up the rows of all tables.
    fn embed(&mut self, queue: &mut B::Queue, samples: Samples<'_, B::Float>, mode: Mode) -> Result<(), B::Error> {
        let start = Instant::now();
        self.check(samples)?;
        let mut bags: Vec<Bags<'_, B::Float>> = recycle(std::mem::take(&mut self.bags));
        let mut grouped = self.addressing.bags(&self.config, samples, &mut bags).map_err(B::Error::from);
        if grouped.is_ok() {
            grouped = self.tables.group(queue, &mut self.batch, bags.iter().copied(), mode);
        }
        self.bags = recycle(bags);
        grouped?;
        self.phases.group = start.elapsed();

        let start = Instant::now();
        let batch = samples.labels.len();
        match &mut self.products {
            None => self.tables.forward(queue, &mut self.batch, self.dense.embedded(batch))?,
            Some(products) => {
                self.tables.forward(queue, &mut self.batch, products.rows(batch))?;
                products.forward(self.tables.backend(), queue, batch, self.dense.embedded(batch))?;
            }
        }
        self.settle(queue)?;
        self.phases.embedding_forward = start.elapsed();
        Ok(())
    }

    /// The dense part, and something beside it; gives the sum of the losses, or in training what is not finite.
    fn pass<T: Send>(
        &mut self,
        queue: &mut B::Queue,
        samples: Samples<'_, B::Float>,
        mode: Mode,
        beside: impl FnOnce() -> T + Send,
    ) -> Result<Passed<T>, B::Error> {
        self.dense.pass(self.tables.backend(), queue, (samples, mode), beside, &mut self.phases)
    }

    /// Waits for the work of a phase, if its time is watched.
    fn settle(&self, queue: &mut B::Queue) -> Result<(), B::Error> {
        if self.watched { self.tables.backend().synchronize(queue) } else { Ok(()) }
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
        for (what, got) in [("lists of offsets", samples.offsets.len()), ("lists of weights", samples.weights.len())] {
            if got != 0 && got != tables {
                return Err(Error::TableCount { what, got, tables });
            }
        }
        for (table, indices) in samples.indices.iter().enumerate() {
            let offsets = samples.offsets_of(table);
            if offsets.is_empty() {
                ttcore::check::length("indices", Some(table), indices.len(), batch)?;
                continue;
            }
            ttcore::check::length("offsets", Some(table), offsets.len(), batch)?;
            let (got, capacity) = (indices.len(), batch.saturating_mul(self.config.features()[table].longest as usize));
            if got > capacity {
                return Err(Error::Capacity { what: "lookups", table, got, capacity });
            }
        }
        Ok(())
    }
}

/// An empty list with the memory of another.
fn recycle<'b, F: Real>(mut list: Vec<Bags<'_, F>>) -> Vec<Bags<'b, F>> {
    list.clear();
    // Collecting a list's own items in place keeps its memory.
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}
