//! Where intermediate values lie in scratch memory.

use ttcore::{Layout, Table, TtShape};

use super::arena::{Arena, most_dense_rows, most_pairs, most_rows};
use super::fused::FusedPlan;
use super::tables::TablePlan;
use crate::device::Element;
use crate::tiles::Tiling;

/// Where intermediate values of the batched algorithm are in scratch memory, behind those of the fused kernels, in bytes;
/// sizes are those of the largest table.
#[derive(Debug, Default)]
pub(crate) struct ScratchPlan {
    /// Products of the first `k` slices of each lookup of a chunk `[chunk][A_k R_k]`, at `k - 1`; then their gradients.
    pub(crate) products: Vec<usize>,
    /// Rows of a chunk `[chunk][N]`, then gradients of rows.
    pub(crate) rows: usize,
    /// Gradients of slices of a chunk. Like the next two, not where all tables are fused.
    pub(crate) slices: usize,
    /// Gradients of the cores of a table.
    pub(crate) cores: usize,
    /// Gradients of the dense rows of a batch, of a table with cores: for a rule of blocks.
    pub(crate) dense: usize,
    /// Pointers of the operands of a product `[3][chunk]`.
    pub(crate) pointers: usize,
    /// Digits of rows to expand `[d][chunk]`.
    pub(crate) digits: usize,
    /// Dense rows to expand `[chunk]`.
    pub(crate) dense_rows: usize,
    pub(crate) bytes: usize,
}

impl ScratchPlan {
    pub(super) fn new<F: Element>(layout: &Layout, chunk: usize, fused: &FusedPlan, tables: &mut [TablePlan]) -> Self {
        let shapes = || layout.tables().iter().filter_map(Table::cores);
        let most = |len: &dyn Fn(&TtShape) -> usize| shapes().map(len).max().unwrap_or(0);
        let cores = most(&TtShape::cores);
        let product = |k: usize| most(&|shape| if k < shape.cores() { shape.prefix_len(k) } else { 0 });
        let unfused = |len: &dyn Fn(&Table) -> usize| {
            let tables = layout.tables().iter().enumerate().filter(|(t, _)| fused.tables.binary_search(t).is_err());
            tables.map(|(_, table)| len(table)).max().unwrap_or(0)
        };
        let batched = |len: &dyn Fn(&TtShape) -> usize| unfused(&|table| table.cores().map_or(0, len));
        let dense = |table: &Table| table.cores().map_or(0, |_| most_dense_rows(table, layout.lookups()) * table.dim());
        let slice = |shape: &TtShape| (0..shape.cores()).map(|k| shape.slice_len(k)).max().unwrap_or(0);
        let mut arena = Arena::default();
        for &t in &fused.tables {
            let (table, places) = (&layout.tables()[t], &mut tables[t].pairs);
            let Some(shape) = table.cores() else { continue };
            let Some(tiling) = Tiling::new::<F>(shape) else { continue };
            let (pairs, rows) = (most_pairs(shape, layout.lookups()), most_rows(shape, layout.lookups()));
            let unique = (rows + most_dense_rows(table, layout.lookups())).min(layout.lookups());
            places.row_grads = arena.take::<F>(unique * shape.dim());
            places.first_grads = arena.take::<F>(pairs * tiling.blocks(shape) * shape.slice_len(0));
            places.middle_grads = arena.take::<F>(tiling.most_parts(shape, pairs, rows) * shape.slice_len(1));
            places.core_grads = arena.take::<F>(shape.parameters());
        }
        Self {
            products: (1..cores).map(|k| arena.take::<F>(chunk * product(k))).collect(),
            rows: arena.take::<F>(chunk * most(&TtShape::dim)),
            slices: arena.take::<F>(chunk * batched(&slice)),
            cores: arena.take::<F>(batched(&TtShape::parameters)),
            dense: arena.take::<F>(unfused(&dense)),
            pointers: arena.take::<u64>(3 * chunk),
            digits: arena.take::<u32>(cores * chunk),
            dense_rows: arena.take::<u64>(chunk),
            bytes: arena.bytes,
        }
    }
}
