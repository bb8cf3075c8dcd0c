//! A table into a train: two passes over its rows, and the rest in memory.

use ttcore::{Real, TtShape};

use crate::error::Error;
use crate::finish::{Missing, finish};
use crate::linalg::{Gram, Matrix, product_into, view};
use crate::load::{Cut, Fill};
use crate::report::{Bond, Decomposition};
use crate::rows::Rows;
use crate::target::{Chooser, Target, parameters, tail};
use crate::train::Train;
use crate::weights::Weights;

/// Bytes that one intermediate result may take, where nothing else is said.
const MEMORY: usize = 1 << 30;

/// How a table is made a train: TT-SVD (Oseledets 2011, Algorithm 1), from right to left, without the table in memory.
///
/// ```text
/// pass 1     X      vectors of the last unfolding, [s_d] each       sum of x x^T, s_d x s_d
///            V      its R_{d-1} first eigenvectors                  last core, orthonormal
/// pass 2     B      X V, [m_1 .. m_{d-1}][n_1 .. n_{d-1}][R_{d-1}]  a table with a core less
/// in memory  k = d - 1 .. 2: B as (s_1 .. s_{k-1}) x (s_k R_k); eigenvectors of the smaller Gram matrix; core k; the next B
/// ```
///
/// All are orthogonal projections, one within the other, so the squares of what they drop add up to the square of the error.
///
/// See the [crate](crate) for an example, costs and accuracy.
#[derive(Clone, Debug)]
pub struct Compress {
    row_factors: Vec<usize>,
    col_factors: Vec<usize>,
    target: Target,
    weights: Option<Weights>,
    left_out: Vec<u64>,
    refills: usize,
    memory: usize,
}

impl Compress {
    /// With row factors `m_1 .. m_d`, column factors `n_1 .. n_d`, and what decides the ranks.
    pub fn new(row_factors: &[usize], col_factors: &[usize], target: Target) -> Self {
        Self {
            row_factors: row_factors.to_vec(),
            col_factors: col_factors.to_vec(),
            target,
            weights: None,
            left_out: Vec::new(),
            refills: 0,
            memory: MEMORY,
        }
    }

    /// Rows count by these weights.
    pub fn weights(self, weights: Weights) -> Self {
        Self { weights: Some(weights), ..self }
    }

    /// These rows are kept elsewhere, as they are, and do not count: in any order. The train approximates a table that has
    /// zeros in their place, unless it is [refilled](Self::refills).
    pub fn rows_kept(self, rows: &[u64]) -> Self {
        let mut left_out = rows.to_vec();
        left_out.sort_unstable();
        left_out.dedup();
        Self { left_out, ..self }
    }

    /// So many times more, with padding and the rows kept elsewhere filled with what the train before has there, instead of
    /// zeros. At given ranks the error on the rows that count does not grow, as far as truncation is optimal, and falls the
    /// more the more such rows there are. Each time costs two more passes, and a product of all slices for each such row.
    /// (Expectation maximisation: Srebro and Jaakkola 2003.)
    pub fn refills(self, times: usize) -> Self {
        Self { refills: times, ..self }
    }

    /// One intermediate result may take this many bytes: a Gram matrix with its eigenvectors, a batch of rows, or the table with a
    /// core less.
    /// 1 GiB where nothing is said. [`Target::Bytes`] considers ranks `R_{d-1}` as large as an eighth of it allows.
    pub fn memory(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// Decomposes a table.
    ///
    /// Uses the current pool of rayon. The bits depend on the table and the settings, but not on the number of threads, nor
    /// on how the source hands over its rows.
    ///
    /// # Errors
    ///
    /// [`Error`]: for settings that do not fit the table, what is not finite, and what could not be read.
    pub fn run<F: Real>(&self, source: &mut impl Rows<F>) -> Result<Decomposition<F>, Error> {
        let (rows, d) = (source.rows(), self.row_factors.len());
        let ranks = self.target.given(d).unwrap_or_else(|| vec![1; d + 1]);
        let shape = TtShape::new(rows, &self.row_factors, &self.col_factors, &ranks)?;
        if shape.dim() != source.dim() {
            return Err(Error::Columns { product: shape.dim(), columns: source.dim() });
        }
        self.target.check()?;
        if let Target::Bytes(given) = self.target
            && shape.bytes::<F>() > given
        {
            return Err(Error::Bytes { given, least: shape.bytes::<F>() });
        }
        if let Some(&row) = self.left_out.iter().find(|&&row| row >= rows) {
            return Err(Error::Row { row, rows });
        }
        let roots = self.weights.as_ref().map(|weights| weights.roots(&self.row_factors)).transpose()?;

        let mut missing = Missing { rows, left_out: &self.left_out, before: None };
        let mut norm = None;
        for time in 0.. {
            let filled =
                missing.before.as_ref().map(|train: &Train| train.to_cores(shape.padded_rows())).transpose()?;
            let fill = filled.as_ref().map_or(Fill::Zeros, Fill::Train);
            let (mut train, dropped, norm_squared) = self.once(source, &shape, roots.as_deref(), &fill, norm)?;
            // Before anything is filled in, all that is there counts.
            let norm = *norm.get_or_insert(norm_squared.sqrt());
            if time < self.refills {
                missing.before = Some(train);
                continue;
            }
            train.rows = rows;
            return finish(train, roots.as_deref(), norm, dropped, &missing);
        }
        unreachable!("the loop has no end but the return")
    }

    /// Both passes: the weighted train, what each bond dropped, and the square of the table's norm. `counted` is the norm of
    /// the rows that count, where the table has more in it.
    fn once<F: Real>(
        &self,
        source: &mut impl Rows<F>,
        shape: &TtShape,
        roots: Option<&[Vec<f64>]>,
        fill: &Fill<'_>,
        counted: Option<f64>,
    ) -> Result<(Train, Vec<Bond>, f64), Error> {
        let d = shape.cores();
        let (height, width) = (self.row_factors[d - 1], self.col_factors[d - 1]);
        let cut = Cut {
            slabs: usize::try_from(shape.padded_rows() / height as u64).unwrap_or(usize::MAX),
            height,
            vectors: shape.dim() / width,
            width,
            roots,
            left_out: &self.left_out,
        };
        let length = cut.length();
        self.allow("a Gram matrix with its eigenvectors", 3 * (length as u128).pow(2))?;

        self.allow("a batch of rows", cut.numbers())?;

        let mut gram = Gram::new(length);
        let mut zeros = true;
        cut.pass(source, fill, |_, vectors| {
            gram.add(view(vectors, vectors.len() / length, length));
            zeros = zeros && vectors.iter().all(|&x| x == 0.0);
        })?;
        let norm_squared = gram.trace();
        in_range(norm_squared, zeros)?;
        let eigen = gram.eigen()?;
        let unfolded = cut.slabs.saturating_mul(cut.vectors);
        let useful = unfolded.min(length);
        let bounded = counted.map_or(norm_squared, |norm| norm * norm);
        let mut chooser = Chooser::new(&self.target, d, bounded);
        let (rank, dropped) = match &mut chooser {
            Some(chooser) => chooser.choose(d - 1, &eigen.values[..useful]),
            None => {
                let most = self.widest::<F>(shape, unfolded).min(useful);
                (most, tail(&eigen.values[..useful], most))
            }
        };
        self.allow("the table with a core less", unfolded as u128 * rank as u128)?;
        let last = eigen.largest(rank);
        drop(eigen);

        let mut rest = vec![0.0; unfolded * rank];
        cut.pass(source, fill, |first, vectors| {
            let count = vectors.len() / length;
            product_into(view(vectors, count, length), last.view(), &mut rest[first * rank..][..count * rank]);
        })?;

        let mut ranks = vec![1; d + 1];
        ranks[d - 1] = rank;
        let mut train = Train {
            rows: shape.padded_rows(),
            row_factors: self.row_factors.clone(),
            col_factors: self.col_factors.clone(),
            ranks,
            cores: vec![Vec::new(); d],
        };
        train.cores[d - 1] = last.transpose().data;
        let mut bonds = vec![Bond { rank, dropped }; d - 1];
        for k in (1..d - 1).rev() {
            // B as (s_1 .. s_k) x (s_{k+1} R_{k+1}): the second counts digits i before j, as slices do.
            let matrix = self.unfold(std::mem::take(&mut rest), k, train.ranks[k + 1]);
            let (left, core, bond) = self.split(matrix, k, chooser.as_mut())?;
            train.ranks[k] = bond.rank;
            train.cores[k] = core.data;
            bonds[k - 1] = bond;
            rest = left.data;
        }
        train.cores[0] = rest;
        if let Target::Bytes(bytes) = self.target {
            let more = crate::round::to_numbers(&mut train, (bytes / F::BYTES) as u128)?;
            bonds.iter_mut().zip(more).for_each(|(bond, dropped)| bond.dropped += dropped);
        }
        Ok((train, bonds, norm_squared))
    }

    /// The largest `R_{d-1}` that a budget leaves room for at other ranks of 1, and memory.
    fn widest<F: Real>(&self, shape: &TtShape, unfolded: usize) -> usize {
        let d = shape.cores();
        let Target::Bytes(bytes) = self.target else { return usize::MAX };
        let mut ranks = shape.ranks().to_vec();
        let one = parameters(&self.modes(), &ranks);
        ranks[d - 1] = 2;
        let more = parameters(&self.modes(), &ranks) - one;
        let numbers = (bytes / F::BYTES) as u128;
        let by_bytes = 1 + usize::try_from((numbers - one.min(numbers)) / more.max(1)).unwrap_or(usize::MAX - 1);
        by_bytes.min((self.memory / 64 / unfolded.max(1)).max(1))
    }

    fn modes(&self) -> Vec<usize> {
        self.row_factors.iter().zip(&self.col_factors).map(|(m, n)| m * n).collect()
    }

    /// `[m_1 .. m_k m_{k+1}][n_1 .. n_k][n_{k+1} R]` into `(m_1 .. m_k n_1 .. n_k) x (m_{k+1} n_{k+1} R)`, `k` from 1 as in
    /// formulas: it is core `k` from 0 that is split off.
    fn unfold(&self, rest: Vec<f64>, k: usize, rank: usize) -> Matrix {
        let (height, width) = (self.row_factors[k], self.col_factors[k] * rank);
        let vectors: usize = self.col_factors[..k].iter().product();
        let mut data = vec![0.0; rest.len()];
        let slab = height * vectors * width;
        for (slab, out) in rest.chunks_exact(slab).zip(data.chunks_exact_mut(slab)) {
            for (at, numbers) in slab.chunks_exact(width).enumerate() {
                let (i, q) = (at / vectors, at % vectors);
                out[(q * height + i) * width..][..width].copy_from_slice(numbers);
            }
        }
        Matrix::new(data.len() / (height * width), height * width, data)
    }

    /// `matrix = left core + what is dropped`, `core` with orthonormal rows: by the eigenvectors of the smaller of its Gram
    /// matrices.
    fn split(&self, matrix: Matrix, k: usize, chooser: Option<&mut Chooser>) -> Result<(Matrix, Matrix, Bond), Error> {
        let (rows, cols) = (matrix.rows, matrix.cols);
        let side = rows.min(cols);
        self.allow("a Gram matrix with its eigenvectors", 3 * (side as u128).pow(2))?;
        let mut gram = Gram::new(side);
        gram.add(if rows < cols { matrix.view().transpose() } else { matrix.view() });
        let eigen = gram.eigen()?;
        let (rank, dropped) = match chooser {
            Some(chooser) => chooser.choose(k, &eigen.values),
            None => (side, 0.0),
        };
        let vectors = eigen.largest(rank);
        let (left, core) = if rows < cols {
            // U^T B has rows of the lengths of singular values. They are made orthonormal by QR and not by a division, which
            // for small ones would divide rounding by rounding.
            let (q, r) = crate::linalg::thin_qr(&matrix.transpose_times(&vectors));
            (vectors.times_transpose(&r), q.transpose())
        } else {
            (matrix.times(&vectors), vectors.transpose())
        };
        Ok((left, core, Bond { rank, dropped }))
    }

    fn allow(&self, what: &'static str, numbers: u128) -> Result<(), Error> {
        let bytes = numbers.saturating_mul(size_of::<f64>() as u128);
        if bytes > self.memory as u128 {
            return Err(Error::Memory { what, bytes, allowed: self.memory });
        }
        Ok(())
    }
}

/// Squares that are too large or too small lose digits: they are refused, but where all numbers are `zeros`.
pub(crate) fn in_range(norm_squared: f64, zeros: bool) -> Result<(), Error> {
    let good = zeros || (1e-200..=1e300).contains(&norm_squared);
    good.then_some(()).ok_or(Error::Range { norm_squared })
}
