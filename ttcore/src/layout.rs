//! The layout of a call: which tables, how large a batch, and where each table's output goes.

use alloc::vec::Vec;

use crate::error::Error;
use crate::table::Table;

/// The tables of one call and its largest batch: what a backend builds its [`Plan`](crate::Backend::Plan) from.
///
/// Sizes only, no data. The output of a call is one matrix `[B][stride]`, row major: the row of bag `b` of table `t`
/// fills columns `columns[t] .. columns[t] + N_t` of matrix row `b`. Columns of no table are left as they are. The
/// gradient of the output has the same layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tables: Vec<Table>,
    columns: Vec<usize>,
    stride: usize,
    bags: usize,
    lookups: usize,
}

impl Layout {
    /// A layout for at most `bags` bags and `lookups` lookups a table, with the tables' outputs side by side.
    ///
    /// # Errors
    ///
    /// [`Error::NoTables`]; [`Error::TooLarge`] for 2^32 bags or lookups, or if the output would not fit in the address
    /// space.
    pub fn new(tables: Vec<Table>, bags: usize, lookups: usize) -> Result<Self, Error> {
        let mut stride = 0usize;
        let mut columns = Vec::with_capacity(tables.len());
        for table in &tables {
            columns.push(stride);
            stride = stride.checked_add(table.dim()).ok_or(Error::TooLarge { what: "output row" })?;
        }
        Self::with_columns(tables, columns, stride, bags, lookups)
    }

    /// A layout that puts table `t` at `columns[t]` of output rows of `stride` numbers.
    ///
    /// # Errors
    ///
    /// As [`Layout::new`]; [`Error::Columns`] for a table whose columns overlap another's or leave the row.
    pub fn with_columns(
        tables: Vec<Table>,
        columns: Vec<usize>,
        stride: usize,
        bags: usize,
        lookups: usize,
    ) -> Result<Self, Error> {
        if tables.is_empty() {
            return Err(Error::NoTables);
        }
        if columns.len() != tables.len() {
            return Err(Error::TableCount { what: "columns", got: columns.len(), tables: tables.len() });
        }
        let mut taken: Vec<(usize, usize, usize)> = Vec::with_capacity(tables.len());
        for (table, (&column, shape)) in columns.iter().zip(&tables).enumerate() {
            let end = column.checked_add(shape.dim()).filter(|&end| end <= stride);
            taken.push((column, end.ok_or(Error::Columns { table, column, stride })?, table));
        }
        taken.sort_unstable();
        if let Some(pair) = taken.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(Error::Columns { table: pair[1].2, column: pair[1].0, stride });
        }
        // Positions of lookups fit 32 bits everywhere, and no length in bytes can wrap.
        let dim = tables.iter().map(Table::dim).max().unwrap_or(1);
        for (what, rows, width) in [("output", bags, stride), ("rows of a batch", lookups, dim)] {
            let len = rows.checked_mul(width).filter(|&len| len <= isize::MAX as usize / 64);
            if u32::try_from(rows).is_err() || len.is_none() {
                return Err(Error::TooLarge { what });
            }
        }
        Ok(Self { tables, columns, stride, bags, lookups })
    }

    /// The same layout with room for batches of at least so many bags and lookups.
    ///
    /// # Errors
    ///
    /// As [`Layout::new`].
    pub fn with_room(&self, bags: usize, lookups: usize) -> Result<Self, Error> {
        let (bags, lookups) = (bags.max(self.bags), lookups.max(self.lookups));
        Self::with_columns(self.tables.clone(), self.columns.clone(), self.stride, bags, lookups)
    }

    /// The tables, in order.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// First output column of each table.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Numbers in one row of the output.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Largest number of bags in a batch.
    pub fn bags(&self) -> usize {
        self.bags
    }

    /// Largest number of lookups of one table in a batch.
    pub fn lookups(&self) -> usize {
        self.lookups
    }
}
