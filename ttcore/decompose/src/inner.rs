//! Inner products, norms, sums and step sizes of trains, without their tables.
//!
//! `<A, B>` is summed core by core: `L_k = sum over i, j of A_k[i, j]^T L_{k-1} B_k[i, j]`, a matrix `R_k x R'_k`, from
//! `L_0 = 1`. That takes about `4 s_k R_{k-1} R_k R'` multiplications and additions a core, not the `M N` numbers of the
//! tables. (Oseledets 2011, section 4.2.)
//!
//! The rows below `M` are a union of `d` sets that are products over digits: those whose first `k - 1` digits are the ones
//! of `M` and whose next is smaller. So padding is left out without being computed.

use std::ops::Range;

use ttcore::{Real, TtCores};

use crate::error::Error;
use crate::linalg::Matrix;
use crate::train::Train;

/// `<A, B>`: the sum of `A[i][j] B[i][j]` over all rows and columns of two tables, without padding.
///
/// Sums in `f64`.
///
/// # Errors
///
/// [`Error::Different`] if rows or factors differ, [`Error::CoreNotFinite`].
pub fn inner<F: Real>(a: &TtCores<F>, b: &TtCores<F>) -> Result<f64, Error> {
    let (a, b) = (Train::of(a)?, Train::of(b)?);
    same(&a, &b)?;
    Ok(between(&a, &b, Part::Before(a.rows)))
}

/// `|A|`: the root of the sum of all squares of a table, without padding.
///
/// Squares are summed in `f64`: below about `1e-8` of what the cores' own norms multiply to, none of its digits hold.
///
/// # Errors
///
/// [`Error::CoreNotFinite`].
pub fn norm<F: Real>(a: &TtCores<F>) -> Result<f64, Error> {
    Ok(inner(a, a)?.max(0.0).sqrt())
}

/// The train of `A + B`. Its ranks are the sums of theirs: [`round`](crate::Round::run) it.
///
/// # Errors
///
/// [`Error::Different`] if rows or factors differ, [`Error::CoreNotFinite`], [`Error::Shape`] where it is too large.
pub fn sum<F: Real>(a: &TtCores<F>, b: &TtCores<F>) -> Result<TtCores<F>, Error> {
    let (a, b) = (Train::of(a)?, Train::of(b)?);
    same(&a, &b)?;
    let mut ranks: Vec<usize> = a.ranks.iter().zip(&b.ranks).map(|(a, b)| a + b).collect();
    let d = a.len();
    (ranks[0], ranks[d]) = (1, 1);
    let mut sum = Train { ranks, cores: Vec::new(), ..a.clone() };
    sum.shape(a.rows)?;
    for k in 0..d {
        let (width, mode) = (sum.ranks[k + 1], a.mode(k));
        let mut core = vec![0.0; sum.ranks[k] * mode * width];
        for (train, second) in [(&a, false), (&b, true)] {
            // The second lies behind the first, but at the ends, where both share the one.
            let below = if second && k > 0 { a.ranks[k] * mode } else { 0 };
            let behind = if second && k + 1 < d { a.ranks[k + 1] } else { 0 };
            for (row, from) in train.cores[k].chunks_exact(train.ranks[k + 1]).enumerate() {
                let to = &mut core[(below + row) * width + behind..][..from.len()];
                to.copy_from_slice(from);
            }
        }
        sum.cores.push(core);
    }
    sum.to_cores(a.rows)
}

/// `K`: how far a step of SGD moves a row, on average, relative to a dense table at the same learning rate.
///
/// `K = sum_k |dW/dG_k|^2`, the mean over all rows and columns, padding included: see [`ttcore::init`], whose
/// [`Report`](ttcore::init::Report) has it in expectation for new cores.
///
/// # Errors
///
/// [`Error::CoreNotFinite`].
pub fn step_size<F: Real>(cores: &TtCores<F>) -> Result<f64, Error> {
    Ok(step(&Train::of(cores)?))
}

/// A derivative by core `k` is a product of what is left of it and what is right: the means of squares are those of the
/// diagonals of both Gram matrices.
pub(crate) fn step(train: &Train) -> f64 {
    let d = train.len();
    let trace = |gram: &Matrix| (0..gram.rows).map(|r| gram.data[r * gram.cols + r]).sum::<f64>();
    // Divided core by core, as the product of all modes is large.
    let mut left = vec![1.0; d];
    let mut gram = Matrix::new(1, 1, vec![1.0]);
    for k in 0..d - 1 {
        gram = from_left(&gram, train, train, k, 0..train.row_factors[k]);
        gram.data.iter_mut().for_each(|x| *x /= train.mode(k) as f64);
        left[k + 1] = trace(&gram);
    }
    let mut gram = Matrix::new(1, 1, vec![1.0]);
    let mut step = 0.0;
    for k in (0..d).rev() {
        step += left[k] * trace(&gram);
        gram = from_right(&gram, train, train, k);
        gram.data.iter_mut().for_each(|x| *x /= train.mode(k) as f64);
    }
    step
}

/// Which rows a sum is over.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Before(u64),
    From(u64),
}

/// `<A, B>` over some rows of the padded tables.
pub(crate) fn between(a: &Train, b: &Train, part: Part) -> f64 {
    let d = a.len();
    let mut behind = vec![Matrix::new(1, 1, vec![1.0]); d + 1];
    for k in (1..d).rev() {
        behind[k] = from_right(&behind[k + 1], a, b, k);
    }
    let (row, before) = match part {
        Part::Before(row) => (row, true),
        Part::From(row) => (row, false),
    };
    let dot = |left: &Matrix, right: &Matrix| left.data.iter().zip(&right.data).map(|(x, y)| x * y).sum::<f64>();
    if row >= a.padded_rows() {
        let all = from_left(&behind[d], a, b, 0, 0..a.row_factors[0]);
        return if before { dot(&all, &behind[1]) } else { 0.0 };
    }
    let mut total = 0.0;
    let mut left = Matrix::new(1, 1, vec![1.0]);
    for (k, digit) in a.digits(row).into_iter().enumerate() {
        let digits = match before {
            true => 0..digit,
            // At the last core the row itself.
            false => digit + usize::from(k + 1 < d)..a.row_factors[k],
        };
        if !digits.is_empty() {
            total += dot(&from_left(&left, a, b, k, digits), &behind[k + 1]);
        }
        left = from_left(&left, a, b, k, digit..digit + 1);
    }
    total
}

/// `sum over i in digits, j of A[i, j]^T left B[i, j]`.
fn from_left(left: &Matrix, a: &Train, b: &Train, k: usize, digits: Range<usize>) -> Matrix {
    let (a, b) = (a.slices(k, digits.clone()), b.slices(k, digits));
    let rows = left.rows;
    let (right, length) = (b.cols, b.data.len() / left.cols);
    let product = left.times(&b.reshape(left.cols, length));
    let height = rows * length / right;
    a.transpose_times(&product.reshape(height, right))
}

/// `sum over i, j of A[i, j] right B[i, j]^T`.
fn from_right(right: &Matrix, a: &Train, b: &Train, k: usize) -> Matrix {
    let all = 0..a.row_factors[k];
    let (wide, tall) = (a.slices(k, all.clone()), b.slices(k, all));
    let product = tall.times_transpose(right);
    let length = a.mode(k) * right.rows;
    wide.reshape(a.ranks[k], length).times_transpose(&product.reshape(b.ranks[k], length))
}

fn same(a: &Train, b: &Train) -> Result<(), Error> {
    let alike = a.rows == b.rows && a.row_factors == b.row_factors && a.col_factors == b.col_factors;
    alike.then_some(()).ok_or(Error::Different)
}
