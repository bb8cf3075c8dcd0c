//! Indexed rows, in memory or in a mapped file, and batches of them.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ahead::BLOCK;
use super::batch::Width;
use super::columns::{self, Form, Stored};
use super::error::{DataError, RowError};
use super::header::{Header, ReadSettings};
use super::ingest::{Ingested, ingest};
use super::input::Input;
use super::mapped::Bytes;
use super::numbering::{Numbering, renumber, renumber_columns};
use super::spill::Spill;
use super::synthetic::Synthetic;
use super::{Batch, Counts, DENSE, Split, Vocabulary, prepared};

/// Rows of samples, transformed and indexed: read into memory from files of lines, or mapped from a directory that
/// `dlrm prepare` made. Both hold the same bytes.
///
/// A row takes 52 bytes and one to four for each of the 26 indices: 104 for Criteo Kaggle.
#[derive(Debug)]
pub struct Dataset {
    header: Header,
    bytes: Bytes,
    vocabulary: Option<Arc<Vocabulary>>,
    columns: Option<OfColumns>,
}

/// What rows of columns have beside the rows.
#[derive(Debug)]
pub(super) struct OfColumns {
    pub(super) form: Form,
    pub(super) bags: Bytes,
}

impl Dataset {
    /// Opens a prepared directory, or reads a file of lines (plain or gzip) with the default settings.
    ///
    /// A directory is mapped, not read: it must not be changed by other programs while it is open. Where its rows are cut
    /// short meanwhile, the system ends the process when they are read (SIGBUS); removing or replacing them changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`] for a file. For a directory, if there is no finished data set in it, or it is of another
    /// version or damaged. Of damage of the rows that leaves their length alone, [`Dataset::fill_batch`] finds what no line
    /// gives, and [`Dataset::verify`] all.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        if path.is_dir() { Self::open_prepared(path) } else { Self::from_path(path) }
    }

    /// Opens a prepared directory.
    ///
    /// # Errors
    ///
    /// As [`Dataset::open`].
    pub fn open_prepared(directory: impl AsRef<Path>) -> Result<Self, DataError> {
        prepared::open(directory.as_ref())
    }

    /// Reads a file of lines, plain or gzip, with the default settings.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::read(&[path], &ReadSettings::default())
    }

    /// Reads files of lines, plain or gzip, one after the other, into memory, on the threads of the current rayon pool.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or has no lines, a line is not a record (unless such lines are skipped), no line is left,
    /// or a setting is out of range.
    pub fn read(paths: &[impl AsRef<Path>], settings: &ReadSettings) -> Result<Self, DataError> {
        Self::ingest(Input::files(paths)?, settings)
    }

    /// Reads plain lines with the default settings; `name` stands for the file in errors.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn from_reader(reader: impl Read + Send, name: impl Into<PathBuf>) -> Result<Self, DataError> {
        Self::from_reader_with(reader, name, &ReadSettings::default())
    }

    /// Reads plain lines; `name` stands for the file in errors.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn from_reader_with(
        reader: impl Read + Send,
        name: impl Into<PathBuf>,
        settings: &ReadSettings,
    ) -> Result<Self, DataError> {
        Self::ingest(Input::reader(reader, name), settings)
    }

    /// Generates lines and reads them like a file's, with the default settings.
    ///
    /// # Errors
    ///
    /// If the settings are invalid or ask for no lines.
    pub fn synthetic(settings: &Synthetic) -> Result<Self, DataError> {
        Self::synthetic_with(settings, &ReadSettings::default())
    }

    /// Generates lines and reads them like a file's.
    ///
    /// # Errors
    ///
    /// If the settings are invalid or leave no lines.
    pub fn synthetic_with(settings: &Synthetic, read: &ReadSettings) -> Result<Self, DataError> {
        let name = "synthetic data";
        let reader = settings.reader().map_err(|error| DataError::new(name, io::Error::from(error)))?;
        Self::from_reader_with(reader, name, read)
    }

    fn ingest(input: Input<'_>, settings: &ReadSettings) -> Result<Self, DataError> {
        if let Some(schema) = settings.columns() {
            return Self::ingest_columns(input, &schema.clone(), settings);
        }
        let name = input.name().to_owned();
        let mut bytes = Vec::new();
        let take = |packed: &[u8]| {
            bytes.extend_from_slice(packed);
            Ok(())
        };
        let Ingested { header, vocabulary, .. } = ingest(input, settings, BLOCK, take, |_| ())?;
        // Doubling may have left almost half of the memory unused, gigabytes for the real file.
        bytes.shrink_to_fit();
        let data = Self::new(header, Bytes::Owned(bytes), Some(vocabulary));
        match settings.anew() {
            None => Ok(data),
            // Rows that were just written are whole.
            Some(how) => data.renumber(how).map_err(|error| DataError::new(name, io::Error::other(error))),
        }
    }

    fn ingest_columns(
        input: Input<'_>,
        schema: &Arc<columns::Schema>,
        settings: &ReadSettings,
    ) -> Result<Self, DataError> {
        let name = input.name().to_owned();
        if let Some(what) = settings.lines_only() {
            return Err(DataError::new(name, super::DataErrorKind::LinesOnly(what)));
        }
        let (Ingested { header, vocabulary, .. }, [mut rows, mut bags]) =
            columns::ingest(input, schema, settings, |_| Ok(Spill::memory()), |_| ())?;
        let of_columns = OfColumns { form: Form::new(schema), bags: bags.bytes()? };
        let data = Self::of_columns(header, rows.bytes()?, vocabulary, of_columns);
        match settings.anew() {
            None => Ok(data),
            Some(how) => data.renumber(how).map_err(|error| DataError::new(name, io::Error::other(error))),
        }
    }

    /// Whether categories are numbered by [popularity](Numbering::Popularity).
    ///
    /// # Errors
    ///
    /// [`RowError`] for a damaged row of a prepared directory.
    pub fn is_by_popularity(&self) -> Result<bool, RowError> {
        let counts = Counts::new(self, (0..self.table_rows().len()).collect(), self.split().train.clone(), |_| true)?;
        Ok(counts.is_some_and(|counts| counts.first_unsorted().is_none()))
    }

    /// The same rows in memory with their categories numbered by [popularity](Numbering::Popularity).
    ///
    /// # Errors
    ///
    /// [`RowError`] for a damaged row of a prepared directory.
    pub fn by_popularity(&self) -> Result<Self, RowError> {
        self.renumber((Numbering::Popularity, 1))
    }

    fn renumber(&self, how: (Numbering, u32)) -> Result<Self, RowError> {
        if self.columns.is_some() {
            let (mut rows, mut bags) = (Vec::with_capacity(self.bytes.len()), Vec::new());
            let (header, vocabulary, form) = renumber_columns(
                self,
                how,
                |error| error,
                |new_rows, new_bags| {
                    rows.extend_from_slice(new_rows);
                    bags.extend_from_slice(new_bags);
                    Ok(())
                },
            )?;
            let of_columns = OfColumns { form, bags: Bytes::Owned(bags) };
            return Ok(Self::of_columns(header, Bytes::Owned(rows), vocabulary, of_columns));
        }
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let (header, vocabulary) = renumber(
            self,
            how,
            |error| error,
            |packed| {
                bytes.extend_from_slice(packed);
                Ok(())
            },
        )?;
        Ok(Self::new(header, Bytes::Owned(bytes), vocabulary))
    }

    /// Of bytes as long as the header says.
    pub(super) fn new(header: Header, bytes: Bytes, vocabulary: Option<Arc<Vocabulary>>) -> Self {
        debug_assert_eq!(header.bytes, bytes.len() as u64);
        Self { header, bytes, vocabulary, columns: None }
    }

    /// Of rows and lists as long as the header says.
    pub(super) fn of_columns(header: Header, bytes: Bytes, vocabulary: Arc<Vocabulary>, columns: OfColumns) -> Self {
        debug_assert_eq!(header.bytes, bytes.len() as u64);
        Self { header, bytes, vocabulary: Some(vocabulary), columns: Some(columns) }
    }

    /// Rows and lists of columns, as they are stored.
    pub(super) fn stored(&self) -> Option<(&Form, Stored<'_>)> {
        let OfColumns { form, bags } = self.columns.as_ref()?;
        let bases = self.header.columns.as_ref().map_or([0; 3], |columns| columns.bases);
        Some((form, Stored { rows: &self.bytes, bags, bases }))
    }

    fn width(&self) -> Width {
        self.columns.as_ref().map_or(Width::CRITEO, |columns| columns.form.width)
    }

    /// Number of dense features of a sample: 13 of Criteo's lines; of columns at least one, which is 0 where there are none.
    pub fn dense(&self) -> usize {
        self.columns.as_ref().map_or(DENSE, |columns| columns.form.width.dense)
    }

    /// The most categories of a sample, for each feature; 1 where every sample has exactly one.
    pub fn longest(&self) -> Vec<u32> {
        match (&self.columns, &self.vocabulary) {
            (Some(_), Some(vocabulary)) => vocabulary.longest(),
            _ => vec![1; self.header.table_rows.len()],
        }
    }

    /// The name of each categorical feature: `C1` to `C26` of Criteo's lines.
    pub fn feature_names(&self) -> Vec<String> {
        match self.vocabulary.as_ref().and_then(|vocabulary| vocabulary.schema()) {
            Some(schema) => schema.categorical.iter().map(|column| column.name.clone()).collect(),
            None => (1..=self.header.table_rows.len()).map(|number| format!("C{number}")).collect(),
        }
    }

    /// A feature of a damaged row, in the order of numbers, then categories.
    fn feature_name(&self, feature: usize) -> String {
        let schema = self.vocabulary.as_ref().and_then(|vocabulary| vocabulary.schema());
        let name = schema.and_then(|schema| match feature.checked_sub(self.dense()) {
            None => schema.dense.get(feature).map(|column| &column.name),
            Some(feature) => schema.categorical.get(feature).map(|column| &column.name),
        });
        name.cloned().unwrap_or_else(|| format!("feature {feature}"))
    }

    /// What numbers the categories: to number others alike. None for data that was prepared before it was kept.
    pub fn vocabulary(&self) -> Option<&Arc<Vocabulary>> {
        self.vocabulary.as_ref()
    }

    /// What is known of the data set as a whole.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.header.rows
    }

    /// Whether there are no rows; never so for a data set that was read or opened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of the embedding table of each categorical feature; all indices are below, or [`UNSEEN`](super::UNSEEN).
    pub fn table_rows(&self) -> &[u64] {
        &self.header.table_rows
    }

    /// Which rows train, test and validate.
    pub fn split(&self) -> &Split {
        &self.header.split
    }

    /// Identifies the rows, as for a checkpoint to be resumed on: the same rows made in the same way give the same
    /// number, in memory or prepared. What categories were behind their numbers, the [`Dataset::vocabulary`] identifies.
    pub fn fingerprint(&self) -> u64 {
        self.header.fingerprint()
    }

    /// The label of a row, 0 or 1.
    ///
    /// # Panics
    ///
    /// If `row` is not below [`Dataset::len`].
    pub fn label(&self, row: usize) -> f32 {
        self.check(row);
        match &self.columns {
            None => self.header.segments.label(&self.bytes, row),
            Some(columns) => columns.form.label(&self.bytes, row),
        }
    }

    /// The labels of consecutive rows.
    ///
    /// # Panics
    ///
    /// The iterator, at a row that is not below [`Dataset::len`].
    pub fn labels(&self, rows: Range<usize>) -> impl ExactSizeIterator<Item = f32> + '_ {
        rows.map(|row| self.label(row))
    }

    /// Replaces the contents of `batch` by some rows, in that order; allocates only for a batch larger than any before.
    ///
    /// # Errors
    ///
    /// [`RowError`] for a row of a prepared directory that is damaged so that no line can be behind it; the batch is empty
    /// then. Other damage is found by [`Dataset::verify`].
    ///
    /// # Panics
    ///
    /// If a row is not below [`Dataset::len`].
    pub fn fill_batch(&self, rows: impl ExactSizeIterator<Item = usize>, batch: &mut Batch) -> Result<(), RowError> {
        if let Some((form, stored)) = self.stored() {
            form.reset(rows.len(), batch);
            for row in rows {
                self.check(row);
                if let Err((feature, fault)) = form.unpack(stored, row, (self.table_rows(), self.split()), batch) {
                    batch.clear();
                    return Err(RowError { row, name: self.feature_name(feature).into(), fault });
                }
            }
            return Ok(());
        }
        batch.reset(rows.len(), self.width());
        let unseen = self.header.has_unseen();
        for row in rows {
            self.check(row);
            if !self.header.segments.unpack(&self.bytes, row, (&self.header.table_rows, unseen), batch) {
                let error = RowError::of_last(row, batch, (&self.header.table_rows, unseen));
                batch.clear();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Compares the rows with the header's checksum, calling `progress` with the number of bytes read, and the vocabulary with
    /// its own.
    ///
    /// # Errors
    ///
    /// [`super::DataErrorKind::Checksum`], [`super::DataErrorKind::VocabularyChecksum`]; the path is the one given here.
    pub fn verify(&self, path: impl Into<PathBuf>, progress: impl FnMut(u64)) -> Result<(), DataError> {
        let path = path.into();
        let rows = [(&self.bytes, self.header.checksum)];
        let bags = self.columns.as_ref().zip(self.header.columns.as_ref());
        let bags = bags.map(|(columns, known)| (&columns.bags, known.bag_checksum));
        prepared::verify(rows.into_iter().chain(bags), progress).map_err(|kind| DataError::new(&path, kind))?;
        self.vocabulary.as_ref().map_or(Ok(()), |vocabulary| vocabulary.verify(path))
    }

    fn check(&self, row: usize) {
        assert!(row < self.len(), "row {row} of {}", self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CATEGORICAL, DENSE, DataErrorKind};
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
        assert_eq!((data.len(), data.is_empty()), (3, false));
        assert_eq!(data.labels(0..3).collect::<Vec<_>>(), [0.0, 1.0, 0.0]);
        let mut batch = Batch::default();
        data.fill_batch(0..3, &mut batch).unwrap();
        assert_eq!(batch.indices[0], [0, 1, 0]);
        // Missing and a literal 0 are the same category.
        assert_eq!(batch.indices[1], [0, 0, 1]);
        assert_eq!(batch.indices[2], [0, 0, 1]);
        assert_eq!(data.table_rows()[..4], [2, 2, 2, 1]);
        assert_eq!(batch.dense[2 * DENSE], 3f32.ln());
    }

    #[test]
    fn batches_hold_the_chosen_rows() {
        let data = three();
        let mut batch = Batch::with_capacity(3);
        data.fill_batch([2, 0, 2].into_iter(), &mut batch).unwrap();
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.labels, [0.0; 3]);
        assert_eq!(batch.indices.len(), CATEGORICAL);
        assert_eq!(batch.indices[1], [1, 0, 1]);
        assert_eq!(batch.dense[..DENSE], batch.dense[2 * DENSE..]);
        let mut consecutive = Batch::default();
        data.fill_batch(1..3, &mut consecutive).unwrap();
        data.fill_batch([1, 2].into_iter(), &mut batch).unwrap();
        assert_eq!(batch, consecutive);
        data.fill_batch(0..0, &mut batch).unwrap();
        assert!(batch.is_empty() && batch.dense.is_empty() && batch.indices.iter().all(Vec::is_empty));
    }

    #[test]
    #[should_panic(expected = "row 3 of 3")]
    fn rows_are_checked() {
        three().fill_batch(3..4, &mut Batch::default()).unwrap();
    }

    #[test]
    fn memory_is_reused() {
        let data = three();
        let mut batch = Batch::default();
        data.fill_batch(0..3, &mut batch).unwrap();
        let places =
            |b: &Batch| (b.dense.as_ptr(), b.labels.as_ptr(), b.indices[25].as_ptr(), b.indices[25].capacity());
        let before = places(&batch);
        for rows in [1..2, 0..0, 0..3] {
            data.fill_batch(rows, &mut batch).unwrap();
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
        let error = Dataset::open("no/such/file.tsv").unwrap_err();
        assert!(matches!(error.kind, DataErrorKind::Io(_)));
        assert!(error.to_string().starts_with("no/such/file.tsv: "), "{error}");
        let none = Synthetic { lines: 0, ..Synthetic::default() };
        assert_eq!(Dataset::synthetic(&none).unwrap_err().to_string(), "synthetic data: no lines");
    }
}
