//! A file that has its name only once it is whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::error::DataError;
use super::mapped::Bytes;

/// A file under a temporary name until it is renamed; it goes when it is dropped before.
pub(super) struct Temporary {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    pub(super) fn new(path: PathBuf) -> Result<Self, DataError> {
        let temporary = path.with_extension("bin.tmp");
        let file = File::create(&temporary).map_err(|error| DataError::new(&temporary, error))?;
        Ok(Self { file, temporary, path, renamed: false })
    }

    /// The same, to be renamed otherwise.
    pub(super) fn to(mut self, path: PathBuf) -> Self {
        self.path = path;
        self
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))
    }

    /// What was written, as memory.
    pub(super) fn map(&self) -> Result<Bytes, DataError> {
        File::open(&self.temporary).and_then(|file| Bytes::map(&file)).map_err(|error| self.failed(error))
    }

    pub(super) fn sync(&self) -> Result<(), DataError> {
        self.file.sync_all().map_err(|error| self.failed(error))
    }

    pub(super) fn rename(mut self) -> Result<(), DataError> {
        fs::rename(&self.temporary, &self.path).map_err(|error| self.failed(error))?;
        self.renamed = true;
        Ok(())
    }

    pub(super) fn failed(&self, error: io::Error) -> DataError {
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
