//! What forward and backward both do with the nodes of a prefix tree.

use std::ops::Range;

use ttcore::Real;

use crate::group::Nodes;
use crate::memory::Values;
use crate::plan::Tree;
use crate::shared::Shared;

/// Blocks of the nodes of a group: as many as are stacked into one product.
pub(super) fn blocks(nodes: Range<usize>, block: usize) -> impl Iterator<Item = Range<usize>> {
    let end = nodes.end;
    nodes.step_by(block).map(move |start| start..end.min(start + block))
}

/// Copies the products of the parents of a block of nodes of level `k >= 2` to `stack`, `[nodes][A_{k-1}][R_{k-1}]`.
///
/// # Safety
///
/// While this runs, no task writes the first core, or the products of level `k - 1`.
pub(super) unsafe fn stack_parents<F: Real>(
    tree: &Tree,
    nodes: &Nodes,
    k: usize,
    block: Range<usize>,
    params: Shared<'_, F>,
    values: &Values<F>,
    stack: &mut [F],
) {
    let len = tree.product_len(k - 1);
    let parents = &nodes.levels[k - 1].parents[block];
    for (&parent, out) in parents.iter().zip(stack.chunks_exact_mut(len)) {
        let parent = parent as usize;
        // SAFETY: the caller answers for the absence of writes.
        let product = unsafe {
            match k {
                2 => params.get(tree.shape.slice_range(0, nodes.levels[0].digit(parent))),
                _ => values.products[k - 2].get(parent * len..(parent + 1) * len),
            }
        };
        out.copy_from_slice(product);
    }
}
