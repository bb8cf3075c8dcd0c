//! CSV with the names of the columns in its first line.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::cell::{Cell, CellFault, Wanted};
use super::chunk::{Chunk, Row};
use super::schema::Schema;
use crate::data::error::DataErrorKind;

/// The most bytes of a row: a quote that is never closed does not take all memory.
const MOST_BYTES: u64 = 16 << 20;

/// The rows of a file.
pub(super) struct Csv<R> {
    reader: Reader<Bounded<R>>,
    /// Where the row began that is read.
    began: Arc<AtomicU64>,
    /// The field of each wanted column, and how many there are.
    fields: Vec<usize>,
    names: usize,
    record: ByteRecord,
    row: u64,
}

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

/// What an error of the library is.
pub(super) fn failed(error: csv::Error) -> DataErrorKind {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => DataErrorKind::Io(error),
        // Rows of any length and any bytes are read.
        other => DataErrorKind::Io(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}"))),
    }
}

/// A reader, and where the row begins that it reads.
fn reader<R: Read>(text: R, delimiter: u8) -> (Reader<Bounded<R>>, Arc<AtomicU64>) {
    let began = Arc::new(AtomicU64::new(0));
    let bounded = Bounded { inner: text, read: 0, began: began.clone() };
    (ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bounded), began)
}

/// Every row with all of its columns, as long as `take` wants more; gives the names of the columns. Rows with another number of
/// fields are passed over.
pub(super) fn each_record(
    text: impl Read,
    delimiter: u8,
    mut take: impl FnMut(usize, &AllFields<'_>) -> bool,
) -> Result<Vec<String>, DataErrorKind> {
    let (mut reader, began) = reader(text, delimiter);
    let names: Vec<String> =
        reader.byte_headers().map_err(failed)?.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    if names.is_empty() {
        return Err(DataErrorKind::Empty);
    }
    let mut record = ByteRecord::new();
    loop {
        began.store(reader.position().byte(), Ordering::Relaxed);
        if !reader.read_byte_record(&mut record).map_err(failed)? {
            return Ok(names);
        }
        if record.len() == names.len() && !take(names.len(), &AllFields(&record)) {
            return Ok(names);
        }
    }
}

impl<R: Read> Csv<R> {
    pub(super) fn new(text: R, schema: &Schema, wanted: &Wanted) -> Result<Self, DataErrorKind> {
        let (mut reader, began) = reader(text, schema.delimiter as u8);
        let names = reader.byte_headers().map_err(failed)?.clone();
        if names.is_empty() {
            return Err(DataErrorKind::Empty);
        }
        let find = |name: &String| {
            let mut all = names.iter().enumerate().filter(|(_, field)| *field == name.as_bytes());
            match (all.next(), all.next()) {
                (Some((at, _)), None) => Ok(at),
                (None, _) => Err(DataErrorKind::NoColumn {
                    column: name.clone(),
                    columns: names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
                }),
                (Some(_), Some(_)) => Err(DataErrorKind::TwoColumns(name.clone())),
            }
        };
        let fields = wanted.names.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { reader, began, fields, names: names.len(), record: ByteRecord::new(), row: 0 })
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
            self.began.store(self.reader.position().byte(), Ordering::Relaxed);
            if !self.reader.read_byte_record(&mut self.record).map_err(failed)? {
                return Ok(false);
            }
            self.row += 1;
            let (got, want) = (self.record.len(), self.names);
            if got != want {
                chunk.fail(self.row, String::new(), CellFault::FieldCount { got, want });
                continue;
            }
            chunk.push(schema, wanted, self.row, &Fields { record: &self.record, fields: &self.fields });
        }
        Ok(true)
    }
}

struct Fields<'a> {
    record: &'a ByteRecord,
    fields: &'a [usize],
}

fn cell(text: &[u8]) -> Cell<'_> {
    if text.is_empty() { Cell::Missing } else { Cell::Text(text) }
}

/// All columns of a row.
pub(super) struct AllFields<'a>(&'a ByteRecord);

impl Row for AllFields<'_> {
    fn cell(&self, column: usize) -> Result<Cell<'_>, CellFault> {
        Ok(cell(&self.0[column]))
    }

    fn list(
        &self,
        column: usize,
        separator: u8,
        each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
    ) -> Result<(), CellFault> {
        list(&self.0[column], separator, each)
    }
}

/// The values of a list.
pub(super) fn list(
    text: &[u8],
    separator: u8,
    each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
) -> Result<(), CellFault> {
    // No text is no value, and not a missing one.
    text.split(|&byte| byte == separator).filter(|value| !value.is_empty()).try_for_each(|value| each(cell(value)))
}

impl Row for Fields<'_> {
    fn cell(&self, column: usize) -> Result<Cell<'_>, CellFault> {
        Ok(cell(&self.record[self.fields[column]]))
    }

    fn list(
        &self,
        column: usize,
        separator: u8,
        each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
    ) -> Result<(), CellFault> {
        list(&self.record[self.fields[column]], separator, each)
    }
}
