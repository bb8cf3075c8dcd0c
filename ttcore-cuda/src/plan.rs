//! Where everything of a layout lies in memory of the device: known before any batch.

use std::sync::Arc;

use ttcore::{Layout, Table, TtShape, check};

use crate::args::{FUSED_TABLES, FusedTable, FusedUnit};
use crate::backend::Method;
use crate::device::Element;
use crate::error::Error;
use crate::memory::ScratchPlan;
use crate::tiles::{self, Tiling};

/// Lists begin at multiples of this: what the largest load of a GPU wants.
const ALIGNMENT: usize = 16;

/// What sizes and places depend on beside the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Make {
    double: bool,
    method: Method,
    chunk: usize,
}

/// What [`Cuda`](crate::Cuda) knows of a layout before any batch.
#[derive(Debug)]
pub struct Plan {
    pub(crate) layout: Arc<Layout>,
    pub(crate) make: Make,
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
    /// Nowhere for a table of one feature.
    pub(crate) bag_places: usize,
    pub(crate) scales: usize,
    pub(crate) bag_of: usize,
    pub(crate) factors: usize,
    pub(crate) row_of: usize,
    pub(crate) row_starts: usize,
    pub(crate) row_places: usize,
    pub(crate) row_factors: usize,
    pub(crate) dense_rows: usize,
    /// For each core.
    pub(crate) cores: Vec<CorePlan>,
    /// In the memory of a saved, rows of all lookups `[L][N]`; for a fused table, unique rows `[U][N]`.
    pub(crate) saved: usize,
    pub(crate) pairs: PairsPlan,
}

/// Where the lists of the pairs of a fused table of three cores are, in bytes; nowhere for other tables. See
/// `kernels/fused.cuh`.
#[derive(Debug, Default)]
pub(crate) struct PairsPlan {
    pub(crate) row_pairs: usize,
    pub(crate) pair_firsts: usize,
    pub(crate) pair_rows: usize,
    pub(crate) first_starts: usize,
    pub(crate) first_pairs: usize,
    pub(crate) middle_parts: usize,
    pub(crate) last_starts: usize,
    pub(crate) last_rows: usize,
    /// Products of pairs `[P][A_2 R_2]`, in the memory of a saved.
    pub(crate) products: usize,
    /// In scratch memory: gradients of rows, of the cores and then dense ones, or rows where nothing is saved; what pairs
    /// add to core 1; parts of gradients of slices of core 2.
    pub(crate) row_grads: usize,
    pub(crate) first_grads: usize,
    pub(crate) middle_grads: usize,
    /// There too: gradients of the cores, for a rule of blocks.
    pub(crate) core_grads: usize,
}

/// The tables that the fused kernels take.
#[derive(Debug, Default)]
pub(crate) struct FusedPlan {
    /// Which, ascending.
    pub(crate) tables: Vec<usize>,
    /// Where their descriptors are in the memory of a group.
    pub(crate) descriptors: usize,
    /// One for each [`FUSED_TABLES`] of them.
    pub(crate) launches: Vec<LaunchPlan>,
}

/// Tables that are launched together.
#[derive(Debug, Default)]
pub(crate) struct LaunchPlan {
    /// Where their units are in the memory of a group, and the most that a batch has.
    pub(crate) units: usize,
    pub(crate) most_units: usize,
    /// Most outer units of a batch.
    pub(crate) most_outers: usize,
    /// Most slices of a batch.
    pub(crate) most_slices: usize,
    /// Slices and units of dense rows of the table that has most of them.
    pub(crate) most_blocks: usize,
    /// Columns of the widest table.
    pub(crate) dim: usize,
    /// Features of all tables.
    pub(crate) features: usize,
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
        let table = |t: usize| TablePlan::new::<F>(&layout, t, fused(&layout.tables()[t]), &mut group, &mut saved);
        let mut tables: Vec<TablePlan> = (0..layout.tables().len()).map(table).collect();
        let fused = (0..tables.len()).filter(|&t| fused(&layout.tables()[t])).collect();
        let fused = FusedPlan::new::<F>(&layout, fused, &mut group);
        let scratch = ScratchPlan::new::<F>(&layout, chunk, &fused, &mut tables);
        let (group_bytes, saved_bytes) = (group.bytes, saved.bytes);
        let make = Make { double: F::DOUBLE, method, chunk };
        Ok(Self { layout: Arc::new(layout), make, host, chunk, tables, fused, scratch, group_bytes, saved_bytes })
    }

    /// That this is a plan for numbers of type `F`, and a value one that was made for such a plan.
    pub(crate) fn check<F: Element>(&self, what: &'static str, layout: &Layout, make: Make) -> Result<(), Error> {
        check::same_layout(what, &self.layout, layout)?;
        let same = self.make.double == F::DOUBLE && self.make == make;
        if same { Ok(()) } else { Err(ttcore::Error::OtherPlan { what }.into()) }
    }

    /// Whether the fused kernels take a table.
    pub(crate) fn is_fused(&self, table: usize) -> bool {
        self.fused.tables.binary_search(&table).is_ok()
    }
}

impl TablePlan {
    fn new<F: Element>(layout: &Layout, t: usize, fused: bool, group: &mut Arena, saved: &mut Arena) -> Self {
        let (table, features, lookups) = (&layout.tables()[t], layout.features()[t].count(), layout.lookups());
        let bags = features * layout.bags();
        let core = |&digits: &usize| CorePlan {
            digits: group.take::<u32>(lookups),
            run_digits: group.take::<u64>(digits.min(lookups)),
            run_starts: group.take::<u32>(if fused { 0 } else { digits.min(lookups) + 1 }),
            run_lookups: group.take::<u32>(if fused { 0 } else { lookups }),
        };
        let cores = table.cores().map(|shape| shape.row_factors().iter().map(core).collect()).unwrap_or_default();
        let saved_len = match table.cores() {
            None => 0,
            Some(shape) if fused => most_rows(shape, lookups) * shape.dim(),
            Some(shape) => lookups * shape.dim(),
        };
        Self {
            bag_starts: group.take::<u32>(bags + 1),
            bag_places: group.take::<u32>(if features > 1 { bags } else { 0 }),
            scales: group.take::<F>(bags),
            bag_of: group.take::<u32>(lookups),
            factors: group.take::<F>(lookups),
            row_of: group.take::<u32>(lookups),
            row_starts: group.take::<u32>(lookups + 1),
            row_places: group.take::<u32>(lookups),
            row_factors: group.take::<F>(lookups),
            dense_rows: group.take::<u64>(if table.dense_rows() > 0 { lookups } else { 0 }),
            cores,
            saved: saved.take::<F>(saved_len),
            pairs: match table.cores() {
                Some(shape) if fused => PairsPlan::new::<F>(shape, lookups, group, saved),
                _ => PairsPlan::default(),
            },
        }
    }
}

impl PairsPlan {
    fn new<F: Element>(shape: &TtShape, lookups: usize, group: &mut Arena, saved: &mut Arena) -> Self {
        let (pairs, most) = (most_pairs(shape, lookups), |k: usize| shape.row_factors()[k].min(lookups));
        Self {
            row_pairs: group.take::<u32>(lookups),
            pair_firsts: group.take::<u32>(pairs),
            pair_rows: group.take::<u32>(pairs + 1),
            first_starts: group.take::<u32>(most(0) + 1),
            first_pairs: group.take::<u32>(pairs),
            middle_parts: group.take::<u32>(most(1) + 1),
            last_starts: group.take::<u32>(most(2) + 1),
            last_rows: group.take::<u32>(lookups),
            products: saved.take::<F>(pairs * shape.prefix_len(2)),
            ..Self::default()
        }
    }
}

impl FusedPlan {
    fn new<F: Element>(layout: &Layout, tables: Vec<usize>, group: &mut Arena) -> Self {
        let descriptors = group.take::<FusedTable>(tables.len());
        let launch = |tables: &[usize]| LaunchPlan::new::<F>(layout, tables, group);
        let launches = tables.chunks(FUSED_TABLES).map(launch).collect();
        Self { tables, descriptors, launches }
    }
}

impl LaunchPlan {
    fn new<F: Element>(layout: &Layout, tables: &[usize], group: &mut Arena) -> Self {
        let (mut plan, lookups) = (Self::default(), layout.lookups());
        for &t in tables {
            let table = &layout.tables()[t];
            plan.features += layout.features()[t].count();
            plan.dim = plan.dim.max(table.dim());
            let rows = usize::try_from(table.dense_rows()).unwrap_or(usize::MAX).div_ceil(tiles::OUTER_ROWS);
            plan.most_blocks = plan.most_blocks.max(table.cores().map_or(0, TtShape::slices) + rows);
            plan.most_outers += most_dense_rows(table, lookups).div_ceil(tiles::OUTER_ROWS);
            let Some((shape, tiling)) = table.cores().zip(table.cores().and_then(Tiling::new::<F>)) else { continue };
            let most = |k: usize| shape.row_factors()[k].min(lookups);
            let pieces = tiling.most_pieces(most(1), most_pairs(shape, lookups), most_rows(shape, lookups));
            plan.most_units += pieces * tiling.tiles(shape);
            plan.most_slices += most(0) + most(1) + most(2);
            plan.most_outers += most(0) + most(1) * shape.slice_len(1).div_ceil(tiles::OUTER_NUMBERS) + most(2);
        }
        plan.units = group.take::<FusedUnit>(plan.most_units);
        plan
    }
}

/// Most pairs `(i_1, i_2)` of a batch.
pub(crate) fn most_pairs(shape: &TtShape, lookups: usize) -> usize {
    shape.row_factors()[0].saturating_mul(shape.row_factors()[1]).min(lookups)
}

/// Most unique rows of a batch that are held as they are.
pub(crate) fn most_dense_rows(table: &Table, lookups: usize) -> usize {
    usize::try_from(table.dense_rows()).unwrap_or(usize::MAX).min(lookups)
}

/// Most unique rows of a batch that are held by cores.
pub(crate) fn most_rows(shape: &TtShape, lookups: usize) -> usize {
    usize::try_from(shape.rows()).unwrap_or(usize::MAX).min(lookups)
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
pub(crate) struct Arena {
    pub(crate) bytes: usize,
}

impl Arena {
    /// The place of a list of numbers of a type, in bytes.
    pub(crate) fn take<T>(&mut self, len: usize) -> usize {
        let place = self.bytes;
        self.bytes += (len * size_of::<T>()).next_multiple_of(ALIGNMENT);
        place
    }
}
