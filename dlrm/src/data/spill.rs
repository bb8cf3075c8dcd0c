//! Bytes that are written once and then read: in memory, or in a file under a temporary name.

use std::hash::Hasher;
use std::path::PathBuf;

use twox_hash::XxHash3_64;

use super::error::DataError;
use super::mapped::Bytes;
use super::temporary::Temporary;

/// Bytes that are given on at a time.
const STEP: usize = 1 << 20;

/// Bytes that are written once and then read.
pub(super) struct Spill {
    place: Place,
    len: u64,
    hasher: XxHash3_64,
}

enum Place {
    Memory(Vec<u8>),
    File(Temporary),
}

impl Spill {
    pub(super) fn memory() -> Self {
        Self { place: Place::Memory(Vec::new()), len: 0, hasher: XxHash3_64::new() }
    }

    pub(super) fn file(path: PathBuf) -> Result<Self, DataError> {
        Ok(Self { place: Place::File(Temporary::new(path)?), len: 0, hasher: XxHash3_64::new() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.hasher.write(bytes);
        self.len += bytes.len() as u64;
        match &mut self.place {
            Place::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            Place::File(file) => file.write(bytes),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// XXH3 of all bytes (64 bits, seed 0).
    pub(super) fn checksum(&self) -> u64 {
        self.hasher.finish()
    }

    /// All bytes, some at a time.
    pub(super) fn read(&self, take: impl FnMut(&[u8]) -> Result<(), DataError>) -> Result<(), DataError> {
        match &self.place {
            Place::Memory(all) => all.chunks(STEP).try_for_each(take),
            Place::File(_) if self.len == 0 => Ok(()),
            Place::File(file) => file.map()?.chunks(STEP).try_for_each(take),
        }
    }

    /// All bytes, as memory; a file is mapped, and goes when the spill does.
    pub(super) fn bytes(&mut self) -> Result<Bytes, DataError> {
        match &mut self.place {
            Place::Memory(all) => Ok(Bytes::Owned(std::mem::take(all))),
            // Nothing cannot be mapped everywhere.
            Place::File(_) if self.len == 0 => Ok(Bytes::Owned(Vec::new())),
            Place::File(file) => file.map(),
        }
    }

    /// The file, to be renamed to `path`; what is in memory is written there first.
    pub(super) fn into_file(self, path: PathBuf) -> Result<Temporary, DataError> {
        match self.place {
            Place::File(file) => Ok(file.to(path)),
            Place::Memory(bytes) => {
                let mut file = Temporary::new(path)?;
                file.write(&bytes)?;
                Ok(file)
            }
        }
    }
}
