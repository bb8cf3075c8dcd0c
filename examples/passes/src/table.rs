//! A table and its passes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use ttcore::backend::Sink;
use ttcore::embedding::{Batch, Session, Worker};
use ttcore::{Bags, Error, Layout, Mode, TableConfig};
use ttcore_cpu::{Cpu, Element, Threads};

/// Batches and workers that are kept for the next call.
const SPARE: usize = 8;

/// One table without its numbers, which are a tensor of the framework. Any number of threads may use it at once.
pub struct Table<F: Element> {
    session: RwLock<Session<Cpu<F>>>,
    threads: Threads,
    batches: Spare<Batch<Cpu<F>>>,
    workers: Spare<Worker<Cpu<F>>>,
}

/// One batch on its way through a table: grouped, then forward, then as many backwards as are wanted.
pub struct Pass<F: Element> {
    table: Arc<Table<F>>,
    /// Taken when the pass is dropped.
    batch: Option<Batch<Cpu<F>>>,
}

impl<F: Element> Table<F> {
    /// A table held like this, whose work is done by these threads.
    ///
    /// # Errors
    ///
    /// [`Error`] for a configuration with numbers that make no sense.
    pub fn new(backend: Cpu<F>, threads: Threads, config: TableConfig) -> Result<Arc<Self>, Error> {
        let session = Session::new(backend, &mut threads.clone(), vec![config], 0, 0)?;
        let (batches, workers) = (Spare::default(), Spare::default());
        Ok(Arc::new(Self { session: RwLock::new(session), threads, batches, workers }))
    }

    /// A pass of a batch: for training, or to be evaluated alone, which saves nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Rows`] for bags of a table with another number of rows, [`Error::TooLarge`].
    pub fn group(self: &Arc<Self>, bags: Bags<'_, F>, mode: Mode) -> Result<Pass<F>, Error> {
        self.make_room(bags.bags(), bags.lookups())?;
        let (session, mut threads) = (self.session(), self.threads.clone());
        let batch = self.batches.take_or(|| session.batch(&mut threads))?;
        let mut pass = Pass { table: self.clone(), batch: Some(batch) };
        session.group(&mut threads, pass.batch_mut(), [bags], mode)?;
        drop(session);
        Ok(pass)
    }

    /// To be called where the framework changed parameters in place: forwards before that cannot be used in a backward any
    /// more.
    pub fn parameters_changed(&self) {
        self.session().parameters_changed();
    }

    /// Memory there is for batches that are not under way now.
    pub fn spare_batches(&self) -> usize {
        self.batches.lock().len()
    }

    fn make_room(&self, bags: usize, lookups: usize) -> Result<(), Error> {
        let fits = |layout: &Layout| bags <= layout.bags() && lookups <= layout.lookups();
        if fits(self.session().layout()) {
            return Ok(());
        }
        // Room never gets less.
        let mut session = self.session.write().unwrap_or_else(PoisonError::into_inner);
        session.grow(&mut self.threads.clone(), bags, lookups)
    }

    /// A session is replaced by a valid one or not at all, so that a thread that panicked left nothing to fear.
    fn session(&self) -> RwLockReadGuard<'_, Session<Cpu<F>>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call with a worker of its own.
    fn work<T>(
        &self,
        call: impl FnOnce(&Session<Cpu<F>>, &mut Threads, &mut Worker<Cpu<F>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (session, mut threads) = (self.session(), self.threads.clone());
        let mut worker = self.workers.take_or(|| session.worker(&mut threads))?;
        let result = call(&session, &mut threads, &mut worker);
        self.workers.give(worker);
        result
    }
}

impl<F: Element> Pass<F> {
    /// Pooled rows, `out` `[B][N]`, of the parameters `[Table::parameters]`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`].
    pub fn forward(&mut self, params: &[F], out: &mut [F]) -> Result<(), Error> {
        let table = self.table.clone();
        table.work(|session, threads, worker| session.forward(threads, worker, self.batch_mut(), [params], out))
    }

    /// Gradients from that of the output, `grad_out` `[B][N]`: of the parameters into `grads` `[Table::parameters]`, which
    /// are zeros before, and of the per-sample weights into `grad_weights` `[L]`, each where it is wanted. The parameters are
    /// those that forward was given.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the parameters were said to have changed since forward, or it was an evaluation;
    /// [`Error::Length`].
    pub fn backward(
        &self,
        params: &[F],
        grads: Option<&mut [F]>,
        grad_out: &[F],
        grad_weights: Option<&mut [F]>,
    ) -> Result<(), Error> {
        // Memory made without unsafe code is zeros: overwriting it would write them once more.
        let sink = match grads {
            Some(grads) => Sink::Accumulate { params, grads },
            None => Sink::Frozen { params },
        };
        self.table.work(|session, threads, worker| {
            session.backward(threads, worker, self.batch(), [sink], grad_out, grad_weights)
        })
    }

    fn batch(&self) -> &Batch<Cpu<F>> {
        self.batch.as_ref().expect("a pass has a batch until it is dropped")
    }

    fn batch_mut(&mut self) -> &mut Batch<Cpu<F>> {
        self.batch.as_mut().expect("a pass has a batch until it is dropped")
    }
}

impl<F: Element> Drop for Pass<F> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.table.batches.give(batch);
        }
    }
}

/// What is not in use now: no more than a model has under way.
struct Spare<T>(Mutex<Vec<T>>);

impl<T> Spare<T> {
    fn take_or(&self, make: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let spare = self.lock().pop();
        spare.map_or_else(make, Ok)
    }

    fn give(&self, value: T) {
        let mut spare = self.lock();
        if spare.len() < SPARE {
            spare.push(value);
        }
    }

    /// What is in the list is whole, whatever happened to a thread that held it.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<F: Element> fmt::Debug for Table<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("session", &*self.session())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl<F: Element> fmt::Debug for Pass<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("batch", self.batch()).finish_non_exhaustive()
    }
}
