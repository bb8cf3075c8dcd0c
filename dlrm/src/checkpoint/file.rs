//! A safetensors file, written and read in one pass each, in small pieces.
//!
//! The same content gives the same bytes: tensors lie in the order they are listed, and all else is one metadata entry.
//! The last tensor, [`CHECKSUM`], is the XXH3 hash of all bytes before it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use ttcore::Real;
use twox_hash::XxHash3_64;

use super::error::{CheckpointError, CheckpointErrorKind};

/// The metadata entry that holds the description, as JSON.
pub const DESCRIPTION: &str = "dlrm";

/// The tensor that holds the checksum.
pub const CHECKSUM: &str = "checksum";

const CHECKSUM_BYTES: usize = size_of::<u64>();

/// Numbers converted at a time.
const PIECE: usize = 1 << 14;

/// Headers of real models have some kilobytes; a damaged length must not be believed.
const LARGEST_HEADER: u64 = 100_000_000;

/// What stands in the header for one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

/// The type of numbers of a model.
pub(super) fn dtype<F: Real>() -> Dtype {
    if F::BYTES == 4 { Dtype::F32 } else { Dtype::F64 }
}

/// A file under way.
pub(super) struct Writer {
    file: BufWriter<File>,
    checksum: XxHash3_64,
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes a file under the name `temporary` and gives it its own when it is whole and on the disk, so that `path`
    /// never is a half of one. Content comes from `fill`, entry by entry.
    pub(super) fn replace(
        path: &Path,
        temporary: &Path,
        description: String,
        entries: &[Entry],
        fill: impl FnOnce(&mut Self) -> Result<(), CheckpointErrorKind>,
    ) -> Result<(), CheckpointError> {
        Self::write(temporary, description, entries, fill).map_err(CheckpointError::at(path))?;
        let publish = || {
            fs::rename(temporary, path)?;
            sync_folder(path)
        };
        publish().map_err(CheckpointError::at(path))
    }

    fn write(
        path: &Path,
        description: String,
        entries: &[Entry],
        fill: impl FnOnce(&mut Self) -> Result<(), CheckpointErrorKind>,
    ) -> Result<(), CheckpointErrorKind> {
        let header = header(description, entries)?;
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut writer = Self { file, checksum: XxHash3_64::new(), bytes: Vec::new() };
        writer.put(&(header.len() as u64).to_le_bytes())?;
        writer.put(&header)?;
        fill(&mut writer)?;
        let checksum = writer.checksum.finish();
        writer.put(&checksum.to_le_bytes())?;
        writer.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.write(bytes);
        self.file.write_all(bytes)
    }

    /// The next numbers of an entry of a model.
    pub(super) fn floats<F: Real>(&mut self, values: &[F]) -> io::Result<()> {
        // Exact: F is one of these types.
        match F::BYTES {
            4 => self.numbers(values, |x| (x.as_f64() as f32).to_le_bytes()),
            _ => self.numbers(values, |x| x.as_f64().to_le_bytes()),
        }
    }

    /// The next numbers of an entry of 64-bit integers.
    pub(super) fn integers(&mut self, values: &[u64]) -> io::Result<()> {
        self.numbers(values, |x| x.to_le_bytes())
    }

    fn numbers<T: Copy, const N: usize>(&mut self, values: &[T], bytes: impl Fn(T) -> [u8; N]) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.bytes);
        for piece in values.chunks(PIECE) {
            buffer.clear();
            buffer.extend(piece.iter().flat_map(|&x| bytes(x)));
            self.put(&buffer)?;
        }
        self.bytes = buffer;
        Ok(())
    }
}

/// The header, padded so that the numbers behind it are aligned.
fn header(description: String, entries: &[Entry]) -> Result<Vec<u8>, CheckpointErrorKind> {
    let checksum = Entry { name: CHECKSUM.to_owned(), dtype: Dtype::U8, shape: vec![CHECKSUM_BYTES] };
    let mut end = 0;
    let info = |Entry { name, dtype, shape }: &Entry| {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name.clone(), TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (start, end) })
    };
    let tensors = entries.iter().chain([&checksum]).map(info).collect();
    let metadata = Metadata::new(Some(HashMap::from([(DESCRIPTION.to_owned(), description)])), tensors)?;
    let mut header = serde_json::to_vec(&metadata).map_err(io::Error::from)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Makes a rename last: the folder is on the disk too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A file to read from.
#[derive(Debug)]
pub(super) struct Reader {
    file: BufReader<File>,
    metadata: Metadata,
    /// Where the numbers begin.
    start: u64,
    /// Length of the file.
    end: u64,
}

impl Reader {
    /// Opens a file that has the length its header says. The content is not read yet.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointErrorKind> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let end = file.get_ref().metadata()?.len();
        let mut length = [0; 8];
        if end < 8 {
            return Err(SafeTensorError::HeaderTooSmall.into());
        }
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > LARGEST_HEADER || length > end - 8 {
            return Err(SafeTensorError::InvalidHeaderLength.into());
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
        let start = 8 + length;
        if start.checked_add(metadata.data_len() as u64) != Some(end) {
            return Err(SafeTensorError::MetadataIncompleteBuffer.into());
        }
        Ok(Self { file, metadata, start, end })
    }

    /// The description.
    pub(super) fn description(&self) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(DESCRIPTION).map(String::as_str)
    }

    /// That the content is what was written: reads all of it.
    pub(super) fn verify(&mut self) -> Result<(), CheckpointErrorKind> {
        let is_last = |info: &&TensorInfo| self.start + info.data_offsets.1 as u64 == self.end;
        if self
            .metadata
            .info(CHECKSUM)
            .filter(is_last)
            .is_none_or(|info| info.dtype != Dtype::U8 || info.shape != [CHECKSUM_BYTES])
        {
            return Err(CheckpointErrorKind::foreign(format!("it does not end in a tensor `{CHECKSUM}`")));
        }
        self.file.seek(SeekFrom::Start(0))?;
        let mut checksum = XxHash3_64::new();
        let mut left = self.end - CHECKSUM_BYTES as u64;
        let mut buffer = vec![0; 1 << 16];
        while left > 0 {
            let piece = left.min(buffer.len() as u64) as usize;
            self.file.read_exact(&mut buffer[..piece])?;
            checksum.write(&buffer[..piece]);
            left -= piece as u64;
        }
        let mut want = [0; CHECKSUM_BYTES];
        self.file.read_exact(&mut want)?;
        let (got, want) = (checksum.finish(), u64::from_le_bytes(want));
        if got == want { Ok(()) } else { Err(CheckpointErrorKind::Checksum { got, want }) }
    }

    /// The type of a tensor, if there is one of this name.
    pub(super) fn dtype(&self, name: &str) -> Option<Dtype> {
        self.metadata.info(name).map(|info| info.dtype)
    }

    /// Shape of a tensor of this type.
    fn shape(&self, name: &str, dtype: Dtype) -> Result<&[usize], CheckpointErrorKind> {
        let info = self.metadata.info(name);
        let info = info.ok_or_else(|| CheckpointErrorKind::foreign(format!("there is no tensor `{name}`")))?;
        if info.dtype != dtype {
            let what = format!("tensor `{name}` is of type {}, not {dtype}", info.dtype);
            return Err(CheckpointErrorKind::foreign(what));
        }
        Ok(&info.shape)
    }

    /// That there is a tensor of this type and shape.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), CheckpointErrorKind> {
        let shape = self.shape(&entry.name, entry.dtype)?;
        if shape == entry.shape {
            return Ok(());
        }
        let what = format!("tensor `{}` has shape {shape:?}, not {:?}", entry.name, entry.shape);
        Err(CheckpointErrorKind::foreign(what))
    }

    /// Goes to the numbers of a tensor of this type and shape.
    fn seek(&mut self, entry: &Entry) -> Result<(), CheckpointErrorKind> {
        self.check(entry)?;
        let offset = self.metadata.info(&entry.name).map_or(0, |info| info.data_offsets.0);
        self.file.seek(SeekFrom::Start(self.start + offset as u64))?;
        Ok(())
    }

    /// Hands over the numbers of a tensor of a model in pieces, with where each begins.
    pub(super) fn floats<F: Real>(
        &mut self,
        entry: &Entry,
        mut take: impl FnMut(usize, &[F]) -> Result<(), CheckpointErrorKind>,
    ) -> Result<(), CheckpointErrorKind> {
        self.seek(entry)?;
        let len = entry.shape.iter().product::<usize>();
        let mut bytes = vec![0; PIECE.min(len) * F::BYTES];
        let mut values = Vec::with_capacity(PIECE.min(len));
        for start in (0..len).step_by(PIECE) {
            let piece = &mut bytes[..PIECE.min(len - start) * F::BYTES];
            self.file.read_exact(piece)?;
            values.clear();
            match F::BYTES {
                4 => values.extend(arrays(piece).map(|x| F::of(f64::from(f32::from_le_bytes(x))))),
                _ => values.extend(arrays(piece).map(|x| F::of(f64::from_le_bytes(x)))),
            }
            take(start, &values)?;
        }
        Ok(())
    }

    /// A list of 64-bit integers of any length.
    pub(super) fn integers(&mut self, name: &str) -> Result<Vec<u64>, CheckpointErrorKind> {
        Ok(arrays(&self.list(name, Dtype::U64)?).map(u64::from_le_bytes).collect())
    }

    /// A list of `f64` of any length.
    pub(super) fn doubles(&mut self, name: &str) -> Result<Vec<f64>, CheckpointErrorKind> {
        Ok(arrays(&self.list(name, Dtype::F64)?).map(f64::from_le_bytes).collect())
    }

    fn list(&mut self, name: &str, dtype: Dtype) -> Result<Vec<u8>, CheckpointErrorKind> {
        let shape = self.shape(name, dtype)?.to_vec();
        let mut bytes = vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8];
        self.seek(&Entry { name: name.to_owned(), dtype, shape })?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whole arrays of `N` bytes.
fn arrays<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}
