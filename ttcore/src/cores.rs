//! The cores of one table in memory, with views of each core and slice, and the rows they stand for.

use alloc::vec::Vec;
use core::fmt;

use crate::algebra;
use crate::check;
use crate::error::Error;
use crate::init::CoreInit;
use crate::real::Real;
use crate::shape::TtShape;

/// The cores `G_1 .. G_d` of a table, in one flat buffer.
///
/// ```
/// use ttcore::{TtCores, TtShape, init::CoreInit};
///
/// let shape = TtShape::with_rank(1000, &[10, 10, 10], &[2, 2, 4], 8)?;
/// let cores = TtCores::<f32>::init(shape, &CoreInit::default(), 42);
/// assert_eq!(cores.row(999)?.len(), 16);
/// // 16,000 numbers held as 1,760.
/// assert_eq!((cores.as_slice().len(), cores.expand()?.len()), (1760, 16_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct TtCores<F> {
    shape: TtShape,
    data: Vec<F>,
}

impl<F> fmt::Debug for TtCores<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = format_args!("{} numbers", self.data.len());
        f.debug_struct("TtCores").field("shape", &self.shape).field("data", &data).finish()
    }
}

impl<F: Real> TtCores<F> {
    /// Cores from their numbers, `[parameters]`: core after core, each `[m_k][R_{k-1}][n_k][R_k]`, row major.
    ///
    /// # Errors
    ///
    /// [`Error::Length`].
    pub fn new(shape: TtShape, data: Vec<F>) -> Result<Self, Error> {
        check::length("cores", None, data.len(), shape.parameters())?;
        Ok(Self { shape, data })
    }

    /// Cores of zeros.
    pub fn zeros(shape: TtShape) -> Self {
        let data = alloc::vec![F::zero(); shape.parameters()];
        Self { shape, data }
    }

    /// Cores drawn at random: see [`CoreInit`].
    pub fn init(shape: TtShape, init: &CoreInit, seed: u64) -> Self {
        let mut cores = Self::zeros(shape);
        init.fill(&cores.shape, seed, &mut cores.data);
        cores
    }

    /// The shape.
    pub fn shape(&self) -> &TtShape {
        &self.shape
    }

    /// All numbers, core after core.
    pub fn as_slice(&self) -> &[F] {
        &self.data
    }

    /// All numbers, core after core, to write.
    pub fn as_mut_slice(&mut self) -> &mut [F] {
        &mut self.data
    }

    /// The numbers, without the shape.
    pub fn into_vec(self) -> Vec<F> {
        self.data
    }

    /// Core `k` (from 0), `[m_k][R_{k-1}][n_k][R_k]`.
    ///
    /// # Panics
    ///
    /// If `k >= d`.
    pub fn core(&self, k: usize) -> &[F] {
        &self.data[self.shape.core_range(k)]
    }

    /// Core `k` (from 0), to write.
    ///
    /// # Panics
    ///
    /// If `k >= d`.
    pub fn core_mut(&mut self, k: usize) -> &mut [F] {
        let range = self.shape.core_range(k);
        &mut self.data[range]
    }

    /// Slice `i` of core `k` (both from 0): `G_k[i]`, an `R_{k-1} x (n_k R_k)` matrix.
    ///
    /// # Panics
    ///
    /// If `k >= d` or `i >= m_k`.
    pub fn slice(&self, k: usize, i: usize) -> &[F] {
        &self.data[self.shape.slice_range(k, i)]
    }

    /// Slice `i` of core `k`, to write.
    ///
    /// # Panics
    ///
    /// If `k >= d` or `i >= m_k`.
    pub fn slice_mut(&mut self, k: usize, i: usize) -> &mut [F] {
        let range = self.shape.slice_range(k, i);
        &mut self.data[range]
    }

    /// One row of the table, `[N]` (paper, Equation 3).
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for a row of padding or beyond.
    pub fn row(&self, row: u64) -> Result<Vec<F>, Error> {
        if row >= self.shape.rows() {
            return Err(Error::Row { table: 0, position: 0, row, rows: self.shape.rows() });
        }
        let mut out = alloc::vec![F::zero(); self.shape.dim()];
        algebra::row(&self.shape, &self.data, row, &mut out, &mut self.scratch());
        Ok(out)
    }

    /// The full table, `[M][N]`, without padding rows. For tests and export: it undoes the compression.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the table would not fit in the address space.
    pub fn expand(&self) -> Result<Vec<F>, Error> {
        let len = usize::try_from(self.shape.dense_parameters()).ok().filter(|&len| len <= isize::MAX as usize / 16);
        let mut table = alloc::vec![F::zero(); len.ok_or(Error::TooLarge { what: "expanded table" })?];
        let mut scratch = self.scratch();
        for (row, out) in table.chunks_exact_mut(self.shape.dim()).enumerate() {
            algebra::row(&self.shape, &self.data, row as u64, out, &mut scratch);
        }
        Ok(table)
    }

    fn scratch(&self) -> Vec<F> {
        alloc::vec![F::zero(); algebra::scratch_len(&self.shape)]
    }
}
