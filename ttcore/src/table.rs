//! What a table is made of: TT cores, dense rows, or both.

use core::ops::Range;

use crate::shape::TtShape;

/// The make-up of one embedding table.
///
/// A table has one address space of rows: addresses `0 .. M` are rows held by TT cores, addresses behind them are rows
/// held as they are. So an uncompressed table is all dense rows, a TT table none, and a TT table with a cache has a
/// dense row for every cache slot: a cached lookup is one with another address, and pooling, weights and gradients
/// never know the difference.
///
/// Its parameters lie in one buffer: the cores `G_1 .. G_d`, then the dense rows `[dense_rows][N]`. Optimiser state:
/// see [`StateLayout`](crate::StateLayout).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    cores: Option<TtShape>,
    dense_rows: u64,
    dim: usize,
}

impl Table {
    /// A compressed table.
    pub fn tt(shape: TtShape) -> Self {
        Self { dim: shape.dim(), cores: Some(shape), dense_rows: 0 }
    }

    /// An uncompressed table of `rows x dim`. `None` without columns, or if it would not fit in the address space.
    pub fn dense(rows: u64, dim: usize) -> Option<Self> {
        Self { cores: None, dense_rows: rows, dim }.checked().filter(|_| dim > 0)
    }

    /// A compressed table with room for `slots` uncompressed rows. `None` if it would not fit in the address space.
    pub fn cached(shape: TtShape, slots: usize) -> Option<Self> {
        Self { dim: shape.dim(), cores: Some(shape), dense_rows: slots as u64 }.checked()
    }

    fn checked(self) -> Option<Self> {
        let dense = usize::try_from(self.dense_rows).ok()?.checked_mul(self.dim)?;
        let parameters = dense.checked_add(self.core_parameters())?;
        self.core_rows().checked_add(self.dense_rows)?;
        (parameters <= isize::MAX as usize / 16).then_some(self)
    }

    /// Shape of the cores, if there are any.
    pub fn cores(&self) -> Option<&TtShape> {
        self.cores.as_ref()
    }

    /// Columns, `N`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Rows held by the cores: `M`, or 0.
    pub fn core_rows(&self) -> u64 {
        self.cores.as_ref().map_or(0, TtShape::rows)
    }

    /// Rows held as they are.
    pub fn dense_rows(&self) -> u64 {
        self.dense_rows
    }

    /// Rows a lookup can address: those of the cores, then the dense ones.
    pub fn addresses(&self) -> u64 {
        self.core_rows() + self.dense_rows
    }

    /// Numbers in the cores.
    pub fn core_parameters(&self) -> usize {
        self.cores.as_ref().map_or(0, TtShape::parameters)
    }

    /// Numbers in the cores and the dense rows.
    pub fn parameters(&self) -> usize {
        self.core_parameters() + self.dense_rows as usize * self.dim
    }

    /// Where the dense row with this address lies among the parameters; `None` for a row of the cores and for addresses
    /// beyond [`Table::addresses`].
    pub fn dense_row(&self, address: u64) -> Option<Range<usize>> {
        let row = address.checked_sub(self.core_rows()).filter(|&row| row < self.dense_rows)?;
        let start = self.core_parameters() + row as usize * self.dim;
        Some(start..start + self.dim)
    }
}
