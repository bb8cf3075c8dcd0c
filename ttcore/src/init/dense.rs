//! Uncompressed tables.

use num_traits::Float;
use rand_distr::{Distribution, StandardUniform};

use super::stream::stream;
use crate::real::Real;

/// Numbers that share a random stream.
const CHUNK: usize = 4096;

/// Fills a dense table `[rows][N]` as the reference model does: `U(-1/sqrt(rows), 1/sqrt(rows))`.
///
/// Every 4,096 numbers have their own random stream, so parts may be filled in any order.
pub fn fill_dense<F: Real>(rows: u64, seed: u64, table: &mut [F]) {
    let bound = 1.0 / Float::sqrt(rows.max(1) as f64);
    for (number, chunk) in table.chunks_mut(CHUNK).enumerate() {
        let mut rng = stream(seed, number as u64);
        chunk.fill_with(|| {
            let unit: f64 = StandardUniform.sample(&mut rng);
            F::of(bound * (2.0 * unit - 1.0))
        });
    }
}
