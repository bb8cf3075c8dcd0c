//! Where everything of a layout lies in memory of the device: known before any batch.

use std::sync::Arc;

use ttcore::{Layout, Table, TtShape};

use crate::args::FusedTable;
use crate::backend::Method;
use crate::device::Element;
use crate::error::Error;

/// Lists begin at multiples of this: what the largest load of a GPU wants.
const ALIGNMENT: usize = 16;

/// Bytes of shared memory that every GPU has for a block without asking for more.
const SHARED_BYTES: usize = 48 << 10;

/// What [`Cuda`](crate::Cuda) knows of a layout before any batch.
#[derive(Debug)]
pub struct Plan {
    pub(crate) layout: Arc<Layout>,
    /// Groups batches.
    pub(crate) host: ttcore_cpu::Plan,
    /// Lookups of a chunk of the batched algorithm.
    pub(crate) chunk: usize,
    pub(crate) tables: Vec<TablePlan>,
    pub(crate) fused: FusedPlan,
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
    /// In the memory of a saved, rows of all lookups `[L][N]`; for a fused table, products of pairs `[P][A_2 R_2]`.
    pub(crate) saved: usize,
    pub(crate) pairs: PairsPlan,
}

/// Where the lists of the pairs of a fused table of three cores are, in bytes; nowhere for other tables. See
/// `kernels/fused.cu`.
#[derive(Debug, Default)]
pub(crate) struct PairsPlan {
    pub(crate) row_pairs: usize,
    pub(crate) pair_firsts: usize,
    pub(crate) pair_rows: usize,
    pub(crate) middle_pairs: usize,
    pub(crate) first_starts: usize,
    pub(crate) first_pairs: usize,
    pub(crate) last_starts: usize,
    pub(crate) last_rows: usize,
    /// Gradients of rows, of products and of what pairs add to core 1, in scratch memory.
    pub(crate) row_grads: usize,
    pub(crate) product_grads: usize,
    pub(crate) first_grads: usize,
}

/// The tables that the fused kernels take.
#[derive(Debug, Default)]
pub(crate) struct FusedPlan {
    /// Which, ascending.
    pub(crate) tables: Vec<usize>,
    /// Where their descriptors are in the memory of a group.
    pub(crate) descriptors: usize,
    /// Bytes of shared memory: the largest slice of a core 2 that fits.
    pub(crate) shared: usize,
    /// Most slices of core 2, and most outer units, of a batch.
    pub(crate) middles: usize,
    pub(crate) outers: usize,
    /// Columns of the widest table.
    pub(crate) dim: usize,
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
    /// Instead of a saved, for the products of fused tables in a forward that leaves nothing.
    pub(crate) saved: usize,
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
    pub(crate) fn new<F: Element>(
        host: ttcore_cpu::Plan,
        layout: Layout,
        method: Method,
        chunk: usize,
    ) -> Result<Self, Error> {
        check_sizes(&layout)?;
        let chunk = chunk.clamp(1, layout.lookups().max(1));
        let fused = |table: &Table| method == Method::Fused && table.cores().is_none_or(|shape| shape.cores() == 3);
        let (mut group, mut saved) = (Arena::default(), Arena::default());
        let table = |table| TablePlan::new::<F>(&layout, table, fused(table), &mut group, &mut saved);
        let mut tables: Vec<TablePlan> = layout.tables().iter().map(table).collect();
        let fused = (0..tables.len()).filter(|&t| fused(&layout.tables()[t])).collect();
        let fused = FusedPlan::new::<F>(&layout, fused, &mut group);
        let scratch = ScratchPlan::new::<F>(&layout, chunk, &fused, saved.bytes, &mut tables);
        let (group_bytes, saved_bytes) = (group.bytes, saved.bytes);
        Ok(Self { layout: Arc::new(layout), host, chunk, tables, fused, scratch, group_bytes, saved_bytes })
    }

    /// Whether the fused kernels take a table.
    pub(crate) fn is_fused(&self, table: usize) -> bool {
        self.fused.tables.binary_search(&table).is_ok()
    }
}

impl TablePlan {
    fn new<F: Element>(layout: &Layout, table: &Table, fused: bool, group: &mut Arena, saved: &mut Arena) -> Self {
        let (bags, lookups) = (layout.bags(), layout.lookups());
        let core = |&digits: &usize| CorePlan {
            digits: group.take::<u32>(lookups),
            run_digits: group.take::<u64>(digits.min(lookups)),
            run_starts: group.take::<u32>(if fused { 0 } else { digits.min(lookups) + 1 }),
            run_lookups: group.take::<u32>(if fused { 0 } else { lookups }),
        };
        let cores = table.cores().map(|shape| shape.row_factors().iter().map(core).collect()).unwrap_or_default();
        let saved_len = match table.cores() {
            None => 0,
            Some(shape) if fused => most_pairs(shape, lookups) * shape.prefix_len(2),
            Some(shape) => lookups * shape.dim(),
        };
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
            saved: saved.take::<F>(saved_len),
            pairs: match table.cores() {
                Some(shape) if fused => PairsPlan::new(shape, lookups, group),
                _ => PairsPlan::default(),
            },
        }
    }
}

impl PairsPlan {
    fn new(shape: &TtShape, lookups: usize, group: &mut Arena) -> Self {
        let (pairs, most) = (most_pairs(shape, lookups), |k: usize| shape.row_factors()[k].min(lookups));
        Self {
            row_pairs: group.take::<u32>(lookups),
            pair_firsts: group.take::<u32>(pairs),
            pair_rows: group.take::<u32>(pairs + 1),
            middle_pairs: group.take::<u32>(most(1) + 1),
            first_starts: group.take::<u32>(most(0) + 1),
            first_pairs: group.take::<u32>(pairs),
            last_starts: group.take::<u32>(most(2) + 1),
            last_rows: group.take::<u32>(lookups),
            ..Self::default()
        }
    }
}

impl FusedPlan {
    fn new<F: Element>(layout: &Layout, tables: Vec<usize>, group: &mut Arena) -> Self {
        let mut plan = Self { descriptors: group.take::<FusedTable>(tables.len()), ..Self::default() };
        for table in tables.iter().map(|&t| &layout.tables()[t]) {
            plan.dim = plan.dim.max(table.dim());
            plan.outers += layout.lookups().min(usize::try_from(table.dense_rows()).unwrap_or(usize::MAX));
            let Some(shape) = table.cores() else { continue };
            let most = |k: usize| shape.row_factors()[k].min(layout.lookups());
            plan.middles += most(1);
            plan.outers += most(0) + most(2);
            let slice = shape.slice_len(1) * F::BYTES;
            if slice <= SHARED_BYTES {
                plan.shared = plan.shared.max(slice);
            }
        }
        Self { tables, ..plan }
    }
}

/// Most pairs `(i_1, i_2)` of a batch.
fn most_pairs(shape: &TtShape, lookups: usize) -> usize {
    shape.row_factors()[0].saturating_mul(shape.row_factors()[1]).min(lookups)
}

impl ScratchPlan {
    fn new<F: Element>(
        layout: &Layout,
        chunk: usize,
        fused: &FusedPlan,
        saved_bytes: usize,
        tables: &mut [TablePlan],
    ) -> Self {
        let shapes = || layout.tables().iter().filter_map(Table::cores);
        let most = |len: &dyn Fn(&TtShape) -> usize| shapes().map(len).max().unwrap_or(0);
        let cores = most(&TtShape::cores);
        let product = |k: usize| most(&|shape| if k < shape.cores() { shape.prefix_len(k) } else { 0 });
        let slice = |shape: &TtShape| (0..shape.cores()).map(|k| shape.slice_len(k)).max().unwrap_or(0);
        let mut arena = Arena::default();
        // Gradients of fused tables lie where the products of an evaluation do: a step has one or the other.
        let saved = arena.take::<u8>(if fused.tables.is_empty() { 0 } else { saved_bytes });
        let mut gradients = Arena { bytes: saved };
        for &t in &fused.tables {
            let (Some(shape), pairs) = (layout.tables()[t].cores(), &mut tables[t].pairs) else { continue };
            let most = most_pairs(shape, layout.lookups());
            pairs.row_grads = gradients.take::<F>(layout.lookups() * shape.dim());
            pairs.product_grads = gradients.take::<F>(most * shape.prefix_len(2));
            pairs.first_grads = gradients.take::<F>(most * shape.prefix_len(1));
        }
        arena.bytes = arena.bytes.max(gradients.bytes);
        Self {
            saved,
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
