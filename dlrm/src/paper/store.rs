//! Finished runs, in a file of one JSON object a line.
//!
//! A run is known again by its key, a hash of what was run and of what the result depends on beside that: of a model, the
//! [numbers](super::fingerprint) that the program gives; of a timing, the program and the machine. What is of another key stays in
//! the file: it is not used where a run is asked for, but a page shows it, with the machine it is from, where none is.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::work::{Outcome, Work};
use crate::budget::Method;

/// What computed a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Threads that there are.
    pub threads: usize,
    /// Instructions that the backend chose.
    pub isa: String,
    /// Operations a second of a large matrix product on all threads, 10^9.
    pub gflops: f64,
}

/// One finished run: a line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Hash of what was run, and of what the result depends on beside that: the numbers of the program, or the machine.
    pub key: String,
    /// Version of the program.
    pub version: String,
    /// What computed it.
    pub machine: Machine,
    /// What was run.
    pub work: Work,
    /// What came out.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// When it ended, in seconds since 1970.
    pub time: f64,
}

/// What results depend on beside the settings.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// Of the numbers that models of each method come to: see [`fingerprint`](super::fingerprint).
    pub(super) fingerprints: Vec<(Method, u64)>,
    /// Of the program itself.
    pub(super) executable: u64,
    pub(super) machine: Machine,
}

impl Program {
    pub(super) fn key(&self, work: &Work) -> String {
        let settings = settings(work);
        let of = match work {
            Work::Train(run) => {
                let found = self.fingerprints.iter().find(|(method, _)| *method == run.method);
                format!("{:x}", found.map_or(0, |(_, fingerprint)| *fingerprint))
            }
            Work::Time(_) => format!("{:x} {} {}", self.executable, self.machine.processor, self.machine.threads),
        };
        format!("{:016x}", XxHash3_64::oneshot(format!("{of} {settings}").as_bytes()))
    }
}

/// The finished runs of a folder.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: File,
    records: Vec<Record>,
    /// Numbers of records by their keys, and of the last one of each work, whatever its key.
    by_key: HashMap<String, usize>,
    by_work: HashMap<String, usize>,
}

/// What names a work.
fn settings(work: &Work) -> String {
    // Of plain data, which always has a JSON form.
    serde_json::to_string(work).unwrap_or_default()
}

impl Store {
    /// Those of a file, which is made if there is none. A last line that was cut off is left out, and ended.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(named)?;
        let text = fs::read(path).map_err(named)?;
        // One of an older form has another key at any rate.
        let records = text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Record>(line).ok());
        let mut this =
            Self { path: path.to_owned(), file, records: Vec::new(), by_key: HashMap::new(), by_work: HashMap::new() };
        records.for_each(|record| this.know(record));
        if text.last().is_some_and(|&last| last != b'\n') {
            this.file.write_all(b"\n").map_err(named)?;
        }
        Ok(this)
    }

    fn know(&mut self, record: Record) {
        let number = self.records.len();
        self.by_key.insert(record.key.clone(), number);
        self.by_work.insert(settings(&record.work), number);
        self.records.push(record);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Record> {
        self.by_key.get(key).map(|&number| &self.records[number])
    }

    /// The last run of a work, of whatever program and machine.
    pub(super) fn last(&self, work: &Work) -> Option<&Record> {
        self.by_work.get(&settings(work)).map(|&number| &self.records[number])
    }

    /// Keeps a run: in the file first.
    pub(super) fn add(&mut self, record: Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        self.file.write_all(&line).map_err(named)?;
        self.know(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::TimeRun;
    use super::*;

    fn program(numbers: u64, executable: u64) -> Program {
        let machine = Machine { processor: "any".into(), threads: 2, isa: "any".into(), gflops: 1.0 };
        Program { fingerprints: vec![(Method::Tt, numbers)], executable, machine }
    }

    fn record(key: &str) -> Record {
        Record {
            key: key.into(),
            version: "1".into(),
            machine: program(1, 1).machine,
            work: Work::Time(TimeRun::smallest()),
            outcome: Outcome::Failed { reason: "a \"reason\"".into() },
            seconds: 0.1,
            time: 2.0,
        }
    }

    #[test]
    fn runs_are_found_again_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        let mut store = Store::open(&path).unwrap();
        store.add(record("a")).unwrap();
        store.add(record("b")).unwrap();
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 7]).unwrap();
        let mut store = Store::open(&path).unwrap();
        assert_eq!((store.get("a"), store.get("b")), (Some(&record("a")), None));
        store.add(record("c")).unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!((store.get("a"), store.get("b"), store.get("c")), (Some(&record("a")), None, Some(&record("c"))));
        assert_eq!(store.last(&record("any").work), Some(&record("c")));
    }

    #[test]
    fn a_timing_depends_on_the_program_and_a_model_on_its_numbers() {
        let time = Work::Time(TimeRun::smallest());
        assert_eq!(program(1, 1).key(&time), program(2, 1).key(&time));
        assert_ne!(program(1, 1).key(&time), program(1, 2).key(&time));
    }
}
