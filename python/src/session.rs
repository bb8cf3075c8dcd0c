//! Tables whose numbers are tensors.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use ttcore::cache::CacheState;
use ttcore::embedding::{self, Mode, TableMut};
use ttcore::{Layout, TableConfig};
use ttcore_cpu::Cpu;

use crate::error::{raise, raised};
use crate::input::Input;
use crate::pass::{Pass, apart, numbers};
use crate::pool;
use crate::table::Table;
use crate::tensor::Tensor;
use crate::typed::{Float, Tables};

/// More threads than any machine has would be started one by one.
const MAX_THREADS: usize = 4096;

/// More features than any model has would be columns one by one.
const MAX_FEATURES: usize = 1 << 16;

/// Rows expanded at a time.
const CHUNK: u64 = 4096;

/// What is known of tables beside their numbers: shapes, caches, plans, and memory for batches. Parameters and optimiser
/// state come with each call. May be used by many threads at once.
#[pyclass(frozen, module = "ttcore._ttcore")]
pub(crate) struct Session {
    threads: usize,
    tables: Any,
}

enum Any {
    F32(Arc<Tables<f32>>),
    F64(Arc<Tables<f64>>),
}

/// Runs an expression with `$tables` of the type there is.
macro_rules! typed {
    ($any:expr, $tables:ident => $body:expr) => {
        match $any {
            Any::F32($tables) => $body,
            Any::F64($tables) => $body,
        }
    };
}

#[pymethods]
impl Session {
    /// A session for tables of numbers of 64 bits, or of 32. `features` says how many each has, by default one. Their outputs
    /// lie side by side.
    #[new]
    #[pyo3(signature = (tables, *, features = None, double = false, threads = 1))]
    fn new(
        py: Python<'_>,
        tables: Vec<Py<Table>>,
        features: Option<Vec<usize>>,
        double: bool,
        threads: usize,
    ) -> PyResult<Self> {
        if threads == 0 || threads > MAX_THREADS {
            return Err(PyValueError::new_err(format!("threads must be from 1 to {MAX_THREADS}, not {threads}")));
        }
        let features = features.unwrap_or_else(|| vec![1; tables.len()]);
        if features.len() != tables.len() {
            let words = format!("{} numbers of features for {} tables", features.len(), tables.len());
            return Err(PyValueError::new_err(words));
        }
        if let Some(count) = features.iter().find(|&&count| count > MAX_FEATURES) {
            return Err(PyValueError::new_err(format!("a table of {count} features, more than {MAX_FEATURES}")));
        }
        let any = match double {
            true => Any::F64(new(py, &tables, &features, threads)?),
            false => Any::F32(new(py, &tables, &features, threads)?),
        };
        Ok(Self { threads, tables: any })
    }

    /// Pooled rows of all tables into `out` `[B][stride]`; see `Input` for what comes in. In training, what backward needs
    /// comes back.
    #[pyo3(signature = (values, offsets, weights, params, out, *, last = false, jagged = false, train = false))]
    #[allow(clippy::too_many_arguments)]
    fn forward(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyAny>,
        offsets: Option<&Bound<'_, PyAny>>,
        weights: Option<&Bound<'_, PyAny>>,
        params: &Bound<'_, PyTuple>,
        out: &Bound<'_, PyAny>,
        last: bool,
        jagged: bool,
        train: bool,
    ) -> PyResult<Option<Pass>> {
        let input = Input { values, offsets, weights, last, jagged };
        typed!(&self.tables, tables => forward(py, self.threads, tables, &input, params, out, train))
    }

    /// Rows of a table, uncompressed, into `out` `[n][N]`: those of a list of rows, or all from a first one on.
    #[pyo3(signature = (table, params, rows, out, first = 0))]
    fn rows(
        &self,
        py: Python<'_>,
        table: usize,
        params: &Bound<'_, PyAny>,
        rows: Option<&Bound<'_, PyAny>>,
        out: &Bound<'_, PyAny>,
        first: u64,
    ) -> PyResult<()> {
        typed!(&self.tables, tables => rows_of(py, self.threads, tables, table, params, rows, out, first))
    }

    /// Lets the caches choose their rows anew, and loads them into the parameters; for each table, how many rows were
    /// loaded, evicted and kept.
    fn refresh(
        &self,
        py: Python<'_>,
        params: &Bound<'_, PyTuple>,
        states: &Bound<'_, PyTuple>,
    ) -> PyResult<Vec<(usize, usize, usize)>> {
        typed!(&self.tables, tables => refresh(py, self.threads, tables, params, states))
    }

    /// What the cache of a table knows: the row in each slot, -1 for none, and rows with their counts. `None` without one.
    #[allow(clippy::type_complexity)]
    fn cache(&self, py: Python<'_>, table: usize) -> PyResult<Option<(Vec<i64>, Vec<(u64, u64)>)>> {
        let state = typed!(&self.tables, tables => raised(pool::detached(py, || tables.read().cache_state(table)))?);
        let slot = |slot: Option<u64>| slot.map_or(-1, |row| row as i64);
        Ok(state.map(|state| (state.slots.into_iter().map(slot).collect(), state.counts)))
    }

    /// Continues with what a cache knew.
    fn set_cache(&self, py: Python<'_>, table: usize, slots: Vec<i64>, counts: Vec<(u64, u64)>) -> PyResult<()> {
        let slots = slots.into_iter().map(|row| u64::try_from(row).ok()).collect();
        let state = CacheState::new(slots, counts);
        typed!(&self.tables, tables => raised(pool::detached(py, || tables.write().set_cache_state(table, &state))))
    }

    /// Updates so far.
    #[getter]
    fn steps(&self, py: Python<'_>) -> u64 {
        typed!(&self.tables, tables => pool::detached(py, || tables.read().steps()))
    }

    #[setter]
    fn set_steps(&self, py: Python<'_>, steps: u64) {
        typed!(&self.tables, tables => pool::detached(py, || tables.read().set_steps(steps)));
    }

    /// For each table a dictionary of numbers; hits and lookups of its cache are those since this was last called.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let all = typed!(&self.tables, tables => pool::detached(py, || tables.write().statistics()));
        let dictionary = |table: embedding::TableStatistics| {
            let dict = PyDict::new(py);
            dict.set_item("rows", table.rows)?;
            dict.set_item("bytes", table.bytes.parameters())?;
            dict.set_item("uncompressed_bytes", table.bytes.uncompressed)?;
            dict.set_item("state_bytes", table.bytes.state)?;
            dict.set_item("cached_rows", table.cached_rows)?;
            if let Some(traffic) = table.traffic {
                dict.set_item("hits", traffic.hits)?;
                dict.set_item("lookups", traffic.lookups)?;
            }
            Ok(dict)
        };
        all.into_iter().map(dictionary).collect()
    }
}

fn new<F: Float>(py: Python<'_>, tables: &[Py<Table>], features: &[usize], threads: usize) -> PyResult<Arc<Tables<F>>> {
    let backend = Cpu::<F>::new().map_err(|error| PyValueError::new_err(error.to_string()))?;
    let (configs, uses): (Vec<TableConfig>, _) =
        tables.iter().map(|table| (table.get().config.clone(), table.get().into())).unzip();
    let mut stride = 0usize;
    let mut next = |dim: usize| {
        stride = stride.saturating_add(dim);
        stride - dim
    };
    let tables = configs.iter().map(TableConfig::table).zip(features);
    let columns = tables.map(|(table, &count)| (0..count).map(|_| next(table.dim())).collect()).collect();
    let tables = configs.iter().map(|config| config.table().clone()).collect();
    let mut threads = pool::threads(py, threads)?;
    // Room comes with the first batch.
    let layout = raised(Layout::with_features(tables, columns, stride, 1, 1))?;
    let session = raised(embedding::Session::with_layout(backend, &mut threads, configs, layout))?;
    Ok(Tables::new(session, uses))
}

fn forward<F: Float>(
    py: Python<'_>,
    threads: usize,
    tables: &Arc<Tables<F>>,
    input: &Input<'_, '_>,
    params: &Bound<'_, PyTuple>,
    out: &Bound<'_, PyAny>,
    train: bool,
) -> PyResult<Option<Pass>> {
    let mut pool = pool::threads(py, threads)?;
    let mut memory = tables.take(&mut pool)?;
    let mode = if train { Mode::Train } else { Mode::Evaluate };
    let result = memory.lists.read::<F>(input, tables.features()).and_then(|weights| {
        let (params, out) = (numbers("parameters", params)?, Tensor::of("output", out)?.numbers()?);
        // SAFETY: the tensors are held by the arguments of this call; the output is the caller's own, new for this call.
        // What changes parameters in place from here has the session alone, which forward reads.
        raised(pool::detached(py, || unsafe { tables.forward(&mut pool, &mut memory, weights, &params, out, mode) }))
    });
    match result {
        Ok(()) if train => Ok(Some(Pass::new(threads, tables.clone(), memory))),
        result => {
            tables.give(memory);
            result.map(|()| None)
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn rows_of<F: Float>(
    py: Python<'_>,
    threads: usize,
    tables: &Tables<F>,
    table: usize,
    params: &Bound<'_, PyAny>,
    rows: Option<&Bound<'_, PyAny>>,
    out: &Bound<'_, PyAny>,
    first: u64,
) -> PyResult<()> {
    let mut pool = pool::threads(py, threads)?;
    let params = Tensor::of("parameters", params)?.numbers::<F>()?;
    let out = Tensor::of("rows", out)?.numbers::<F>()?;
    let list = rows.map(|rows| {
        let mut list = Vec::new();
        Tensor::of("indices", rows)?.copy_integers(&mut list).map(|()| list)
    });
    let list = list.transpose()?;
    raised(pool::detached(py, || {
        let session = tables.read();
        let (dim, have) = session.configs().nth(table).map_or((1, 0), |config| (config.table().dim(), config.rows()));
        let negative = |list: &Vec<i64>| list.iter().position(|&row| row < 0).map(|at| (at, list[at]));
        if let Some((position, index)) = list.as_ref().and_then(negative) {
            let index = i128::from(index);
            return Err(ttcore::BagsError::IndexOutOfRange { position, index, rows: have }.into());
        }
        let count = list.as_ref().map_or((out.len() / dim) as u64, |list| list.len() as u64);
        ttcore::check::length("rows", None, out.len(), count as usize * dim)?;
        let mut wanted = Vec::new();
        for start in (0..count).step_by(CHUNK as usize) {
            let chunk = start..(start + CHUNK).min(count);
            wanted.clear();
            match &list {
                // None is negative.
                Some(list) => wanted.extend(list[start as usize..chunk.end as usize].iter().map(|&row| row as u64)),
                None => wanted.extend(chunk.clone().map(|row| first.saturating_add(row))),
            }
            let place = out.part(start as usize * dim..chunk.end as usize * dim);
            tables.work(&session, &mut pool, |pool, worker| {
                // SAFETY: as in `forward`.
                let (params, place) = unsafe { (params.get(), place.get_mut()) };
                session.rows(pool, worker, table, params, &wanted, place)
            })?;
        }
        Ok::<(), ttcore::Error>(())
    }))
}

fn refresh<F: Float>(
    py: Python<'_>,
    threads: usize,
    tables: &Tables<F>,
    params: &Bound<'_, PyTuple>,
    states: &Bound<'_, PyTuple>,
) -> PyResult<Vec<(usize, usize, usize)>> {
    let mut pool = pool::threads(py, threads)?;
    let (params, states) = (numbers::<F>("parameters", params)?, numbers::<F>("optimiser state", states)?);
    if params.len() != states.len() {
        let (got, tables) = (states.len(), params.len());
        return Err(raise(ttcore::Error::TableCount { what: "lists of optimiser state", got, tables }));
    }
    apart(params.iter().chain(&states))?;
    let refreshed = raised(pool::detached(py, || {
        let mut session = tables.write();
        let mut worker = session.worker(&mut pool)?;
        // SAFETY: the tensors are held by the arguments of this call, and nobody else has the session, by which all others
        // come to them.
        let memory = params
            .iter()
            .zip(&states)
            .map(|(params, state)| unsafe { TableMut { params: params.get_mut(), state: state.get_mut() } });
        session.refresh(&mut pool, &mut worker, memory)
    }))?;
    Ok(refreshed.into_iter().map(|table| (table.load.len(), table.evicted.len(), table.kept)).collect())
}
