//! Where lines come from: the same options for every command that reads them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dlrm::data::{DataError, Dataset, Numbering, ReadSettings, Schema, Synthetic, Vocabulary};
use indicatif::ProgressBar;

/// Reads a data set.
pub(super) fn read(path: &Path) -> Result<Dataset, DataError> {
    reading(format!("reading {}", path.display()), || Dataset::open(path))
}

/// Makes lines from a seed.
pub(super) fn make(lines: u64, seed: u64, numbering: Numbering) -> Result<Dataset, DataError> {
    let settings = Synthetic { lines, seed, ..Synthetic::default() };
    let read = ReadSettings { numbering, ..ReadSettings::default() };
    reading(format!("making {lines} lines from seed {seed}"), || Dataset::synthetic_with(&settings, &read))
}

/// Reads a data set if there is one, and makes lines otherwise. Lines are numbered as wanted; a prepared directory is as it is.
pub(super) fn read_or_make(
    (path, schema): (Option<&PathBuf>, Option<&PathBuf>),
    lines: u64,
    seed: u64,
    numbering: Numbering,
) -> Result<Dataset, DataError> {
    match path {
        Some(path) if path.is_dir() => read(path),
        Some(path) => {
            let schema = schema.map(Schema::open).transpose()?.map(Arc::new);
            let settings = ReadSettings { numbering, schema, ..ReadSettings::default() };
            reading(format!("reading {}", path.display()), || Dataset::read(&[path], &settings))
        }
        None => make(lines, seed, numbering),
    }
}

/// Reads lines that are numbered by a vocabulary.
pub(super) fn read_numbered(path: &Path, vocabulary: Arc<Vocabulary>) -> Result<Dataset, DataError> {
    let settings = ReadSettings { vocabulary: Some(vocabulary), ..ReadSettings::default() };
    reading(format!("reading {}", path.display()), || Dataset::read(&[path], &settings))
}

fn reading(message: String, read: impl FnOnce() -> Result<Dataset, DataError>) -> Result<Dataset, DataError> {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let data = read();
    spinner.finish_and_clear();
    let data = data?;
    let rows = data.table_rows();
    eprintln!("{} lines, {} categories in {} tables", data.len(), rows.iter().sum::<u64>(), rows.len());
    Ok(data)
}
