//! A train into one of lower ranks.

use ttcore::{Real, TtCores, TtShape};

use crate::compress::in_range;
use crate::error::Error;
use crate::finish::{Missing, finish};
use crate::inner::{Part, between};
use crate::report::{Bond, Decomposition};
use crate::sweep::{balance as balance_train, orthonormal_from_right, truncate};
use crate::target::{Chooser, Target, greedy, tail};
use crate::train::Train;
use crate::weights::Weights;

/// How a train is made one of lower ranks: a sweep of QR from right to left, and one of truncated SVD from left to right, in
/// `f64` (Oseledets 2011, Algorithm 2). About `14 s_k R^3` multiplications and additions a core.
///
/// The error is relative to the table of the train, padding included: see [`Report`](crate::Report).
///
/// ```
/// use ttcore::{TtCores, TtShape, init::CoreInit};
/// use ttcore_decompose::{Round, Target, sum};
///
/// let shape = TtShape::with_rank(1000, &[10, 10, 10], &[2, 2, 4], 5)?;
/// let train = TtCores::<f64>::init(shape, &CoreInit::default(), 42);
/// // Twice the table has twice the ranks, which it does not need.
/// let twice = sum(&train, &train)?;
/// assert_eq!(twice.shape().ranks(), [1, 10, 10, 1]);
/// let rounded = Round::new(Target::Error(1e-9)).run(&twice)?;
/// assert_eq!(rounded.cores.shape().ranks(), [1, 5, 5, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Round {
    target: Target,
    weights: Option<Weights>,
}

impl Round {
    /// With what decides the ranks.
    pub fn new(target: Target) -> Self {
        Self { target, weights: None }
    }

    /// Rows count by these weights.
    pub fn weights(self, weights: Weights) -> Self {
        Self { weights: Some(weights), ..self }
    }

    /// Rounds a train.
    ///
    /// # Errors
    ///
    /// [`Error`]: for settings that do not fit the train, and numbers that are not finite.
    pub fn run<F: Real>(&self, cores: &TtCores<F>) -> Result<Decomposition<F>, Error> {
        let shape = cores.shape();
        let d = shape.cores();
        let ranks = self.target.given(d).unwrap_or_else(|| vec![1; d + 1]);
        let least = TtShape::new(shape.rows(), shape.row_factors(), shape.col_factors(), &ranks)?;
        self.target.check()?;
        if let Target::Bytes(given) = self.target
            && least.bytes::<F>() > given
        {
            return Err(Error::Bytes { given, least: least.bytes::<F>() });
        }
        let roots = self.weights.as_ref().map(|weights| weights.roots(shape.row_factors())).transpose()?;
        let mut train = Train::of(cores)?;
        for (k, roots) in roots.iter().flatten().enumerate() {
            train.scale_slices(k, roots);
        }
        let before = train.clone();
        orthonormal_from_right(&mut train);
        let first = &train.cores[0];
        in_range(first.iter().map(|x| x * x).sum(), first.iter().all(|&x| x == 0.0))?;
        let norm_squared = between(&before, &before, Part::Before(shape.rows())).max(0.0);
        let dropped = match (self.target.clone(), Chooser::new(&self.target, d, norm_squared)) {
            (_, Some(mut chooser)) => cut(&mut train, |k, squares| chooser.choose(k, squares).0)?,
            (Target::Bytes(bytes), None) => to_numbers(&mut train, (bytes / F::BYTES) as u128)?,
            (_, None) => vec![0.0; d - 1],
        };
        let bonds = dropped.into_iter().map(|dropped| Bond { rank: 0, dropped }).collect();
        let missing = Missing { rows: shape.rows(), left_out: &[], before: Some(before) };
        finish(train, roots.as_deref(), norm_squared.sqrt(), bonds, &missing)
    }
}

/// Gives both sides of each bond of a train the same Gram matrix, the diagonal of its singular values, and leaves out ranks
/// that the table does not need. The table stays.
///
/// That is what decomposed trains are, ready to be trained: a step then moves both neighbours alike, and `sum_k |G_k|^2` is
/// small. A trained one may be balanced again, with new optimiser state.
///
/// # Errors
///
/// [`Error::CoreNotFinite`], [`Error::NoConvergence`].
pub fn balance<F: Real>(cores: &TtCores<F>) -> Result<TtCores<F>, Error> {
    let mut train = Train::of(cores)?;
    balance_train(&mut train)?;
    train.to_cores(cores.shape().rows())
}

/// Truncates a train of at most so many numbers out of one whose cores behind the first are orthonormal, or not. Says what
/// each bond dropped.
pub(crate) fn to_numbers(train: &mut Train, numbers: u128) -> Result<Vec<f64>, Error> {
    orthonormal_from_right(train);
    let mut spectra = Vec::new();
    truncate(&mut train.clone(), |_, squares| {
        spectra.push(squares.to_vec());
        squares.len()
    })?;
    let modes: Vec<usize> = (0..train.len()).map(|k| train.mode(k)).collect();
    let ranks = greedy(&modes, &spectra, numbers);
    cut(train, |k, _| ranks[k])
}

/// Truncates, and says what each bond dropped.
fn cut(train: &mut Train, mut rank: impl FnMut(usize, &[f64]) -> usize) -> Result<Vec<f64>, Error> {
    let mut dropped = Vec::new();
    truncate(train, |k, squares| {
        let rank = rank(k, squares).clamp(1, squares.len());
        dropped.push(tail(squares, rank));
        rank
    })?;
    Ok(dropped)
}
