//! Uniform entries.

use rand_core::Rng;
use rand_distr::{Distribution, StandardUniform};

/// The uniform distribution on `[-sqrt(3), sqrt(3))`, of variance 1.
///
/// # Notes
///
/// Centred: the published code draws from `U(0, c)`, whose product is a nearly constant table.
#[derive(Clone, Copy, Debug)]
pub struct Uniform;

impl Uniform {
    /// Variance of a draw.
    pub const VARIANCE: f64 = 1.0;
}

impl Distribution<f64> for Uniform {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let unit: f64 = StandardUniform.sample(rng);
        let sqrt_3 = 1.732_050_807_568_877_2;
        sqrt_3 * (2.0 * unit - 1.0)
    }
}
