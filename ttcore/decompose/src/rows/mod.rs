//! Where a table is read from: row after row, as often as it takes.

mod file;
mod npy;
mod safetensors;

pub use file::FileRows;

use ttcore::Real;

use crate::error::SourceError;

/// A table `[M][N]` that is read from its first row to its last, and again.
///
/// What is computed does not depend on how many rows a [`read`](Rows::read) hands over.
pub trait Rows<F: Real>: Send {
    /// Rows of the table, `M`.
    fn rows(&self) -> u64;

    /// Columns of the table, `N`.
    fn dim(&self) -> usize;

    /// Goes back before the first row.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the source cannot.
    fn rewind(&mut self) -> Result<(), SourceError>;

    /// Reads the next rows into `out`, `[rows][N]`, row major, and says how many: as many as `out` holds, or fewer, but at
    /// least one while there are any. It is never asked for rows behind the last.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the source cannot be read.
    fn read(&mut self, out: &mut [F]) -> Result<usize, SourceError>;
}

/// A table in memory, or in a file that is mapped into memory: `[M][N]`, row major.
///
/// ```
/// use ttcore_decompose::{Rows, SliceRows};
///
/// let numbers = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let table = SliceRows::new(&numbers, 2).unwrap();
/// assert_eq!((table.rows(), table.dim()), (3, 2));
/// assert!(SliceRows::new(&numbers, 4).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct SliceRows<'a, F> {
    table: &'a [F],
    dim: usize,
    next: usize,
    block: usize,
}

impl<'a, F: Real> SliceRows<'a, F> {
    /// A table of `dim` columns. `None` if the numbers are not whole rows, at least one, of at least one column.
    pub fn new(table: &'a [F], dim: usize) -> Option<Self> {
        let whole = dim > 0 && !table.is_empty() && table.len().is_multiple_of(dim);
        whole.then_some(Self { table, dim, next: 0, block: usize::MAX })
    }

    /// Hands over at most `rows` rows at a time, and at least 1.
    pub fn with_block(self, rows: usize) -> Self {
        Self { block: rows.max(1), ..self }
    }
}

impl<F: Real> Rows<F> for SliceRows<'_, F> {
    fn rows(&self) -> u64 {
        (self.table.len() / self.dim) as u64
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.next = 0;
        Ok(())
    }

    fn read(&mut self, out: &mut [F]) -> Result<usize, SourceError> {
        let left = self.table.len() / self.dim - self.next;
        let rows = (out.len() / self.dim).min(left).min(self.block);
        let (start, end) = (self.next * self.dim, (self.next + rows) * self.dim);
        out[..end - start].copy_from_slice(&self.table[start..end]);
        self.next += rows;
        Ok(rows)
    }
}
