//! One TT table.

use alloc::vec::Vec;

use super::{Batch, EmbeddingBagCollection, Mode, TableConfig, TableStatistics};
use crate::backend::Backend;
use crate::bags::Bags;
use crate::cache::Refresh;

/// One TT table with pooling: cores, an optional cache and an update rule. What `nn.EmbeddingBag` is for a dense table.
///
/// ```
/// use ttcore::{Bags, Mode, Offsets, Pooling, Reference, TableConfig, TtEmbeddingBag, TtShape};
///
/// // A table of a million rows of 16 numbers in 5,600 parameters, for batches of up to 2 bags and 8 lookups.
/// let config = TableConfig::tt(TtShape::paper(1_000_000, 16, 3, 4)?);
/// let mut table = TtEmbeddingBag::new(Reference::<f32>::new(), &mut (), config, 2, 8, 42)?;
/// let mut batch = table.batch(&mut ())?;
///
/// let bags = Bags::new(1_000_000, &[3i64, 999_999, 3], Offsets::Starts(&[0, 2]), Pooling::Sum, None)?;
/// let mut out = [0.0; 2 * 16];
/// table.group(&mut (), &mut batch, bags, Mode::Train)?;
/// table.forward(&mut (), &mut batch, &mut out)?;
///
/// let grad_out = out; // of the loss |out|^2 / 2
/// table.step(&mut (), &batch, &grad_out, 0.1, None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TtEmbeddingBag<B: Backend>(EmbeddingBagCollection<B>);

impl<B: Backend> TtEmbeddingBag<B> {
    /// A new table, drawn from a seed, for batches of at most `bags` bags and `lookups` lookups.
    ///
    /// # Errors
    ///
    /// As [`EmbeddingBagCollection::new`].
    pub fn new(
        backend: B,
        queue: &mut B::Queue,
        config: TableConfig,
        bags: usize,
        lookups: usize,
        seed: u64,
    ) -> Result<Self, B::Error> {
        EmbeddingBagCollection::new(backend, queue, alloc::vec![config], bags, lookups, seed).map(Self)
    }

    /// Memory for one batch.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn batch(&self, queue: &mut B::Queue) -> Result<Batch<B>, B::Error> {
        self.0.batch(queue)
    }

    /// Fills a batch: see [`EmbeddingBagCollection::group`].
    ///
    /// # Errors
    ///
    /// [`Error`](crate::Error) for bags that do not fit the table or the room for batches.
    pub fn group(
        &mut self,
        queue: &mut B::Queue,
        batch: &mut Batch<B>,
        bags: Bags<'_, B::Float>,
        mode: Mode,
    ) -> Result<(), B::Error> {
        self.0.group(queue, batch, [bags], mode)
    }

    /// Pooled rows, `out` `[B][N]` (paper, Equation 6).
    ///
    /// # Errors
    ///
    /// [`Error::Stale`](crate::Error::Stale), [`Error::Length`](crate::Error::Length), or the backend's.
    pub fn forward(&mut self, queue: &mut B::Queue, batch: &mut Batch<B>, out: B::ViewMut<'_>) -> Result<(), B::Error> {
        self.0.forward(queue, batch, out)
    }

    /// Adds the gradients of the parameters to `grads`, from `grad_out` `[B][N]`; writes those of the per-sample
    /// weights, `[L]`, where wanted. Nothing is updated.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`](crate::Error::Stale), [`Error::Length`](crate::Error::Length), or the backend's.
    pub fn backward<'a>(
        &'a mut self,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        grads: B::ViewMut<'a>,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.0.backward(queue, batch, grad_out, [grads], grad_weights)
    }

    /// Computes the gradients and applies the table's rule in one pass.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`](crate::Error::Stale), [`Error::Length`](crate::Error::Length), or the backend's.
    pub fn step(
        &mut self,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        lr: f64,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.0.step(queue, batch, grad_out, lr, grad_weights)
    }

    /// Lets the cache choose its rows anew, and loads those that are new.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn refresh(&mut self, queue: &mut B::Queue) -> Result<Refresh, B::Error> {
        self.0.refresh(queue).map(|mut tables| tables.pop().unwrap_or_default())
    }

    /// Rows as a lookup would give them, `[n][N]`.
    ///
    /// # Errors
    ///
    /// [`Error::Row`](crate::Error::Row), or the backend's.
    pub fn rows(&mut self, queue: &mut B::Queue, rows: &[u64]) -> Result<Vec<B::Float>, B::Error> {
        self.0.rows(queue, 0, rows)
    }

    /// Statistics; the traffic of the cache is since this was last called.
    pub fn statistics(&mut self) -> Option<TableStatistics> {
        self.0.statistics().pop()
    }

    /// The collection of this one table: parameters, cache state, workspace.
    pub fn collection(&mut self) -> &mut EmbeddingBagCollection<B> {
        &mut self.0
    }
}
