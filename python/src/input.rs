//! What is looked up: the lists of a call, copied from tensors and then validated.

use std::ops::Range;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use ttcore::{Bags, BagsError, KeptLookups, Offsets, Real, Skip};

use crate::table::Table;
use crate::tensor::{Number, Numbers, Tensor};

/// The tensors of a call, as they come.
pub(crate) struct Input<'a, 'py> {
    /// One tensor for a single table, or for all where `offsets` are those of a jagged tensor; else one for each.
    pub(crate) values: &'a Bound<'py, PyAny>,
    /// As many tensors or `None`; or `B F + 1` entries for all, table by table.
    pub(crate) offsets: Option<&'a Bound<'py, PyAny>>,
    /// Per-sample weights, as `values`.
    pub(crate) weights: Option<&'a Bound<'py, PyAny>>,
    /// Whether offsets have an entry behind the last bag. Its value counts for nothing: the last bag takes what is left.
    pub(crate) last: bool,
    /// Whether it is a jagged tensor.
    pub(crate) jagged: bool,
}

/// Indices and offsets of a batch, and which of them are a table's.
#[derive(Default)]
pub(crate) struct Lists {
    indices: Vec<i64>,
    offsets: Vec<i64>,
    tables: Vec<Part>,
}

struct Part {
    indices: Range<usize>,
    offsets: Range<usize>,
    form: Form,
}

enum Form {
    Starts,
    Window,
    OnePerBag,
}

impl Lists {
    /// Copies what came in, for so many tables; the weights are left where they are.
    pub(crate) fn read<'py, F: Number>(
        &mut self,
        input: &Input<'_, 'py>,
        tables: usize,
    ) -> PyResult<Vec<Option<Numbers<F>>>> {
        self.indices.clear();
        self.offsets.clear();
        self.tables.clear();
        if input.jagged {
            return self.read_jagged(input, tables);
        }
        let Ok(values) = input.values.cast::<PyTuple>() else {
            return Ok(vec![self.read_table(input.values, input.offsets, input.weights, input.last)?]);
        };
        let each = |what, all: Option<&Bound<'py, PyAny>>| match all {
            None => Ok(None),
            Some(all) => {
                let all = all.cast::<PyTuple>()?;
                let (got, want) = (all.len(), values.len());
                let words = || PyValueError::new_err(format!("{got} {what} for {want} lists of indices"));
                if got == want { Ok(Some(all.clone())) } else { Err(words()) }
            }
        };
        let (offsets, weights) = (each("offsets", input.offsets)?, each("per_sample_weights", input.weights)?);
        let item = |all: &Option<Bound<'py, PyTuple>>, table| match all {
            None => Ok(None),
            Some(all) => all.get_item(table).map(|item| Some(item).filter(|item| !item.is_none())),
        };
        let read = |table| {
            let (offsets, weights) = (item(&offsets, table)?, item(&weights, table)?);
            self.read_table(&values.get_item(table)?, offsets.as_ref(), weights.as_ref(), input.last)
        };
        (0..values.len()).map(read).collect()
    }

    fn read_table<F: Number>(
        &mut self,
        values: &Bound<'_, PyAny>,
        offsets: Option<&Bound<'_, PyAny>>,
        weights: Option<&Bound<'_, PyAny>>,
        last: bool,
    ) -> PyResult<Option<Numbers<F>>> {
        let values = Tensor::of("input", values)?;
        let indices = copied(&values, &mut self.indices)?;
        let before = self.offsets.len();
        let form = match (values.shape(), offsets) {
            (&[_, 1], None) => Form::OnePerBag,
            (&[bags, lookups], None) => {
                self.offsets.extend((0..bags).map(|bag| (bag * lookups) as i64));
                Form::Starts
            }
            (&[_], Some(offsets)) => {
                let offsets = Tensor::of("offsets", offsets)?;
                let &[entries] = offsets.shape() else {
                    let dims = offsets.shape().len();
                    return Err(PyValueError::new_err(format!("offsets must have 1 dimension, not {dims}")));
                };
                copied(&offsets, &mut self.offsets)?;
                if last {
                    if entries == 0 {
                        return Err(PyValueError::new_err("include_last_offset needs at least one offset"));
                    }
                    self.offsets.pop();
                }
                Form::Starts
            }
            (&[_], None) => return Err(PyValueError::new_err("an input of 1 dimension needs offsets")),
            (_, Some(_)) => {
                return Err(PyValueError::new_err("an input of 2 dimensions has no offsets: a row is a bag"));
            }
            (_, None) => return Err(PyValueError::new_err("the input must have 1 or 2 dimensions")),
        };
        self.tables.push(Part { indices, offsets: before..self.offsets.len(), form });
        let Some(weights) = weights else { return Ok(None) };
        let weights = Tensor::of("per_sample_weights", weights)?;
        let (got, want) = (weights.shape(), values.shape());
        if got != want {
            let words = format!("per_sample_weights must have the shape of the input, {want:?}, not {got:?}");
            return Err(PyValueError::new_err(words));
        }
        weights.numbers().map(Some)
    }

    fn read_jagged<F: Number>(&mut self, input: &Input<'_, '_>, tables: usize) -> PyResult<Vec<Option<Numbers<F>>>> {
        let values = Tensor::of("values", input.values)?;
        let Some(offsets) = input.offsets else { return Err(PyValueError::new_err("a jagged tensor needs offsets")) };
        let offsets = Tensor::of("offsets", offsets)?;
        copied(&offsets, &mut self.offsets)?;
        let lookups = copied(&values, &mut self.indices)?.len();
        let entries = self.offsets.len();
        if entries == 0 || tables == 0 || !(entries - 1).is_multiple_of(tables) {
            let words =
                format!("{entries} offsets are not those of {tables} features: one more than bags of all features");
            return Err(PyValueError::new_err(words));
        }
        let bags = (entries - 1) / tables;
        let first = self.offsets[0];
        if first != 0 {
            return Err(PyValueError::new_err(format!("the first offset is {first}, not 0")));
        }
        if let Some(at) = self.offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            let (position, before, offset) = (at + 1, self.offsets[at], self.offsets[at + 1]);
            let words = format!("offset {offset} at position {position} is smaller than {before} before it");
            return Err(PyValueError::new_err(words));
        }
        let end = self.offsets[entries - 1];
        if end != lookups as i64 {
            let words =
                format!("the last offset, {end} at position {}, is not the number of values, {lookups}", entries - 1);
            return Err(PyValueError::new_err(words));
        }
        let weights = match input.weights {
            None => None,
            Some(weights) => {
                let weights = Tensor::of("weights", weights)?.numbers::<F>()?;
                if weights.len() != lookups {
                    let words = format!("{} weights for {lookups} values", weights.len());
                    return Err(PyValueError::new_err(words));
                }
                Some(weights)
            }
        };
        let mut all = Vec::with_capacity(tables);
        for table in 0..tables {
            let offsets = table * bags..(table + 1) * bags + 1;
            // All are between 0 and the number of values: they begin and end there and do not decrease.
            let indices = self.offsets[offsets.start] as usize..self.offsets[offsets.end - 1] as usize;
            all.push(weights.map(|weights| weights.part(indices.clone())));
            self.tables.push(Part { indices, offsets, form: Form::Window });
        }
        Ok(all)
    }

    /// Bags and lookups of the largest list.
    pub(crate) fn size(&self) -> (usize, usize) {
        let bags = |part: &Part| match part.form {
            Form::OnePerBag => part.indices.len(),
            Form::Starts => part.offsets.len(),
            Form::Window => part.offsets.len() - 1,
        };
        let largest = |size: &dyn Fn(&Part) -> usize| self.tables.iter().map(size).max().unwrap_or(0);
        (largest(&bags), largest(&|part| part.indices.len()))
    }

    /// Lookups of every list, of all that came in.
    pub(crate) fn lookups(&self) -> impl Iterator<Item = usize> + '_ {
        self.tables.iter().map(|part| part.indices.len())
    }

    /// Validates the lists: one batch for each table. Those of tables with padding are kept without it.
    ///
    /// # Safety
    ///
    /// As [`Numbers::get`] for the weights.
    pub(crate) unsafe fn bags<'a, F: Real>(
        &'a self,
        tables: &[Use],
        weights: &[Option<Numbers<F>>],
        kept: &'a mut [KeptLookups<F>],
    ) -> Result<Vec<Bags<'a, F>>, ttcore::Error> {
        let (got, want) = (self.tables.len(), tables.len());
        if got != want {
            return Err(ttcore::Error::TableCount { what: "lists of indices", got, tables: want });
        }
        let mut all = Vec::with_capacity(want);
        for (number, (((part, table), weights), kept)) in
            self.tables.iter().zip(tables).zip(weights).zip(kept).enumerate()
        {
            let (indices, offsets) = (&self.indices[part.indices.clone()], &self.offsets[part.offsets.clone()]);
            let offsets = match part.form {
                Form::Starts => Offsets::Starts(offsets),
                Form::Window => Offsets::Window(offsets),
                Form::OnePerBag => Offsets::OnePerBag,
            };
            // SAFETY: the caller's.
            let weights = weights.map(|weights| unsafe { weights.get() });
            let (rows, pooling) = (table.rows, table.pooling);
            let bags = match table.padding {
                None => Bags::new(rows, indices, offsets, pooling, weights),
                Some(row) => kept.fill(Skip::default().with_padding(row), rows, indices, offsets, pooling, weights),
            };
            let place = |error: BagsError| if want == 1 { error.into() } else { error.of_table(number) };
            all.push(bags.map_err(place)?);
        }
        Ok(all)
    }
}

/// What a lookup of a table means.
pub(crate) struct Use {
    rows: u64,
    pooling: ttcore::Pooling,
    pub(crate) padding: Option<u64>,
}

impl From<&Table> for Use {
    fn from(table: &Table) -> Self {
        Self { rows: table.config.rows(), pooling: table.pooling, padding: table.padding }
    }
}

/// Appends the numbers of a tensor: where they are now.
fn copied(tensor: &Tensor, to: &mut Vec<i64>) -> PyResult<Range<usize>> {
    let before = to.len();
    tensor.copy_integers(to)?;
    Ok(before..to.len())
}
