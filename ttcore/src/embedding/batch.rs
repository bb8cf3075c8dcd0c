//! The memory of one batch on its way through a session, and of who works on it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::backend::{Backend, Call};
use crate::bags::Bags;
use crate::cache::{FrequencyCache, Traffic};
use crate::real::Real;

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Forward leaves what backward needs, and accesses count.
    #[default]
    Train,
    /// Neither.
    Evaluate,
}

/// One batch: made by [`Session::batch`](super::Session::batch), filled again and again. It goes on with the plan it was
/// grouped for when the session gets room for larger ones.
pub struct Batch<B: Backend> {
    pub(super) plan: Arc<B::Plan>,
    pub(super) group: B::Group,
    pub(super) saved: B::Saved,
    pub(super) mode: Mode,
    /// The session it was made for.
    pub(super) owner: usize,
    /// State of the caches the addresses were taken from.
    pub(super) generation: u64,
    /// For each table, empty where it has no cache.
    pub(super) lookups: Vec<Addresses>,
    /// Whether the caches have still to see it.
    pub(super) unobserved: bool,
}

/// Where the lookups of a table with a cache go (paper, Figure 4: `I = I_C + I_T`).
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// `[L]`
    pub(super) all: Vec<u64>,
    pub(super) traffic: Traffic,
}

impl Addresses {
    pub(super) fn with_capacity(lookups: usize) -> Self {
        Self { all: Vec::with_capacity(lookups), traffic: Traffic::default() }
    }

    pub(super) fn find<F: Real>(&mut self, cache: &FrequencyCache, bags: &Bags<'_, F>, core_rows: u64) {
        self.all.clear();
        let mut hits = 0;
        bags.for_each_row(|row| {
            let address = cache.address(row, core_rows);
            hits += u64::from(address >= core_rows);
            self.all.push(address);
        });
        self.traffic = Traffic { hits, lookups: bags.lookups() as u64 };
    }
}

impl<B: Backend> fmt::Debug for Batch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Memory for intermediate values of one thread that works for a session: made by
/// [`Session::worker`](super::Session::worker). Its content means nothing between calls.
pub struct Worker<B: Backend> {
    plan: Arc<B::Plan>,
    scratch: B::Scratch,
}

impl<B: Backend> Worker<B> {
    pub(super) fn new(backend: &B, queue: &mut B::Queue, plan: &Arc<B::Plan>) -> Result<Self, B::Error> {
        Ok(Self { plan: plan.clone(), scratch: backend.new_scratch(queue, plan)? })
    }

    /// Scratch for this plan: made anew if that is another than the last.
    pub(super) fn scratch(
        &mut self,
        backend: &B,
        queue: &mut B::Queue,
        plan: &Arc<B::Plan>,
    ) -> Result<&mut B::Scratch, B::Error> {
        if !Arc::ptr_eq(&self.plan, plan) {
            *self = Self::new(backend, queue, plan)?;
        }
        Ok(&mut self.scratch)
    }

    /// A call on a batch.
    pub(super) fn call<'c>(
        &'c mut self,
        backend: &B,
        queue: &'c mut B::Queue,
        plan: &'c Arc<B::Plan>,
        group: &'c B::Group,
    ) -> Result<Call<'c, B>, B::Error> {
        let scratch = self.scratch(backend, queue, plan)?;
        Ok(Call { plan, group, queue, scratch })
    }
}

impl<B: Backend> fmt::Debug for Worker<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("layout", B::layout(&self.plan)).finish_non_exhaustive()
    }
}
