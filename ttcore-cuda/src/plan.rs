//! Where everything of a layout lies in memory of the device: known before any batch.

use std::sync::Arc;

use ttcore::{Layout, Table, TtShape};

use crate::device::Element;
use crate::error::Error;

/// Lists begin at multiples of this: what the largest load of a GPU wants.
const ALIGNMENT: usize = 16;

/// What [`Cuda`](crate::Cuda) knows of a layout before any batch.
#[derive(Debug)]
pub struct Plan {
    pub(crate) layout: Arc<Layout>,
    /// Groups batches.
    pub(crate) host: ttcore_cpu::Plan,
    /// Lookups of a chunk of the batched algorithm.
    pub(crate) chunk: usize,
    pub(crate) tables: Vec<TablePlan>,
    pub(crate) scratch: ScratchPlan,
    /// Bytes of the device memory of a group, and of a saved.
    pub(crate) group_bytes: usize,
    pub(crate) saved_bytes: usize,
}

/// Where the lists of one table are in the memory of a group, in bytes. See [`ttcore_cpu::group::TableGroup`].
#[derive(Debug)]
pub(crate) struct TablePlan {
    pub(crate) bag_starts: usize,
    pub(crate) scales: usize,
    pub(crate) bag_of: usize,
    pub(crate) factors: usize,
    pub(crate) row_of: usize,
    pub(crate) row_starts: usize,
    pub(crate) row_bags: usize,
    pub(crate) row_factors: usize,
    pub(crate) dense_rows: usize,
    /// For each core.
    pub(crate) cores: Vec<CorePlan>,
    /// Rows of all lookups `[L][N]` in the memory of a saved.
    pub(crate) saved_rows: usize,
}

/// Where the lists of one core are, in bytes.
#[derive(Debug)]
pub(crate) struct CorePlan {
    /// The digit of each unique row.
    pub(crate) digits: usize,
    /// The digits that occur, ascending.
    pub(crate) run_digits: usize,
    /// Where the lookups of each begin.
    pub(crate) run_starts: usize,
    /// The lookups, by digit and then in order.
    pub(crate) run_lookups: usize,
}

/// Where intermediate values are in scratch memory, in bytes; sizes are those of the largest table.
#[derive(Debug, Default)]
pub(crate) struct ScratchPlan {
    /// Products of the first `k` slices of each lookup of a chunk `[chunk][A_k R_k]`, at `k - 1`; then their gradients.
    pub(crate) products: Vec<usize>,
    /// Rows of a chunk `[chunk][N]`, then gradients of rows.
    pub(crate) rows: usize,
    /// Gradients of slices of a chunk.
    pub(crate) slices: usize,
    /// Gradients of the cores of a table.
    pub(crate) cores: usize,
    /// Pointers of the operands of a product `[3][chunk]`.
    pub(crate) pointers: usize,
    /// Digits of rows to expand `[d][chunk]`.
    pub(crate) digits: usize,
    /// Dense rows to expand `[chunk]`.
    pub(crate) dense_rows: usize,
    pub(crate) bytes: usize,
}

impl Plan {
    pub(crate) fn new<F: Element>(host: ttcore_cpu::Plan, layout: Layout, chunk: usize) -> Result<Self, Error> {
        check_sizes(&layout)?;
        let chunk = chunk.clamp(1, layout.lookups().max(1));
        let (mut group, mut saved) = (Arena::default(), Arena::default());
        let table = |table| TablePlan::new::<F>(&layout, table, &mut group, &mut saved);
        let tables = layout.tables().iter().map(table).collect();
        let scratch = ScratchPlan::new::<F>(&layout, chunk);
        let (group_bytes, saved_bytes) = (group.bytes, saved.bytes);
        Ok(Self { layout: Arc::new(layout), host, chunk, tables, scratch, group_bytes, saved_bytes })
    }
}

impl TablePlan {
    fn new<F: Element>(layout: &Layout, table: &Table, group: &mut Arena, saved: &mut Arena) -> Self {
        let (bags, lookups) = (layout.bags(), layout.lookups());
        let core = |&digits: &usize| CorePlan {
            digits: group.take::<u32>(lookups),
            run_digits: group.take::<u64>(digits.min(lookups)),
            run_starts: group.take::<u32>(digits.min(lookups) + 1),
            run_lookups: group.take::<u32>(lookups),
        };
        let cores = table.cores().map(|shape| shape.row_factors().iter().map(core).collect()).unwrap_or_default();
        Self {
            bag_starts: group.take::<u32>(bags + 1),
            scales: group.take::<F>(bags),
            bag_of: group.take::<u32>(lookups),
            factors: group.take::<F>(lookups),
            row_of: group.take::<u32>(lookups),
            row_starts: group.take::<u32>(lookups + 1),
            row_bags: group.take::<u32>(lookups),
            row_factors: group.take::<F>(lookups),
            dense_rows: group.take::<u64>(if table.dense_rows() > 0 { lookups } else { 0 }),
            cores,
            saved_rows: saved.take::<F>(if table.cores().is_some() { lookups * table.dim() } else { 0 }),
        }
    }
}

impl ScratchPlan {
    fn new<F: Element>(layout: &Layout, chunk: usize) -> Self {
        let shapes = || layout.tables().iter().filter_map(Table::cores);
        let most = |len: &dyn Fn(&TtShape) -> usize| shapes().map(len).max().unwrap_or(0);
        let cores = most(&TtShape::cores);
        let product = |k: usize| most(&|shape| if k < shape.cores() { shape.prefix_len(k) } else { 0 });
        let slice = |shape: &TtShape| (0..shape.cores()).map(|k| shape.slice_len(k)).max().unwrap_or(0);
        let mut arena = Arena::default();
        Self {
            products: (1..cores).map(|k| arena.take::<F>(chunk * product(k))).collect(),
            rows: arena.take::<F>(chunk * most(&TtShape::dim)),
            slices: arena.take::<F>(chunk * most(&slice)),
            cores: arena.take::<F>(most(&TtShape::parameters)),
            pointers: arena.take::<u64>(3 * chunk),
            digits: arena.take::<u32>(cores * chunk),
            dense_rows: arena.take::<u64>(chunk),
            bytes: arena.bytes,
        }
    }
}

/// That cuBLAS can count what it is given.
fn check_sizes(layout: &Layout) -> Result<(), Error> {
    let fits = |what, size: usize| match i32::try_from(size) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::TooLarge { what, size }),
    };
    for table in layout.tables() {
        fits("the number of columns of a table", table.dim())?;
        let Some(shape) = table.cores() else { continue };
        for k in 0..shape.cores() {
            fits("the length of a core's slice", shape.slice_len(k))?;
            fits("the length of a product of slices", shape.prefix_len(k + 1))?;
        }
    }
    Ok(())
}

/// Hands out places one behind the other.
#[derive(Default)]
struct Arena {
    bytes: usize,
}

impl Arena {
    /// The place of a list of numbers of a type, in bytes.
    fn take<T>(&mut self, len: usize) -> usize {
        let place = self.bytes;
        self.bytes += (len * size_of::<T>()).next_multiple_of(ALIGNMENT);
        place
    }
}
