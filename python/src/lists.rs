//! Indices and offsets of a batch, copied from tensors before anything of them is believed.

use std::ops::Range;

use pyo3::PyErr;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use ttcore::{Bags, BagsError, Offsets, Pooling};

use crate::error::raise;
use crate::input::Input;
use crate::numbers::Numbers;
use crate::tensor::{Number, Tensor};

/// Indices and offsets of a batch, and which of them are a table's.
#[derive(Default)]
pub(crate) struct Lists {
    /// Of one table behind the other.
    indices: Vec<i64>,
    offsets: Vec<i64>,
    tables: Vec<Part>,
}

/// The part of a table, or of one of its features.
#[derive(Clone)]
struct Part {
    indices: Range<usize>,
    offsets: Range<usize>,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// Offsets count from the first index of the part.
    Starts,
    /// Offsets count from anywhere, and have an entry more than there are bags.
    Window,
    OnePerBag,
}

impl Part {
    fn bags(&self) -> usize {
        match self.form {
            Form::OnePerBag => self.indices.len(),
            Form::Starts => self.offsets.len(),
            Form::Window => self.offsets.len() - 1,
        }
    }
}

impl Lists {
    /// Copies what came in, for tables of so many features each. The weights are left where they are: one list of all.
    pub(crate) fn read<F: Number>(
        &mut self,
        input: &Input<'_, '_>,
        features: &[usize],
    ) -> PyResult<Option<Numbers<F>>> {
        self.indices.clear();
        self.offsets.clear();
        self.tables.clear();
        let shape = if input.jagged {
            self.read_jagged(input, features)?;
            None
        } else if let Ok(values) = input.values.cast::<PyTuple>() {
            self.read_features(values, input, features)?;
            None
        } else {
            let values = Tensor::of("input", input.values)?;
            let part = self.read_feature(&values, input.offsets, input.last)?;
            self.tables.push(part);
            Some(values)
        };
        let Some(weights) = input.weights else { return Ok(None) };
        let weights = Tensor::of("per_sample_weights", weights)?;
        match shape.as_ref().map(Tensor::shape) {
            Some(want) if weights.shape() != want => {
                let words = format!("the shape of the input, {want:?}, not {:?}", weights.shape());
                return Err(refused(format!("per_sample_weights must have {words}")));
            }
            None if weights.shape() != [self.indices.len()] => {
                return Err(refused(format!("{} weights for {} values", weights.len(), self.indices.len())));
            }
            _ => {}
        }
        weights.numbers().map(Some)
    }

    /// One tensor of row numbers, `[L]` with offsets or `[B, K]`.
    fn read_feature(&mut self, values: &Tensor, offsets: Option<&Bound<'_, PyAny>>, last: bool) -> PyResult<Part> {
        let indices = copied(values, &mut self.indices)?;
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
                    return Err(refused(format!("offsets must have 1 dimension, not {}", offsets.shape().len())));
                };
                copied(&offsets, &mut self.offsets)?;
                if last && entries == 0 {
                    return Err(refused("include_last_offset needs at least one offset"));
                }
                if last {
                    self.offsets.pop();
                }
                Form::Starts
            }
            (&[_], None) => return Err(refused("an input of 1 dimension needs offsets")),
            (_, Some(_)) => return Err(refused("an input of 2 dimensions has no offsets: a row is a bag")),
            (_, None) => return Err(refused("the input must have 1 or 2 dimensions")),
        };
        Ok(Part { indices, offsets: before..self.offsets.len(), form })
    }

    /// A tensor for each feature, those of a table one behind the other.
    fn read_features(
        &mut self,
        values: &Bound<'_, PyTuple>,
        input: &Input<'_, '_>,
        features: &[usize],
    ) -> PyResult<()> {
        let offsets = input.offsets.map(|offsets| offsets.cast::<PyTuple>()).transpose()?;
        let want = features.iter().sum();
        for (what, got) in [("indices", values.len()), ("offsets", offsets.map_or(want, |offsets| offsets.len()))] {
            if got != want {
                return Err(refused(format!("{got} lists of {what} for {want} features")));
            }
        }
        let mut numbers = 0..want;
        for &count in features {
            let (begin, before) = (self.indices.len(), self.offsets.len());
            let mut first = None;
            for number in numbers.by_ref().take(count) {
                let values = Tensor::of("input", &values.get_item(number)?)?;
                let offsets = offsets.map(|offsets| offsets.get_item(number)).transpose()?;
                let part =
                    self.read_feature(&values, offsets.as_ref().filter(|offsets| !offsets.is_none()), input.last)?;
                if count == 1 {
                    self.tables.push(part);
                    break;
                }
                self.join(&part, begin, number, *first.get_or_insert(part.bags()))?;
            }
            if count > 1 {
                let (indices, offsets) = (begin..self.indices.len(), before..self.offsets.len());
                self.tables.push(Part { indices, offsets, form: Form::Starts });
            }
        }
        Ok(())
    }

    /// Has the offsets of a feature count from the first index of its table, at `begin`. They are checked first: an offset
    /// that leaves the feature would be another's then.
    fn join(&mut self, part: &Part, begin: usize, feature: usize, want: usize) -> PyResult<()> {
        let base = part.indices.start - begin;
        if let Form::OnePerBag = part.form {
            self.offsets.extend((base..base + part.indices.len()).map(|start| start as i64));
        } else {
            let (indices, offsets) = (&self.indices[part.indices.clone()], &mut self.offsets[part.offsets.clone()]);
            // Of no table in particular: rows are checked with the table.
            let checked = Bags::<f32>::new(u64::MAX, indices, Offsets::Starts(offsets), Pooling::Sum, None);
            match checked {
                Ok(_) | Err(BagsError::IndexOutOfRange { .. }) => {}
                Err(error) => return Err(PyValueError::new_err(format!("feature {feature}: {error}"))),
            }
            offsets.iter_mut().for_each(|offset| *offset += base as i64);
        }
        match part.bags() {
            bags if bags == want => Ok(()),
            bags => Err(refused(format!("feature {feature} has {bags} bags, others of its table {want}"))),
        }
    }

    /// One list of values for all features, and one of offsets.
    fn read_jagged(&mut self, input: &Input<'_, '_>, features: &[usize]) -> PyResult<()> {
        let offsets = input.offsets.ok_or_else(|| refused("a jagged tensor needs offsets"))?;
        copied(&Tensor::of("offsets", offsets)?, &mut self.offsets)?;
        let lookups = copied(&Tensor::of("values", input.values)?, &mut self.indices)?.len();
        let (entries, features_of_all) = (self.offsets.len(), features.iter().sum::<usize>());
        let (Some(&first), Some(&end)) = (self.offsets.first(), self.offsets.last()) else {
            return Err(refused("a jagged tensor has at least one offset"));
        };
        if !(entries - 1).is_multiple_of(features_of_all) {
            let words = "one more than bags of all features";
            return Err(refused(format!("{entries} offsets are not those of {features_of_all} features: {words}")));
        }
        if first != 0 {
            return Err(refused(format!("the first offset is {first}, not 0")));
        }
        if let Some(at) = self.offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            let (position, before, offset) = (at + 1, self.offsets[at], self.offsets[at + 1]);
            return Err(refused(format!("offset {offset} at position {position} is smaller than {before} before it")));
        }
        if end != lookups as i64 {
            let position = entries - 1;
            let words =
                format!("the last offset, {end} at position {position}, is not the number of values, {lookups}");
            return Err(refused(words));
        }
        let bags = (entries - 1) / features_of_all;
        let mut begin = 0;
        for &count in features {
            let offsets = begin..begin + count * bags + 1;
            begin = offsets.end - 1;
            // All are between 0 and the number of values: they begin and end there and do not decrease.
            let indices = self.offsets[offsets.start] as usize..self.offsets[begin] as usize;
            self.tables.push(Part { indices, offsets, form: Form::Window });
        }
        Ok(())
    }

    /// Rows of the output and lookups of the largest table, which has so many features.
    pub(crate) fn size(&self, features: &[usize]) -> (usize, usize) {
        let bags = self.tables.iter().zip(features).map(|(part, features)| part.bags().div_ceil(*features));
        (bags.max().unwrap_or(0), self.lookups().max().unwrap_or(0))
    }

    /// Lookups of every table, of all that came in.
    pub(crate) fn lookups(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.tables.iter().map(|part| part.indices.len())
    }

    /// For each table its row numbers and offsets, and where they are among all.
    pub(crate) fn tables(&self) -> impl ExactSizeIterator<Item = (&[i64], Offsets<'_, i64>, Range<usize>)> {
        self.tables.iter().map(|part| {
            let offsets = &self.offsets[part.offsets.clone()];
            let offsets = match part.form {
                Form::Starts => Offsets::Starts(offsets),
                Form::Window => Offsets::Window(offsets),
                Form::OnePerBag => Offsets::OnePerBag,
            };
            (&self.indices[part.indices.clone()], offsets, part.indices.clone())
        })
    }
}

/// Appends the numbers of a tensor: where they are now.
fn copied(tensor: &Tensor, to: &mut Vec<i64>) -> PyResult<Range<usize>> {
    let before = to.len();
    if to.try_reserve(tensor.len()).is_err() {
        return Err(raise(ttcore::Error::TooLarge { what: "batch" }));
    }
    tensor.copy_integers(to)?;
    Ok(before..to.len())
}

fn refused(words: impl Into<String>) -> PyErr {
    PyValueError::new_err(words.into())
}
