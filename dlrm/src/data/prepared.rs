//! A directory with a data set that can be mapped: `rows.bin`, `vocabulary.bin` and, written last, `header.bin`.
//!
//! All are written under temporary names, synchronised with the disk and renamed. A directory without a header does not
//! open, so an interrupted run leaves nothing that could be taken for a data set.

use std::fs::{self, File, TryLockError};
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::Dataset;
use super::ahead::BLOCK;
use super::error::{DataError, DataErrorKind};
use super::header::{Header, LONGEST, ReadSettings};
use super::ingest::{Ingested, ReadProgress, ingest};
use super::input::Input;
use super::mapped::Bytes;
use super::numbering::renumber;
use super::vocabulary::Vocabulary;

const HEADER: &str = "header.bin";
const ROWS: &str = "rows.bin";
/// Rows as they are read, where they are written again.
const FIRST: &str = "read.bin";

/// Bytes checked between two calls of a progress function.
const STEP: usize = 16 << 20;

/// Reads files of lines, one after the other, into a directory from which [`Dataset::open`] maps them; memory does not
/// grow with the files, except for the dictionaries of the categories. Runs on the threads of the current rayon pool.
///
/// A data set that is in the directory already is an error, or is replaced at the very end if `overwrite` is set.
///
/// # Errors
///
/// As [`Dataset::read`], [`DataErrorKind::Exists`], [`DataErrorKind::Busy`], and if the directory cannot be written.
pub fn prepare(
    files: &[impl AsRef<Path>],
    directory: impl AsRef<Path>,
    settings: &ReadSettings,
    overwrite: bool,
    progress: impl FnMut(ReadProgress),
) -> Result<Ingested, DataError> {
    let directory = directory.as_ref();
    let header_path = directory.join(HEADER);
    if !overwrite && header_path.exists() {
        return Err(DataError::new(directory, DataErrorKind::Exists));
    }
    let input = Input::files(files)?;
    fs::create_dir_all(directory).map_err(|error| DataError::new(directory, error))?;
    let _lock = lock(directory)?;
    let mut rows = Temporary::new(directory.join(ROWS))?;
    let ingested = match settings.anew() {
        None => ingest(input, settings, BLOCK, |bytes| rows.write(bytes), progress)?,
        Some(how) => {
            let mut first = Temporary::new(directory.join(FIRST))?;
            let Ingested { header, vocabulary, bad } =
                ingest(input, settings, BLOCK, |bytes| first.write(bytes), progress)?;
            let data = Dataset::new(header, first.map()?, Some(vocabulary.clone()));
            let failed = |error| first.failed(io::Error::other(error));
            let (header, renumbered) = renumber(&data, how, failed, |bytes| rows.write(bytes))?;
            Ingested { header, vocabulary: renumbered.unwrap_or(vocabulary), bad }
        }
    };
    let mut header = Temporary::new(header_path.clone())?;
    header.write(&ingested.header.encode())?;
    let mut vocabulary = Temporary::new(directory.join(Vocabulary::FILE))?;
    vocabulary.write(ingested.vocabulary.as_bytes())?;
    let (rows_done, vocabulary_done) = rayon::join(|| rows.sync(), || vocabulary.sync());
    rows_done?;
    vocabulary_done?;
    header.sync()?;
    // From here on the directory has no header until all is in place.
    match fs::remove_file(&header_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(DataError::new(header_path, error)),
        _ => sync_directory(directory)?,
    }
    rows.rename()?;
    vocabulary.rename()?;
    sync_directory(directory)?;
    header.rename()?;
    sync_directory(directory)?;
    Ok(ingested)
}

/// Maps a prepared directory.
pub(super) fn open(directory: &Path) -> Result<Dataset, DataError> {
    let path = directory.join(HEADER);
    let at_header = |kind| DataError::new(&path, kind);
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DataError::new(directory, DataErrorKind::NotPrepared),
        _ => at_header(error.into()),
    })?;
    let mut bytes = Vec::new();
    // One byte more than the longest, which then fails, but not a gigabyte of something else.
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| at_header(error.into()))?;
    let header = Header::decode(&bytes).map_err(at_header)?;

    let path = directory.join(ROWS);
    let at_rows = |kind| DataError::new(&path, kind);
    let file = File::open(&path).map_err(|error| at_rows(error.into()))?;
    let found = file.metadata().map_err(|error| at_rows(error.into()))?.len();
    if found != header.bytes {
        return Err(at_rows(DataErrorKind::Length { found, expected: header.bytes }));
    }
    let bytes = Bytes::map(&file).map_err(|error| at_rows(error.into()))?;
    let known = header.vocabulary.as_ref();
    let vocabulary = known.map(|known| Vocabulary::open_known(directory, known.checksum)).transpose()?;
    // Another's file with the right checksum is no accident; memory for tables is asked for by its numbers all the same.
    if vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.table_rows() != header.table_rows) {
        return Err(DataError::new(directory.join(HEADER), DataErrorKind::Header));
    }
    Ok(Dataset::new(header, bytes, vocabulary))
}

/// Compares rows with the header's checksum.
pub(super) fn verify(header: &Header, bytes: &[u8], mut progress: impl FnMut(u64)) -> Result<(), DataErrorKind> {
    let mut hasher = XxHash3_64::new();
    let mut read = 0;
    for bytes in bytes.chunks(STEP) {
        hasher.write(bytes);
        read += bytes.len() as u64;
        progress(read);
    }
    let (found, expected) = (hasher.finish(), header.checksum);
    if found == expected { Ok(()) } else { Err(DataErrorKind::Checksum { found, expected }) }
}

/// Holds a directory, so that two runs never write into one temporary file. Elsewhere than on Unix directories cannot be
/// opened.
fn lock(directory: &Path) -> Result<Option<File>, DataError> {
    if !cfg!(unix) {
        return Ok(None);
    }
    let failed = |error| DataError::new(directory, error);
    let lock = File::open(directory).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(DataError::new(directory, DataErrorKind::Busy)),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Makes renames last, where directories can be synchronised.
fn sync_directory(directory: &Path) -> Result<(), DataError> {
    if cfg!(unix) {
        File::open(directory).and_then(|file| file.sync_all()).map_err(|error| DataError::new(directory, error))?;
    }
    Ok(())
}

/// A file under a temporary name until it is renamed; it goes when it is dropped before.
struct Temporary {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn new(path: PathBuf) -> Result<Self, DataError> {
        let temporary = path.with_extension("bin.tmp");
        let file = File::create(&temporary).map_err(|error| DataError::new(&temporary, error))?;
        Ok(Self { file, temporary, path, renamed: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))
    }

    /// What was written, as memory.
    fn map(&self) -> Result<Bytes, DataError> {
        File::open(&self.temporary).and_then(|file| Bytes::map(&file)).map_err(|error| self.failed(error))
    }

    fn sync(&self) -> Result<(), DataError> {
        self.file.sync_all().map_err(|error| self.failed(error))
    }

    fn rename(mut self) -> Result<(), DataError> {
        fs::rename(&self.temporary, &self.path).map_err(|error| self.failed(error))?;
        self.renamed = true;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> DataError {
        DataError::new(&self.temporary, error)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // An error is on its way already; this one would say less.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
