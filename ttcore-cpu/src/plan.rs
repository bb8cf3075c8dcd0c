//! Sizes and order of work for the tables of a layout.

use std::sync::Arc;

use ttcore::{Error, Layout, Table, TtShape};

use crate::divide::Divisor;

/// Products stacked into one matrix product, in rows: bounds the memory of a task, large enough to fill the kernels.
const STACKED_ROWS: usize = 192;

/// What [`Cpu`](crate::Cpu) knows of a layout before any batch.
#[derive(Debug)]
pub struct Plan {
    pub(crate) layout: Arc<Layout>,
    pub(crate) trees: Vec<Option<Tree>>,
    /// Threads of the queue it was made on: scratch memory for so many.
    pub(crate) threads: usize,
}

/// The prefix tree of a TT table.
///
/// Its nodes at level `k` are the prefixes `(i_1 .. i_k)` of the rows of a batch, for `k` from 1 to `d - 1`; a row is a
/// node of the last level with a last digit. The product of a prefix is computed once, from its parent's.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) shape: TtShape,
    /// What core rows sort by: below this.
    pub(crate) keys: u64,
    /// The row factors.
    factors: Vec<Divisor>,
    /// The number of keys of the parents of nodes of level `k`, `m_1 .. m_{k-1}`, at `k - 1`.
    parent_keys: Vec<Divisor>,
    /// Most nodes a batch can have at each level, from level 1.
    pub(crate) max_nodes: Vec<usize>,
    /// Most last digits a batch can have.
    pub(crate) max_last: usize,
    /// Most unique rows a batch can have.
    pub(crate) max_rows: usize,
}

impl Plan {
    pub(crate) fn new(layout: Layout, threads: usize) -> Result<Self, Error> {
        let tree = |table: &Table| table.cores().map(|shape| Tree::new(shape, table, layout.lookups())).transpose();
        let trees = layout.tables().iter().map(tree).collect::<Result<_, _>>()?;
        Ok(Self { layout: Arc::new(layout), trees, threads })
    }
}

impl Tree {
    fn new(shape: &TtShape, table: &Table, lookups: usize) -> Result<Self, Error> {
        let keys = shape.padded_rows();
        // Dense rows sort behind the cores' rows.
        keys.checked_add(table.dense_rows()).ok_or(Error::TooLarge { what: "table" })?;
        // More cores than this are all of one row, or more numbers than memory.
        u32::try_from(shape.row_factors().iter().max().copied().unwrap_or(0))
            .map_err(|_| Error::TooLarge { what: "row factor" })?;
        let factors: Vec<Divisor> = shape.row_factors().iter().map(|&m| Divisor::new(m as u64)).collect();
        let parents = factors.iter().scan(1, |above, m| {
            let parents = *above;
            *above *= m.get();
            Some(Divisor::new(parents))
        });
        let parent_keys = parents.collect();
        let mut prefixes = 1usize;
        let levels = &shape.row_factors()[..shape.cores() - 1];
        let max_nodes = levels.iter().map(|&m| {
            prefixes = prefixes.saturating_mul(m);
            prefixes.min(lookups)
        });
        let max_nodes = max_nodes.collect();
        let max_last = shape.row_factors()[shape.cores() - 1].min(lookups);
        let max_rows = usize::try_from(shape.rows()).unwrap_or(usize::MAX).min(lookups);
        Ok(Self { shape: shape.clone(), keys, factors, parent_keys, max_nodes, max_last, max_rows })
    }

    /// Levels of the tree, `d - 1`.
    pub(crate) fn levels(&self) -> usize {
        self.shape.cores() - 1
    }

    /// Numbers in the product of a prefix of `k` digits, `A_k R_k`.
    pub(crate) fn product_len(&self, k: usize) -> usize {
        self.shape.prefix_len(k)
    }

    /// Rows of that product, `A_k = n_1 .. n_k`.
    pub(crate) fn product_rows(&self, k: usize) -> usize {
        self.product_len(k) / self.shape.ranks()[k]
    }

    /// Columns of the last core, `n_d`.
    pub(crate) fn last_cols(&self) -> usize {
        self.shape.col_factors()[self.levels()]
    }

    /// Rank before the last core, `R_{d-1}`.
    pub(crate) fn last_rank(&self) -> usize {
        self.shape.ranks()[self.levels()]
    }

    /// What a row sorts by: its digits in the order `i_{d-1}, .., i_1, i_d`, so that rows of one prefix, and prefixes that
    /// share the slice of their last core, come together.
    pub(crate) fn key(&self, row: u64) -> u64 {
        let (outer, last) = self.factors.split_at(self.levels());
        let (mut rest, last_digit) = last[0].divide(row);
        let mut key = 0;
        for factor in outer.iter().rev() {
            let (quotient, digit) = factor.divide(rest);
            key = key * factor.get() + digit;
            rest = quotient;
        }
        key * last[0].get() + last_digit
    }

    /// The key of the node of the last level that a row is below, and the row's last digit, from the row's key.
    pub(crate) fn split_row(&self, key: u64) -> (u64, u64) {
        self.factors[self.levels()].divide(key)
    }

    /// Last digits, `m_d`.
    pub(crate) fn last_count(&self) -> u64 {
        self.factors[self.levels()].get()
    }

    /// Keys that parents of nodes of level `k` may have.
    pub(crate) fn parent_count(&self, k: usize) -> u64 {
        self.parent_keys[k - 1].get()
    }

    /// The digit of a node of level `k`, and the key of its parent, from the node's key.
    pub(crate) fn split_node(&self, k: usize, key: u64) -> (u64, u64) {
        self.parent_keys[k - 1].divide(key)
    }

    /// Nodes of level `k` whose products are computed together: as many as fit the stacked rows, at least one.
    pub(crate) fn block(&self, k: usize) -> usize {
        (STACKED_ROWS / self.product_rows(k - 1).max(1)).max(1)
    }
}
