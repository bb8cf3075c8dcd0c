//! What the tests share: data, and the textbook's algorithm on tables in memory.
#![allow(dead_code)]

use faer::Mat;
use ttcore::{Real, TtCores, TtShape, init::CoreInit};
use ttcore_decompose::{Compress, Decomposition, SliceRows, Target};

/// Numbers between -1 and 1.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A train with entries of a size of about 1.
pub(crate) fn planted<F: Real>(shape: TtShape, seed: u64) -> TtCores<F> {
    TtCores::init(shape, &CoreInit::default().with_std(1.0), seed)
}

pub(crate) fn product(factors: &[usize]) -> usize {
    factors.iter().product()
}

pub(crate) fn compress<F: Real>(table: &[F], m: &[usize], n: &[usize], target: Target) -> Decomposition<F> {
    Compress::new(m, n, target).run(&mut SliceRows::new(table, product(n)).unwrap()).unwrap()
}

pub(crate) fn norm<F: Real>(numbers: &[F]) -> f64 {
    numbers.iter().map(|x| x.as_f64() * x.as_f64()).sum::<f64>().sqrt()
}

pub(crate) fn distance<F: Real>(a: &[F], b: &[F]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a.as_f64() - b.as_f64()).powi(2)).sum::<f64>().sqrt()
}

/// A padded table `[m_1 .. m_d][n_1 .. n_d]` as a tensor `[m_1 n_1] .. [m_d n_d]`.
pub(crate) fn tensor(table: &[f64], m: &[usize], n: &[usize]) -> Vec<f64> {
    let (rows, dim) = (product(m), product(n));
    let mut padded = table.to_vec();
    padded.resize(rows * dim, 0.0);
    let mut out = vec![0.0; rows * dim];
    for row in 0..rows {
        for column in 0..dim {
            let (mut i, mut j, mut at, mut stride) = (row, column, 0, 1);
            for k in (0..m.len()).rev() {
                at += ((i % m[k]) * n[k] + j % n[k]) * stride;
                stride *= m[k] * n[k];
                i /= m[k];
                j /= n[k];
            }
            out[at] = padded[row * dim + column];
        }
    }
    out
}

fn matrix(data: &[f64], rows: usize) -> Mat<f64> {
    let cols = data.len() / rows;
    Mat::from_fn(rows, cols, |r, c| data[r * cols + c])
}

/// The error of the best matrix of this rank at unfolding `k`.
pub(crate) fn best(tensor: &[f64], modes: &[usize], k: usize, rank: usize) -> f64 {
    let svd = matrix(tensor, product(&modes[..k])).thin_svd().unwrap();
    let s = svd.S().column_vector();
    (rank..s.nrows()).map(|i| s[i] * s[i]).sum::<f64>().sqrt()
}

/// TT-SVD as published, from left to right, with full SVDs: the error. `carried`: with the singular values in what goes on,
/// as it must be, or in the core that is finished.
pub(crate) fn textbook(tensor: &[f64], modes: &[usize], ranks: &[usize], carried: bool) -> f64 {
    let mut rest = tensor.to_vec();
    let mut done = Mat::<f64>::identity(1, 1);
    let mut rank = 1;
    for k in 0..modes.len() - 1 {
        let svd = matrix(&rest, rank * modes[k]).thin_svd().unwrap();
        let next = ranks[k + 1].min(svd.S().column_vector().nrows());
        let (u, s, v) = (svd.U().subcols(0, next), svd.S().column_vector(), svd.V().subcols(0, next));
        let core = Mat::from_fn(u.nrows(), next, |r, c| u[(r, c)] * if carried { 1.0 } else { s[c] });
        rest = (0..next * v.nrows())
            .map(|at| v[(at % v.nrows(), at / v.nrows())] * if carried { s[at / v.nrows()] } else { 1.0 })
            .collect();
        // done (p x rank) times core (rank x (s next)).
        let wide = Mat::from_fn(rank, modes[k] * next, |r, c| core[(r * modes[k] + c / next, c % next)]);
        let product = &done * &wide;
        let height = done.nrows() * modes[k];
        done = Mat::from_fn(height, next, |r, c| product[(r / modes[k], (r % modes[k]) * next + c)]);
        rank = next;
    }
    let full = &done * &matrix(&rest, rank);
    let cols = full.ncols();
    tensor.iter().enumerate().map(|(at, x)| (x - full[(at / cols, at % cols)]).powi(2)).sum::<f64>().sqrt()
}
