//! A table in a file: a header, then its numbers.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::Path;

use ttcore::Real;

use super::{Rows, npy, safetensors};
use crate::error::{Fault, SourceError};

/// Bytes read at once.
const BUFFER: usize = 1 << 18;

/// The types of numbers a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F64,
}

impl Element {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Where a table lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) rows: u64,
    pub(super) dim: usize,
    pub(super) element: Element,
}

/// What a header's reader says: where it went wrong, and what.
pub(super) type Parsed<T> = Result<T, (u64, Fault)>;

/// A table in a file of `.npy`, or in a tensor of a safetensors file: `f32` or `f64` in little endian, row major.
///
/// Numbers of the other type become the nearest of `F`; beyond its range they become infinite, which is refused where they
/// are used. The file's length is compared with its header once, so what a header claims is never allocated; a file that is
/// cut shorter later is an error.
#[derive(Debug)]
pub struct FileRows<F, R = File> {
    reader: R,
    file: String,
    place: Place,
    next: u64,
    bytes: Vec<u8>,
    numbers: PhantomData<F>,
}

impl<F: Real> FileRows<F> {
    /// Opens a file of `.npy`.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn open_npy(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let (file, name) = open(path.as_ref())?;
        Self::npy(file, &name)
    }

    /// Opens one tensor of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn open_safetensors(path: impl AsRef<Path>, tensor: &str) -> Result<Self, SourceError> {
        let (file, name) = open(path.as_ref())?;
        Self::safetensors(file, &name, tensor)
    }
}

impl<F: Real, R: Read + Seek> FileRows<F, R> {
    /// A table in a file of `.npy`, versions 1 to 3. Errors name the file as `file`.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn npy(reader: R, file: &str) -> Result<Self, SourceError> {
        Self::new(reader, file, |reader, _| npy::header(reader))
    }

    /// One tensor of a safetensors file. Errors name the file as `file`.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn safetensors(reader: R, file: &str, tensor: &str) -> Result<Self, SourceError> {
        Self::new(reader, file, |reader, length| safetensors::header(reader, length, tensor))
    }

    fn new(
        mut reader: R,
        file: &str,
        header: impl FnOnce(&mut dyn Read, u64) -> Parsed<Place>,
    ) -> Result<Self, SourceError> {
        let fail = |(position, fault)| SourceError { file: file.to_owned(), position, fault };
        let length = reader.seek(SeekFrom::End(0)).map_err(|error| fail((0, Fault::Io(error))))?;
        reader.seek(SeekFrom::Start(0)).map_err(|error| fail((0, Fault::Io(error))))?;
        let place = header(&mut BufReader::new(&mut reader), length).map_err(fail)?;
        if place.rows == 0 || place.dim == 0 {
            return Err(fail((0, Fault::Dimensions(format!("{} x {}", place.rows, place.dim)))));
        }
        let end = (place.dim as u64)
            .checked_mul(place.element.bytes() as u64)
            .and_then(|row| row.checked_mul(place.rows))
            .and_then(|bytes| bytes.checked_add(place.start));
        if end.is_none_or(|end| end > length) {
            return Err(fail((length, Fault::Truncated)));
        }
        let mut rows = Self { reader, file: file.to_owned(), place, next: 0, bytes: Vec::new(), numbers: PhantomData };
        rows.seek()?;
        Ok(rows)
    }

    /// The reader, wherever it is.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn fail(&self, position: u64, fault: Fault) -> SourceError {
        SourceError { file: self.file.clone(), position, fault }
    }

    fn seek(&mut self) -> Result<(), SourceError> {
        self.next = 0;
        let start = self.place.start;
        self.reader.seek(SeekFrom::Start(start)).map_err(|error| self.fail(start, Fault::Io(error)))?;
        Ok(())
    }
}

impl<F: Real, R: Read + Seek + Send> Rows<F> for FileRows<F, R> {
    fn rows(&self) -> u64 {
        self.place.rows
    }

    fn dim(&self) -> usize {
        self.place.dim
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.seek()
    }

    fn read(&mut self, out: &mut [F]) -> Result<usize, SourceError> {
        let Place { start, rows, dim, element } = self.place;
        let wanted = ((out.len() / dim) as u64).min(rows - self.next) as usize;
        let mut position = start + self.next * (dim * element.bytes()) as u64;
        for chunk in out[..wanted * dim].chunks_mut(BUFFER / element.bytes()) {
            self.bytes.resize(chunk.len() * element.bytes(), 0);
            if let Err(error) = self.reader.read_exact(&mut self.bytes) {
                let cut = error.kind() == ErrorKind::UnexpectedEof;
                return Err(self.fail(position, if cut { Fault::Truncated } else { Fault::Io(error) }));
            }
            position += self.bytes.len() as u64;
            match element {
                Element::F32 => {
                    for (out, bytes) in chunk.iter_mut().zip(self.bytes.as_chunks().0) {
                        *out = F::of(f64::from(f32::from_le_bytes(*bytes)));
                    }
                }
                Element::F64 => {
                    for (out, bytes) in chunk.iter_mut().zip(self.bytes.as_chunks().0) {
                        *out = F::of(f64::from_le_bytes(*bytes));
                    }
                }
            }
        }
        self.next += wanted as u64;
        Ok(wanted)
    }
}

fn open(path: &Path) -> Result<(File, String), SourceError> {
    let file = path.display().to_string();
    match File::open(path) {
        Ok(opened) => Ok((opened, file)),
        Err(error) => Err(SourceError { file, position: 0, fault: Fault::Io(error) }),
    }
}
