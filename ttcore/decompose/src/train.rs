//! A train in `f64`, with cores in the order in which they are unfolded.

use ttcore::{Real, TtCores, TtShape};

use crate::error::Error;
use crate::linalg::Matrix;

/// Cores `[R_{k-1}][m_k][n_k][R_k]`: as they are, a matrix `(R_{k-1} s_k) x R_k` and another `R_{k-1} x (s_k R_k)`.
#[derive(Clone, Debug)]
pub(crate) struct Train {
    /// Rows of the table, `M`.
    pub(crate) rows: u64,
    /// `m_k`.
    pub(crate) row_factors: Vec<usize>,
    /// `n_k`.
    pub(crate) col_factors: Vec<usize>,
    /// `R_0 .. R_d`.
    pub(crate) ranks: Vec<usize>,
    pub(crate) cores: Vec<Vec<f64>>,
}

impl Train {
    /// Of a train whose numbers are all finite.
    pub(crate) fn of<F: Real>(train: &TtCores<F>) -> Result<Self, Error> {
        let shape = train.shape();
        let mut cores = Vec::with_capacity(shape.cores());
        for k in 0..shape.cores() {
            let core = train.core(k);
            if let Some(position) = core.iter().position(|x| !x.is_finite()) {
                return Err(Error::CoreNotFinite { core: k, position, value: core[position].as_f64() });
            }
            let (m, n, [left, right]) = sizes(shape, k);
            let mut unfolded = vec![0.0; core.len()];
            for i in 0..m {
                for r in 0..left {
                    let from = &core[(i * left + r) * n * right..][..n * right];
                    let to = &mut unfolded[(r * m + i) * n * right..][..n * right];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = from.as_f64());
                }
            }
            cores.push(unfolded);
        }
        Ok(Self {
            rows: shape.rows(),
            row_factors: shape.row_factors().to_vec(),
            col_factors: shape.col_factors().to_vec(),
            ranks: shape.ranks().to_vec(),
            cores,
        })
    }

    /// The shape, for a table of so many rows.
    pub(crate) fn shape(&self, rows: u64) -> Result<TtShape, Error> {
        Ok(TtShape::new(rows, &self.row_factors, &self.col_factors, &self.ranks)?)
    }

    /// As cores of a table of so many rows.
    pub(crate) fn to_cores<F: Real>(&self, rows: u64) -> Result<TtCores<F>, Error> {
        let mut train = TtCores::zeros(self.shape(rows)?);
        for (k, unfolded) in self.cores.iter().enumerate() {
            let (m, n, [left, right]) = sizes(train.shape(), k);
            let core = train.core_mut(k);
            for i in 0..m {
                for r in 0..left {
                    let to = &mut core[(i * left + r) * n * right..][..n * right];
                    let from = &unfolded[(r * m + i) * n * right..][..n * right];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = F::of(*from));
                }
            }
        }
        Ok(train)
    }

    /// Number of cores, `d`.
    pub(crate) fn len(&self) -> usize {
        self.cores.len()
    }

    /// `s_k = m_k n_k`.
    pub(crate) fn mode(&self, k: usize) -> usize {
        self.row_factors[k] * self.col_factors[k]
    }

    /// Rows the cores can address.
    pub(crate) fn padded_rows(&self) -> u64 {
        self.row_factors.iter().map(|&m| m as u64).product()
    }

    /// Takes core `k` out, as `(R_{k-1} s_k) x R_k`.
    pub(crate) fn take_tall(&mut self, k: usize) -> Matrix {
        let core = std::mem::take(&mut self.cores[k]);
        Matrix::new(self.ranks[k] * self.mode(k), self.ranks[k + 1], core)
    }

    /// Takes core `k` out, as `R_{k-1} x (s_k R_k)`.
    pub(crate) fn take_wide(&mut self, k: usize) -> Matrix {
        let core = std::mem::take(&mut self.cores[k]);
        Matrix::new(self.ranks[k], self.mode(k) * self.ranks[k + 1], core)
    }

    /// Multiplies the slices `i_k` of core `k` by `factors[i_k]`.
    pub(crate) fn scale_slices(&mut self, k: usize, factors: &[f64]) {
        let len = self.col_factors[k] * self.ranks[k + 1];
        for (slice, factor) in self.cores[k].chunks_exact_mut(len).zip(factors.iter().cycle()) {
            slice.iter_mut().for_each(|x| *x *= factor);
        }
    }

    /// The slices `digits` of core `k`, `(R_{k-1} * slices * n_k) x R_k`.
    pub(crate) fn slices(&self, k: usize, digits: std::ops::Range<usize>) -> Matrix {
        let slice = self.col_factors[k] * self.ranks[k + 1];
        let mut data = Vec::with_capacity(self.ranks[k] * digits.len() * slice);
        for block in self.cores[k].chunks_exact(self.row_factors[k] * slice) {
            data.extend_from_slice(&block[digits.start * slice..digits.end * slice]);
        }
        Matrix::new(self.ranks[k] * digits.len() * self.col_factors[k], self.ranks[k + 1], data)
    }

    /// Digits of a row.
    pub(crate) fn digits(&self, mut row: u64) -> Vec<usize> {
        let mut digits = vec![0; self.len()];
        for (digit, &m) in digits.iter_mut().zip(&self.row_factors).rev() {
            *digit = (row % m as u64) as usize;
            row /= m as u64;
        }
        digits
    }
}

fn sizes(shape: &TtShape, k: usize) -> (usize, usize, [usize; 2]) {
    (shape.row_factors()[k], shape.col_factors()[k], [shape.ranks()[k], shape.ranks()[k + 1]])
}
