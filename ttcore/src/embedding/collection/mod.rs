//! All tables of a model, with their memory.

mod memory;
mod numbers;

use alloc::vec::Vec;
use core::fmt;

use super::{Batch, Mode, Session, TableConfig, TableStatistics, Worker};
use crate::backend::{Backend, Workspace};
use crate::bags::Bags;
use crate::cache::{CacheState, Refresh};
use crate::error::Error;
use crate::layout::Layout;

pub use memory::TableMemory;

/// The embedding tables of a model, TT and dense, of any shapes, on one backend: a [`Session`] and the memory it works on.
///
/// Every operation takes the queue it runs on. Outputs are `[B][stride]`: see [`Layout`].
pub struct EmbeddingBagCollection<B: Backend> {
    session: Session<B>,
    memory: TableMemory<B>,
}

impl<B: Backend> EmbeddingBagCollection<B> {
    /// New tables, drawn from a seed, for batches of at most `bags` bags and `lookups` lookups a table. Outputs of the
    /// tables lie side by side.
    ///
    /// # Errors
    ///
    /// [`Error`] for tables that do not fit in the address space, or the backend's own.
    pub fn new(
        backend: B,
        queue: &mut B::Queue,
        configs: Vec<TableConfig>,
        bags: usize,
        lookups: usize,
        seed: u64,
    ) -> Result<Self, B::Error> {
        Self::drawn(Session::new(backend, queue, configs, bags, lookups)?, queue, seed)
    }

    /// New tables of a session, drawn from a seed: of one with a [`Layout`] of its own.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn drawn(session: Session<B>, queue: &mut B::Queue, seed: u64) -> Result<Self, B::Error> {
        let memory = TableMemory::drawn(&session, queue, seed)?;
        Ok(Self { session, memory })
    }

    /// Tables of a session on parameters there are already, a buffer for each, laid out as [`Table`](crate::Table) says.
    /// Nothing is drawn and nothing is copied; optimiser state begins at zero.
    ///
    /// # Errors
    ///
    /// [`Error::TableCount`], [`Error::Length`], or the backend's.
    pub fn with_parameters(
        session: Session<B>,
        queue: &mut B::Queue,
        params: impl IntoIterator<Item = B::Buffer>,
    ) -> Result<Self, B::Error> {
        let memory = TableMemory::with_parameters(&session, queue, params)?;
        Ok(Self { session, memory })
    }

    /// Both parts, for what goes on beside each other: other threads group and look up by the session, while the memory is
    /// trained. What they grouped is shown to the caches afterwards, by [`observe`](Self::observe).
    pub fn parts(&mut self) -> (&Session<B>, &mut TableMemory<B>) {
        (&self.session, &mut self.memory)
    }

    /// What is known of the tables without their numbers. With a [`Worker`] of its own, a thread reads by it: see
    /// [`lookup`](Self::lookup).
    pub fn session(&self) -> &Session<B> {
        &self.session
    }

    /// As [`Session::reserve`].
    ///
    /// # Errors
    ///
    /// As [`EmbeddingBagCollection::new`].
    pub fn reserve(&mut self, queue: &mut B::Queue, bags: usize, lookups: usize) -> Result<(), B::Error> {
        self.session.reserve(queue, bags, lookups)
    }

    /// Memory for one batch.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn batch(&self, queue: &mut B::Queue) -> Result<Batch<B>, B::Error> {
        self.session.batch(queue)
    }

    /// Fills a batch: one [`Bags`] for each table, validated for its [rows](TableConfig::rows). In training, accesses
    /// are counted. Cached rows are found here.
    ///
    /// # Errors
    ///
    /// [`Error`] for bags that do not fit the tables or the room for batches; nothing is counted then.
    pub fn group<'a>(
        &mut self,
        queue: &mut B::Queue,
        batch: &mut Batch<B>,
        bags: impl IntoIterator<Item = Bags<'a, B::Float>, IntoIter: Clone>,
        mode: Mode,
    ) -> Result<(), B::Error> {
        self.session.group(queue, batch, bags, mode)?;
        self.session.observe(batch)
    }

    /// Shows a batch that was grouped by the [`session`](Self::session) to the caches: see [`Session::observe`].
    ///
    /// # Errors
    ///
    /// As [`Session::observe`].
    pub fn observe(&mut self, batch: &mut Batch<B>) -> Result<(), B::Error> {
        self.session.observe(batch)
    }

    /// Pooled rows of all tables, `out` `[B][stride]`.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a batch grouped before a cache was refreshed, [`Error::Length`], or the backend's.
    pub fn forward(&mut self, queue: &mut B::Queue, batch: &mut Batch<B>, out: B::ViewMut<'_>) -> Result<(), B::Error> {
        self.memory.forward(&self.session, queue, batch, out)
    }

    /// As [`forward`](Self::forward), for many threads at once: each has a queue, a worker and a batch of its own.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn lookup(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        batch: &mut Batch<B>,
        out: B::ViewMut<'_>,
    ) -> Result<(), B::Error> {
        self.session.forward(queue, worker, batch, self.memory.views(), out)
    }

    /// Adds the gradients of all tables to `grads`, one view for each, laid out like the
    /// [parameters](crate::Table). Nothing is updated. `grad_weights` as in [`Backend::backward`].
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the parameters changed since the batch's forward, [`Error::Length`], or the backend's.
    pub fn backward<'a>(
        &'a mut self,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        grads: impl IntoIterator<Item = B::ViewMut<'a>>,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.memory.backward(&self.session, queue, batch, grad_out, grads, grad_weights)
    }

    /// Computes the gradients of all tables and applies their rules, in one pass. Frozen tables stay as they are.
    ///
    /// # Errors
    ///
    /// As [`EmbeddingBagCollection::backward`].
    pub fn step(
        &mut self,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        lr: f64,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.memory.step(&self.session, queue, batch, grad_out, lr, grad_weights)
    }

    /// Lets every cache choose its rows anew, and loads those that are new from the cores, with fresh optimiser state.
    /// What changed comes back for each table, empty for one without a cache.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn refresh(&mut self, queue: &mut B::Queue) -> Result<Vec<Refresh>, B::Error> {
        self.memory.refresh(&mut self.session, queue)
    }

    /// Holds or trains a table in another way from now on: see [`Session::set_config`]. If its rule needs other state, that
    /// begins at zero.
    ///
    /// # Errors
    ///
    /// As [`Session::set_config`], or the backend's.
    pub fn set_config(&mut self, queue: &mut B::Queue, table: usize, config: TableConfig) -> Result<(), B::Error> {
        self.memory.set_config(&mut self.session, queue, table, config)
    }

    /// What the cache of a table knows, for a checkpoint; `None` without a cache.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn cache_state(&self, table: usize) -> Result<Option<CacheState>, B::Error> {
        self.session.cache_state(table)
    }

    /// Continues with what a cache knew. The values of its rows are among the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::CacheState`].
    pub fn set_cache_state(&mut self, table: usize, state: &CacheState) -> Result<(), B::Error> {
        self.session.set_cache_state(table, state)
    }

    /// The backend the tables are on.
    pub fn backend(&self) -> &B {
        self.session.backend()
    }

    /// How the tables are held, in order.
    pub fn configs(&self) -> impl ExactSizeIterator<Item = &TableConfig> {
        self.session.configs()
    }

    /// Where the outputs of the tables go, and how large a batch may be.
    pub fn layout(&self) -> &Layout {
        self.session.layout()
    }

    /// Updates so far.
    pub fn steps(&self) -> u64 {
        self.session.steps()
    }

    /// Continues as after this many updates: Adam's corrections depend on it.
    pub fn set_steps(&mut self, steps: u64) {
        self.session.set_steps(steps);
    }

    /// Bytes that one batch and the work on it take.
    pub fn workspace(&self) -> Workspace {
        self.session.workspace()
    }

    /// Statistics of every table; the traffic of its cache is since this was last called.
    pub fn statistics(&mut self) -> Vec<TableStatistics> {
        self.session.statistics()
    }

    fn config(&self, table: usize) -> Result<&TableConfig, Error> {
        self.session.known(table).map(|known| &known.config)
    }
}

impl<B: Backend> fmt::Debug for EmbeddingBagCollection<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingBagCollection").field("session", &self.session).finish_non_exhaustive()
    }
}
