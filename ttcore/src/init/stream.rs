//! Independent random streams from one seed.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Stream `number` of a seed. ChaCha8 by name, so that draws do not change when a library changes its default generator.
pub(super) fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// The seed of table `table` of a model with this seed.
pub fn table_seed(seed: u64, table: usize) -> u64 {
    // From the far end of the streams, which the slices of a table do not reach.
    stream(seed, u64::MAX - table as u64).next_u64()
}
