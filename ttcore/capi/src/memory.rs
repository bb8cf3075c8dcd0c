//! Memory of workers and batches, for numbers of one type.

use std::any::Any;

use ttcore::backend::{Sink, Workspace};
use ttcore::embedding::{Batch, TableMut, Worker};
use ttcore::{Bags, KeptLookups};
use ttcore_cpu::{Cpu, Threads};

use crate::bags::Copied;
use crate::error::{Outcome, TTC_OTHER_SESSION, TTC_STALE, TTC_TOO_LARGE, ttc_error};
use crate::view::{Borrows, Number};

pub(crate) struct TypedWorker<F: Number> {
    pub(crate) worker: Worker<Cpu<F>>,
    pub(crate) threads: Threads,
    pub(crate) borrows: Borrows,
    /// Gradients of the weights that count.
    pub(crate) kept: Vec<F>,
    /// The views of a call, which end with it: kept for their memory.
    pub(crate) params: Vec<&'static [F]>,
    pub(crate) tables: Vec<TableMut<'static, Cpu<F>>>,
    pub(crate) sinks: Vec<Sink<'static, Cpu<F>>>,
}

pub(crate) struct TypedBatch<F: Number> {
    pub(crate) batch: Batch<Cpu<F>>,
    pub(crate) threads: Threads,
    /// One for each table.
    pub(crate) copied: Vec<Copied<F>>,
    pub(crate) bags: Vec<Bags<'static, F>>,
    /// Whether the batch is what was copied last.
    pub(crate) grouped: bool,
}

impl<F: Number> TypedBatch<F> {
    /// That there is a batch.
    pub(crate) fn grouped(&mut self) -> Outcome<&mut Self> {
        match self.grouped {
            true => Ok(self),
            false => Err(ttc_error::new(TTC_STALE, "the batch holds no bags: ttc_group comes first")),
        }
    }
}

/// That there is memory for a worker and a batch, as far as the system says: a process that asks for more ends.
pub(crate) fn fits(Workspace { group, saved, scratch, .. }: Workspace) -> Outcome {
    let bytes = group.checked_add(saved).and_then(|bytes| bytes.checked_add(scratch));
    if bytes.is_some_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok()) {
        return Ok(());
    }
    Err(ttc_error::new(TTC_TOO_LARGE, "there is no memory for batches of this size"))
}

/// The memory as what it was made as.
pub(crate) fn own<T: 'static>(memory: &mut dyn Any) -> Outcome<&mut T> {
    memory.downcast_mut().ok_or_else(|| ttc_error::new(TTC_OTHER_SESSION, "made for a session of another type"))
}

/// Runs a backward pass with gradients of the weights of the lookups that count, and gives them to all lookups.
pub(crate) fn with_weights<F: Number>(
    copied: &[Copied<F>],
    kept: &mut Vec<F>,
    all: Option<&mut [F]>,
    backward: impl FnOnce(Option<&mut [F]>) -> Result<(), ttcore::Error>,
) -> Outcome {
    let Some(all) = all else { return Ok(backward(None)?) };
    Ok(KeptLookups::spread_over(copied.iter().map(Copied::lookups), kept, all, |grads| backward(Some(grads)))?)
}
