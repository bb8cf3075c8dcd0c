//! Entries of plus or minus one.

use rand_core::Rng;
use rand_distr::Distribution;

/// Plus or minus one with equal probability.
///
/// # Notes
///
/// As far from zero as entries of variance 1 can be. A table of rank `R` has the shape of a Gaussian from rank 8 on, as
/// with [`SampledGaussian`](super::SampledGaussian), for one random bit an entry.
#[derive(Clone, Copy, Debug)]
pub struct Signs;

impl Signs {
    /// Variance of a draw.
    pub const VARIANCE: f64 = 1.0;
}

impl Distribution<f64> for Signs {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        if rng.next_u32() >> 31 == 0 { 1.0 } else { -1.0 }
    }
}
