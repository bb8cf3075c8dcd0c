//! One batch between its forward and its backward.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use ttcore::backend::Sink;
use ttcore::embedding::{Batch, TableMut};
use ttcore::{Error, KeptLookups};
use ttcore_cpu::{Cpu, Threads};

use crate::error::raised;
use crate::numbers::Numbers;
use crate::pool;
use crate::tensor::Tensor;
use crate::typed::{Float, Memory, Tables};

/// What forward leaves for backward. Its memory goes back to the tables when it is dropped.
#[pyclass(frozen, module = "ttcore._ttcore")]
pub(crate) struct Pass(Box<dyn Backward>);

impl Pass {
    pub(crate) fn new<F: Float>(threads: usize, tables: Arc<Tables<F>>, memory: Memory<F>) -> Self {
        Self(Box::new(Typed { threads, tables, memory: Mutex::new(Some(memory)) }))
    }
}

#[pymethods]
impl Pass {
    /// Writes the gradients of the tables to `grads`, a tensor for each or `None` where it is not wanted, and those of the
    /// weights, of all tables one behind the other.
    #[pyo3(signature = (params, grad_out, grads, grad_weights = None))]
    fn backward(
        &self,
        params: &Bound<'_, PyTuple>,
        grad_out: &Bound<'_, PyAny>,
        grads: &Bound<'_, PyTuple>,
        grad_weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.0.backward(Gradient { params, beside: grads, grad_out, grad_weights })
    }

    /// Computes the gradients of the tables and applies their rules, with this learning rate.
    #[pyo3(signature = (params, states, grad_out, lr, grad_weights = None))]
    fn step(
        &self,
        params: &Bound<'_, PyTuple>,
        states: &Bound<'_, PyTuple>,
        grad_out: &Bound<'_, PyAny>,
        lr: f64,
        grad_weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if !lr.is_finite() {
            return Err(PyValueError::new_err(format!("the learning rate cannot be {lr}")));
        }
        self.0.step(Gradient { params, beside: states, grad_out, grad_weights }, lr)
    }
}

/// The tensors of a backward, as they come.
struct Gradient<'a, 'py> {
    params: &'a Bound<'py, PyTuple>,
    /// Gradients or optimiser state, for each table.
    beside: &'a Bound<'py, PyTuple>,
    grad_out: &'a Bound<'py, PyAny>,
    grad_weights: Option<&'a Bound<'py, PyAny>>,
}

impl<'py> Gradient<'_, 'py> {
    fn numeric<F: Float>(&self, what: &'static str) -> PyResult<Numeric<F>> {
        let (got, want) = (self.beside.len(), self.params.len());
        if got != want {
            return Err(PyValueError::new_err(format!("{got} tensors of {what} for {want} tables")));
        }
        let beside = self.beside.iter();
        let number = |item: Bound<'py, PyAny>| match item.is_none() {
            true => Ok(None),
            false => Tensor::of(what, &item)?.numbers().map(Some),
        };
        let weights = self.grad_weights.map(|grad| Tensor::of("gradient of the weights", grad)?.numbers());
        Ok(Numeric {
            params: numbers("parameters", self.params)?,
            beside: beside.map(number).collect::<PyResult<_>>()?,
            grad_out: Tensor::of("gradient of the output", self.grad_out)?.numbers()?,
            grad_weights: weights.transpose()?,
        })
    }
}

/// The same as numbers of one type.
struct Numeric<F> {
    params: Vec<Numbers<F>>,
    beside: Vec<Option<Numbers<F>>>,
    grad_out: Numbers<F>,
    grad_weights: Option<Numbers<F>>,
}

/// Tensors of numbers, one for each table.
pub(crate) fn numbers<F: Float>(what: &'static str, all: &Bound<'_, PyTuple>) -> PyResult<Vec<Numbers<F>>> {
    all.iter().map(|tensor| Tensor::of(what, &tensor)?.numbers()).collect()
}

/// That no number of what is written belongs to two tensors, as where tables share a parameter.
pub(crate) fn apart<'a, F: Float>(all: impl Iterator<Item = &'a Numbers<F>>) -> PyResult<()> {
    let mut places: Vec<_> = all.map(Numbers::addresses).filter(|place| !place.is_empty()).collect();
    places.sort_unstable_by_key(|place| place.start);
    match places.windows(2).all(|pair| pair[0].end <= pair[1].start) {
        true => Ok(()),
        false => {
            Err(PyValueError::new_err("tables that are updated in place cannot share parameters or optimiser state"))
        }
    }
}

/// A pass of one type of numbers.
trait Backward: Send + Sync {
    fn backward(&self, gradient: Gradient<'_, '_>) -> PyResult<()>;
    fn step(&self, gradient: Gradient<'_, '_>, lr: f64) -> PyResult<()>;
}

struct Typed<F: Float> {
    threads: usize,
    tables: Arc<Tables<F>>,
    /// There until it is dropped. Locked where the interpreter is released: who waits for it then holds nothing.
    memory: Mutex<Option<Memory<F>>>,
}

impl<F: Float> Backward for Typed<F> {
    fn backward(&self, gradient: Gradient<'_, '_>) -> PyResult<()> {
        let numeric = gradient.numeric::<F>("gradients")?;
        self.run(gradient.grad_out.py(), |threads, memory| {
            let Numeric { params, beside, grad_out, grad_weights } = numeric;
            let session = self.tables.read();
            with_weights(&self.tables, memory, grad_weights, |batch, grad_weights| {
                self.tables.work(&session, threads, |threads, worker| {
                    // SAFETY: the caller holds the tensors; the gradients are its own, new for this call.
                    let sinks = params.iter().zip(&beside).map(|(params, grads)| unsafe {
                        let params = params.get();
                        grads
                            .map_or(Sink::Frozen { params }, |grads| Sink::Overwrite { params, grads: grads.get_mut() })
                    });
                    // SAFETY: as above.
                    session.backward(threads, worker, batch, sinks, unsafe { grad_out.get() }, grad_weights)
                })
            })?;
            drop(session);
            if !self.tables.cached {
                return Ok(());
            }
            match self.tables.write().observe(&mut memory.batch) {
                // Refreshed by another thread just now: the gradients are right, and what was looked up is past.
                Err(Error::Stale { .. }) => Ok(()),
                observed => observed,
            }
        })
    }

    fn step(&self, gradient: Gradient<'_, '_>, lr: f64) -> PyResult<()> {
        let numeric = gradient.numeric::<F>("optimiser state")?;
        let Some(states) = numeric.beside.into_iter().collect::<Option<Vec<_>>>() else {
            return Err(PyValueError::new_err("every table needs its optimiser state, if of no numbers"));
        };
        apart(numeric.params.iter().chain(&states))?;
        self.run(gradient.grad_out.py(), |threads, memory| {
            // Alone: other passes read the parameters that this one writes.
            let mut session = self.tables.write();
            with_weights(&self.tables, memory, numeric.grad_weights, |batch, grad_weights| {
                self.tables.work(&session, threads, |threads, worker| {
                    // SAFETY: the caller holds the tensors, and nobody else has the session, by which all others come here.
                    let tables = numeric.params.iter().zip(&states).map(|(params, state)| unsafe {
                        TableMut { params: params.get_mut(), state: state.get_mut() }
                    });
                    // SAFETY: as above.
                    let grad_out = unsafe { numeric.grad_out.get() };
                    session.step(threads, worker, batch, tables, grad_out, lr, grad_weights)
                })
            })?;
            session.observe(&mut memory.batch)
        })
    }
}

impl<F: Float> Typed<F> {
    /// Runs a call on the memory, with the interpreter released.
    fn run(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Threads, &mut Memory<F>) -> Result<(), Error> + Send,
    ) -> PyResult<()> {
        let mut threads = pool::threads(py, self.threads)?;
        raised(pool::detached(py, || {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.as_mut().map_or(Ok(()), |memory| call(&mut threads, memory))
        }))
    }
}

impl<F: Float> Drop for Typed<F> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            self.tables.give(memory);
        }
    }
}

/// Runs a call that writes gradients of weights: those of lookups that were kept, spread over all where some were not.
fn with_weights<F: Float>(
    tables: &Tables<F>,
    memory: &mut Memory<F>,
    wanted: Option<Numbers<F>>,
    call: impl FnOnce(&Batch<Cpu<F>>, Option<&mut [F]>) -> Result<(), Error>,
) -> Result<(), Error> {
    // SAFETY: the caller holds the tensor, which is its own, new for this call.
    let Some(all) = wanted.map(|wanted| unsafe { wanted.get_mut() }) else { return call(&memory.batch, None) };
    let Memory { batch, lists, kept, grad_weights } = memory;
    let batch: &Batch<Cpu<F>> = batch;
    let lookups = lists.lookups().zip(tables.uses()).zip(&*kept);
    let lookups = lookups.map(|((lookups, table), kept)| (lookups, table.padding.map(|_| kept)));
    KeptLookups::spread_over(lookups, grad_weights, all, |grads| call(batch, Some(grads)))
}
