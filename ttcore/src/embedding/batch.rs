//! The memory of one batch on its way through a collection.

use alloc::vec::Vec;
use core::fmt;

use crate::backend::Backend;

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Accesses are counted, and forward leaves what backward needs.
    #[default]
    Train,
    /// Neither.
    Evaluate,
}

/// One batch: made once by [`EmbeddingBagCollection::batch`](super::EmbeddingBagCollection::batch), filled again and
/// again.
pub struct Batch<B: Backend> {
    pub(super) group: B::Group,
    pub(super) saved: B::Saved,
    pub(super) mode: Mode,
    /// The collection it was made for.
    pub(super) owner: usize,
    /// State of the caches the addresses were taken from.
    pub(super) generation: u64,
    /// For each table with a cache, where its lookups go, `[L]`.
    pub(super) addresses: Vec<Vec<u64>>,
}

impl<B: Backend> fmt::Debug for Batch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("mode", &self.mode).finish_non_exhaustive()
    }
}
