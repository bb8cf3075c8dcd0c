//! CSV with the names of the columns in its first line.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::cell::{Cell, CellFault, Wanted, find, values_of};
use super::chunk::{Chunk, Row};
use super::schema::Schema;
use crate::data::error::DataErrorKind;

/// The most bytes of a row: a quote that is never closed does not take all memory.
const MOST_BYTES: u64 = 16 << 20;

/// A reader that ends where a row becomes too long.
struct Bounded<R> {
    inner: R,
    read: u64,
    began: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.saturating_sub(self.began.load(Ordering::Relaxed)) > MOST_BYTES {
            let what = format!("a row of more than {MOST_BYTES} bytes: a quote that is not closed?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// The records of a file, the first of which has the names of the columns.
struct Records<R> {
    reader: Reader<Bounded<R>>,
    /// Where the record began that is read.
    began: Arc<AtomicU64>,
    names: ByteRecord,
    record: ByteRecord,
}

impl<R: Read> Records<R> {
    fn new(text: R, delimiter: u8) -> Result<Self, DataErrorKind> {
        let began = Arc::new(AtomicU64::new(0));
        let bounded = Bounded { inner: text, read: 0, began: began.clone() };
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bounded);
        let names = reader.byte_headers().map_err(failed)?.clone();
        if names.is_empty() {
            return Err(DataErrorKind::Empty);
        }
        Ok(Self { reader, began, names, record: ByteRecord::new() })
    }

    /// Reads the next record; false if there is none.
    fn next(&mut self) -> Result<bool, DataErrorKind> {
        self.began.store(self.reader.position().byte(), Ordering::Relaxed);
        self.reader.read_byte_record(&mut self.record).map_err(failed)
    }
}

/// What an error of the library is.
fn failed(error: csv::Error) -> DataErrorKind {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => DataErrorKind::Io(error),
        // Rows of any length and any bytes are read.
        other => DataErrorKind::Io(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}"))),
    }
}

/// Every row with all of its columns, as long as `take` wants more; gives the names of the columns. Rows with another number of
/// fields are passed over.
pub(super) fn each_record(
    text: impl Read,
    delimiter: u8,
    mut take: impl FnMut(usize, &Fields<'_>) -> bool,
) -> Result<Vec<String>, DataErrorKind> {
    let mut records = Records::new(text, delimiter)?;
    let fields: Vec<usize> = (0..records.names.len()).collect();
    while records.next()? {
        let row = Fields { record: &records.record, fields: &fields };
        if row.record.len() == fields.len() && !take(fields.len(), &row) {
            break;
        }
    }
    Ok(records.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// The rows of a file.
pub(super) struct Csv<R> {
    records: Records<R>,
    /// The field of each wanted column.
    fields: Vec<usize>,
    row: u64,
}

impl<R: Read> Csv<R> {
    pub(super) fn new(text: R, schema: &Schema, wanted: &Wanted) -> Result<Self, DataErrorKind> {
        let records = Records::new(text, schema.delimiter as u8)?;
        let fields = wanted.names.iter().map(|name| find(records.names.iter(), name)).collect::<Result<_, _>>()?;
        Ok(Self { records, fields, row: 0 })
    }

    /// Appends at most `most` rows; whether there are more.
    pub(super) fn next(
        &mut self,
        schema: &Schema,
        wanted: &Wanted,
        most: usize,
        chunk: &mut Chunk,
    ) -> Result<bool, DataErrorKind> {
        for _ in 0..most {
            if !self.records.next()? {
                return Ok(false);
            }
            self.row += 1;
            let Records { names, record, .. } = &self.records;
            let (got, want) = (record.len(), names.len());
            if got != want {
                chunk.fail(self.row, String::new(), CellFault::FieldCount { got, want });
                continue;
            }
            chunk.push(schema, wanted, self.row, &Fields { record, fields: &self.fields });
        }
        Ok(true)
    }
}

/// Some columns of a row.
pub(super) struct Fields<'a> {
    record: &'a ByteRecord,
    fields: &'a [usize],
}

impl Row for Fields<'_> {
    fn cell(&self, column: usize) -> Result<Cell<'_>, CellFault> {
        Ok(Cell::of_text(&self.record[self.fields[column]]))
    }

    fn list(
        &self,
        column: usize,
        separator: u8,
        each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
    ) -> Result<(), CellFault> {
        values_of(&self.record[self.fields[column]], separator, each)
    }
}
