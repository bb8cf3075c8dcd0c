//! The records of the tables of a batch that is grouped on the device: what kernels of grouping read, and the descriptors that
//! they complete.

use ttcore::Pooling;

use super::Counts;
use super::descriptor::descriptor;
use crate::args::{FUSED_TABLES, FusedTable, GroupTable};
use crate::device::Element;
use crate::plan::{GroupingPlan, Plan, is_wide};
use crate::tiles::Tiling;

/// The batch of a table: sizes, and where its numbers are, in bytes of the group's memory.
pub(super) struct Placed {
    /// Of the output.
    pub(super) rows: usize,
    pub(super) bags: usize,
    pub(super) lookups: usize,
    pub(super) pooling: Pooling,
    pub(super) indices: usize,
    pub(super) starts: usize,
    /// An address; 0 if there are none.
    pub(super) weights: u64,
}

/// Writes records, table after table.
pub(super) struct Records<'p> {
    plan: &'p Plan,
    grouping: &'p GroupingPlan,
    /// Where the group's memory is.
    memory: u64,
    lookups_before: u64,
    features_before: u32,
}

impl<'p> Records<'p> {
    pub(super) fn new(plan: &'p Plan, grouping: &'p GroupingPlan, memory: u64) -> Self {
        Self { plan, grouping, memory, lookups_before: 0, features_before: 0 }
    }

    /// Writes those of table `t` to the front of what is copied, and its sizes to `counts`.
    pub(super) fn put<F: Element>(&mut self, bytes: &mut [u8], t: usize, placed: Placed, counts: &mut Counts) {
        let Self { plan, grouping, memory, .. } = *self;
        let features = &plan.layout.features()[t];
        (counts.bags, counts.lookups) = (placed.bags, placed.lookups);
        if t.is_multiple_of(FUSED_TABLES) {
            self.features_before = 0;
        }
        let group = record::<F>(plan, grouping, t, memory, &placed);
        let table = FusedTable {
            bag_starts: memory + placed.starts as u64,
            output_rows: placed.rows as u32,
            lookups_before: self.lookups_before,
            features_before: self.features_before,
            ..descriptor::<F>(plan, t, counts, memory)
        };
        put_at(bytes, grouping.groups, t, &group);
        put_at(bytes, grouping.descriptors, t, &table);
        if features.count() > 1 {
            let first = |&column: &usize| ((column - features.origin()) / features.unit()) as u32;
            let firsts = &mut bytes[grouping.firsts[t]..][..features.count() * size_of::<u32>()];
            let firsts: &mut [u32] = bytemuck::cast_slice_mut(firsts);
            firsts.iter_mut().zip(features.columns().iter().map(first)).for_each(|(to, first)| *to = first);
        }
        self.lookups_before += placed.lookups as u64;
        self.features_before += features.count() as u32;
    }
}

/// What grouping reads of a table.
fn record<F: Element>(plan: &Plan, grouping: &GroupingPlan, t: usize, memory: u64, placed: &Placed) -> GroupTable {
    let (table, features, lists) = (&plan.layout.tables()[t], &plan.layout.features()[t], &grouping.tables[t]);
    let shape = table.cores();
    let tiling = shape.and_then(|shape| Some((shape, Tiling::new::<F>(shape)?)));
    let [passes, first_passes, last_passes] = lists.passes;
    let at = |place: usize| memory + place as u64;
    GroupTable {
        indices: at(placed.indices),
        weights: placed.weights,
        firsts: if features.count() > 1 { at(grouping.firsts[t]) } else { 0 },
        keys: at(lists.keys),
        order: at(lists.order),
        spare: at(lists.spare),
        counts: at(lists.counts),
        sums: at(lists.sums),
        middle_starts: at(lists.middle_starts),
        pair_digits: at(lists.pair_digits),
        units: at(plan.fused.launches[t / FUSED_TABLES].units),
        held: table.core_rows(),
        core_keys: shape.map_or(0, |shape| shape.padded_rows()),
        m3: shape.map_or(0, |shape| shape.row_factors()[2] as u32),
        bags: placed.bags as u32,
        wide: u32::from(is_wide(table)),
        mean: u32::from(placed.pooling == Pooling::Mean),
        step: (plan.layout.stride() / features.unit()) as u32,
        passes,
        first_passes,
        last_passes,
        unit_pairs: tiling.map_or(1, |(_, tiling)| tiling.pairs as u32),
        tiles: tiling.map_or(0, |(shape, tiling)| tiling.tiles(shape) as u32),
        tiles_down: tiling.map_or(1, |(shape, tiling)| tiling.tiles_down(shape) as u32),
        launch_first: (t / FUSED_TABLES * FUSED_TABLES) as u32,
        pairs: 0,
        units_count: 0,
    }
}

/// Writes item `number` of a list.
pub(super) fn put_at<T: bytemuck::Pod>(bytes: &mut [u8], place: usize, number: usize, item: &T) {
    bytes[place + number * size_of::<T>()..][..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(item));
}
