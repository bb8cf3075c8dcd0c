//! The folder that a run keeps its checkpoints in.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{CheckpointError, CheckpointErrorKind};
use super::export::keep_vocabulary;
use super::{Checkpoint, Target};
use crate::data::Vocabulary;

const EXTENSION: &str = "safetensors";
const FINAL: &str = "final.safetensors";
const LOCK: &str = ".lock";
const TEMPORARY: &str = ".writing.tmp";

/// A folder of checkpoints, held by one run.
///
/// Checkpoints are `checkpoint-ITERATION.safetensors`, of which the newest few are kept, and `final.safetensors`.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: usize,
    /// Checkpoints of this run, oldest first; never files it knows nothing of.
    kept: VecDeque<PathBuf>,
    /// Locked as long as this lives.
    _lock: File,
}

/// A checkpoint that cannot be used, and why.
#[derive(Debug)]
pub struct Skipped(pub CheckpointError);

impl Folder {
    /// The folder at `path`, made if there is none, for a run that keeps its `keep` newest checkpoints.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if it cannot be made, or if another run holds it.
    pub fn open(path: &Path, keep: usize) -> Result<Self, CheckpointError> {
        let lock = || {
            fs::create_dir_all(path)?;
            OpenOptions::new().create(true).append(true).open(path.join(LOCK))
        };
        let lock = lock().map_err(CheckpointError::at(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::new(path, CheckpointErrorKind::Busy)),
            Err(TryLockError::Error(error)) => return Err(CheckpointError::new(path, error)),
        }
        // What a run that was killed had not finished. Where it cannot be removed, nothing can be written either.
        let _ = fs::remove_file(path.join(TEMPORARY));
        Ok(Self { path: path.to_owned(), keep: keep.max(1), kept: VecDeque::new(), _lock: lock })
    }

    /// Keeps the vocabulary of the data beside the checkpoints, which mean something only with it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if it cannot be written.
    pub fn keep_vocabulary(&self, vocabulary: &Vocabulary) -> Result<(), CheckpointError> {
        keep_vocabulary(vocabulary, &self.path)
    }

    /// That no earlier run left checkpoints.
    ///
    /// # Errors
    ///
    /// [`CheckpointErrorKind::Occupied`] if one did.
    pub fn check_empty(&self) -> Result<(), CheckpointError> {
        match self.files()?.is_empty() {
            true => Ok(()),
            false => Err(CheckpointError::new(&self.path, CheckpointErrorKind::Occupied)),
        }
    }

    /// The newest checkpoint that is whole, and those that are not and would be newer or of unknown age.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if the folder or a checkpoint cannot be read, or one that is newer than those that can be used,
    /// or of unknown age, is of another version of this program.
    pub fn newest(&mut self) -> Result<(Option<Checkpoint>, Vec<Skipped>), CheckpointError> {
        let (mut found, mut skipped, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for path in self.files()? {
            // Closed again: a folder may have more files than a program can open at once.
            match Checkpoint::open(&path) {
                Ok(checkpoint) => found.push((checkpoint.iteration(), path)),
                Err(error) if error.is_damage() => skipped.push(Skipped(error)),
                Err(error) if matches!(error.kind, CheckpointErrorKind::Version { .. }) => others.push(error),
                Err(error) => return Err(error),
            }
        }
        found.sort_by_key(|&(iteration, _)| iteration);
        let mut newest = None;
        while newest.is_none()
            && let Some((_, path)) = found.last()
        {
            let whole = Checkpoint::open(path).and_then(|mut checkpoint| checkpoint.verify().map(|()| checkpoint));
            match whole {
                Ok(checkpoint) => newest = Some(checkpoint),
                Err(error) if error.is_damage() => {
                    skipped.push(Skipped(error));
                    found.pop();
                }
                Err(error) => return Err(error),
            }
        }
        // One of another version may hold more of the run than those that can be used, as far as its name says.
        let newest_iteration = newest.as_ref().map(Checkpoint::iteration);
        if let Some(error) =
            others.into_iter().find(|error| iteration(&error.path).is_none_or(|own| Some(own) > newest_iteration))
        {
            return Err(error);
        }
        self.kept = found.into_iter().map(|(_, path)| path).filter(|path| !path.ends_with(FINAL)).collect();
        Ok((newest, skipped))
    }

    /// Where the checkpoint after this many iterations goes.
    pub fn target(&self, iteration: u64) -> Target {
        self.to(&format!("checkpoint-{iteration:012}.{EXTENSION}"))
    }

    /// Where the model at the end of the run goes.
    pub fn final_target(&self) -> Target {
        self.to(FINAL)
    }

    fn to(&self, name: &str) -> Target {
        Target { path: self.path.join(name), temporary: self.path.join(TEMPORARY) }
    }

    /// Takes note of a checkpoint that was written, and removes the oldest of this run that are too many.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if one cannot be removed.
    pub fn keep(&mut self, written: PathBuf) -> Result<(), CheckpointError> {
        self.kept.retain(|path| *path != written);
        self.kept.push_back(written);
        while self.kept.len() > self.keep {
            if let Some(oldest) = self.kept.pop_front() {
                match fs::remove_file(&oldest) {
                    // Whoever removed it before did what was to be done.
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(CheckpointError::new(&oldest, error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// All checkpoints, whole or not, in order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let list =
            || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(&self.path)?.map(|entry| Ok(entry?.path())).collect() };
        let mut files = list().map_err(CheckpointError::at(&self.path))?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        files.sort();
        Ok(files)
    }
}

/// The iteration of a checkpoint by its name: see [`Folder::target`].
fn iteration(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok()
}
