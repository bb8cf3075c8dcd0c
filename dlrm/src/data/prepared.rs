//! A directory with a data set that can be mapped: `rows.bin`, `vocabulary.bin` and, written last, `header.bin`.
//!
//! All are written under temporary names, synchronised with the disk and renamed. A directory without a header does not
//! open, so an interrupted run leaves nothing that could be taken for a data set.

use std::fs::{self, File, TryLockError};
use std::hash::Hasher;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::Dataset;
use super::ahead::BLOCK;
use super::columns::{self, Form};
use super::dataset::OfColumns;
use super::error::{DataError, DataErrorKind};
use super::header::{Header, LONGEST, ReadSettings};
use super::ingest::{Ingested, ReadProgress, ingest};
use super::input::Input;
use super::mapped::Bytes;
use super::numbering::{renumber, renumber_columns};
use super::spill::Spill;
use super::temporary::Temporary;
use super::vocabulary::Vocabulary;

const HEADER: &str = "header.bin";
const ROWS: &str = "rows.bin";
/// Lists of columns; nothing of Criteo's lines.
const BAGS: &str = "bags.bin";
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
    if settings.columns().is_some() {
        return prepare_columns(input, directory, settings, progress);
    }
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
    finish(directory, &ingested, vec![rows])?;
    Ok(ingested)
}

/// The same of files of columns.
fn prepare_columns(
    input: Input<'_>,
    directory: &Path,
    settings: &ReadSettings,
    progress: impl FnMut(ReadProgress),
) -> Result<Ingested, DataError> {
    let Some(schema) = settings.columns().cloned() else { unreachable!("asked before") };
    if let Some(what) = settings.lines_only() {
        return Err(DataError::new(input.name(), DataErrorKind::LinesOnly(what)));
    }
    let spill = |name: &'static str| Spill::file(directory.join(name).with_extension("bin"));
    let (mut ingested, [mut rows, mut bags]) = columns::ingest(input, &schema, settings, spill, progress)?;
    if let Some(how) = settings.anew() {
        let of_columns = OfColumns { form: Form::new(&schema), bags: bags.bytes()? };
        let data = Dataset::of_columns(ingested.header, rows.bytes()?, ingested.vocabulary, of_columns);
        let (mut new_rows, mut new_bags) = (spill("new_rows")?, spill("new_bags")?);
        let failed = |error| DataError::new(directory, io::Error::other(error));
        let (header, vocabulary, _) = renumber_columns(&data, how, failed, |rows, bags| {
            new_rows.write(rows)?;
            new_bags.write(bags)
        })?;
        drop(data);
        ingested = Ingested { header, vocabulary, bad: ingested.bad };
        (rows, bags) = (new_rows, new_bags);
    }
    let named = |spill: Spill, name| spill.into_file(directory.join(name));
    finish(directory, &ingested, vec![named(rows, ROWS)?, named(bags, BAGS)?])?;
    Ok(ingested)
}

/// Puts all files in place.
fn finish(directory: &Path, ingested: &Ingested, files: Vec<Temporary>) -> Result<(), DataError> {
    let header_path = directory.join(HEADER);
    let mut header = Temporary::new(header_path.clone())?;
    header.write(&ingested.header.encode())?;
    let mut vocabulary = Temporary::new(directory.join(Vocabulary::FILE))?;
    vocabulary.write(ingested.vocabulary.as_bytes())?;
    let (files_done, vocabulary_done) =
        rayon::join(|| files.iter().try_for_each(Temporary::sync), || vocabulary.sync());
    files_done?;
    vocabulary_done?;
    header.sync()?;
    // From here on the directory has no header until all is in place.
    match fs::remove_file(&header_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(DataError::new(header_path, error)),
        _ => sync_directory(directory)?,
    }
    files.into_iter().try_for_each(Temporary::rename)?;
    vocabulary.rename()?;
    sync_directory(directory)?;
    header.rename()?;
    sync_directory(directory)
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

    let bytes = map(directory.join(ROWS), header.bytes)?;
    let known = header.vocabulary.as_ref();
    let vocabulary = known.map(|known| Vocabulary::open_known(directory, known.checksum)).transpose()?;
    // Another's file with the right checksum is no accident; memory for tables is asked for by its numbers all the same.
    if vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.table_rows() != header.table_rows.as_slice()) {
        return Err(DataError::new(directory.join(HEADER), DataErrorKind::Header));
    }
    let Some(columns) = &header.columns else {
        // Lines of Criteo, numbered by a vocabulary of these.
        let of_lines = vocabulary.as_ref().is_none_or(|vocabulary| vocabulary.schema().is_none());
        return match of_lines {
            true => Ok(Dataset::new(header, bytes, vocabulary)),
            false => Err(DataError::new(directory.join(HEADER), DataErrorKind::Header)),
        };
    };
    let contradicts = || DataError::new(directory.join(HEADER), DataErrorKind::Header);
    let vocabulary = vocabulary.ok_or_else(contradicts)?;
    let form = Form::new(vocabulary.schema().ok_or_else(contradicts)?);
    if form.bytes(header.rows).map(|bytes| bytes as u64) != Some(header.bytes) {
        return Err(contradicts());
    }
    let bags = map(directory.join(BAGS), columns.bag_bytes)?;
    Ok(Dataset::of_columns(header, bytes, vocabulary, OfColumns { form, bags }))
}

/// Maps a file of this length.
fn map(path: PathBuf, expected: u64) -> Result<Bytes, DataError> {
    let open = || {
        let file = File::open(&path)?;
        let found = file.metadata()?.len();
        match found {
            // Nothing cannot be mapped everywhere.
            0 if expected == 0 => Ok(Bytes::Owned(Vec::new())),
            _ if found != expected => Err(DataErrorKind::Length { found, expected }),
            _ => Ok(Bytes::map(&file)?),
        }
    };
    open().map_err(|kind| DataError::new(&path, kind))
}

/// Compares files with the header's checksums.
pub(super) fn verify<'a>(
    files: impl Iterator<Item = (&'a Bytes, u64)>,
    mut progress: impl FnMut(u64),
) -> Result<(), DataErrorKind> {
    let mut read = 0;
    for (bytes, expected) in files {
        let mut hasher = XxHash3_64::new();
        for bytes in bytes.chunks(STEP) {
            hasher.write(bytes);
            read += bytes.len() as u64;
            progress(read);
        }
        let found = hasher.finish();
        if found != expected {
            return Err(DataErrorKind::Checksum { found, expected });
        }
    }
    Ok(())
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
