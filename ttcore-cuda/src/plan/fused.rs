//! The launches of the fused kernels: their tables, units of work, and the most there are.

use ttcore::{Layout, TtShape};

use super::arena::{Arena, most_dense_rows, most_pairs, most_rows};
use crate::args::{FUSED_TABLES, FusedTable, FusedUnit};
use crate::device::Element;
use crate::tiles::{self, Tiling};

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

impl FusedPlan {
    /// With descriptors where they are already, or behind all else.
    pub(super) fn new<F: Element>(
        layout: &Layout,
        tables: Vec<usize>,
        descriptors: Option<usize>,
        group: &mut Arena,
    ) -> Self {
        let descriptors = descriptors.unwrap_or_else(|| group.take::<FusedTable>(tables.len()));
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
