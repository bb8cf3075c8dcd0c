//! What happens in a run, as lines of JSON in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use dlrm::train::Event;
use serde::Serialize;

/// A file that grows by one JSON object a line.
pub(super) struct Log(File);

/// An event, and when it was, in seconds since 1970.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event<'a>,
    time: f64,
}

impl Log {
    /// Goes on with a file, or begins it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        // A line that was cut off must not spoil the next.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(Self(file))
    }

    /// Adds a line.
    pub(super) fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = serde_json::to_vec(&Line { event, time })?;
        line.push(b'\n');
        // In one piece, so that a program that reads along sees whole lines.
        self.0.write_all(&line)
    }
}
