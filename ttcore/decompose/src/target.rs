//! Which ranks a train gets: given, or by a bound of its error, or by a budget of bytes.

use crate::error::Error;

/// What decides the ranks.
///
/// A train never has larger ranks than its table needs: where less is enough, the train is smaller than asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// `R_1 = .. = R_{d-1}`, at most this.
    Rank(usize),
    /// `R_0 .. R_d`, `d + 1` of them, at most these. `R_0 = R_d = 1`.
    Ranks(Vec<usize>),
    /// The smallest ranks at which the error is at most this part of the table's norm: each bond may drop an equal part of
    /// what its predecessors left of the square. Bounds below about `1e-7` are kept, but cost more memory than the
    /// outcome's ranks need, as Gram matrices cannot tell what is so small from rounding.
    Error(f64),
    /// The cores take at most this many bytes in the table's type: ranks grow from 1, each time that which lowers the
    /// bound of the squared error most for its bytes.
    Bytes(usize),
}

impl Target {
    /// What does not need the table.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Error(value) if !value.is_finite() || value < 0.0 => Err(Error::Bound { value }),
            _ => Ok(()),
        }
    }

    /// `R_0 .. R_d` as given, if they are.
    pub(crate) fn given(&self, d: usize) -> Option<Vec<usize>> {
        match self {
            Self::Rank(rank) => Some((0..=d).map(|k| if k == 0 || k == d { 1 } else { *rank }).collect()),
            Self::Ranks(ranks) => Some(ranks.clone()),
            Self::Error(_) | Self::Bytes(_) => None,
        }
    }
}

/// Chooses rank after rank, as bonds come.
pub(crate) enum Chooser {
    Ranks(Vec<usize>),
    Error {
        /// Of the squared error.
        left: f64,
        bonds: usize,
    },
}

impl Chooser {
    /// For ranks and bounds; what a budget allows is ranks by then. `norm_squared` is the table's.
    pub(crate) fn new(target: &Target, d: usize, norm_squared: f64) -> Option<Self> {
        match target {
            Target::Error(bound) => Some(Self::Error { left: bound * bound * norm_squared, bonds: d - 1 }),
            _ => target.given(d).map(Self::Ranks),
        }
    }

    /// How many of these squared singular values, descending, stay at bond `k` (from 1), and the sum of the others.
    pub(crate) fn choose(&mut self, k: usize, squares: &[f64]) -> (usize, f64) {
        match self {
            Self::Ranks(ranks) => {
                let rank = ranks[k].min(squares.len());
                (rank, tail(squares, rank))
            }
            Self::Error { left, bonds } => {
                let allowed = *left / *bonds as f64;
                let (mut rank, mut dropped) = (squares.len(), 0.0);
                while rank > 1 && dropped + squares[rank - 1] <= allowed {
                    rank -= 1;
                    dropped += squares[rank];
                }
                *left -= dropped;
                *bonds -= 1;
                (rank, dropped)
            }
        }
    }
}

/// What is dropped behind the first `rank`, the smallest first.
pub(crate) fn tail(squares: &[f64], rank: usize) -> f64 {
    squares[rank..].iter().rev().sum()
}

/// Numbers of a train: `sum_k m_k n_k R_{k-1} R_k`. `modes` are the `m_k n_k`.
pub(crate) fn parameters(modes: &[usize], ranks: &[usize]) -> u128 {
    modes.iter().zip(ranks.windows(2)).map(|(&s, r)| s as u128 * r[0] as u128 * r[1] as u128).sum()
}

/// Ranks `R_0 .. R_d` for at most `most` numbers, from the squared singular values of each bond.
///
/// The sum over bonds of what is dropped bounds the squared error, so each step takes the rank that lowers it most for the
/// numbers it costs, among those that still fit.
pub(crate) fn greedy(modes: &[usize], spectra: &[Vec<f64>], most: u128) -> Vec<usize> {
    let mut ranks = vec![1; modes.len() + 1];
    loop {
        let now = parameters(modes, &ranks);
        let mut best: Option<(f64, usize)> = None;
        for k in 1..modes.len() {
            let Some(&gain) = spectra[k - 1].get(ranks[k]).filter(|&&gain| gain > 0.0) else { continue };
            ranks[k] += 1;
            let grown = parameters(modes, &ranks);
            ranks[k] -= 1;
            let value = gain / (grown - now) as f64;
            if grown <= most && best.is_none_or(|(than, _)| value > than) {
                best = Some((value, k));
            }
        }
        match best {
            Some((_, k)) => ranks[k] += 1,
            None => return ranks,
        }
    }
}
