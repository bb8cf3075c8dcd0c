//! What forward leaves for backward, and what both work in.

use std::fmt;
use std::sync::{Arc, Mutex};

use ttcore::check::{Stamp, total};
use ttcore::{Layout, Real, Table};

use crate::ops::RawSink;
use crate::plan::{Plan, Tree};
use crate::shared::{Cells, Shared};

/// What forward leaves for backward: products, rows, and transposed slices of the last cores.
pub struct Saved<F> {
    pub(crate) layout: Arc<Layout>,
    pub(crate) stamp: Stamp,
    pub(crate) tables: Vec<Values<F>>,
}

/// Values of one table in one batch.
pub(crate) struct Values<F> {
    /// Products of the nodes of level `k`, `[nodes][A_k][R_k]`, at `k - 1`. Empty at level 1, where they are slices of the
    /// first core, unless that is the last level.
    pub(crate) products: Vec<Cells<F>>,
    /// Slices of the last core, transposed, `[last digits][n_d][R_{d-1}]`.
    pub(crate) last: Cells<F>,
    /// Rows held by the cores, `[U][N]`.
    pub(crate) rows: Cells<F>,
}

/// Memory for intermediate values.
pub struct Scratch<F: 'static> {
    pub(crate) layout: Arc<Layout>,
    /// Instead of [`Saved`], for a forward that leaves nothing.
    pub(crate) values: Vec<Values<F>>,
    pub(crate) gradients: Vec<Gradients<F>>,
    pub(crate) locals: Vec<Mutex<Local<F>>>,
    /// The views of a call, which end with it: kept for their memory.
    pub(crate) params: Vec<Shared<'static, F>>,
    pub(crate) sinks: Vec<RawSink<'static, F>>,
}

/// Gradients of one table in one batch.
pub(crate) struct Gradients<F> {
    /// Of the rows held by the cores, `[U][N]`.
    pub(crate) rows: Cells<F>,
    /// What the nodes of level `k` add to the gradient of their parent's product, `[nodes][A_{k-1}][R_{k-1}]`, at `k - 1`;
    /// at level 1, if that is the last, the gradient of the node's own.
    pub(crate) parents: Vec<Cells<F>>,
}

/// Memory of one thread.
pub(crate) struct Local<F> {
    /// Products of the parents of a block of nodes, stacked.
    pub(crate) stack: Vec<F>,
    /// Gradients of the products of a block of nodes, stacked.
    pub(crate) grads: Vec<F>,
    /// Gradient of a slice, or of a row.
    pub(crate) slice: Vec<F>,
    /// A transposed slice, or the gradient of one.
    pub(crate) transposed: Vec<F>,
}

impl<F> fmt::Debug for Saved<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saved").field("stamp", &self.stamp).field("tables", &self.tables.len()).finish_non_exhaustive()
    }
}

impl<F: Real> fmt::Debug for Scratch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("tables", &self.values.len())
            .field("threads", &self.locals.len())
            .finish_non_exhaustive()
    }
}

impl<F: Real> Saved<F> {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { layout: plan.layout.clone(), stamp: Stamp::default(), tables: values(plan) }
    }

    pub(crate) fn bytes(plan: &Plan) -> usize {
        let table = |tree: &Tree| {
            let rows = tree.max_rows.saturating_mul(tree.shape.dim());
            total(product_lens(tree).chain([last_len(tree), rows]))
        };
        total(plan.trees.iter().flatten().map(table)).saturating_mul(F::BYTES)
    }
}

impl<F: Real> Scratch<F> {
    pub(crate) fn new(plan: &Plan) -> Self {
        let gradients = plan.trees.iter().map(|tree| match tree {
            None => Gradients { rows: cells(0), parents: Vec::new() },
            Some(tree) => Gradients {
                rows: cells(tree.max_rows * tree.shape.dim()),
                parents: parent_lens(tree).map(cells).collect(),
            },
        });
        let [stack, grads, slice, transposed] = local_lens(plan);
        let local =
            || Local { stack: zeros(stack), grads: zeros(grads), slice: zeros(slice), transposed: zeros(transposed) };
        let tables = plan.trees.len();
        Self {
            layout: plan.layout.clone(),
            values: values(plan),
            gradients: gradients.collect(),
            locals: (0..plan.threads).map(|_| Mutex::new(local())).collect(),
            params: Vec::with_capacity(tables + 1),
            sinks: Vec::with_capacity(tables + 1),
        }
    }

    pub(crate) fn bytes(plan: &Plan) -> usize {
        let rows = |tree: &Tree| tree.max_rows.saturating_mul(tree.shape.dim());
        let gradients = |tree: &Tree| total(parent_lens(tree).chain([rows(tree)]));
        let locals = plan.threads.saturating_mul(total(local_lens(plan)));
        let views = plan.trees.len() * (size_of::<Shared<'static, F>>() + size_of::<RawSink<'static, F>>());
        let numbers = total(plan.trees.iter().flatten().map(gradients).chain([locals]));
        total([Saved::<F>::bytes(plan), numbers.saturating_mul(F::BYTES), views])
    }
}

fn zeros<F: Real>(len: usize) -> Vec<F> {
    vec![F::zero(); len]
}

fn cells<F: Real>(len: usize) -> Cells<F> {
    Cells::new(F::zero(), len)
}

fn values<F: Real>(plan: &Plan) -> Vec<Values<F>> {
    let table = |tree: &Option<Tree>| match tree {
        None => Values { products: Vec::new(), last: cells(0), rows: cells(0) },
        Some(tree) => Values {
            products: product_lens(tree).map(cells).collect(),
            last: cells(last_len(tree)),
            rows: cells(tree.max_rows * tree.shape.dim()),
        },
    };
    plan.trees.iter().map(table).collect()
}

fn product_lens(tree: &Tree) -> impl Iterator<Item = usize> + '_ {
    let stored = |k: usize| k > 1 || tree.levels() == 1;
    (1..=tree.levels())
        .map(move |k| if stored(k) { tree.max_nodes[k - 1].saturating_mul(tree.product_len(k)) } else { 0 })
}

fn parent_lens(tree: &Tree) -> impl Iterator<Item = usize> + '_ {
    (1..=tree.levels()).map(|k| match k {
        1 if tree.levels() > 1 => 0,
        1 => tree.max_nodes[0].saturating_mul(tree.product_len(1)),
        _ => tree.max_nodes[k - 1].saturating_mul(tree.product_len(k - 1)),
    })
}

fn last_len(tree: &Tree) -> usize {
    tree.max_last.saturating_mul(tree.last_rank() * tree.last_cols())
}

/// Lengths of the memory of a thread, for the largest table.
fn local_lens(plan: &Plan) -> [usize; 4] {
    let mut lens = [0, 0, 0, 0];
    for tree in plan.trees.iter().flatten() {
        for k in 1..=tree.levels() {
            let block = if k > 1 { tree.block(k) } else { 1 };
            lens[0] = lens[0].max(if k > 1 { block.saturating_mul(tree.product_len(k - 1)) } else { 0 });
            lens[1] = lens[1].max(block.saturating_mul(tree.product_len(k)));
            lens[2] = lens[2].max(tree.shape.slice_len(k - 1));
            lens[3] = lens[3].max(if k > 1 { tree.shape.slice_len(k - 1) } else { 0 });
        }
        lens[2] = lens[2].max(tree.last_rank() * tree.last_cols());
        lens[3] = lens[3].max(tree.last_rank() * tree.last_cols());
    }
    let dim = plan.layout.tables().iter().map(Table::dim).max().unwrap_or(0);
    lens[2] = lens[2].max(dim);
    lens
}

/// The memory of an empty list, for a list of views with another lifetime.
pub(crate) fn recycle<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    // Collecting a list's own items in place keeps its memory.
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}
