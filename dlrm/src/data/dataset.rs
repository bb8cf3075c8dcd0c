//! Indexed lines in memory, and batches of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::criteo::{DataError, DataErrorKind, read_records};
use super::synthetic::Synthetic;
use super::{CATEGORICAL, DENSE};

/// Per feature, the index of each raw category value, in order of first appearance.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    // The standard hasher, although slower than some: category values come from files, which may be hostile.
    features: [HashMap<u32, u32>; CATEGORICAL],
}

impl Vocabulary {
    /// An empty vocabulary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the raw values of one line by their indices; a value seen for the first time gets the next one.
    pub fn index(&mut self, values: [u32; CATEGORICAL]) -> [u32; CATEGORICAL] {
        let mut indices = values;
        for (slot, known) in indices.iter_mut().zip(&mut self.features) {
            // There are at most 2^32 values, so the next index always fits.
            let next = known.len() as u32;
            *slot = *known.entry(*slot).or_insert(next);
        }
        indices
    }

    /// The index of `value` of categorical feature `feature` (from 0), if both are known.
    pub fn get(&self, feature: usize, value: u32) -> Option<u32> {
        self.features.get(feature)?.get(&value).copied()
    }

    /// Number of distinct values of each feature: the rows its embedding table needs.
    pub fn table_rows(&self) -> [u64; CATEGORICAL] {
        self.features.each_ref().map(|known| known.len() as u64)
    }
}

/// All lines of a file, transformed and indexed; n lines take 160 n bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Transformed counts, `[n][13]` row major.
    pub dense: Vec<f32>,
    /// Category indices, `[n][26]` row major, each below its feature's `table_rows`.
    pub categories: Vec<u32>,
    /// 0 or 1, `[n]`.
    pub labels: Vec<f32>,
    /// Distinct values of each categorical feature over all lines (also those that test and validate, as in the
    /// reference); a missing value counts as one.
    pub table_rows: [u64; CATEGORICAL],
}

impl Dataset {
    /// Reads all lines; `name` stands for the file in errors.
    ///
    /// # Errors
    ///
    /// If reading fails, a line is not a record, or there are no lines.
    pub fn from_reader(reader: impl BufRead, name: impl Into<PathBuf>) -> Result<Self, DataError> {
        Self::read(reader).map_err(|kind| DataError { path: name.into(), kind })
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// As [`Dataset::from_reader`], and if the file cannot be opened.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let open = || Self::read(BufReader::with_capacity(1 << 20, File::open(path)?));
        open().map_err(|kind| DataError { path: path.to_owned(), kind })
    }

    /// Generates lines and reads them like a file's.
    ///
    /// # Errors
    ///
    /// If the settings are invalid or ask for no lines.
    pub fn synthetic(settings: &Synthetic) -> Result<Self, DataError> {
        let read = || Self::read(settings.reader().map_err(io::Error::from)?);
        read().map_err(|kind| DataError { path: "synthetic data".into(), kind })
    }

    fn read(reader: impl BufRead) -> Result<Self, DataErrorKind> {
        let mut data = Self::default();
        let mut vocabulary = Vocabulary::new();
        let lines = read_records(reader, |record| {
            data.labels.push(record.label);
            data.dense.extend_from_slice(&record.dense);
            data.categories.extend_from_slice(&vocabulary.index(record.categories));
        })?;
        if lines == 0 {
            return Err(DataErrorKind::Empty);
        }
        // Doubling may have left almost half of the memory unused, gigabytes for the real file.
        data.labels.shrink_to_fit();
        data.dense.shrink_to_fit();
        data.categories.shrink_to_fit();
        data.table_rows = vocabulary.table_rows();
        Ok(data)
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Replaces the contents of `batch` by the lines `rows`, in that order.
    ///
    /// # Panics
    ///
    /// If a row is not below [`Dataset::len`].
    pub fn fill_batch(&self, rows: &[usize], batch: &mut Batch) {
        self.fill(rows.iter().copied(), batch);
    }

    /// Replaces the contents of `batch` by consecutive lines, as testing does.
    ///
    /// # Panics
    ///
    /// If the range ends beyond [`Dataset::len`].
    pub fn fill_batch_range(&self, rows: Range<usize>, batch: &mut Batch) {
        self.fill(rows, batch);
    }

    fn fill(&self, rows: impl ExactSizeIterator<Item = usize>, batch: &mut Batch) {
        batch.reset(rows.len());
        for row in rows {
            batch.labels.push(self.labels[row]);
            batch.dense.extend_from_slice(&self.dense[row * DENSE..][..DENSE]);
            let categories = &self.categories[row * CATEGORICAL..][..CATEGORICAL];
            for (indices, &index) in batch.indices.iter_mut().zip(categories) {
                indices.push(index);
            }
        }
    }
}

/// Memory for one batch of B samples, allocated by the first of the largest size and then reused.
///
/// There is one index per feature and sample, so the offsets of the embedding bags are 0, 1, .., B.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Transformed counts, `[B][13]` row major.
    pub dense: Vec<f32>,
    /// Category indices, 26 vectors of B (no vectors before the first use of a default batch).
    pub indices: Vec<Vec<u32>>,
    /// 0 or 1, `[B]`.
    pub labels: Vec<f32>,
}

impl Batch {
    /// An empty batch with room for `samples` samples.
    pub fn with_capacity(samples: usize) -> Self {
        let mut batch = Self::default();
        batch.reset(samples);
        batch
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn reset(&mut self, samples: usize) {
        self.labels.clear();
        self.labels.reserve(samples);
        self.dense.clear();
        self.dense.reserve(samples * DENSE);
        self.indices.resize_with(CATEGORICAL, Vec::new);
        for indices in &mut self.indices {
            indices.clear();
            indices.reserve(samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: u8, count: u32, categories: [&str; 3]) -> String {
        format!("{label}\t{count}{}\t{}{}\n", "\t".repeat(12), categories.join("\t"), "\t".repeat(23))
    }

    fn three() -> Dataset {
        let text = [line(0, 0, ["ff", "", "b"]), line(1, 1, ["a", "0", "b"]), line(0, 2, ["000000ff", "1", "c"])];
        Dataset::from_reader(text.concat().as_bytes(), "three").unwrap()
    }

    #[test]
    fn indices_follow_first_appearance() {
        let data = three();
        assert_eq!(data.len(), 3);
        assert_eq!(data.labels, [0.0, 1.0, 0.0]);
        let feature = |f: usize| data.categories.iter().skip(f).step_by(CATEGORICAL).copied().collect::<Vec<_>>();
        assert_eq!(feature(0), [0, 1, 0]);
        // Missing and a literal 0 are the same category.
        assert_eq!(feature(1), [0, 0, 1]);
        assert_eq!(feature(2), [0, 0, 1]);
        assert_eq!(data.table_rows[..4], [2, 2, 2, 1]);
        assert_eq!(data.dense[2 * DENSE], 3f32.ln());
    }

    #[test]
    fn vocabulary_answers_without_learning() {
        let mut vocabulary = Vocabulary::new();
        vocabulary.index([7; CATEGORICAL]);
        assert_eq!(vocabulary.index([9; CATEGORICAL]), [1; CATEGORICAL]);
        assert_eq!((vocabulary.get(25, 9), vocabulary.get(25, 8), vocabulary.get(26, 9)), (Some(1), None, None));
        assert_eq!(vocabulary.table_rows(), [2; CATEGORICAL]);
    }

    #[test]
    fn batches_hold_the_chosen_rows() {
        let data = three();
        let mut batch = Batch::with_capacity(3);
        data.fill_batch(&[2, 0, 2], &mut batch);
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.labels, [0.0; 3]);
        assert_eq!(batch.indices.len(), CATEGORICAL);
        assert_eq!(batch.indices[1], [1, 0, 1]);
        assert_eq!(batch.dense[..DENSE], data.dense[2 * DENSE..]);
        let mut consecutive = Batch::default();
        data.fill_batch_range(1..3, &mut consecutive);
        data.fill_batch(&[1, 2], &mut batch);
        assert_eq!(batch, consecutive);
        data.fill_batch(&[], &mut batch);
        assert!(batch.is_empty() && batch.dense.is_empty() && batch.indices.iter().all(Vec::is_empty));
    }

    #[test]
    fn memory_is_reused() {
        let data = three();
        let mut batch = Batch::default();
        data.fill_batch(&[0, 1, 2], &mut batch);
        let places =
            |b: &Batch| (b.dense.as_ptr(), b.labels.as_ptr(), b.indices[25].as_ptr(), b.indices[25].capacity());
        let before = places(&batch);
        for rows in [&[1][..], &[], &[2, 1, 0]] {
            data.fill_batch(rows, &mut batch);
            assert_eq!(places(&batch), before);
        }
    }

    #[test]
    fn failures_name_the_file() {
        let error = Dataset::from_reader(&b""[..], "nothing.tsv").unwrap_err();
        assert_eq!(error.to_string(), "nothing.tsv: no lines");
        let text = line(0, 0, ["a", "b", "c"]) + &line(0, 0, ["a", "b", "?"]);
        let error = Dataset::from_reader(text.as_bytes(), "bad.tsv").unwrap_err();
        assert!(error.to_string().starts_with("bad.tsv:2: field 17 (C3): \"?\""), "{error}");
        let error = Dataset::from_path("no/such/file.tsv").unwrap_err();
        assert!(matches!(error.kind, DataErrorKind::Io(_)));
        assert!(error.to_string().starts_with("no/such/file.tsv: "), "{error}");
        let none = Synthetic { lines: 0, ..Synthetic::default() };
        assert_eq!(Dataset::synthetic(&none).unwrap_err().to_string(), "synthetic data: no lines");
    }
}
