//! What happens in a run, as lines of JSON in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dlrm::train::Event;
use serde::{Deserialize, Serialize};

/// A file that grows by one JSON object a line.
pub(super) struct Log {
    file: File,
    path: PathBuf,
}

/// The first line has the settings of all tables: some kilobytes.
const LONGEST_LINE: u64 = 1 << 20;

/// An event, and when it was, in seconds since 1970.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event<'a>,
    time: f64,
}

impl Log {
    /// Goes on with a file, or begins it; a pipe or a terminal is only written to.
    ///
    /// # Errors
    ///
    /// Of the file system, with the path in the text; the same in all that follows. A file that is neither empty nor a log
    /// stays as it is.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the name of a checkpoint");
            return Err(named(path)(error));
        }
        let file = if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            OpenOptions::new().append(true).open(path)
        } else {
            Self::go_on(path)
        };
        Ok(Self { file: file.map_err(named(path))?, path: path.to_owned() })
    }

    fn go_on(path: &Path) -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if !is_log(&file)? {
            let what = "neither empty nor a log of a run, so nothing is added to it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        // A line that was cut off must not spoil the next.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }

    /// Adds a line.
    pub(super) fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = serde_json::to_vec(&Line { event, time })?;
        line.push(b'\n');
        // In one piece, so that a program that reads along sees whole lines.
        self.file.write_all(&line).map_err(named(&self.path))
    }
}

/// Whether a file begins with an event, or with nothing.
fn is_log(file: &File) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "kind")]
        _kind: String,
        #[serde(rename = "time")]
        _time: f64,
    }
    let mut first = Vec::new();
    BufReader::new(file.take(LONGEST_LINE)).read_until(b'\n', &mut first)?;
    // The first line may have been cut off by a full disk, with nothing behind it.
    let cut = !first.ends_with(b"\n") && b"{\"kind\":\"".starts_with(&first[..first.len().min(9)]);
    Ok(first.is_empty() || cut || serde_json::from_slice::<Line>(&first).is_ok())
}

/// For `map_err`: the same error, with the path.
fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
