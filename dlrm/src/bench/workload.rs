//! The lookups a benchmark makes: drawn from a seed, or read from a file that other programs can read too.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use ttcore::{Bags, BagsError, Offsets, Pooling};

use super::error::{Content, WorkloadError};
use crate::data;

/// Names of the tensors of a workload file.
const INDICES: &str = "indices";
const OFFSETS: &str = "offsets";

/// Which row has a popularity rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Any: a random bijection of ranks to rows, as where rows are numbered as they first appear or by a hash.
    #[default]
    Scattered,
    /// The rank itself: popular rows are neighbours, share leading digits, and so share products of slices.
    Sorted,
}

impl Order {
    /// As written on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scattered => "scattered",
            Self::Sorted => "sorted",
        }
    }
}

/// What a workload is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generator {
    /// Rows of the table.
    pub rows: u64,
    /// Bags of a batch.
    pub bags: usize,
    /// Lookups of a bag.
    pub pooling: usize,
    /// Exponent `s` of the popularity: rank `k`, from 1, is drawn in proportion to `k^-s`. 0 is uniform.
    pub zipf: f64,
    /// Which row has a rank.
    pub order: Order,
    /// Batches.
    pub batches: usize,
    /// Decides all draws.
    pub seed: u64,
}

impl Default for Generator {
    /// The largest table of Criteo Kaggle, at a batch size of Criteo Terabyte.
    fn default() -> Self {
        let (rows, bags, pooling, batches) = (10_131_227, 2048, 1, 30);
        Self { rows, bags, pooling, zipf: 1.05, order: Order::Scattered, batches, seed: 0 }
    }
}

/// Batches of lookups in one table, all with the same bags. Valid for a table of [`Workload::rows`].
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    rows: u64,
    /// `[batches][lookups]`.
    indices: Vec<i64>,
    /// `[bags + 1]`.
    offsets: Vec<i64>,
    drawn: Option<(f64, Order)>,
}

impl Workload {
    /// Draws a workload. The same settings give the same lookups.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Setting`].
    pub fn generate(settings: &Generator) -> Result<Self, WorkloadError> {
        let Generator { rows, bags, pooling, zipf, order, batches, seed } = *settings;
        let must = |name, must| WorkloadError::Setting { name, must };
        for (name, value) in [("number of bags", bags), ("pooling", pooling), ("number of batches", batches)] {
            if value == 0 {
                return Err(must(name, "at least 1"));
            }
        }
        if rows == 0 || rows > i64::MAX as u64 {
            return Err(must("number of rows", "at least 1 and less than 2^63"));
        }
        let total = bags.checked_mul(pooling).and_then(|lookups| lookups.checked_mul(batches));
        let total = total.filter(|&total| total <= isize::MAX as usize / 16);
        let total = total.ok_or(must("product of bags, pooling and batches", "small enough for memory"))?;
        let zipf_must = must("Zipf exponent", "a finite number of at least 0");
        if !zipf.is_finite() {
            return Err(zipf_must);
        }
        let ranks = Zipf::new(rows as f64, zipf).map_err(|_| zipf_must)?;
        let all = usize::try_from(rows).map_err(|_| must("number of rows", "small enough for this machine"))?;
        let scatter = data::Order::new(0..all, seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |_| {
            // The bound covers rounding beyond the last rank.
            let rank = (ranks.sample(&mut rng) as u64).clamp(1, rows) - 1;
            (match order {
                Order::Scattered => scatter.row(rank as usize) as u64,
                Order::Sorted => rank,
            }) as i64
        };
        let indices = (0..total).map(draw).collect();
        let offsets = (0..=bags).map(|bag| (bag * pooling) as i64).collect();
        Ok(Self { rows, indices, offsets, drawn: Some((zipf, order)) })
    }

    /// Lookups of which a share is of the first `hot` rows and the others of any other, all of a kind alike, one a bag.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Setting`].
    pub fn of_hot_rows(settings: &Generator, hot: u64, share: f64) -> Result<Self, WorkloadError> {
        let Generator { rows, bags, batches, seed, .. } = *settings;
        let must = |name, must| Err(WorkloadError::Setting { name, must });
        if bags == 0 || batches == 0 {
            return must("number of bags and batches", "at least 1");
        }
        if hot == 0 || hot >= rows || rows > u64::from(u32::MAX) {
            return must("number of hot rows", "at least 1 and below that of all rows, below 2^32");
        }
        if !(0.0..=1.0).contains(&share) {
            return must("share of hot rows", "between 0 and 1");
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = || f64::from(rng.next_u32()) / 2f64.powi(32);
        let indices = (0..bags * batches).map(|_| {
            let (first, count) = if uniform() < share { (0, hot) } else { (hot, rows - hot) };
            (first + (uniform() * count as f64) as u64) as i64
        });
        let indices = indices.collect();
        Ok(Self { rows, indices, offsets: (0..=bags as i64).collect(), drawn: None })
    }

    /// Reads a safetensors file with `indices`, `i64` `[batches][lookups]`, and `offsets`, `i64` `[bags + 1]`, and
    /// checks it for a table with this many rows.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`], for everything but a setting.
    pub fn load(path: &Path, rows: u64) -> Result<Self, WorkloadError> {
        let content = |what| WorkloadError::Content { path: path.to_owned(), what };
        let bytes = fs::read(path).map_err(|error| WorkloadError::Io { path: path.to_owned(), error })?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| content(Content::Format(error)))?;
        let (shape, indices) = tensor(&file, INDICES, "[batches][lookups]", 2).map_err(content)?;
        let (_, offsets) = tensor(&file, OFFSETS, "[bags + 1]", 1).map_err(content)?;
        if indices.is_empty() {
            let want = "[batches][lookups] with at least one of each";
            return Err(content(Content::Shape { name: INDICES, want, got: shape }));
        }
        let mut workload = Self { rows, indices, offsets, drawn: None };
        let lookups = shape[1];
        for (batch, indices) in workload.indices.chunks_exact(lookups).enumerate() {
            let checked = checked(rows, indices, &workload.offsets);
            checked.map_err(|error| content(Content::Batch { batch, error }))?;
        }
        // How it was drawn is a remark for the report; a file from elsewhere need not have it.
        if let Ok((_, header)) = SafeTensors::read_metadata(&bytes) {
            let remark = |key: &str| header.metadata().as_ref()?.get(key).cloned();
            let zipf = remark("zipf").and_then(|text| text.parse().ok());
            let order = remark("order");
            let order = [Order::Scattered, Order::Sorted].into_iter().find(|o| Some(o.name()) == order.as_deref());
            workload.drawn = zipf.zip(order);
        }
        Ok(workload)
    }

    /// Writes the file [`Workload::load`] reads.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), WorkloadError> {
        let content = |error| WorkloadError::Content { path: path.to_owned(), what: Content::Format(error) };
        let bytes = |numbers: &[i64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        let (indices, offsets) = (bytes(&self.indices), bytes(&self.offsets));
        let view = |shape, data| TensorView::new(Dtype::I64, shape, data).map_err(content);
        let tensors = [
            (INDICES, view(vec![self.batches(), self.lookups()], &indices)?),
            (OFFSETS, view(vec![self.offsets.len()], &offsets)?),
        ];
        let remark = |(zipf, order): (f64, Order)| {
            HashMap::from([("zipf", zipf.to_string()), ("order", order.name().into())].map(|(k, v)| (k.to_string(), v)))
        };
        let file = safetensors::serialize(tensors, self.drawn.map(remark)).map_err(content)?;
        fs::write(path, file).map_err(|error| WorkloadError::Io { path: path.to_owned(), error })
    }

    /// Rows of the table it was made or checked for.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of batches.
    pub fn batches(&self) -> usize {
        self.indices.len() / self.lookups()
    }

    /// Bags of a batch.
    pub fn bags(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Lookups of a batch, at least 1.
    pub fn lookups(&self) -> usize {
        // Validated: the last offset is the number of lookups.
        self.offsets[self.bags()] as usize
    }

    /// Zipf exponent and order, where they are known.
    pub fn drawn(&self) -> Option<(f64, Order)> {
        self.drawn
    }

    /// The rows of a batch, `[lookups]`.
    ///
    /// # Panics
    ///
    /// If there is no such batch.
    pub fn indices(&self, batch: usize) -> &[i64] {
        &self.indices[batch * self.lookups()..][..self.lookups()]
    }

    /// A batch to group, summed over bags. Every call validates it again, as for one that came from outside.
    ///
    /// # Errors
    ///
    /// None that [`Workload::load`] would not have found.
    ///
    /// # Panics
    ///
    /// If there is no such batch.
    pub fn batch(&self, batch: usize) -> Result<Bags<'_, f32>, BagsError> {
        checked(self.rows, self.indices(batch), &self.offsets)
    }
}

fn checked<'a>(rows: u64, indices: &'a [i64], offsets: &'a [i64]) -> Result<Bags<'a, f32>, BagsError> {
    Bags::new(rows, indices, Offsets::WithLast(offsets), Pooling::Sum, None)
}

/// The shape and numbers of an `i64` tensor with this many dimensions.
fn tensor(
    file: &SafeTensors<'_>,
    name: &'static str,
    want: &'static str,
    dimensions: usize,
) -> Result<(Vec<usize>, Vec<i64>), Content> {
    let tensor = file.tensor(name).map_err(|_| Content::Missing { name })?;
    if tensor.dtype() != Dtype::I64 {
        return Err(Content::Type { name, got: tensor.dtype().to_string() });
    }
    let got = tensor.shape().to_vec();
    if got.len() != dimensions {
        return Err(Content::Shape { name, want, got });
    }
    let numbers = tensor.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
    Ok((got, numbers.collect()))
}
