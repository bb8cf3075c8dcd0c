//! Uncompressed tables.

use num_traits::Float;
use rand_distr::{Distribution, StandardNormal, StandardUniform};

use super::stream::stream;
use crate::real::Real;

/// Numbers that share a random stream.
const CHUNK: usize = 4096;

/// The distribution of the entries of a new dense table, and of rows held as they are beside cores.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum DenseInit {
    /// As the reference model does: `U(-1/sqrt(n), 1/sqrt(n))` for a table of `n` rows.
    #[default]
    Reference,
    /// Uniform between two numbers.
    Uniform {
        /// The lower one.
        low: f64,
        /// The upper one.
        high: f64,
    },
    /// A Gaussian of mean zero.
    Gaussian {
        /// Its standard deviation.
        std: f64,
    },
}

impl DenseInit {
    /// Fills rows `[..][N]` of a table of `rows` rows. Every 4,096 numbers have their own random stream, so parts may be
    /// filled in any order.
    pub fn fill<F: Real>(&self, rows: u64, seed: u64, out: &mut [F]) {
        match *self {
            Self::Reference => fill_dense(rows, seed, out),
            Self::Uniform { low, high } => fill(StandardUniform, seed, out, |unit: f64| low + (high - low) * unit),
            Self::Gaussian { std } => fill(StandardNormal, seed, out, |unit: f64| std * unit),
        }
    }

    /// The numbers it is given, with what they are.
    pub(crate) fn numbers(&self) -> [(&'static str, f64); 2] {
        match *self {
            Self::Reference => [("standard deviation of dense rows", 0.0); 2],
            Self::Uniform { low, high } => [("lower bound of dense rows", low), ("upper bound of dense rows", high)],
            Self::Gaussian { std } => [("standard deviation of dense rows", std); 2],
        }
    }
}

/// Fills a dense table `[rows][N]` as the reference model does: `U(-1/sqrt(rows), 1/sqrt(rows))`.
///
/// Every 4,096 numbers have their own random stream, so parts may be filled in any order.
pub fn fill_dense<F: Real>(rows: u64, seed: u64, table: &mut [F]) {
    let bound = 1.0 / Float::sqrt(rows.max(1) as f64);
    fill(StandardUniform, seed, table, |unit: f64| bound * (2.0 * unit - 1.0));
}

fn fill<F: Real>(entries: impl Distribution<f64> + Copy, seed: u64, out: &mut [F], number: impl Fn(f64) -> f64) {
    for (chunk, out) in out.chunks_mut(CHUNK).enumerate() {
        let mut rng = stream(seed, chunk as u64);
        out.fill_with(|| F::of(number(entries.sample(&mut rng))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distribution() {
        let all = [
            (DenseInit::Reference, 0.0, 1.0 / 300.0),
            (DenseInit::Uniform { low: 0.5, high: 1.5 }, 1.0, 1.0 / 12.0),
            (DenseInit::Gaussian { std: 0.25 }, 0.0, 0.0625),
        ];
        for (init, mean, variance) in all {
            let mut out = [0.0f64; 40_000];
            init.fill(100, 7, &mut out);
            let n = out.len() as f64;
            let got = out.iter().sum::<f64>() / n;
            let squares = out.iter().map(|x| (x - got) * (x - got)).sum::<f64>() / n;
            // Five standard errors.
            assert!((got - mean).abs() < 5.0 * Float::sqrt(variance / n), "{init:?}: {got}");
            assert!((squares / variance - 1.0).abs() < 5.0 * Float::sqrt(2.0 / n), "{init:?}: {squares}");
        }
    }
}
