//! Files of columns, whatever their form, as chunks of rows.

use std::io::Read;
use std::path::PathBuf;

use super::cell::Wanted;
use super::chunk::Chunk;
use super::csv::Csv;
use super::schema::Schema;
use crate::data::error::{DataError, DataErrorKind};
use crate::data::input::{Source as File, Text};

/// Rows that are read at a time.
pub(super) const ROWS: usize = 8192;

/// The rows of a file.
enum Rows<'a> {
    Csv(Box<Csv<Box<dyn Read + Send + 'a>>>),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Parquet>),
}

/// Reads a file in chunks of at most [`ROWS`] rows.
///
/// # Errors
///
/// [`DataError`] if it cannot be read, lacks a column or has no row; what `take` gives ends it, too.
pub(super) fn each_chunk<E: From<DataError>>(
    file: File<'_>,
    schema: &Schema,
    wanted: &Wanted,
    chunk: &mut Chunk,
    mut take: impl FnMut(&PathBuf, &mut Chunk) -> Result<(), E>,
) -> Result<(), E> {
    let File { name, text } = file;
    let at = |kind: DataErrorKind| DataError::new(&name, kind);
    let mut rows = open(text, schema, wanted).map_err(at)?;
    let (mut more, mut any) = (true, false);
    while more {
        chunk.clear(schema);
        more = match &mut rows {
            Rows::Csv(csv) => csv.next(schema, wanted, ROWS, chunk),
            #[cfg(feature = "parquet")]
            Rows::Parquet(parquet) => parquet.next(schema, wanted, ROWS, chunk),
        }
        .map_err(at)?;
        if chunk.rows() > 0 || !chunk.bad.is_empty() {
            any = true;
            take(&name, chunk)?;
        }
    }
    if any { Ok(()) } else { Err(at(DataErrorKind::Empty).into()) }
}

fn open<'a>(text: Text<'a>, schema: &Schema, wanted: &Wanted) -> Result<Rows<'a>, DataErrorKind> {
    if let Text::File { path, read } = &text
        && is_parquet(path)?
    {
        #[cfg(feature = "parquet")]
        return Ok(Rows::Parquet(Box::new(super::parquet::Parquet::open(path, wanted, read.clone())?)));
        #[cfg(not(feature = "parquet"))]
        {
            let _ = read;
            return Err(DataErrorKind::NoParquet);
        }
    }
    Ok(Rows::Csv(Box::new(Csv::new(text.open()?, schema, wanted)?)))
}

/// Whether a file begins as Parquet files do.
pub(super) fn is_parquet(path: &std::path::Path) -> std::io::Result<bool> {
    let mut first = Vec::new();
    std::fs::File::open(path)?.take(4).read_to_end(&mut first)?;
    Ok(first == b"PAR1")
}
