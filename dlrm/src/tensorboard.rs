//! Scalars in event files that TensorBoard reads.
//!
//! A file is a sequence of records: the length of the data (`u64`), its checksum, the data, its checksum; checksums are CRC-32C,
//! rotated and shifted (*masked*). Data is an `Event` in protocol buffers, of which this writes the fields `wall_time` (1,
//! double), `step` (2, varint), `file_version` (3, string) and `summary` (5), a message of values (1) with `tag` (1, string) and
//! `simple_value` (2, float).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::train::Event;

/// An event file in a folder, to which scalars are added.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// A new file in a folder, which is made if there is none. TensorBoard shows all files of a folder as one run: a resumed
    /// run adds another.
    ///
    /// # Errors
    ///
    /// Of the file system, with the path in the text; the same in all that follows.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder).map_err(named(folder))?;
        let now = now();
        for number in 0.. {
            let name = format!("events.out.tfevents.{:010}.dlrm.{}.{number}", now as u64, process::id());
            let path = folder.join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut events = Self { file, path };
                    let version = field(3, b"brain.Event:2");
                    events.record(&[wall_time(now), version].concat())?;
                    return Ok(events);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(named(&path)(error)),
            }
        }
        unreachable!("there are numbers enough")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds scalars of one step.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        let values = scalars.iter().flat_map(|(tag, value)| {
            let value = [field(1, tag.as_bytes()), [&[0x15][..], &(*value as f32).to_le_bytes()].concat()].concat();
            field(1, &value)
        });
        let values: Vec<u8> = values.collect();
        let mut event = wall_time(now());
        event.push(0x10);
        varint(step, &mut event);
        event.extend(field(5, &values));
        self.record(&event)
    }

    /// Adds what an event of a training run has to show.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Train { iteration, loss, lr, samples_per_second, hit_rate, .. } => {
                let mut scalars =
                    vec![("train/loss", *loss), ("train/lr", *lr), ("train/samples_per_second", *samples_per_second)];
                scalars.extend(hit_rate.map(|rate| ("cache/hit_rate", rate)));
                self.scalars(*iteration, &scalars)
            }
            Event::Eval { iteration, split, evaluation, .. } => {
                let mut scalars = vec![("log_loss", evaluation.log_loss), ("accuracy", evaluation.accuracy)];
                scalars.extend(evaluation.auc.map(|auc| ("auc", auc)));
                let tags: Vec<(String, f64)> =
                    scalars.into_iter().map(|(name, value)| (format!("{split}/{name}"), value)).collect();
                let scalars: Vec<(&str, f64)> = tags.iter().map(|(tag, value)| (tag.as_str(), *value)).collect();
                self.scalars(*iteration, &scalars)
            }
            _ => Ok(()),
        }
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let (head, tail) = (masked(&length).to_le_bytes(), masked(data).to_le_bytes());
        // In one piece, so that who reads along sees whole records.
        let record = [&length[..], &head, data, &tail].concat();
        self.file.write_all(&record).map_err(named(&self.path))
    }
}

fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn wall_time(seconds: f64) -> Vec<u8> {
    [&[0x09][..], &seconds.to_le_bytes()].concat()
}

/// A field of bytes: a string or a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with Castagnoli's polynomial, bit by bit: some hundred bytes a line of a log.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // Of RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn records_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        let other = EventFile::create(folder.path()).unwrap();
        assert_ne!(events.path(), other.path());
        events.scalars(300, &[("train/loss", 0.5), ("test/auc", 0.75)]).unwrap();
        let bytes = fs::read(events.path()).unwrap();
        let (mut rest, mut data) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
            data.push(&rest[12..12 + length]);
            assert_eq!(rest[12 + length..16 + length], masked(&rest[12..12 + length]).to_le_bytes());
            rest = &rest[16 + length..];
        }
        assert_eq!(data.len(), 2);
        assert!(data[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        // Step 300 as a varint, and the two values.
        assert_eq!(data[1][9..12], [0x10, 0xac, 0x02]);
        let value = |tag: &str, value: f32| [&field(1, tag.as_bytes())[..], &[0x15], &value.to_le_bytes()].concat();
        let summary = [field(1, &value("train/loss", 0.5)), field(1, &value("test/auc", 0.75))].concat();
        assert_eq!(data[1][12..], field(5, &summary));
    }
}
