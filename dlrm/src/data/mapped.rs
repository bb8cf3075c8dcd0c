//! A file as memory: the one place that needs `unsafe`.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// The bytes of rows, wherever they are.
#[derive(Debug)]
pub(super) enum Bytes {
    /// In memory.
    Owned(Vec<u8>),
    /// In a file.
    Mapped(Mmap),
}

impl Bytes {
    /// Maps a whole file for reading.
    ///
    /// Training reads it in random order. Where the whole file fits into memory, the read-ahead of the operating system is
    /// welcome: it fills the cache in large pieces. Where it does not, most of what is read ahead would be thrown away
    /// before it is used, so it is switched off.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        // SAFETY: the memory is only read, as plain bytes, and any bytes are valid. It would change under a shared
        // reference if another process wrote to the file or cut it short while it is mapped; `dlrm prepare` never writes
        // to a finished file (it renames a new one over it, which leaves the mapped one as it is), and that nobody else
        // does is the condition, said where a directory is opened, under which files can be mapped at all.
        let map = unsafe { Mmap::map(file) }?;
        #[cfg(unix)]
        if available_memory().is_some_and(|available| map.len() as u64 > available / 2) {
            map.advise(memmap2::Advice::Random)?;
        }
        Ok(Self::Mapped(map))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// Bytes that programs could still use, where the system says so in the manner of Linux.
#[cfg(unix)]
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}
