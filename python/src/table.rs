//! How tables are held, as Python says it.

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use ttcore::{CoreRule, Pooling, Rule, TableConfig, TtShape, factor};

use crate::error::raised;
use crate::tensor::{Kind, Tensor};

/// A tensor train: factors of the rows and the columns of a table, and ranks.
#[pyclass(frozen, eq, module = "ttcore._ttcore")]
#[derive(PartialEq)]
pub(crate) struct Shape(pub(crate) TtShape);

#[pymethods]
impl Shape {
    #[new]
    fn new(rows: u64, row_factors: Vec<usize>, col_factors: Vec<usize>, ranks: Vec<usize>) -> PyResult<Self> {
        raised(TtShape::new(rows, &row_factors, &col_factors, &ranks)).map(Self)
    }

    /// Factors as equal as possible: the paper's rule.
    #[staticmethod]
    #[pyo3(signature = (rows, dim, cores = 3, rank = 32))]
    fn paper(rows: u64, dim: usize, cores: usize, rank: usize) -> PyResult<Self> {
        raised(TtShape::paper(rows, dim, cores, rank)).map(Self)
    }

    /// The fewest parameters with at most so much padding.
    #[staticmethod]
    #[pyo3(signature = (rows, dim, cores = 3, rank = 32, max_padding = 0.05))]
    fn smallest(rows: u64, dim: usize, cores: usize, rank: usize, max_padding: f64) -> PyResult<Self> {
        raised(TtShape::smallest(rows, dim, cores, rank, max_padding)).map(Self)
    }

    /// The paper's factors and the largest rank whose cores have at most so many numbers.
    #[staticmethod]
    fn within(rows: u64, dim: usize, cores: usize, parameters: usize) -> PyResult<Self> {
        let row_factors = raised(factor::paper_row_factors(rows, cores))?;
        let col_factors = raised(factor::column_factors(dim, cores))?;
        let of_rank = |rank| TtShape::with_rank(rows, &row_factors, &col_factors, rank);
        let fits = |rank| of_rank(rank).is_ok_and(|shape| shape.parameters() <= parameters);
        let least = raised(of_rank(1))?;
        if !fits(1) {
            let (least, d) = (least.parameters(), cores);
            let words =
                format!("{d} cores of rank 1 are {least} numbers, more than the {parameters} there is room for");
            return Err(PyValueError::new_err(words));
        }
        // A rank above the smaller side of every unfolding holds nothing more.
        let sides: Vec<f64> = row_factors.iter().zip(&col_factors).map(|(&m, &n)| m as f64 * n as f64).collect();
        let side = |k: usize| sides[..k].iter().product::<f64>().min(sides[k..].iter().product());
        let largest = (1..cores).map(side).fold(1.0, f64::max).min(u32::MAX.into()) as usize;
        let (mut low, mut high) = (1, largest + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        raised(of_rank(low)).map(Self)
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.0.rows()
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    #[getter]
    fn row_factors(&self) -> Vec<usize> {
        self.0.row_factors().to_vec()
    }

    #[getter]
    fn col_factors(&self) -> Vec<usize> {
        self.0.col_factors().to_vec()
    }

    #[getter]
    fn ranks(&self) -> Vec<usize> {
        self.0.ranks().to_vec()
    }

    #[getter]
    fn parameters(&self) -> usize {
        self.0.parameters()
    }

    #[getter]
    fn compression(&self) -> f64 {
        self.0.compression()
    }

    /// Where core `k` (from 0) lies among the parameters: begin and end.
    fn core_range(&self, k: usize) -> PyResult<(usize, usize)> {
        if k >= self.0.cores() {
            return Err(PyIndexError::new_err(format!("there is no core {k}, only {}", self.0.cores())));
        }
        let range = self.0.core_range(k);
        Ok((range.start, range.end))
    }

    fn __len__(&self) -> usize {
        self.0.cores()
    }

    fn __getnewargs__(&self) -> (u64, Vec<usize>, Vec<usize>, Vec<usize>) {
        (self.rows(), self.row_factors(), self.col_factors(), self.ranks())
    }

    fn __repr__(&self) -> String {
        let shape = &self.0;
        let (rows, m, n, r) = (shape.rows(), shape.row_factors(), shape.col_factors(), shape.ranks());
        format!("Shape({rows}, {m:?}, {n:?}, {r:?})")
    }
}

/// How a table is held and trained, and what a lookup of it means.
#[pyclass(frozen, module = "ttcore._ttcore")]
pub(crate) struct Table {
    pub(crate) config: TableConfig,
    pub(crate) pooling: Pooling,
    pub(crate) padding: Option<u64>,
}

#[pymethods]
impl Table {
    /// A table held by cores of a shape, or, without one, as `rows x dim` numbers. `rule` is `"sgd"`, `"adagrad"`,
    /// `"adam"` or `"adagrad_norm"`. Of a cache, `max_counted` is how many rows are counted.
    #[new]
    #[pyo3(signature = (shape = None, rows = 0, dim = 0, *, cache_rows = 0, max_counted = None, mode = "sum",
                        padding_idx = None, rule = "sgd", eps = None, betas = None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        shape: Option<&Shape>,
        rows: u64,
        dim: usize,
        cache_rows: usize,
        max_counted: Option<usize>,
        mode: &str,
        padding_idx: Option<u64>,
        rule: &str,
        eps: Option<f64>,
        betas: Option<(f64, f64)>,
    ) -> PyResult<Self> {
        let pooling = match mode {
            "sum" => Pooling::Sum,
            "mean" => Pooling::Mean,
            mode => return Err(PyValueError::new_err(format!("mode must be 'sum' or 'mean', not '{mode}'"))),
        };
        let mut config = match shape {
            Some(shape) => TableConfig::tt(shape.0.clone()),
            None => raised(TableConfig::dense(rows, dim))?,
        };
        if cache_rows > 0 {
            config = raised(config.with_cache(cache_rows))?;
        }
        if let Some(rows) = max_counted {
            config = config.with_max_counted(rows);
        }
        let (beta1, beta2) = betas.unwrap_or((0.9, 0.999));
        let numbers = [("eps", eps.unwrap_or(0.0), f64::MAX), ("beta1", beta1, 1.0), ("beta2", beta2, 1.0)];
        if let Some((what, value, _)) = numbers.iter().find(|(_, value, end)| !(*value >= 0.0 && value < end)) {
            return Err(PyValueError::new_err(format!("{what} cannot be {value}")));
        }
        let config = match rule {
            "sgd" => config.with_rule(Rule::Sgd),
            "adagrad" => config.with_rule(Rule::Adagrad { eps: eps.unwrap_or(1e-10) }),
            "adam" => config.with_rule(Rule::Adam { beta1, beta2, eps: eps.unwrap_or(1e-8) }),
            "adagrad_norm" => config.with_core_rule(CoreRule::AdagradNorm { eps: eps.unwrap_or(1e-10) }),
            rule => {
                let words = "an update rule is 'sgd', 'adagrad', 'adam' or 'adagrad_norm', not";
                return Err(PyValueError::new_err(format!("{words} '{rule}'")));
            }
        };
        Ok(Self { config, pooling, padding: padding_idx })
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.config.rows()
    }

    #[getter]
    fn dim(&self) -> usize {
        self.config.table().dim()
    }

    /// Numbers in the cores and the rows of the cache: the length of the parameters.
    #[getter]
    fn parameters(&self) -> usize {
        self.config.table().parameters()
    }

    /// Numbers of optimiser state.
    #[getter]
    fn state(&self) -> usize {
        self.config.state_layout().len()
    }

    /// Draws new parameters into a tensor from a seed.
    fn draw(&self, seed: u64, params: &Bound<'_, PyAny>) -> PyResult<()> {
        let (params, want) = (Tensor::of("parameters", params)?, self.parameters());
        raised(ttcore::check::length("parameters", None, params.len(), want))?;
        match params.kind() {
            // SAFETY: the tensor is the caller's for this call, and new: nobody else knows it.
            Kind::F64 => self.config.draw(seed, unsafe { params.numbers::<f64>()?.get_mut() }),
            // SAFETY: as above.
            _ => self.config.draw(seed, unsafe { params.numbers::<f32>()?.get_mut() }),
        }
        Ok(())
    }
}
