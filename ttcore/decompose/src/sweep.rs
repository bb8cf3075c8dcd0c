//! Sweeps along a train: orthonormal cores, truncation, and balance.

use crate::error::Error;
use crate::linalg::{thin_qr, thin_svd};
use crate::train::Train;

/// Makes the cores behind the first orthonormal: rows of `R_{k-1} x (s_k R_k)`. The table stays. (Oseledets 2011,
/// Algorithm 2.)
pub(crate) fn orthonormal_from_right(train: &mut Train) {
    for k in (1..train.len()).rev() {
        let (q, r) = thin_qr(&train.take_wide(k).transpose());
        let before = train.take_tall(k - 1);
        train.cores[k - 1] = before.times_transpose(&r).data;
        train.ranks[k] = q.cols;
        train.cores[k] = q.transpose().data;
    }
}

/// Goes along a train whose cores behind the first are orthonormal, and keeps at each bond the largest singular values.
///
/// `keep` is told the bond (from 1) and the squares of its singular values, descending, and says how many stay. Returns
/// those that stay of each bond, not squared. The cores before the last are left with orthonormal columns, and the last
/// holds the singular values.
pub(crate) fn truncate(
    train: &mut Train,
    mut keep: impl FnMut(usize, &[f64]) -> usize,
) -> Result<Vec<Vec<f64>>, Error> {
    let mut kept = Vec::with_capacity(train.len() - 1);
    for k in 0..train.len() - 1 {
        let (u, mut s, vt) = thin_svd(&train.take_tall(k))?;
        let squares: Vec<f64> = s.iter().map(|s| s * s).collect();
        let rank = keep(k + 1, &squares).clamp(1, s.len());
        s.truncate(rank);
        let next = train.take_wide(k + 1);
        let mut carry = vt.first_rows(rank);
        carry.scale_rows(&s);
        train.cores[k] = u.columns(rank).data;
        train.ranks[k + 1] = rank;
        train.cores[k + 1] = carry.times(&next).data;
        kept.push(s);
    }
    Ok(kept)
}

/// Gives both sides of each bond the same Gram matrix, the diagonal of its singular values: of all trains of the same table
/// that have no larger ranks, one with the smallest sum of squares of each pair of neighbours. The table stays.
///
/// Singular values that are zero to the rounding of `f64` are left out: no train has larger ranks than its table needs.
pub(crate) fn balance(train: &mut Train) -> Result<(), Error> {
    orthonormal_from_right(train);
    let largest = (0..train.len()).map(|k| train.ranks[k] * train.mode(k) * train.ranks[k + 1]).max().unwrap_or(1);
    // As for the rank of a matrix: below that, singular values are what rounding leaves.
    let noise = (largest as f64).sqrt() * f64::EPSILON;
    let kept = truncate(train, |_, squares| {
        let least = squares[0] * noise * noise;
        squares.iter().take_while(|&&square| square > least).count()
    })?;
    let roots: Vec<Vec<f64>> = kept.iter().map(|s| s.iter().map(|s| s.sqrt()).collect()).collect();
    for k in 0..train.len() {
        if k > 0 {
            let inverse: Vec<f64> = roots[k - 1].iter().map(|&s| if s > 0.0 { 1.0 / s } else { 0.0 }).collect();
            let mut core = train.take_wide(k);
            core.scale_rows(&inverse);
            train.cores[k] = core.data;
        }
        if let Some(roots) = roots.get(k) {
            let mut core = train.take_tall(k);
            core.scale_columns(roots);
            train.cores[k] = core.data;
        }
    }
    Ok(())
}
