//! A checkpoint as a model that predicts: without what only training needs, and with the vocabulary beside it.

use std::fs;
use std::path::Path;

use safetensors::tensor::Dtype;

use super::content::{self, Caches};
use super::error::CheckpointErrorKind;
use super::file::{Entry, Reader, Writer};
use super::{Checkpoint, CheckpointError, Description, Target};
use crate::data::Vocabulary;
use crate::train::Optimizer;

/// The model's file in an exported folder.
pub const MODEL: &str = "model.safetensors";

impl Checkpoint {
    /// Writes a folder that has all that predictions need and can be moved: the parameters, as [`MODEL`], and the vocabulary.
    /// Optimiser state, but one number for each slice of cores, and the counters of caches stay behind, so that no run goes
    /// on from it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if the vocabulary is not that of the data the model was trained on, or a file cannot be written.
    pub fn export(&mut self, vocabulary: &Vocabulary, folder: &Path) -> Result<Target, CheckpointError> {
        let own = self.description.data.vocabulary.clone().unwrap_or_else(|| "none".to_owned());
        if own != vocabulary.to_string() {
            let kind = CheckpointErrorKind::Data { what: "vocabulary", checkpoint: own, now: vocabulary.to_string() };
            return Err(CheckpointError::new(&self.path, kind));
        }
        fs::create_dir_all(folder).map_err(CheckpointError::at(folder))?;
        keep_vocabulary(vocabulary, folder)?;
        let target = Target { path: folder.join(MODEL), temporary: folder.join(".model.tmp") };
        let written = self.write_model(&target);
        if written.is_err() {
            // The first error says more than that this failed, too.
            let _ = fs::remove_file(&target.temporary);
        }
        written.map(|()| target)
    }

    fn write_model(&mut self, target: &Target) -> Result<(), CheckpointError> {
        let path = self.path.clone();
        let at = CheckpointError::at(&path);
        let mut description = Description { for_predictions: true, ..self.description.clone() };
        description.settings.optimizer = Optimizer::Sgd;
        let config = description.settings.model().map_err(|error| CheckpointErrorKind::foreign(error.to_string()));
        let config = config.map_err(&at)?;
        let dtype = self.reader.dtype(&format!("bottom.0.{}", content::WEIGHT)).unwrap_or(Dtype::F32);
        let losses = self.reader.doubles(super::LOSSES).map_err(&at)?;
        let mut entries = vec![Entry { name: super::LOSSES.to_owned(), dtype: Dtype::F64, shape: vec![losses.len()] }];
        entries.extend(Caches::entries_uncounted(&config));
        let tensors = content::entries(&config, dtype);
        entries.extend(tensors.iter().cloned());
        let text =
            serde_json::to_string(&description).map_err(std::io::Error::from).map_err(CheckpointError::at(&path))?;
        let reader = &mut self.reader;
        Writer::replace(&target.path, &target.temporary, text, &entries, |writer| {
            writer.floats(&losses)?;
            for entry in Caches::slots(&config) {
                writer.integers(&reader.integers(&entry.name)?)?;
            }
            tensors.iter().try_for_each(|entry| copy(reader, entry, writer))
        })
    }
}

/// The numbers of a tensor, as they are.
fn copy(reader: &mut Reader, entry: &Entry, writer: &mut Writer) -> Result<(), CheckpointErrorKind> {
    match entry.dtype {
        Dtype::F64 => reader.floats::<f64>(entry, |_, values| Ok(writer.floats(values)?)),
        _ => reader.floats::<f32>(entry, |_, values| Ok(writer.floats(values)?)),
    }
}

/// Writes a vocabulary to a folder, unless it is there already.
pub(super) fn keep_vocabulary(vocabulary: &Vocabulary, folder: &Path) -> Result<(), CheckpointError> {
    let path = folder.join(Vocabulary::FILE);
    if Vocabulary::open(folder).is_ok_and(|old| old == *vocabulary && old.verify(folder).is_ok()) {
        return Ok(());
    }
    let temporary = folder.join(".vocabulary.tmp");
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        std::io::Write::write_all(&mut file, vocabulary.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        super::file::sync_folder(&path)
    };
    let written = write();
    if written.is_err() {
        // A full disk needs the room.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(CheckpointError::at(&path))
}
