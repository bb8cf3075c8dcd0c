//! What came out, and how much was lost.

use ttcore::TtCores;

/// A train and what is known of it.
#[derive(Clone, Debug)]
pub struct Decomposition<F> {
    /// The train: balanced, in the layout of `ttcore`.
    pub cores: TtCores<F>,
    /// How much was lost.
    pub report: Report,
}

/// What was dropped at a bond.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bond {
    /// The rank that stayed, `R_k`.
    pub rank: usize,
    /// The sum of the squares of the singular values that were dropped.
    pub dropped: f64,
}

/// How much was lost. All is weighted, where there are weights, and computed in `f64` from singular values: that the cores are
/// rounded to their type comes on top (about `1e-7` of the norm for `f32`). Squares are what is known: an error below about
/// `1e-8` of the norm is reported as something below `1e-7` of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The norm of the table's rows that count: without those kept elsewhere.
    pub norm: f64,
    /// The norm of the difference on these rows: exactly, not a bound.
    pub error: f64,
    /// The same with padding and the rows kept elsewhere, which are zeros or what they were filled with: the root of the sum
    /// of what all bonds dropped.
    pub padded_error: f64,
    /// The bonds `1 .. d - 1`.
    pub bonds: Vec<Bond>,
    /// `K`: how far a step of SGD moves a row, relative to a dense table: see [`step_size`](crate::step_size).
    pub step: f64,
}

impl Report {
    /// The error as a part of the norm: 0 for a table of zeros.
    pub fn relative_error(&self) -> f64 {
        if self.norm > 0.0 { self.error / self.norm } else { 0.0 }
    }
}
