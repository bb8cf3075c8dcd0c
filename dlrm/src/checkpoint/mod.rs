//! Checkpoints: everything a run needs to go on bit for bit, in one safetensors file that Python reads too.
//!
//! ```python
//! from safetensors import safe_open
//! with safe_open("final.safetensors", "numpy") as file:
//!     settings = json.loads(file.metadata()["dlrm"])["settings"]
//!     core = file.get_tensor("tables.2.core.0")
//! ```
//!
//! | tensor | shape | what |
//! |---|---|---|
//! | `bottom.L.weight`, `bottom.L.bias` and `top..` | `[outputs][inputs]`, `[outputs]` | layer `L` of an MLP |
//! | `cross.L.v.weight`, `cross.L.w.weight`, `cross.L.w.bias` | `[R][n]`, `[n][R]`, `[n]` | layer `L` of a cross network of rank `R` on `n` numbers |
//! | `tables.T.rows` | `[M][N]` | a dense table |
//! | `tables.T.core.K` | `[m_k][R_{k-1}][n_k][R_k]` | a core of a TT table |
//! | `tables.T.cache.values` | `[slots][N]` | its cached rows |
//! | `tables.T.cache.slots` | `[slots]` | the row in each slot, `2^64 - 1` for none |
//! | `tables.T.cache.counted`, `.counts` | `[rows counted]` | how often these rows were looked up |
//! | `bottom.L.state` and `top..`, `cross.L.v..`, `cross.L.w..` | `[P][outputs inputs + outputs]` | optimiser state of a layer: of its weights, then its biases if it has any |
//! | `tables.X.state.P` | as `tables.X` | optimiser state of parameters `X` of a table: none for SGD, one for Adagrad |
//! | `training.losses` | `[n]` | mean losses so far: see [`LossCurve`](crate::train::LossCurve::to_numbers) |
//! | `checksum` | `[8]` | bytes of the XXH3 hash (64 bits, little endian) of all bytes before it |
//!
//! Layers, tables and cores count from 0. The one metadata entry, `dlrm`, is a [`Description`] as JSON. Nothing in a
//! file depends on when or how long it was made: the same state gives the same bytes.
//!
//! Files are written under another name, synchronised, and renamed, so that one with its own name is whole, whatever
//! happens. One that is damaged later is found by its length or its checksum.

mod check;
mod content;
mod error;
mod export;
mod file;
mod folder;

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};

use crate::model::{Dlrm, Engine};
use crate::train::{DataIdentity, Hyperparameters, LossCurve, TrainState};
use content::Caches;
pub use error::{CheckpointError, CheckpointErrorKind};
pub use export::MODEL;
pub use file::{CHECKSUM, DESCRIPTION};
use file::{Entry, Reader, Writer};
pub use folder::{Folder, Skipped};

/// The format that is written and understood.
pub const FORMAT: u32 = 1;

const LOSSES: &str = "training.losses";

/// What a checkpoint says of itself: its metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// [`FORMAT`].
    pub format: u32,
    /// Settings of the run: the model can be made from them.
    pub settings: Hyperparameters,
    /// The data it was trained on.
    pub data: DataIdentity,
    /// How far it is.
    pub state: TrainState,
    /// Whether it is [exported](Checkpoint::export): without what only training needs, so that no run goes on from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_predictions: bool,
}

/// Where a checkpoint is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its path.
    pub path: PathBuf,
    /// Its path until it is whole, on the same disk.
    pub temporary: PathBuf,
}

/// Writes a checkpoint of a model, unless a number of it is not finite.
///
/// # Errors
///
/// [`CheckpointError`], naming the file. What was at its path is unchanged then, and nothing else is left.
pub fn save<B: Engine>(
    target: &Target,
    model: &mut Dlrm<B>,
    queue: &mut B::Queue,
    description: &Description,
    losses: &LossCurve,
) -> Result<(), CheckpointError> {
    match model.non_finite_parameter(queue) {
        Ok(None) => {}
        Ok(Some(tensor)) => return Err(CheckpointError::new(&target.path, CheckpointErrorKind::NonFinite { tensor })),
        Err(error) => return Err(CheckpointError::new(&target.path, CheckpointErrorKind::Backend(error.to_string()))),
    }
    let text = serde_json::to_string(description).map_err(std::io::Error::from);
    let text = text.map_err(CheckpointError::at(&target.path))?;
    let caches = Caches::of(model).map_err(CheckpointError::at(&target.path))?;
    let losses = losses.to_numbers();
    // The widest numbers come first, so that all are aligned.
    let mut entries = vec![Entry { name: LOSSES.to_owned(), dtype: Dtype::F64, shape: vec![losses.len()] }];
    entries.extend(caches.entries());
    entries.extend(content::entries(model.config(), file::dtype::<B::Float>()));
    let written = Writer::replace(&target.path, &target.temporary, text, &entries, |writer| {
        writer.floats(&losses)?;
        caches.write(writer)?;
        content::write(model, queue, writer)
    });
    if written.is_err() {
        // A full disk needs the room; and the first error says more than that this failed, too.
        let _ = fs::remove_file(&target.temporary);
    }
    written
}

/// A checkpoint that can be read.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    reader: Reader,
    description: Description,
}

impl Checkpoint {
    /// Opens a checkpoint and reads what it says of itself. Its numbers are not looked at yet.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if it is no checkpoint, of another version, or does not have the length and the tensors that it
    /// should: the model of its settings takes no more memory than a multiple of the length of the file.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let open = || {
            let reader = Reader::open(path)?;
            let missing = || CheckpointErrorKind::foreign(format!("there is no metadata entry `{DESCRIPTION}`"));
            let text = reader.description().ok_or_else(missing)?;
            #[derive(Deserialize)]
            struct Format {
                format: u32,
            }
            let foreign = |error: serde_json::Error| CheckpointErrorKind::foreign(error.to_string());
            let Format { format } = serde_json::from_str(text).map_err(foreign)?;
            if format != FORMAT {
                return Err(CheckpointErrorKind::Version { got: format, want: FORMAT });
            }
            let description = serde_json::from_str(text).map_err(foreign)?;
            check::description(&description, &reader)?;
            Ok(Self { path: path.to_owned(), reader, description })
        };
        open().map_err(CheckpointError::at(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.description.state.iteration
    }

    /// That its content is what was written: reads the whole file.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if not.
    pub fn verify(&mut self) -> Result<(), CheckpointError> {
        self.reader.verify().map_err(CheckpointError::at(&self.path))
    }

    /// That it is of a run with these settings on this data.
    ///
    /// # Errors
    ///
    /// [`CheckpointErrorKind::Data`], [`CheckpointErrorKind::Setting`], naming what differs.
    pub fn check(&self, settings: &Hyperparameters, data: &DataIdentity) -> Result<(), CheckpointError> {
        let ours = &self.description;
        let kind = if ours.for_predictions {
            CheckpointErrorKind::ForPredictions
        } else if let Some((what, checkpoint, now)) = ours.data.difference(data) {
            CheckpointErrorKind::Data { what, checkpoint, now }
        } else if let Some(difference) = ours.settings.difference(settings) {
            CheckpointErrorKind::Setting(difference)
        } else {
            return Ok(());
        };
        Err(CheckpointError::new(&self.path, kind))
    }

    /// Puts its numbers into a model of its settings: parameters, optimiser state, caches and step count. Gives the
    /// losses so far.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if a tensor is missing or of another shape, naming it; the model may be half of each then.
    pub fn restore<B: Engine>(
        &mut self,
        model: &mut Dlrm<B>,
        queue: &mut B::Queue,
    ) -> Result<LossCurve, CheckpointError> {
        let state = &self.description.state;
        let steps = state.iteration.saturating_sub(state.skipped);
        let reader = &mut self.reader;
        let mut restore = || {
            content::read(model, queue, reader)?;
            Caches::read(model, reader)?;
            model.tables().set_steps(steps);
            let losses = LossCurve::from_numbers(&reader.doubles(LOSSES)?);
            let losses = losses.filter(|losses| losses.iterations() == steps);
            let missing = || CheckpointErrorKind::foreign(format!("`{LOSSES}` is no curve of {steps} losses"));
            losses.ok_or_else(missing)
        };
        restore().map_err(CheckpointError::at(&self.path))
    }
}
