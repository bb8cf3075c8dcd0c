//! The gradient algebra of one row: the definition everything else is measured against.
//!
//! # Forward (paper, Equation 3)
//!
//! Row `i` has digits `i_1 .. i_d`. Write `w^(k)` for the product of its first `k` slices, a matrix of `A_k x R_k` with
//! `A_k = n_1 n_2 .. n_k`, and `w^(0) = 1`. A slice `G_k[i_k]` is an `R_{k-1} x (n_k R_k)` matrix, so
//!
//! ```text
//! w^(k)  =  w^(k-1)    G_k[i_k]           reshaped from  A_{k-1} x (n_k R_k)  to  A_k x R_k
//!           A_{k-1} x R_{k-1}  times  R_{k-1} x (n_k R_k)
//! ```
//!
//! and the row of the table is `w_i = w^(d)`, `N` numbers. Row major, the reshaping moves nothing: column digits come
//! out with `n_1` most significant.
//!
//! # Backward (paper, Equations 4 and 5, whose indices are misprinted and which omit `k = 1`)
//!
//! Let `D^(k)` be the gradient of the loss with respect to `w^(k)`, in the shape `A_{k-1} x (n_k R_k)` of the product.
//! `D^(d)` is the gradient of the row. For `k = d, d-1, .., 1`:
//!
//! ```text
//! dL/dG_k[i_k]  =  (w^(k-1))^T  D^(k)       R_{k-1} x A_{k-1}  times  A_{k-1} x (n_k R_k)
//! D^(k-1)       =  D^(k)  G_k[i_k]^T        A_{k-1} x (n_k R_k)  times  (n_k R_k) x R_{k-1}
//! ```
//!
//! # Bags (paper, Equation 6)
//!
//! A bag `b` with lookups `j`, per-sample weights `a_j` and scale `s_b` (1 for a sum, one over the number of lookups for
//! a mean) has `y_b = s_b sum_j a_j w_{row(j)}`. With `g_b = dL/dy_b`:
//!
//! ```text
//! gradient of row i      D_i   = sum over lookups j of row i, in bag b, of  s_b a_j g_b
//! gradient of a weight   dL/da_j = s_b <w_{row(j)}, g_b>
//! ```
//!
//! Backward is linear in `D_i`, so duplicates are merged before it: one pass for each unique row, exactly.

use crate::real::Real;
use crate::shape::TtShape;

/// Numbers of scratch memory that [`row`] and [`row_backward`] need for a shape.
pub fn scratch_len(shape: &TtShape) -> usize {
    let products: usize = (1..=shape.cores()).map(|k| shape.prefix_len(k)).sum();
    products + 2 * widest(shape)
}

/// One row of the table, `w_i = G_1[i_1] .. G_d[i_d]`, written to `out` `[N]`.
///
/// `cores` is the flat buffer of all cores, `scratch` at least [`scratch_len`] numbers. Accumulates in `F`.
///
/// # Panics
///
/// If a length does not fit the shape. A `row` of padding gives the padding's value.
pub fn row<F: Real>(shape: &TtShape, cores: &[F], row: u64, out: &mut [F], scratch: &mut [F]) {
    let products = &mut scratch[..scratch_len(shape) - 2 * widest(shape)];
    prefixes(shape, cores, row, products);
    out.copy_from_slice(&products[products.len() - shape.dim()..]);
}

/// Adds the gradient of every slice of a row to `grads`, laid out like `cores`, from `grad_row` `[N] = dL/dw_i`.
///
/// `scratch` is at least [`scratch_len`] numbers. Accumulates in `F`.
///
/// # Panics
///
/// If a length does not fit the shape.
pub fn row_backward<F: Real>(
    shape: &TtShape,
    cores: &[F],
    row: u64,
    grad_row: &[F],
    grads: &mut [F],
    scratch: &mut [F],
) {
    let (products, gradients) = scratch[..scratch_len(shape)].split_at_mut(scratch_len(shape) - 2 * widest(shape));
    prefixes(shape, cores, row, products);
    let (mut product_grad, mut prefix_grad) = gradients.split_at_mut(widest(shape));
    product_grad[..shape.dim()].copy_from_slice(grad_row);

    // Where w^(k) lies among the products.
    let mut end = products.len() - shape.dim();
    for k in (0..shape.cores()).rev() {
        let slice = shape.slice_range(k, shape.digit(row, k));
        let (rank, width) = (shape.ranks()[k], shape.slice_len(k) / shape.ranks()[k]);
        let one = [F::one()];
        let (prefix, start) = match k {
            0 => (&one[..], 0),
            _ => (&products[end - shape.prefix_len(k)..end], end - shape.prefix_len(k)),
        };
        let height = prefix.len() / rank;

        let slice_grad = &mut grads[slice.clone()];
        for a in 0..height {
            for r in 0..rank {
                for c in 0..width {
                    slice_grad[r * width + c] += prefix[a * rank + r] * product_grad[a * width + c];
                }
            }
        }
        let core = &cores[slice];
        for a in 0..height {
            for r in 0..rank {
                prefix_grad[a * rank + r] = (0..width).map(|c| product_grad[a * width + c] * core[r * width + c]).sum();
            }
        }
        core::mem::swap(&mut product_grad, &mut prefix_grad);
        end = start;
    }
}

/// Fills `products` with `w^(1)`, `w^(2)`, .., `w^(d)`, one behind the other.
fn prefixes<F: Real>(shape: &TtShape, cores: &[F], row: u64, products: &mut [F]) {
    let first = &cores[shape.slice_range(0, shape.digit(row, 0))];
    products[..first.len()].copy_from_slice(first);
    let mut start = 0;
    for k in 1..shape.cores() {
        let core = &cores[shape.slice_range(k, shape.digit(row, k))];
        let (rank, width) = (shape.ranks()[k], shape.slice_len(k) / shape.ranks()[k]);
        let (known, rest) = products[start..].split_at_mut(shape.prefix_len(k));
        for (prefix_row, out) in known.chunks_exact(rank).zip(rest.chunks_exact_mut(width)) {
            out.fill(F::zero());
            for (&w, core_row) in prefix_row.iter().zip(core.chunks_exact(width)) {
                for (out, &g) in out.iter_mut().zip(core_row) {
                    *out += w * g;
                }
            }
        }
        start += known.len();
    }
}

/// The largest of the `w^(k)` and so of their gradients.
fn widest(shape: &TtShape) -> usize {
    (1..=shape.cores()).map(|k| shape.prefix_len(k)).max().unwrap_or(0)
}
