//! How rows of columns are stored: `rows.bin`, all of one length, and `bags.bin`, what lists hold.
//!
//! ```text
//! rows.bin   | label: 1 | dense: f32 each | index of each column of one value: u32 each | place in bags.bin: u64, if there are lists |
//! bags.bin   | for each list: how many: u32, indices: u32 each, weights, if it has them: f32 each |
//! ```
//!
//! Little endian. A place counts words of four bytes from where the bags of the row's part begin: those of the rows that
//! train, then those that test, then those that validate. A value that the vocabulary does not know is [`UNSEEN`]; in lists
//! there are none of these.

use super::chunk::{Chunk, Values};
use super::schema::{Categorical, ListPooling, Schema};
use crate::data::batch::{Batch, Width};
use crate::data::error::RowFault;
use crate::data::{Split, UNSEEN};

/// What a row is made of.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Form {
    pub(in crate::data) width: Width,
    features: Vec<Kind>,
    /// Bytes of a row.
    stride: usize,
    lists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// One value.
    One,
    List {
        weighted: bool,
        mean: bool,
    },
}

impl Kind {
    fn of(column: &Categorical) -> Self {
        match column.pooling {
            None => Self::One,
            Some(pooling) => Self::List { weighted: column.weights.is_some(), mean: pooling == ListPooling::Mean },
        }
    }
}

/// The bytes that rows are in.
#[derive(Clone, Copy)]
pub(in crate::data) struct Stored<'a> {
    pub(in crate::data) rows: &'a [u8],
    pub(in crate::data) bags: &'a [u8],
    /// Words of `bags` before those of each part.
    pub(in crate::data) bases: [u64; 3],
}

impl Form {
    pub(in crate::data) fn new(schema: &Schema) -> Self {
        let features: Vec<Kind> = schema.categorical.iter().map(Kind::of).collect();
        let ones = features.iter().filter(|kind| **kind == Kind::One).count();
        let lists = ones < features.len();
        let width = Width { dense: schema.dense_features(), tables: features.len() };
        Self { stride: 1 + 4 * width.dense + 4 * ones + if lists { 8 } else { 0 }, width, features, lists }
    }

    /// Bytes of `rows` rows; `None` for more than an address can have.
    pub(in crate::data) fn bytes(&self, rows: usize) -> Option<usize> {
        rows.checked_mul(self.stride)
    }

    /// Appends a numbered row of a chunk; its bags come behind `place` words of others.
    pub(super) fn pack(&self, chunk: &Chunk, row: usize, place: u64, (rows, bags): (&mut Vec<u8>, &mut Vec<u8>)) {
        rows.push(u8::from(chunk.labels[row]));
        let dense = &chunk.dense[row * self.width.dense..][..self.width.dense];
        dense.iter().for_each(|value| rows.extend(value.to_le_bytes()));
        for (kind, values) in self.features.iter().zip(&chunk.features) {
            let Values { indices, ends, weights, .. } = values;
            match kind {
                Kind::One => rows.extend(indices[row].to_le_bytes()),
                Kind::List { .. } => {
                    let start = if row == 0 { 0 } else { ends[row - 1] as usize };
                    let range = start..ends[row] as usize;
                    bags.extend((range.len() as u32).to_le_bytes());
                    indices[range.clone()].iter().for_each(|index| bags.extend(index.to_le_bytes()));
                    weights.get(range).unwrap_or_default().iter().for_each(|weight| bags.extend(weight.to_le_bytes()));
                }
            }
        }
        if self.lists {
            rows.extend(place.to_le_bytes());
        }
    }

    pub(in crate::data) fn label(&self, rows: &[u8], row: usize) -> f32 {
        f32::from(u8::from(rows[row * self.stride] != 0))
    }

    /// Prepares a batch for rows of this form.
    pub(in crate::data) fn reset(&self, samples: usize, batch: &mut Batch) {
        batch.reset(samples, self.width);
        if self.lists {
            batch.offsets.resize_with(self.features.len(), Vec::new);
            batch.weights.resize_with(self.features.len(), Vec::new);
        }
    }

    /// Appends a row to a batch.
    ///
    /// # Errors
    ///
    /// The feature, dense ones first, and what no row gives there.
    pub(in crate::data) fn unpack(
        &self,
        stored: Stored<'_>,
        row: usize,
        (table_rows, split): (&[u64], &Split),
        batch: &mut Batch,
    ) -> Result<(), (usize, RowFault)> {
        let bytes = &stored.rows[row * self.stride..][..self.stride];
        batch.labels.push(f32::from(u8::from(bytes[0] != 0)));
        let mut words = bytes[1..].as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        for number in 0..self.width.dense {
            let value = f32::from_bits(words.next().unwrap_or_default());
            if !value.is_finite() {
                return Err((number, RowFault::Count(value)));
            }
            batch.dense.push(value);
        }
        let mut place = self.lists.then(|| self.place(bytes, stored.bases, row, split));
        for (number, (kind, &most)) in self.features.iter().zip(table_rows).enumerate() {
            let at = self.width.dense + number;
            let indices = &mut batch.indices[number];
            match (kind, &mut place) {
                (Kind::List { weighted, mean }, Some(place)) => {
                    let start = indices.len();
                    batch.offsets[number].push(start as u32);
                    let list = list(stored.bags, *place, *weighted).ok_or((at, RowFault::Place(*place)))?;
                    *place = list.end;
                    for index in numbers(list.indices) {
                        if u64::from(index) >= most {
                            return Err((at, RowFault::Index { index, rows: most }));
                        }
                        indices.push(index);
                    }
                    let count = indices.len() - start;
                    let weights = &mut batch.weights[number];
                    if *weighted {
                        for weight in numbers(list.weights).map(f32::from_bits) {
                            if !weight.is_finite() {
                                return Err((at, RowFault::Count(weight)));
                            }
                            weights.push(weight);
                        }
                    } else if *mean {
                        weights.extend(std::iter::repeat_n(1.0, count));
                    }
                    if *mean {
                        divide_by_sum(&mut weights[start..]);
                    }
                }
                _ => {
                    let index = words.next().unwrap_or(UNSEEN);
                    if u64::from(index) >= most && index != UNSEEN {
                        return Err((at, RowFault::Index { index, rows: most }));
                    }
                    indices.push(index);
                }
            }
        }
        Ok(())
    }

    /// Where the bags of a row begin in `bags.bin`, in bytes; its end for the row behind the last.
    pub(in crate::data) fn bags_of(&self, stored: Stored<'_>, row: usize, split: &Split) -> usize {
        let bytes = stored.rows.get(row * self.stride..).and_then(|rest| rest.get(..self.stride));
        let Some(bytes) = bytes.filter(|_| self.lists) else { return stored.bags.len() };
        self.place(bytes, stored.bases, row, split).saturating_mul(4).min(stored.bags.len())
    }

    fn place(&self, bytes: &[u8], bases: [u64; 3], row: usize, split: &Split) -> usize {
        let place = bytes.last_chunk().map_or(u64::MAX, |place| u64::from_le_bytes(*place));
        let part = usize::from(row >= split.test.start) + usize::from(row >= split.validation.start);
        usize::try_from(place.saturating_add(bases[part])).unwrap_or(usize::MAX)
    }

    /// Gives all indices of stored rows other numbers, in place.
    pub(in crate::data) fn renumber(&self, rows: &mut [u8], numbers: &[Vec<u32>]) {
        let first = 1 + 4 * self.width.dense;
        let ones = self.features.iter().zip(numbers).filter(|(kind, _)| **kind == Kind::One);
        let ones: Vec<&Vec<u32>> = ones.map(|(_, numbers)| numbers).collect();
        for row in rows.chunks_exact_mut(self.stride) {
            let words = row[first..].as_chunks_mut::<4>().0;
            words.iter_mut().zip(&ones).for_each(|(word, numbers)| change(word, numbers));
        }
    }

    /// The same of stored bags, from their beginning to their end.
    pub(in crate::data) fn renumber_bags(&self, bags: &mut [u8], numbers: &[Vec<u32>]) {
        let words = bags.as_chunks_mut::<4>().0;
        let mut at = 0;
        while at < words.len() {
            for (kind, numbers) in self.features.iter().zip(numbers) {
                let Kind::List { weighted, .. } = kind else { continue };
                let Some(count) = words.get(at).map(|count| u32::from_le_bytes(*count) as usize) else { return };
                let Some(indices) = words.get_mut(at + 1..).and_then(|rest| rest.get_mut(..count)) else { return };
                indices.iter_mut().for_each(|word| change(word, numbers));
                at += 1 + count * if *weighted { 2 } else { 1 };
            }
        }
    }
}

/// Another number for an index, if it has one.
fn change(word: &mut [u8; 4], numbers: &[u32]) {
    if let Some(&number) = numbers.get(u32::from_le_bytes(*word) as usize) {
        *word = number.to_le_bytes();
    }
}

/// A list in `bags.bin`.
struct List<'a> {
    indices: &'a [u8],
    weights: &'a [u8],
    /// The word behind it.
    end: usize,
}

/// `None` if it is not whole.
fn list(bags: &[u8], place: usize, weighted: bool) -> Option<List<'_>> {
    let start = place.checked_mul(4)?;
    let count = u32::from_le_bytes(*bags.get(start..)?.first_chunk()?) as usize;
    let rest = &bags[start + 4..];
    let bytes = count.checked_mul(4)?;
    let (indices, rest) = (rest.get(..bytes)?, &rest[bytes.min(rest.len())..]);
    let weights = if weighted { rest.get(..bytes)? } else { &[] };
    Some(List { indices, weights, end: place + 1 + count * if weighted { 2 } else { 1 } })
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// Weights that add up to 1; those that add up to 0 become 0.
fn divide_by_sum(weights: &mut [f32]) {
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight = if sum == 0.0 { 0.0 } else { *weight / sum });
}
