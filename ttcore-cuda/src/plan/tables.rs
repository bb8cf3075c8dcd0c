//! Where the lists of one table lie in the memory of a group.

use ttcore::{Layout, TtShape};

use super::arena::{Arena, most_pairs, most_rows};
use crate::device::Element;

/// Where the lists of one table are in the memory of a group, in bytes. See [`ttcore_cpu::group::TableGroup`].
#[derive(Debug)]
pub(crate) struct TablePlan {
    /// Nowhere if batches are grouped on the device: their starts are where the host puts them.
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

/// Where the lists of one core are, in bytes.
#[derive(Debug)]
pub(crate) struct CorePlan {
    /// The digit of each unique row. Of a fused table, of the last core alone.
    pub(crate) digits: usize,
    /// The digits that occur, ascending.
    pub(crate) run_digits: usize,
    /// Where the lookups of each begin.
    pub(crate) run_starts: usize,
    /// The lookups, by digit and then in order.
    pub(crate) run_lookups: usize,
}

impl TablePlan {
    pub(super) fn new<F: Element>(
        layout: &Layout,
        t: usize,
        fused: bool,
        on_device: bool,
        group: &mut Arena,
        saved: &mut Arena,
    ) -> Self {
        let (table, features, lookups) = (&layout.tables()[t], layout.features()[t].count(), layout.lookups());
        let bags = features * layout.bags();
        let core = |(k, &digits): (usize, &usize)| CorePlan {
            digits: group.take::<u32>(if fused && k < 2 { 0 } else { lookups }),
            run_digits: group.take::<u64>(digits.min(lookups)),
            run_starts: group.take::<u32>(if fused { 0 } else { digits.min(lookups) + 1 }),
            run_lookups: group.take::<u32>(if fused { 0 } else { lookups }),
        };
        let cores =
            table.cores().map(|shape| shape.row_factors().iter().enumerate().map(core).collect()).unwrap_or_default();
        let saved_len = match table.cores() {
            None => 0,
            Some(shape) if fused => most_rows(shape, lookups) * shape.dim(),
            Some(shape) => lookups * shape.dim(),
        };
        Self {
            bag_starts: group.take::<u32>(if on_device { 0 } else { bags + 1 }),
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
