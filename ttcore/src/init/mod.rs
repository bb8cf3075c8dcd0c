//! Initialisation of cores and dense tables: seeded, and the same whatever the number of threads.
//!
//! The reference model draws a dense table of `n` rows from `U(-1/sqrt(n), 1/sqrt(n))`, whose best Gaussian approximation
//! is `N(0, 1/(3n))` (paper, section 3.2). So `1/(3n)` is the variance an entry of the product of the cores should have.
//!
//! # Scale
//!
//! For cores with independent entries of mean zero and variances `s_1^2 .. s_d^2`, an entry of the table has variance
//! `s_1^2 .. s_d^2 R_1 R_2 .. R_{d-1}`: a sum over all bonds of products of `d` entries. Many variances give `1/(3n)`:
//!
//! * [`Scale::Isometric`], the default. The core of the largest slices, `G_p` (of equal ones the last), is small, and the
//!   others are large: a slice before it keeps the length of what it is multiplied by from the left, one behind it from the
//!   right, in expectation.
//!
//!   ```text
//!   s_k^2 = 1/R_k  for k < p;    s_p^2 = 1/(3n);    s_k^2 = 1/R_{k-1}  for k > p
//!   ```
//!
//!   So `w_i = L G_p[i_p] Q` with `E[L L^T] = 1` and `E[Q^T Q] = 1`: the table begins as a linear model in `G_p` on random
//!   features of the other digits, which are all but orthogonal from rank to rank.
//! * [`Scale::Calibrated`]: all alike, `s^2 = (3 n R_1 R_2 .. R_{d-1})^(-1/d)`.
//!
//! # Step size
//!
//! A step of SGD on row `i` moves it by `lr K` times its gradient, with `K = sum_k |dW/dG_k|^2`, for a dense table 1. In
//! expectation `K = R_1 R_2 .. R_{d-1} s_1^2 .. s_d^2 sum_k 1/s_k^2`. Isometric cores have `K = 1` from `G_p`, and next to
//! nothing from the others: a new row moves like one of a dense table. A calibrated table of 10 million rows at rank 32 has
//! `K = 3.1e-4`: it learns thousands of times slower at the same learning rate. [`Scale::Paper`], which is far too wide, has
//! `K = 1.04` there. `K` grows as the table does; so see [`CoreRule`](crate::CoreRule) for how cores are best trained, and
//! print the [`Report`] when a model is built.
//!
//! # Distribution
//!
//! With ranks, an entry of the table is a sum of `R_1 .. R_{d-1}` products, so it comes close to a Gaussian for any
//! distribution of the core entries; at low rank the closer the further those keep from zero: see [`SampledGaussian`].

mod dense;
mod gaussian;
mod sampled_gaussian;
mod signs;
mod stream;
mod uniform;

pub use dense::{DenseInit, fill_dense};
pub use gaussian::Gaussian;
pub use sampled_gaussian::SampledGaussian;
pub use signs::Signs;
pub use stream::table_seed;
pub use uniform::Uniform;

use core::cmp::Ordering;

use num_traits::Float;
use rand_core::Rng;
use rand_distr::Distribution;

use crate::real::Real;
use crate::shape::TtShape;

/// The distribution of the entries of the cores, before scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Entries {
    /// The tails of a Gaussian: the paper's Algorithm 3.
    #[default]
    SampledGaussian,
    /// A Gaussian.
    Gaussian,
    /// Uniform around zero.
    Uniform,
    /// Plus or minus one.
    Signs,
}

/// What the entries are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Scale {
    /// So that the table has variance `1/(3n)`, held by the core of the largest slices, and the other slices are isometries
    /// in expectation.
    #[default]
    Isometric,
    /// So that the table has variance `1/(3n)`, all entries alike.
    Calibrated,
    /// `(1/(3n))^(1/(2d))`, as the published code: without the factors for ranks and tails. For comparison.
    Paper,
}

/// How cores are initialised.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub struct CoreInit {
    /// Distribution of the entries.
    pub entries: Entries,
    /// What they are multiplied by.
    pub scale: Scale,
    /// Standard deviation that an entry of the table should have; where none is chosen, `1/sqrt(3n)`. [`Scale::Paper`] goes by
    /// none.
    pub std: Option<f64>,
}

/// What an initialisation means for the table, in expectation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Root mean square of the entries of the cores.
    pub std_entry: f64,
    /// Standard deviation of an entry of the table.
    pub std_table: f64,
    /// What it should be: the one chosen, or `1/sqrt(3n)`.
    pub std_target: f64,
    /// How far a step of SGD moves a row, relative to a dense table: `K`.
    pub step: f64,
}

impl Entries {
    /// Variance of an entry before scaling.
    pub fn variance(&self) -> f64 {
        match self {
            Self::SampledGaussian => SampledGaussian::VARIANCE,
            Self::Gaussian => Gaussian::VARIANCE,
            Self::Uniform => Uniform::VARIANCE,
            Self::Signs => Signs::VARIANCE,
        }
    }

    fn fill<F: Real>(&self, rng: &mut impl Rng, factor: f64, out: &mut [F]) {
        fn draw<F: Real>(entries: impl Distribution<f64>, rng: &mut impl Rng, factor: f64, out: &mut [F]) {
            out.fill_with(|| F::of(factor * entries.sample(rng)));
        }
        match self {
            Self::SampledGaussian => draw(SampledGaussian, rng, factor, out),
            Self::Gaussian => draw(Gaussian, rng, factor, out),
            Self::Uniform => draw(Uniform, rng, factor, out),
            Self::Signs => draw(Signs, rng, factor, out),
        }
    }
}

impl CoreInit {
    /// With another distribution of the entries.
    pub fn with_entries(self, entries: Entries) -> Self {
        Self { entries, ..self }
    }

    /// With another scale.
    pub fn with_scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// With another standard deviation of the table's entries.
    pub fn with_std(self, std: f64) -> Self {
        Self { std: Some(std), ..self }
    }

    /// Variance of the entries of core `k` (from 0) of this shape.
    ///
    /// # Panics
    ///
    /// If `k >= d`.
    pub fn variance(&self, shape: &TtShape, k: usize) -> f64 {
        let d = shape.cores() as f64;
        let target = self.target(shape);
        match self.scale {
            Scale::Isometric => match k.cmp(&largest(shape)) {
                Ordering::Less => 1.0 / shape.ranks()[k + 1] as f64,
                Ordering::Equal => target,
                Ordering::Greater => 1.0 / shape.ranks()[k] as f64,
            },
            Scale::Calibrated => Float::powf(target / bonds(shape), 1.0 / d),
            Scale::Paper => self.entries.variance() * Float::powf(3.0 * shape.rows() as f64, -1.0 / d),
        }
    }

    /// The variance an entry of the table should have.
    fn target(&self, shape: &TtShape) -> f64 {
        self.std.map_or(1.0 / (3.0 * shape.rows() as f64), |std| std * std)
    }

    /// What this initialisation means for a table of this shape.
    pub fn report(&self, shape: &TtShape) -> Report {
        let variances = || (0..shape.cores()).map(|k| self.variance(shape, k));
        let table = variances().product::<f64>() * bonds(shape);
        let squares: f64 = variances().enumerate().map(|(k, s)| s * shape.core_range(k).len() as f64).sum();
        Report {
            std_entry: Float::sqrt(squares / shape.parameters() as f64),
            std_table: Float::sqrt(table),
            std_target: Float::sqrt(self.target(shape)),
            step: variances().map(|s| table / s).sum(),
        }
    }

    /// Fills the flat buffer of all cores, `[parameters]`. Each slice has its own random stream, so parts may be filled
    /// in any order and the result depends on the seed and the shape alone, to the rounding of the platform's logarithm.
    ///
    /// # Panics
    ///
    /// If `cores` is shorter than the shape's parameters.
    pub fn fill<F: Real>(&self, shape: &TtShape, seed: u64, cores: &mut [F]) {
        let mut slice = 0;
        for k in 0..shape.cores() {
            let factor = Float::sqrt(self.variance(shape, k) / self.entries.variance());
            for i in 0..shape.row_factors()[k] {
                let out = &mut cores[shape.slice_range(k, i)];
                self.entries.fill(&mut stream::stream(seed, slice), factor, out);
                slice += 1;
            }
        }
    }
}

/// The core of the largest slices, of equal ones the last.
fn largest(shape: &TtShape) -> usize {
    (0..shape.cores()).max_by_key(|&k| shape.slice_len(k)).unwrap_or(0)
}

/// `R_1 R_2 .. R_{d-1}`: over how many bonds an entry of the table is summed.
fn bonds(shape: &TtShape) -> f64 {
    shape.ranks().iter().map(|&rank| rank as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_standard_deviation_is_what_comes_out() {
        let shape = TtShape::paper(10_131_227, 16, 3, 32).unwrap();
        for scale in [Scale::Isometric, Scale::Calibrated] {
            let report = CoreInit { scale, std: Some(0.01), ..CoreInit::default() }.report(&shape);
            assert!((report.std_table / 0.01 - 1.0).abs() < 1e-12 && report.std_target == 0.01, "{report:?}");
        }
    }

    #[test]
    fn step_sizes_of_the_papers_first_table() {
        let shape = TtShape::paper(10_131_227, 16, 3, 32).unwrap();
        let isometric = CoreInit::default().report(&shape);
        assert!((isometric.std_table / isometric.std_target - 1.0).abs() < 1e-12);
        assert!((isometric.step - 1.0).abs() < 1e-5, "{isometric:?}");
        let calibrated = CoreInit { scale: Scale::Calibrated, ..CoreInit::default() }.report(&shape);
        assert!((calibrated.std_table / calibrated.std_target - 1.0).abs() < 1e-12);
        assert!((calibrated.step / 3.1e-4 - 1.0).abs() < 0.02, "{calibrated:?}");
        let paper = CoreInit { scale: Scale::Paper, ..CoreInit::default() }.report(&shape);
        assert!((paper.step / 1.04 - 1.0).abs() < 0.01, "{paper:?}");
        assert!((paper.std_table / paper.std_target / 441.0 - 1.0).abs() < 0.01, "{paper:?}");
    }
}
