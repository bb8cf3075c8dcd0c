//! Batches for a whole model: drawn from a seed, and written to a file that other programs can read.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};

use super::error::{Content, WorkloadError};
use super::train::Settings;
use super::workload::{Generator, Workload};
use crate::data::DENSE;
use crate::model::Samples;

/// The generator's stream for dense features and labels.
const STREAM: u64 = 3;

/// Share of positive labels, as in Criteo's data.
const POSITIVE: f64 = 0.25;

/// Largest dense feature: `ln(x + 1)` of a count of a few dozens.
const LARGEST: f32 = 4.0;

/// Batches of samples with one lookup in every table.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    batch: usize,
    /// `[batches][B][DENSE]`.
    dense: Vec<f32>,
    /// `[batches][B]`.
    labels: Vec<f32>,
    /// `[batches][tables][B]`.
    indices: Vec<Vec<Vec<u32>>>,
}

impl Batches {
    /// Draws `batches` batches. The same settings give the same samples. Popularities of rows are those of
    /// [`Workload::generate`], for each table on its own.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Setting`].
    pub fn generate(settings: &Settings, batches: usize) -> Result<Self, WorkloadError> {
        let &Settings { preset, batch, zipf, order, seed, .. } = settings;
        let tables = preset.table_rows();
        let mut indices = vec![Vec::with_capacity(tables.len()); batches];
        for (table, &rows) in tables.iter().enumerate() {
            // Tables of equal size have different popular rows.
            let seed = seed.wrapping_add(table as u64);
            let generator = Generator { rows, bags: batch, pooling: 1, zipf, order, batches, seed };
            let workload = Workload::generate(&generator)?;
            for (number, tables) in indices.iter_mut().enumerate() {
                tables.push(workload.indices(number).iter().map(|&row| row as u32).collect());
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let mut uniform = || f64::from(rng.next_u32()) / 2f64.powi(32);
        let samples = batches * batch;
        let dense = (0..samples * DENSE).map(|_| uniform() as f32 * LARGEST).collect();
        let labels = (0..samples).map(|_| if uniform() < POSITIVE { 1.0 } else { 0.0 }).collect();
        Ok(Self { batch, dense, labels, indices })
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// A batch, for a step.
    ///
    /// # Panics
    ///
    /// If there is no such batch.
    pub fn samples(&self, number: usize) -> Samples<'_, f32> {
        let batch = self.batch;
        Samples::new(
            &self.dense[number * batch * DENSE..][..batch * DENSE],
            &self.indices[number],
            &self.labels[number * batch..][..batch],
        )
    }

    /// Bytes they take.
    pub fn bytes(&self) -> usize {
        let indices: usize = self.indices.iter().flatten().map(|indices| size_of_val(&indices[..])).sum();
        size_of_val(&self.dense[..]) + size_of_val(&self.labels[..]) + indices
    }

    /// Writes a safetensors file: `dense`, `f32` `[batches][B][13]`, `labels`, `f32` `[batches][B]`, `indices`, `i64`
    /// `[batches][tables][B]`, and `table_rows`, `i64` `[tables]`; in its metadata the preset's layers as `bottom` and `top`,
    /// and the embedding dimension as `dim`.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Io`].
    pub fn save(&self, path: &Path, settings: &Settings) -> Result<(), WorkloadError> {
        let content = |error| WorkloadError::Content { path: path.to_owned(), what: Content::Format(error) };
        let floats = |numbers: &[f32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        let preset = settings.preset;
        let rows = preset.table_rows();
        let indices = self.indices.iter().flatten().flatten();
        let indices: Vec<u8> = indices.flat_map(|&row| i64::from(row).to_le_bytes()).collect();
        let table_rows: Vec<u8> = rows.iter().flat_map(|rows| rows.to_le_bytes()).collect();
        let (dense, labels) = (floats(&self.dense), floats(&self.labels));
        let (batches, batch) = (self.len(), self.batch);
        let view = |dtype, shape, data| TensorView::new(dtype, shape, data).map_err(content);
        let tensors = [
            ("dense", view(Dtype::F32, vec![batches, batch, DENSE], &dense)?),
            ("labels", view(Dtype::F32, vec![batches, batch], &labels)?),
            ("indices", view(Dtype::I64, vec![batches, rows.len(), batch], &indices)?),
            ("table_rows", view(Dtype::I64, vec![rows.len()], &table_rows)?),
        ];
        let list = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let metadata = HashMap::from([
            ("preset".to_string(), preset.to_string()),
            ("dim".to_string(), preset.embedding_dim().to_string()),
            ("bottom".to_string(), list(preset.bottom())),
            ("top".to_string(), list(preset.top())),
        ]);
        let file = safetensors::serialize(tensors, Some(metadata)).map_err(content)?;
        fs::write(path, file).map_err(|error| WorkloadError::Io { path: path.to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fit_the_tables_and_follow_the_seed() {
        let settings = Settings { batch: 50, ..Settings::default() };
        let batches = Batches::generate(&settings, 3).expect("batches");
        assert_eq!(batches, Batches::generate(&settings, 3).expect("batches"));
        assert_ne!(batches, Batches::generate(&Settings { seed: 1, ..settings }, 3).expect("batches"));
        let mut positive = 0.0;
        for number in 0..batches.len() {
            let Samples { dense, indices, labels, .. } = batches.samples(number);
            assert_eq!((dense.len(), indices.len(), labels.len()), (50 * 13, 26, 50));
            assert!(dense.iter().all(|x| (0.0..=LARGEST).contains(x)));
            for (indices, &rows) in indices.iter().zip(settings.preset.table_rows()) {
                assert!(indices.len() == 50 && indices.iter().all(|&row| u64::from(row) < rows));
            }
            positive += labels.iter().sum::<f32>();
        }
        // 37.5 expected of 150, with a standard deviation of 5.3.
        assert!((15.0..60.0).contains(&positive), "{positive}");
        assert_eq!(batches.bytes(), 3 * 50 * (13 + 1 + 26) * 4);
    }
}
