//! That a checkpoint can be what it says of itself.
//!
//! Its checksum says that it is what somebody wrote, not that this program did. So before memory is taken for a model,
//! the settings must be those of a model, and the file must have the tensors of that model: what is asked for is then no
//! more than a few times what lies on the disk.

use safetensors::tensor::Dtype;

use super::Description;
use super::content::{self, Caches};
use super::error::CheckpointErrorKind;
use super::file::Reader;
use crate::train::TrainState;

/// That the settings make a model whose tensors the file has, and that the state is one of a run.
pub(super) fn description(description: &Description, reader: &Reader) -> Result<(), CheckpointErrorKind> {
    let foreign = |error: String| CheckpointErrorKind::foreign(error);
    let config = description.settings.model().map_err(|error| foreign(error.to_string()))?;
    // Which of the two types is asked when the numbers are read.
    let dtype = match reader.dtype(&format!("bottom.0.{}", content::WEIGHT)) {
        Some(Dtype::F64) => Dtype::F64,
        _ => Dtype::F32,
    };
    for entry in content::entries(&config, dtype) {
        reader.check(&entry)?;
    }
    for entry in Caches::slots(&config) {
        reader.check(&entry)?;
    }
    state(&description.state, description.settings.batch_size.min(description.data.lines)).map_err(foreign)
}

/// That counts are such as a run with batches of `batch` lines comes to.
fn state(state: &TrainState, batch: usize) -> Result<(), String> {
    let &TrainState { iteration, position, skipped, lookups, hits, best } = state;
    // Samples are counted in 64 bits.
    if iteration.checked_add(1).and_then(|next| next.checked_mul(batch.max(1) as u64)).is_none() {
        return Err(format!("{iteration} iterations are more than can be done"));
    }
    if position.epoch > iteration || (position.epoch == iteration && position.line > 0) {
        return Err(format!("it is in epoch {} after {iteration} iterations", position.epoch));
    }
    if skipped > iteration {
        return Err(format!("{skipped} of {iteration} iterations were skipped"));
    }
    if hits > lookups {
        return Err(format!("{hits} of {lookups} lookups were of cached rows"));
    }
    match best {
        Some(best) if best.iteration > iteration => {
            Err(format!("its best evaluation is of iteration {}, after {iteration} iterations", best.iteration))
        }
        _ => Ok(()),
    }
}
