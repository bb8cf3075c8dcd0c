//! Gaussian entries.

use rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};

/// The standard normal distribution, `N(0, 1)`.
///
/// # Notes
///
/// A product of `d` Gaussians concentrates near zero with heavy tails (paper, Figure 3). A table of rank `R` sums
/// `R^(d-1)` of them, which brings it closer to a Gaussian, whose kurtosis is 3. With entries of kurtosis `k` and `d = 3`
/// it is `3 (1 + (k-1)/R)^2 + (k-3) k^2/R^2`: here, with `k = 3`, 27 at rank 1, 4.7 at rank 8 and 3.4 at rank 32.
#[derive(Clone, Copy, Debug)]
pub struct Gaussian;

impl Gaussian {
    /// Variance of a draw.
    pub const VARIANCE: f64 = 1.0;
}

impl Distribution<f64> for Gaussian {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        StandardNormal.sample(rng)
    }
}
