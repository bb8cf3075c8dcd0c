//! Products of prefixes, rows, and pooling.

use std::sync::Mutex;

use ttcore::Real;

use super::nodes::{blocks, stack_parents};
use crate::group::{Group, Part, Task};
use crate::memory::{Local, Values};
use crate::plan::Plan;
use crate::shared::Shared;
use crate::simd::{Kernels, Numbers, Work};
use crate::threads::Threads;

/// One forward.
pub(crate) struct Forward<'c, F> {
    pub(crate) threads: &'c Threads,
    pub(crate) plan: &'c Plan,
    pub(crate) group: &'c Group<F>,
    pub(crate) params: &'c [Shared<'c, F>],
    pub(crate) values: &'c [Values<F>],
    pub(crate) locals: &'c [Mutex<Local<F>>],
    pub(crate) out: Shared<'c, F>,
}

impl<F: Real> Work<F> for Forward<'_, F> {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let this = &self;
        this.threads.enter(this.group.tasks.largest(), || {
            for region in &this.group.tasks.forward {
                this.threads.for_each(region.len(), |task| this.task(kernels, &region[task]));
            }
        });
    }
}

impl<F: Real> Forward<'_, F> {
    fn task<K: Kernels<F>>(&self, kernels: K, task: &Task) {
        match task.part {
            Part::Transpose => self.transpose(kernels, task),
            Part::Level(k) => self.level(kernels, task, k),
            _ => self.pool(kernels, task),
        }
    }

    /// Transposes the slices of the last core that the batch uses: their columns are few, so the kernels run along the
    /// rank.
    fn transpose<K: Kernels<F>>(&self, kernels: K, task: &Task) {
        let Some(tree) = &self.plan.trees[task.table] else { return };
        let (last, values) = (&self.group.tables[task.table].nodes.last, &self.values[task.table]);
        let (rank, cols) = (tree.last_rank(), tree.last_cols());
        let len = rank * cols;
        for group in task.range.clone() {
            let slice = tree.shape.slice_range(tree.levels(), last.digit(group));
            // SAFETY: parameters are not written in forward; the group's place among the transposed slices is this
            // task's.
            let (from, to) =
                unsafe { (self.params[task.table].get(slice), values.last.get_mut(group * len..(group + 1) * len)) };
            kernels.transpose(rank, cols, from, to);
        }
    }

    /// Products of the nodes of some groups of level `k`, all of one slice in one matrix product; and at the last level
    /// the rows below them, while the products are in the cache.
    fn level<K: Kernels<F>>(&self, kernels: K, task: &Task, k: usize) {
        let Some(tree) = &self.plan.trees[task.table] else { return };
        let (batch, values, params) =
            (&self.group.tables[task.table], &self.values[task.table], self.params[task.table]);
        let (nodes, len) = (&batch.nodes, tree.product_len(k));
        let level = &nodes.levels[k - 1];
        let mut local = lock(&self.locals[self.threads.current() % self.locals.len()]);
        for group in task.range.clone() {
            let slice = tree.shape.slice_range(k - 1, level.digit(group));
            // SAFETY: parameters are not written in forward.
            let slice = unsafe { params.get(slice) };
            if k == 1 {
                // SAFETY: the product of a node belongs to the task that has its group.
                unsafe { values.products[0].get_mut(group * len..(group + 1) * len) }.copy_from_slice(slice);
                self.rows(kernels, task.table, group);
                continue;
            }
            let (rank, width) = (tree.shape.ranks()[k - 1], slice.len() / tree.shape.ranks()[k - 1]);
            for block in blocks(level.nodes(group), tree.block(k)) {
                let stacked = block.len() * tree.product_rows(k - 1);
                let stack = &mut local.stack[..stacked * rank];
                // SAFETY: products of level k - 1 were written in the region before, parameters are not written.
                unsafe { stack_parents(tree, nodes, k, block.clone(), params, values, stack) };
                // SAFETY: the products of these nodes belong to the task that has their group.
                let products = unsafe { values.products[k - 1].get_mut(block.start * len..block.end * len) };
                kernels.gemm([stacked, width, rank], stack, (rank, 1), slice, width, products, width, false);
                if k == tree.levels() {
                    block.for_each(|node| self.rows(kernels, task.table, node));
                }
            }
        }
    }

    /// Rows of a node of the last level.
    fn rows<K: Kernels<F>>(&self, kernels: K, table: usize, node: usize) {
        let Some(tree) = &self.plan.trees[table] else { return };
        let (batch, values) = (&self.group.tables[table], &self.values[table]);
        let (rank, cols, dim, k) = (tree.last_rank(), tree.last_cols(), tree.shape.dim(), tree.levels());
        let (len, last_len) = (tree.product_len(k), rank * cols);
        // SAFETY: this task wrote the product just now and nobody else does.
        let product = unsafe { values.products[k - 1].get(node * len..(node + 1) * len) };
        for row in batch.nodes.levels[k - 1].child_range(node) {
            let last = batch.nodes.last.of(row);
            // SAFETY: transposed slices were written in the region before; a row belongs to the task that has its node.
            let (last, out) = unsafe {
                let last = values.last.get(last * last_len..(last + 1) * last_len);
                (last, values.rows.get_mut(row * dim..(row + 1) * dim))
            };
            kernels.gemm_bt([len / rank, cols, rank], product, rank, last, rank, out, cols, false);
        }
    }

    fn pool<K: Kernels<F>>(&self, kernels: K, task: &Task) {
        let (batch, table) = (&self.group.tables[task.table], &self.plan.layout.tables()[task.table]);
        // Bags of one feature, and where that of output row 0 is in the list of all.
        let (feature, dim, stride) = (task.range.start / self.group.rows, table.dim(), self.plan.layout.stride());
        let (column, first) = (self.plan.layout.features()[task.table].columns()[feature], feature * self.group.rows);
        // Rows of one kind lie in one matrix.
        let (cores, lookups) = (batch.core_rows, batch.lookups());
        // SAFETY: rows of the cores were written in the regions before, parameters are not written in forward.
        let matrix = unsafe {
            match (cores, batch.dense.len()) {
                (_, 0) => Some((Numbers::Short(&batch.row_of), self.values[task.table].rows.get(0..cores * dim))),
                (0, _) if table.cores().is_none() => {
                    Some((Numbers::Long(&batch.keys), self.params[task.table].get(0..table.parameters())))
                }
                _ => None,
            }
        };
        for bag in task.range.clone() {
            let start = (bag - first) * stride + column;
            // SAFETY: the columns of a feature in the output row of a bag belong to the task that has the bag.
            let out = unsafe { self.out.get_mut(start..start + dim) };
            let range = batch.bag(bag);
            let factors = &batch.factors[range.clone()];
            if let Some((numbers, matrix)) = matrix {
                kernels.weighted_rows(factors, numbers.slice(range.start..lookups), matrix, dim, out);
                continue;
            }
            out.fill(F::zero());
            for (&factor, &row) in factors.iter().zip(&batch.row_of[range]) {
                kernels.axpy(factor, self.row(task.table, row as usize), out);
            }
        }
    }

    /// A unique row, from where it is.
    fn row(&self, table: usize, row: usize) -> &[F] {
        let (batch, shape) = (&self.group.tables[table], &self.plan.layout.tables()[table]);
        // SAFETY: rows of the cores were written in the regions before, parameters are not written in forward.
        unsafe {
            match row.checked_sub(batch.core_rows) {
                None => self.values[table].rows.get(row * shape.dim()..(row + 1) * shape.dim()),
                Some(dense) => self.params[table].get(dense_range(shape, batch.dense[dense])),
            }
        }
    }
}

/// Where a dense row lies among the parameters of a table.
pub(super) fn dense_range(table: &ttcore::Table, dense: u64) -> std::ops::Range<usize> {
    let start = table.core_parameters() + dense as usize * table.dim();
    start..start + table.dim()
}

/// The memory of a thread; one that a panic left behind has nothing in it that matters.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
