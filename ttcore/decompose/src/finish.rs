//! From a weighted train in `f64` to what is handed over: the error on the rows that count, weights undone, balance.

use rayon::prelude::*;
use ttcore::Real;

use crate::error::Error;
use crate::inner::{Part, between, step};
use crate::load::{Fill, Filler};
use crate::report::{Bond, Decomposition, Report};
use crate::sweep::balance;
use crate::train::Train;
use crate::weights::inverse;

/// Rows that do not count, and what they were taken to be.
pub(crate) struct Missing<'a> {
    /// Rows of the table, `M`: those behind are padding.
    pub(crate) rows: u64,
    /// Rows that are kept elsewhere, ascending.
    pub(crate) left_out: &'a [u64],
    /// The train they had the numbers of, weighted; without one, zeros.
    pub(crate) before: Option<Train>,
}

impl Missing<'_> {
    /// The sum of squares of the differences on these rows.
    fn squares(&self, train: &Train) -> Result<f64, Error> {
        let from = Part::From(self.rows);
        let mut squares = between(train, train, from);
        if let Some(before) = &self.before {
            squares += between(before, before, from) - 2.0 * between(before, train, from);
        }
        // Differences of sums: what is zero may come out below.
        squares = squares.max(0.0);
        if self.left_out.is_empty() {
            return Ok(squares);
        }
        let padded = train.padded_rows();
        let now = train.to_cores(padded)?;
        let before = self.before.as_ref().map(|before| before.to_cores(padded)).transpose()?;
        let dim = now.shape().dim();
        let fills = [Fill::Train(&now), before.as_ref().map_or(Fill::Zeros, Fill::Train)];
        let rows: Vec<f64> = self
            .left_out
            .par_iter()
            .map_init(
                || fills.each_ref().map(Filler::new),
                |[now, before], &row| {
                    let pairs = now.row(row, dim).iter().zip(before.row(row, dim));
                    pairs.map(|(x, y)| (x - y) * (x - y)).sum()
                },
            )
            .collect();
        // In the order of rows, whatever the threads.
        Ok(squares + rows.iter().sum::<f64>())
    }
}

/// `roots` are those of the weights, `norm` that of the rows that count, `bonds` what was dropped.
pub(crate) fn finish<F: Real>(
    mut train: Train,
    roots: Option<&[Vec<f64>]>,
    norm: f64,
    mut bonds: Vec<Bond>,
    missing: &Missing<'_>,
) -> Result<Decomposition<F>, Error> {
    let dropped: f64 = bonds.iter().map(|bond| bond.dropped).sum();
    let error = (dropped - missing.squares(&train)?).max(0.0).sqrt();
    for (k, roots) in roots.iter().copied().flatten().enumerate() {
        train.scale_slices(k, &inverse(roots));
    }
    balance(&mut train)?;
    for (bond, &rank) in bonds.iter_mut().zip(&train.ranks[1..]) {
        bond.rank = rank;
    }
    let report = Report { norm, error, padded_error: dropped.sqrt(), bonds, step: step(&train) };
    Ok(Decomposition { cores: train.to_cores(missing.rows)?, report })
}
