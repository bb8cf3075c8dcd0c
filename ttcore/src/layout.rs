//! The layout of a call: which tables, how large a batch, and where each table's output goes.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::Error;
use crate::features::Features;
use crate::table::Table;

/// The tables of one call and its largest batch: what a backend builds its [`Plan`](crate::Backend::Plan) from.
///
/// Sizes only, no data. The output of a call is one matrix `[B][stride]`, row major. A table has one or more [`Features`],
/// each with columns of its own; its batch is one [`Bags`](crate::Bags) of as many times `B` bags, one feature behind the
/// other. Bag `f B + b` of table `t` fills columns `columns[t][f] .. columns[t][f] + N_t` of matrix row `b`. Columns of no
/// feature are left as they are. The gradient of the output has the same layout.
///
/// ```
/// use ttcore::{Layout, Table};
///
/// // A table of 3 columns that two features share, around another's; rows of 8 numbers, 64 of them at most.
/// let tables = vec![Table::dense(100, 3).unwrap(), Table::dense(50, 2).unwrap()];
/// let layout = Layout::with_features(tables, vec![vec![0, 5], vec![3]], 8, 64, 640)?;
/// assert_eq!((layout.features()[0].count(), layout.features()[1].count()), (2, 1));
/// # Ok::<(), ttcore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tables: Vec<Table>,
    features: Vec<Features>,
    stride: usize,
    bags: usize,
    lookups: usize,
}

impl Layout {
    /// A layout for at most `bags` bags and `lookups` lookups a table, of one feature each, with the tables' outputs side
    /// by side.
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

    /// A layout that puts table `t`, of one feature, at `columns[t]` of output rows of `stride` numbers.
    ///
    /// # Errors
    ///
    /// As [`Layout::with_features`].
    pub fn with_columns(
        tables: Vec<Table>,
        columns: Vec<usize>,
        stride: usize,
        bags: usize,
        lookups: usize,
    ) -> Result<Self, Error> {
        Self::with_features(tables, columns.into_iter().map(|column| vec![column]).collect(), stride, bags, lookups)
    }

    /// A layout that puts feature `f` of table `t` at `columns[t][f]` of output rows of `stride` numbers, for at most `bags`
    /// of these rows, which are the bags of a feature, and `lookups` lookups of a table, all its features together.
    ///
    /// # Errors
    ///
    /// As [`Layout::new`], also for a table whose features have 2^32 bags or places together; [`Error::Columns`] for
    /// columns that overlap others or leave the row, [`Error::NoFeatures`] for a table without, [`Error::TableCount`].
    pub fn with_features(
        tables: Vec<Table>,
        columns: Vec<Vec<usize>>,
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
        if let Some(table) = columns.iter().position(Vec::is_empty) {
            return Err(Error::NoFeatures { table });
        }
        let mut taken: Vec<(usize, usize, usize)> = Vec::with_capacity(columns.iter().map(Vec::len).sum());
        for (table, (columns, shape)) in columns.iter().zip(&tables).enumerate() {
            for &column in columns {
                let end = column.checked_add(shape.dim()).filter(|&end| end <= stride);
                taken.push((column, end.ok_or(Error::Columns { table, column, stride })?, table));
            }
        }
        taken.sort_unstable();
        if let Some(pair) = taken.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(Error::Columns { table: pair[1].2, column: pair[1].0, stride });
        }
        let features = columns.into_iter().map(|columns| Features::new(columns, stride)).collect();
        Self { tables, features, stride, bags, lookups }.checked()
    }

    /// The same tables and features for batches of another size.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`].
    pub fn with_room(&self, bags: usize, lookups: usize) -> Result<Self, Error> {
        Self { bags, lookups, ..self.clone() }.checked()
    }

    /// That positions of lookups and places of bags fit 32 bits everywhere, and no length in bytes can wrap.
    fn checked(self) -> Result<Self, Error> {
        let dim = self.tables.iter().map(Table::dim).max().unwrap_or(1);
        for (what, rows, width) in [("output", self.bags, self.stride), ("rows of a batch", self.lookups, dim)] {
            let len = rows.checked_mul(width).filter(|&len| len <= isize::MAX as usize / 64);
            if u32::try_from(rows).is_err() || len.is_none() {
                return Err(Error::TooLarge { what });
            }
        }
        // There is a place for every bag.
        let fits = |features: &Features| features.end(self.bags).is_some_and(|end| u32::try_from(end).is_ok());
        if self.features.iter().all(fits) { Ok(self) } else { Err(Error::TooLarge { what: "bags of all features" }) }
    }

    /// The tables, in order.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The features of each table.
    pub fn features(&self) -> &[Features] {
        &self.features
    }

    /// Numbers in one row of the output.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Largest number of output rows of a batch, `B`: bags of each feature.
    pub fn bags(&self) -> usize {
        self.bags
    }

    /// Largest number of lookups of one table in a batch, of all its features together.
    pub fn lookups(&self) -> usize {
        self.lookups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(columns: Vec<Vec<usize>>, stride: usize, bags: usize) -> Result<Layout, Error> {
        let table = |dim| Table::dense(9, dim).expect("a small table");
        Layout::with_features(vec![table(3), table(2)], columns, stride, bags, 4)
    }

    #[test]
    fn features_have_columns_of_their_own() {
        assert!(layout(vec![vec![5, 0], vec![3]], 8, 2).is_ok());
        let refused = |columns, stride| layout(columns, stride, 2).err().unwrap();
        let overlap = |table, column, stride| Error::Columns { table, column, stride };
        assert_eq!(refused(vec![vec![0, 2], vec![5]], 8), overlap(0, 2, 8));
        assert_eq!(refused(vec![vec![0, 0], vec![5]], 8), overlap(0, 0, 8));
        assert_eq!(refused(vec![vec![0, 5], vec![4]], 8), overlap(0, 5, 8));
        assert_eq!(refused(vec![vec![0, 5], vec![3]], 7), overlap(0, 5, 7));
        assert_eq!(refused(vec![vec![0, usize::MAX], vec![3]], 7), overlap(0, usize::MAX, 7));
        assert_eq!(refused(vec![vec![0], vec![]], 8), Error::NoFeatures { table: 1 });
        assert_eq!(refused(vec![vec![0]], 8), Error::TableCount { what: "columns", got: 1, tables: 2 });
    }

    #[test]
    fn places_fit_32_bits() {
        // Places of the first table are 1 number apart, those of the second 8.
        let columns = || vec![vec![5, 0], vec![3]];
        assert_eq!(layout(columns(), 8, 1 << 29).err(), Some(Error::TooLarge { what: "bags of all features" }));
        let layout = layout(columns(), 8, (1 << 29) - 1).expect("one less");
        assert_eq!(layout.with_room(1 << 29, 4).err(), Some(Error::TooLarge { what: "bags of all features" }));
        assert_eq!(layout.with_room(2, 4), self::layout(columns(), 8, 2));
    }
}
