//! Dense matrices in `f64`, row major, and what is computed of them: products, Gram matrices, eigenvalues, QR, SVD.
//!
//! Each product is computed by one thread, and what is split among threads is split by sizes alone: so the bits are the same
//! for any number of threads. faer is told to use no threads of its own, whatever its global setting is.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::{evd, householder, matmul, qr, svd};
use faer::reborrow::ReborrowMut;
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::error::Error;

/// Rows of a product that are one task.
const PANEL: usize = 64;
/// Rows and columns of a Gram matrix that are one task.
const TILE: usize = 128;
/// Vectors that a tile adds at once: a product copies so many parts of them.
const DEPTH: usize = 1024;

/// A matrix `[rows][cols]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) data: Vec<f64>,
}

impl Matrix {
    pub(crate) fn new(rows: usize, cols: usize, data: Vec<f64>) -> Self {
        debug_assert_eq!(rows * cols, data.len());
        Self { rows, cols, data }
    }

    pub(crate) fn view(&self) -> MatRef<'_, f64> {
        view(&self.data, self.rows, self.cols)
    }

    /// The same numbers as a matrix of other sizes.
    pub(crate) fn reshape(self, rows: usize, cols: usize) -> Self {
        Self::new(rows, cols, self.data)
    }

    pub(crate) fn transpose(&self) -> Self {
        of(self.view().transpose())
    }

    /// `self * other`.
    pub(crate) fn times(&self, other: &Self) -> Self {
        product(self.view(), other.view())
    }

    /// `self^T * other`.
    pub(crate) fn transpose_times(&self, other: &Self) -> Self {
        product(self.view().transpose(), other.view())
    }

    /// `self * other^T`.
    pub(crate) fn times_transpose(&self, other: &Self) -> Self {
        product(self.view(), other.view().transpose())
    }

    /// The first rows.
    pub(crate) fn first_rows(mut self, count: usize) -> Self {
        self.data.truncate(count * self.cols);
        Self { rows: count, ..self }
    }

    /// The first columns.
    pub(crate) fn columns(&self, count: usize) -> Self {
        of(self.view().subcols(0, count))
    }

    /// Multiplies row `r` by `factors[r]`.
    pub(crate) fn scale_rows(&mut self, factors: &[f64]) {
        for (row, factor) in self.data.chunks_exact_mut(self.cols).zip(factors) {
            row.iter_mut().for_each(|x| *x *= factor);
        }
    }

    /// Multiplies column `c` by `factors[c]`.
    pub(crate) fn scale_columns(&mut self, factors: &[f64]) {
        for row in self.data.chunks_exact_mut(self.cols) {
            row.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
        }
    }
}

pub(crate) fn view(data: &[f64], rows: usize, cols: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(data, rows, cols)
}

fn of(matrix: MatRef<'_, f64>) -> Matrix {
    let (rows, cols) = matrix.shape();
    let mut data = Vec::with_capacity(rows * cols);
    for r in 0..rows {
        data.extend((0..cols).map(|c| matrix[(r, c)]));
    }
    Matrix::new(rows, cols, data)
}

/// `a * b`.
fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Matrix {
    let (rows, cols) = (a.nrows(), b.ncols());
    let mut data = vec![0.0; rows * cols];
    product_into(a, b, &mut data);
    Matrix::new(rows, cols, data)
}

/// `a * b`, written to `out`.
pub(crate) fn product_into(a: MatRef<'_, f64>, b: MatRef<'_, f64>, out: &mut [f64]) {
    let cols = b.ncols();
    if cols == 0 {
        return;
    }
    out.par_chunks_mut(PANEL * cols).enumerate().for_each(|(panel, out)| {
        let rows = out.len() / cols;
        let out = MatMut::from_row_major_slice_mut(out, rows, cols);
        matmul::matmul(out, Accum::Replace, a.subrows(panel * PANEL, rows), b, 1.0, Par::Seq);
    });
}

/// The sum of `x^T x` over many `x`: the lower half, in tiles. A tile belongs to one task at a time, which adds to it in the
/// order in which the `x` come.
pub(crate) struct Gram {
    size: usize,
    tiles: Vec<Tile>,
}

struct Tile {
    row: usize,
    col: usize,
    height: usize,
    width: usize,
    data: Vec<f64>,
}

impl Gram {
    pub(crate) fn new(size: usize) -> Self {
        let mut tiles = Vec::new();
        for row in (0..size).step_by(TILE) {
            for col in (0..=row).step_by(TILE) {
                let (height, width) = (TILE.min(size - row), TILE.min(size - col));
                tiles.push(Tile { row, col, height, width, data: vec![0.0; height * width] });
            }
        }
        Self { size, tiles }
    }

    /// Adds `x^T x`, of `x` with `size` columns.
    pub(crate) fn add(&mut self, x: MatRef<'_, f64>) {
        self.tiles.par_iter_mut().for_each(|tile| {
            let (a, b) = (x.subcols(tile.row, tile.height), x.subcols(tile.col, tile.width));
            let mut out = MatMut::from_row_major_slice_mut(&mut tile.data, tile.height, tile.width);
            for first in (0..x.nrows()).step_by(DEPTH) {
                let depth = DEPTH.min(x.nrows() - first);
                let (a, b) = (a.subrows(first, depth), b.subrows(first, depth));
                matmul::matmul(out.rb_mut(), Accum::Add, a.transpose(), b, 1.0, Par::Seq);
            }
        });
    }

    /// The sum of the diagonal: of all squares.
    pub(crate) fn trace(&self) -> f64 {
        let diagonals = self.tiles.iter().filter(|tile| tile.row == tile.col);
        diagonals.flat_map(|tile| (0..tile.height).map(|i| tile.data[i * tile.width + i])).sum()
    }

    /// All eigenvalues, descending, and their vectors.
    pub(crate) fn eigen(self) -> Result<Eigen, Error> {
        let size = self.size;
        let mut gram = Mat::<f64>::zeros(size, size);
        for tile in self.tiles {
            let lower = view(&tile.data, tile.height, tile.width);
            gram.as_mut().submatrix_mut(tile.row, tile.col, tile.height, tile.width).copy_from(lower);
        }
        let (mut vectors, mut values) = (Mat::zeros(size, size), Diag::zeros(size));
        let need = evd::self_adjoint_evd_scratch::<f64>(
            size,
            evd::ComputeEigenvectors::Yes,
            Par::Seq,
            faer::prelude::default(),
        );
        evd::self_adjoint_evd(
            gram.as_ref(),
            values.as_mut(),
            Some(vectors.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(need)),
            faer::prelude::default(),
        )
        .map_err(|_| Error::NoConvergence { size: (size, size) })?;
        // Ascending; rounding makes some of those that are zero negative.
        let values = values.column_vector().iter().rev().map(|value| value.max(0.0)).collect();
        Ok(Eigen { values, vectors })
    }
}

/// What [`Gram::eigen`] gives.
pub(crate) struct Eigen {
    /// Descending.
    pub(crate) values: Vec<f64>,
    /// Ascending.
    vectors: Mat<f64>,
}

impl Eigen {
    /// The vectors of the largest `count` eigenvalues as columns, `[size][count]`.
    pub(crate) fn largest(&self, count: usize) -> Matrix {
        of(self.vectors.subcols(self.vectors.ncols() - count, count).reverse_cols())
    }
}

/// `a = q r` with orthonormal columns of `q`: `[m][k]` and `[k][n]`, `k = min(m, n)`.
pub(crate) fn thin_qr(a: &Matrix) -> (Matrix, Matrix) {
    let (rows, cols) = (a.rows, a.cols);
    let size = rows.min(cols);
    let mut factors = a.view().to_owned();
    let block = qr::no_pivoting::factor::recommended_block_size::<f64>(rows, cols);
    let mut coefficients = Mat::zeros(block, size);
    let parameters = faer::prelude::default();
    let need = qr::no_pivoting::factor::qr_in_place_scratch::<f64>(rows, cols, block, Par::Seq, parameters);
    qr::no_pivoting::factor::qr_in_place(
        factors.as_mut(),
        coefficients.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        parameters,
    );
    let mut q = Mat::identity(rows, size);
    let need = householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(rows, block, size);
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        factors.as_ref().subcols(0, size),
        coefficients.as_ref(),
        Conj::No,
        q.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
    );
    let mut r = of(factors.as_ref().subrows(0, size));
    for (i, row) in r.data.chunks_exact_mut(cols).enumerate() {
        row[..i].fill(0.0);
    }
    (of(q.as_ref()), r)
}

/// `a = u diag(s) v^T`, `s` descending: `[m][k]`, `[k]`, and `v^T` `[k][n]`, `k = min(m, n)`.
pub(crate) fn thin_svd(a: &Matrix) -> Result<(Matrix, Vec<f64>, Matrix), Error> {
    let (rows, cols) = (a.rows, a.cols);
    let size = rows.min(cols);
    let (mut u, mut v, mut s) = (Mat::zeros(rows, size), Mat::zeros(cols, size), Diag::zeros(size));
    let thin = svd::ComputeSvdVectors::Thin;
    let need = svd::svd_scratch::<f64>(rows, cols, thin, thin, Par::Seq, faer::prelude::default());
    svd::svd(
        a.view(),
        s.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        faer::prelude::default(),
    )
    .map_err(|_| Error::NoConvergence { size: (rows, cols) })?;
    let s = s.column_vector().iter().copied().collect();
    Ok((of(u.as_ref()), s, of(v.as_ref().transpose())))
}
