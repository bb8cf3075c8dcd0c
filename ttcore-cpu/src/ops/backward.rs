//! Gradients of rows, of prefixes from the last level up, and of the slices they are made of.

use std::ops::Range;
use std::sync::Mutex;

use ttcore::Real;

use super::forward::{dense_range, lock};
use super::nodes::{blocks, stack_parents};
use super::sinks::{Owned, RawSink};
use crate::group::{Group, Level, Part, Task};
use crate::memory::{Gradients, Local, Values};
use crate::plan::{Plan, Tree};
use crate::shared::{Cells, Shared};
use crate::simd::{Kernels, Numbers, Work};
use crate::threads::Threads;

/// Rows between asking for a dense row and updating it.
const AHEAD: usize = 24;

/// Children between asking for what they add to a gradient and adding it.
const CHILDREN_AHEAD: usize = 12;

/// Parameters that the batch does not touch, or does, of one task that visits the former: some ten microseconds.
const UNTOUCHED_PART: usize = 1 << 16;

/// Stacked rows from which on it pays to transpose a slice for its product with their gradients: a sum of lanes for every
/// element takes longer by then.
const TRANSPOSED_ROWS: usize = 24;

/// Stacked rows up to which the sum of squares of a product is found from its factors, without the product.
const SQUARED_ROWS: usize = 4;

/// One backward.
///
/// A slice of a core is read in the region that computes its gradient, and written at the end of the task that has it:
/// slices of the levels in the regions of their levels, from the last up; those of the first and the last core, which
/// other regions read, in the last region.
pub(crate) struct Backward<'c, F> {
    pub(crate) threads: &'c Threads,
    pub(crate) plan: &'c Plan,
    pub(crate) group: &'c Group<F>,
    pub(crate) sinks: &'c [RawSink<'c, F>],
    pub(crate) values: &'c [Values<F>],
    pub(crate) gradients: &'c [Gradients<F>],
    pub(crate) locals: &'c [Mutex<Local<F>>],
    pub(crate) grad_out: &'c [F],
    pub(crate) grad_weights: Option<Shared<'c, F>>,
}

impl<F: Real> Work<F> for Backward<'_, F> {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let this = &self;
        // What the batch does not touch, no region reads or writes but the one that visits it: it goes beside the last.
        let untouched = this.untouched_parts();
        let Some((last, regions)) = this.group.tasks.backward.split_last() else { return };
        this.threads.enter(this.group.tasks.largest().max(last.len() + untouched), || {
            if let Some(grad_weights) = this.grad_weights {
                // Before anything is updated: dense rows are read where they are.
                let region = &this.group.tasks.weights;
                this.threads.for_each(region.len(), |task| this.weights(kernels, &region[task], grad_weights));
            }
            for region in regions {
                this.threads.for_each(region.len(), |task| this.task(kernels, &region[task]));
            }
            this.threads.for_each(last.len() + untouched, |task| match last.get(task) {
                Some(task) => this.task(kernels, task),
                None => this.untouched(kernels, task - last.len()),
            });
        });
    }
}

impl<F: Real> Backward<'_, F> {
    fn task<K: Kernels<F>>(&self, kernels: K, task: &Task) {
        if self.sinks[task.table].is_frozen() {
            return;
        }
        match (task.part, &self.plan.trees[task.table]) {
            (Part::Dense, _) => self.dense(kernels, task),
            (Part::Deepest, Some(tree)) => self.level(kernels, task, tree, tree.levels()),
            (Part::Middle(k), Some(tree)) => self.level(kernels, task, tree, k),
            (Part::First, Some(tree)) => self.first(kernels, task, tree),
            (Part::Last, Some(tree)) => self.last(kernels, task, tree),
            _ => {}
        }
    }

    /// `dL/da_j = s_b <w_{row(j)}, g_b>`.
    fn weights<K: Kernels<F>>(&self, kernels: K, task: &Task, grad_weights: Shared<'_, F>) {
        let (batch, table) = (&self.group.tables[task.table], &self.plan.layout.tables()[task.table]);
        let before: usize = self.group.tables[..task.table].iter().map(|table| table.lookups()).sum();
        let dim = table.dim();
        for j in task.range.clone() {
            let (bag, row) = (batch.bag_of[j] as usize, batch.row_of[j] as usize);
            // SAFETY: rows of the cores are not written in backward, and parameters not in this region.
            let row = unsafe {
                match row.checked_sub(batch.core_rows) {
                    None => self.values[task.table].rows.get(row * dim..(row + 1) * dim),
                    Some(dense) => self.sinks[task.table].params.get(dense_range(table, batch.dense[dense])),
                }
            };
            let gradient = batch.scales[bag] * kernels.dot(row, self.grad_bag(task.table, bag));
            // SAFETY: the place of a lookup belongs to the task that has the lookup.
            let place = unsafe { grad_weights.get_mut(before + j..before + j + 1) };
            place[0] = gradient;
        }
    }

    fn grad_bag(&self, table: usize, bag: usize) -> &[F] {
        let (layout, place) = (&self.plan.layout, self.group.tables[table].place(bag));
        let features = &layout.features()[table];
        &self.grad_out[features.origin() + place * features.unit()..][..layout.tables()[table].dim()]
    }

    /// Gradient of a unique row: that of its bags, summed over its lookups in order.
    fn row<K: Kernels<F>>(&self, kernels: K, table: usize, row: usize, out: &mut [F]) {
        let (batch, features) = (&self.group.tables[table], &self.plan.layout.features()[table]);
        let places = Numbers::Short(&batch.row_places[batch.lookups_of(row).start..]);
        let grads = &self.grad_out[features.origin()..];
        kernels.weighted_rows(batch.factors_of(row), places, grads, features.unit(), out);
    }

    fn dense<K: Kernels<F>>(&self, kernels: K, task: &Task) {
        let (batch, table) = (&self.group.tables[task.table], &self.plan.layout.tables()[task.table]);
        let sink = &self.sinks[task.table];
        let mut local = lock(&self.locals[self.threads.current() % self.locals.len()]);
        for dense in task.range.clone() {
            if let Some(&ahead) = batch.dense.get(dense + AHEAD) {
                kernels.prefetch(sink.params.place(dense_range(table, ahead)));
            }
            let number = batch.dense[dense];
            let owned = Owned::Row { range: dense_range(table, number), number: number as usize };
            // SAFETY: a dense row belongs to the task that has it, in this region the only one that uses dense rows.
            unsafe {
                let grad = sink.place(owned.range(), &mut local.slice);
                self.row(kernels, task.table, batch.core_rows + dense, grad);
                sink.apply(kernels, owned, grad);
            }
        }
    }

    /// Groups of a level: the gradients of their products, then of the slice they share, and of their parents' products.
    fn level<K: Kernels<F>>(&self, kernels: K, task: &Task, tree: &Tree, k: usize) {
        let (batch, values, gradients, sink) = (
            &self.group.tables[task.table],
            &self.values[task.table],
            &self.gradients[task.table],
            &self.sinks[task.table],
        );
        let (nodes, len) = (&batch.nodes, tree.product_len(k));
        let level = &nodes.levels[k - 1];
        let mut local = lock(&self.locals[self.threads.current() % self.locals.len()]);
        let Local { stack, grads, slice: slice_grad, transposed } = &mut *local;
        for group in task.range.clone() {
            let owned = Owned::Slice { shape: &tree.shape, k: k - 1, i: level.digit(group) };
            let range = owned.range();
            // A gradient that is one product, of few rows if its norm is needed, can be subtracted as it is computed, without
            // being written.
            let most = if sink.needs_square() { SQUARED_ROWS / tree.product_rows(k - 1) } else { tree.block(k) };
            // SAFETY: a slice belongs to the task that has its group.
            let slice_grad = unsafe { sink.place(range.clone(), slice_grad) };
            let mut written = false;
            let at_once = k > 1 && sink.subtracts() && level.nodes(group).len() <= most;
            for (number, block) in blocks(level.nodes(group), if k == 1 { 1 } else { tree.block(k) }).enumerate() {
                let grads = &mut grads[..block.len() * len];
                for (node, grad) in block.clone().zip(grads.chunks_exact_mut(len)) {
                    if k == tree.levels() {
                        self.node_from_rows(kernels, task.table, tree, node, grad);
                    } else {
                        from_children(kernels, level, node, &gradients.parents[k], grad);
                    }
                }
                if k == 1 {
                    // SAFETY: the gradient of a node belongs to the task that has its group.
                    unsafe { gradients.parents[0].get_mut(block.start * len..block.end * len) }.copy_from_slice(grads);
                    continue;
                }
                let (rank, width) = (tree.shape.ranks()[k - 1], range.len() / tree.shape.ranks()[k - 1]);
                let stacked = block.len() * tree.product_rows(k - 1);
                let stack = &mut stack[..stacked * rank];
                // SAFETY: products are not written in backward, and the first core only in the last region.
                unsafe { stack_parents(tree, nodes, k, block.clone(), sink.params, values, stack) };
                let parent_len = tree.product_len(k - 1);
                // SAFETY: this slice is written below, by this task alone; what nodes add to their parents' gradients
                // belongs to the task that has their group.
                let (slice, parents) = unsafe {
                    let parents = &gradients.parents[k - 1];
                    (sink.params.get(range.clone()), parents.get_mut(block.start * parent_len..block.end * parent_len))
                };
                if stacked < TRANSPOSED_ROWS {
                    kernels.gemm_bt([stacked, rank, width], grads, width, slice, width, parents, rank, false);
                } else {
                    let transposed = &mut transposed[..slice.len()];
                    kernels.transpose(rank, width, slice, transposed);
                    kernels.gemm([stacked, rank, width], grads, (width, 1), transposed, rank, parents, rank, false);
                }
                let size = [rank, width, stacked];
                // Factors may under- or overflow, or cancel, where their product does not: then it is written after all.
                let square =
                    if at_once && sink.needs_square() { square(kernels, stack, rank, grads, width) } else { F::one() };
                if !(at_once && square.is_finite() && square > F::zero()) {
                    kernels.gemm(size, stack, (1, rank), grads, width, slice_grad, width, number > 0);
                    written = true;
                    continue;
                }
                // SAFETY: a slice and its state belong to the task that has its group; other regions do not read them.
                let Some(rate) = (unsafe { sink.block_rate(&owned, || square) }) else { continue };
                stack.iter_mut().for_each(|w| *w *= -rate);
                // SAFETY: as above.
                let slice = unsafe { sink.params.get_mut(range.clone()) };
                kernels.gemm(size, stack, (1, rank), grads, width, slice, width, true);
            }
            if written {
                // SAFETY: a slice belongs to the task that has its group; other regions do not read it.
                unsafe { sink.apply(kernels, owned, slice_grad) };
            }
        }
    }

    /// Gradient of the product of a node of the last level, from those of its rows, which are computed and kept for the
    /// last core.
    fn node_from_rows<K: Kernels<F>>(&self, kernels: K, table: usize, tree: &Tree, node: usize, grad: &mut [F]) {
        let (nodes, values) = (&self.group.tables[table].nodes, &self.values[table]);
        let (rank, cols, dim) = (tree.last_rank(), tree.last_cols(), tree.shape.dim());
        let last_len = rank * cols;
        let rows = nodes.levels[tree.levels() - 1].child_range(node);
        for row in rows.clone() {
            let last = nodes.last.of(row);
            // SAFETY: the gradient of a row belongs to the task that has its node; transposed slices are not written in
            // backward.
            let (row_grad, last) = unsafe {
                let last = values.last.get(last * last_len..(last + 1) * last_len);
                (self.gradients[table].rows.get_mut(row * dim..(row + 1) * dim), last)
            };
            self.row(kernels, table, row, row_grad);
            let size = [dim / cols, rank, cols];
            kernels.gemm(size, row_grad, (cols, 1), last, rank, grad, rank, row > rows.start);
        }
    }

    fn first<K: Kernels<F>>(&self, kernels: K, task: &Task, tree: &Tree) {
        let (nodes, gradients) = (&self.group.tables[task.table].nodes, &self.gradients[task.table]);
        let (level, len) = (&nodes.levels[0], tree.product_len(1));
        let mut local = lock(&self.locals[self.threads.current() % self.locals.len()]);
        for node in task.range.clone() {
            let owned = Owned::Slice { shape: &tree.shape, k: 0, i: level.digit(node) };
            // SAFETY: a slice belongs to the task that has it.
            let grad = unsafe { self.sinks[task.table].place(owned.range(), &mut local.slice) };
            if tree.levels() == 1 {
                // SAFETY: written in a region before.
                grad.copy_from_slice(unsafe { gradients.parents[0].get(node * len..(node + 1) * len) });
            } else {
                from_children(kernels, level, node, &gradients.parents[1], grad);
            }
            // SAFETY: a slice belongs to the task that has it; nothing reads the first core in this region.
            unsafe { self.sinks[task.table].apply(kernels, owned, grad) };
        }
    }

    fn last<K: Kernels<F>>(&self, kernels: K, task: &Task, tree: &Tree) {
        let (nodes, values) = (&self.group.tables[task.table].nodes, &self.values[task.table]);
        let (rank, cols, dim, k) = (tree.last_rank(), tree.last_cols(), tree.shape.dim(), tree.levels());
        let len = tree.product_len(k);
        let mut local = lock(&self.locals[self.threads.current() % self.locals.len()]);
        let Local { slice, transposed, .. } = &mut *local;
        let transposed = &mut transposed[..rank * cols];
        for group in task.range.clone() {
            for (number, &row) in nodes.last.rows(group).iter().enumerate() {
                let product = |row: u32| {
                    let node = nodes.node_of[row as usize] as usize;
                    // SAFETY: written in forward.
                    unsafe { values.products[k - 1].get(node * len..(node + 1) * len) }
                };
                if let Some(ahead) = nodes.last.row_ahead(group, number + CHILDREN_AHEAD) {
                    prefetch(kernels, product(ahead));
                }
                let grad = row as usize * dim..(row as usize + 1) * dim;
                // SAFETY: written in a region before.
                let row_grad = unsafe { self.gradients[task.table].rows.get(grad) };
                let size = [cols, rank, dim / cols];
                kernels.gemm(size, row_grad, (1, cols), product(row), rank, transposed, rank, number > 0);
            }
            let owned = Owned::Slice { shape: &tree.shape, k, i: nodes.last.digit(group) };
            // SAFETY: a slice belongs to the task that has it; nothing reads the last core in this region.
            unsafe {
                let grad = self.sinks[task.table].place(owned.range(), slice);
                kernels.transpose(cols, rank, transposed, grad);
                self.sinks[task.table].apply(kernels, owned, grad);
            }
        }
    }

    /// Parts of the tables whose sinks visit what the batch does not touch, all together.
    fn untouched_parts(&self) -> usize {
        (0..self.sinks.len()).map(|table| self.parts_of(table)).sum()
    }

    fn parts_of(&self, table: usize) -> usize {
        let parameters = self.plan.layout.tables()[table].parameters();
        if self.sinks[table].visits_all() { parameters.div_ceil(UNTOUCHED_PART) } else { 0 }
    }

    /// Gives the sink gradients of zero for what the batch does not touch, of one of those parts.
    fn untouched<K: Kernels<F>>(&self, kernels: K, mut part: usize) {
        let mut table = 0;
        while part >= self.parts_of(table) {
            part -= self.parts_of(table);
            table += 1;
        }
        let (batch, sink, shape) = (&self.group.tables[table], &self.sinks[table], &self.plan.layout.tables()[table]);
        let (start, cores) = (part * UNTOUCHED_PART, shape.core_parameters());
        let end = shape.parameters().min(start + UNTOUCHED_PART);
        let visit = |owned: fn(Range<usize>) -> Owned<'static>, range: Range<usize>| {
            // SAFETY: what the batch does not touch is used in this region only, and a part belongs to one task.
            batch.untouched(shape, range, |gap| unsafe { sink.apply_zeros(kernels, gap, owned) });
        };
        visit(Owned::Cores, start..end.min(cores).max(start));
        visit(Owned::Rows, start.max(cores)..end.max(cores));
    }
}

/// The sum of squares of `S^T G`, `S` `[rows][rank]` and `G` `[rows][width]`: that of `(s_a s_b) (g_a g_b)` over all pairs of
/// rows. Rounding may leave it below zero.
fn square<F: Real, K: Kernels<F>>(kernels: K, stack: &[F], rank: usize, grads: &[F], width: usize) -> F {
    let rows = || stack.chunks_exact(rank).zip(grads.chunks_exact(width));
    let mut sum = F::zero();
    for (a, (s, g)) in rows().enumerate() {
        let product = |(t, h): (&[F], &[F])| kernels.dot(s, t) * kernels.dot(g, h);
        let across: F = rows().take(a).map(product).sum();
        sum += product((s, g)) + across + across;
    }
    sum
}

/// Sums what the children of a node add to its gradient, in order.
fn from_children<F: Real, K: Kernels<F>>(kernels: K, level: &Level, node: usize, parents: &Cells<F>, grad: &mut [F]) {
    let len = grad.len();
    // SAFETY: written in a region before.
    let part = |child: u32| unsafe { parents.get(child as usize * len..(child as usize + 1) * len) };
    for (number, &child) in level.children(node).iter().enumerate() {
        if let Some(ahead) = level.child_ahead(node, number + CHILDREN_AHEAD) {
            prefetch(kernels, part(ahead));
        }
        match number {
            0 => grad.copy_from_slice(part(child)),
            _ => kernels.axpy(F::one(), part(child), grad),
        }
    }
}

/// Asks for numbers, four lines of 64 bytes at a time.
fn prefetch<F: Real, K: Kernels<F>>(kernels: K, numbers: &[F]) {
    numbers.chunks(256 / F::BYTES).for_each(|lines| kernels.prefetch(lines));
}
