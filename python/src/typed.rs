//! Tables of one type of numbers: the session, and the memory of batches that are not under way.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pyo3::PyResult;
use ttcore::embedding::{self, Batch, Mode, Worker};
use ttcore::{Error, KeptLookups};
use ttcore_cpu::{Cpu, Element, Threads};

use crate::error::raised;
use crate::input::{self, Use};
use crate::lists::Lists;
use crate::numbers::Numbers;
use crate::tensor::Number;

/// Numbers of tensors that tables are made of.
pub(crate) trait Float: Element + Number {}
impl Float for f32 {}
impl Float for f64 {}

/// Batches kept for later; more are under way only for a moment.
const IDLE: usize = 8;

/// Tables of numbers of type `F`.
///
/// What computes reads the session. What changes parameters in place has it alone: no one reads them meanwhile.
pub(crate) struct Tables<F: Float> {
    session: RwLock<embedding::Session<Cpu<F>>>,
    uses: Vec<Use>,
    /// How many each table has.
    features: Vec<usize>,
    /// Whether a table has a cache, which has to see what is looked up.
    pub(crate) cached: bool,
    idle: Mutex<Idle<F>>,
}

struct Idle<F: Float> {
    batches: Vec<Memory<F>>,
    workers: Vec<Worker<Cpu<F>>>,
}

/// The memory of one batch.
pub(crate) struct Memory<F: Float> {
    pub(crate) batch: Batch<Cpu<F>>,
    pub(crate) lists: Lists,
    /// For each table; used by those with padding.
    pub(crate) kept: Vec<KeptLookups<F>>,
    /// Gradients of the weights of lookups that were kept.
    pub(crate) grad_weights: Vec<F>,
}

impl<F: Float> Tables<F> {
    pub(crate) fn new(session: embedding::Session<Cpu<F>>, uses: Vec<Use>) -> Arc<Self> {
        let cached = session.configs().any(|config| config.cache_slots() > 0);
        let features = session.layout().features().iter().map(|features| features.count()).collect();
        let idle = Mutex::new(Idle { batches: Vec::new(), workers: Vec::new() });
        Arc::new(Self { session: RwLock::new(session), uses, features, cached, idle })
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, embedding::Session<Cpu<F>>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, embedding::Session<Cpu<F>>> {
        self.session.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn uses(&self) -> &[Use] {
        &self.uses
    }

    pub(crate) fn features(&self) -> &[usize] {
        &self.features
    }

    fn idle<T>(&self, take: impl FnOnce(&mut Idle<F>) -> T) -> T {
        take(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Memory for a batch.
    pub(crate) fn take(&self, threads: &mut Threads) -> PyResult<Memory<F>> {
        if let Some(memory) = self.idle(|idle| idle.batches.pop()) {
            return Ok(memory);
        }
        let kept = self.uses.iter().map(|_| KeptLookups::default()).collect();
        let batch = raised(self.read().batch(threads))?;
        Ok(Memory { batch, lists: Lists::default(), kept, grad_weights: Vec::new() })
    }

    pub(crate) fn give(&self, memory: Memory<F>) {
        self.idle(|idle| {
            if idle.batches.len() < IDLE {
                idle.batches.push(memory);
            }
        });
    }

    /// Runs a call with memory to work in.
    pub(crate) fn work<T>(
        &self,
        session: &embedding::Session<Cpu<F>>,
        threads: &mut Threads,
        call: impl FnOnce(&mut Threads, &mut Worker<Cpu<F>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut worker = match self.idle(|idle| idle.workers.pop()) {
            Some(worker) => worker,
            None => session.worker(threads)?,
        };
        let result = call(threads, &mut worker);
        self.idle(|idle| idle.workers.push(worker));
        result
    }

    /// Groups the lists of a batch and computes its output.
    ///
    /// # Safety
    ///
    /// As [`Numbers::get`] for the weights and the parameters, [`Numbers::get_mut`] for the output.
    pub(crate) unsafe fn forward(
        &self,
        threads: &mut Threads,
        memory: &mut Memory<F>,
        weights: Option<Numbers<F>>,
        params: &[Numbers<F>],
        out: Numbers<F>,
        mode: Mode,
    ) -> Result<(), Error> {
        let Memory { batch, lists, kept, .. } = memory;
        // SAFETY: the caller's.
        let bags = unsafe { input::bags(lists, &self.uses, weights, kept) }?;
        let session = self.with_room(threads, lists.size(&self.features))?;
        session.group(threads, batch, bags.iter().copied(), mode)?;
        self.work(&session, threads, |threads, worker| {
            // SAFETY: the caller's.
            let (params, out) = unsafe { (params.iter().map(|params| params.get()), out.get_mut()) };
            session.forward(threads, worker, batch, params, out)
        })
    }

    /// The session, with room for a batch of this size: once there is none, for one of twice the size.
    fn with_room(
        &self,
        threads: &mut Threads,
        (bags, lookups): (usize, usize),
    ) -> Result<RwLockReadGuard<'_, embedding::Session<Cpu<F>>>, Error> {
        let session = self.read();
        if bags <= session.layout().bags() && lookups <= session.layout().lookups() {
            return Ok(session);
        }
        drop(session);
        self.write().grow(threads, bags, lookups)?;
        // Room never gets less.
        Ok(self.read())
    }
}
