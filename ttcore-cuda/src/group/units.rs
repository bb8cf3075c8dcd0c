//! Descriptors of a batch that the host grouped, and its units of work.

use ttcore::TtShape;
use ttcore_cpu::group::TableGroup;

use super::Counts;
use super::descriptor::descriptor;
use super::host::put;
use crate::args::{FUSED_TABLES, FusedTable, FusedUnit};
use crate::device::Element;
use crate::plan::Plan;
use crate::tiles::{Tiling, UNIQUE_ROWS};

/// [`FusedUnit::part`] of a unit that has the whole gradient of its slice of core 2.
const WHOLE: u32 = u32::MAX;

/// Writes what the fused kernels read of the batch: one descriptor for each of their tables, with the lists of a group at
/// the address `memory`, and the units of each launch.
pub(super) fn put_launches<F: Element>(
    bytes: &mut [u8],
    plan: &Plan,
    host: &ttcore_cpu::Group<F>,
    counts: &[Counts],
    memory: u64,
) {
    let fused = &plan.fused;
    let mut descriptors = fused.descriptors;
    for (launch, tables) in fused.launches.iter().zip(fused.tables.chunks(FUSED_TABLES)) {
        let (mut units, mut outers, mut slices, mut features) = (0, 0, 0, 0);
        for (number, &t) in tables.iter().enumerate() {
            let mut table = descriptor::<F>(plan, t, &counts[t], memory);
            table.output_rows = host.rows() as u32;
            table.lookups_before = counts[..t].iter().map(|table| table.lookups as u64).sum();
            if let Some(shape) = plan.layout.tables()[t].cores() {
                let parts = plan.tables[t].pairs.middle_parts;
                units += put_units(bytes, shape, &host.tables()[t], number as u32, launch.units, units, parts);
            }
            debug_assert!(units as usize <= launch.most_units, "more units than the plan has room for");
            (table.outers_before, table.slices_before, table.units_end) = (outers, slices, units);
            table.features_before = features;
            features += table.features;
            outers += table.outers;
            slices += table.firsts + table.middles + table.lasts;
            put(bytes, descriptors, &[table]);
            descriptors += size_of::<FusedTable>();
        }
    }
}

/// Writes the units of a table behind `before` others at the place `units`, and at `parts` where the parts of each `i_2`
/// begin; gives how many units there are.
fn put_units<F: Element>(
    bytes: &mut [u8],
    shape: &TtShape,
    group: &TableGroup<F>,
    table: u32,
    units: usize,
    before: u32,
    parts: usize,
) -> u32 {
    let Some(tiling) = Tiling::new::<F>(shape) else { return 0 };
    let (tiles, down) = (tiling.tiles(shape) as u32, tiling.tiles_down(shape) as u32);
    let (mut count, mut part, mut groups) = (0, 0, 0);
    for Piece { group, pair, pairs, begins, ends } in pieces(tiling, group) {
        if begins {
            put(bytes, parts + group * size_of::<u32>(), &[part]);
            groups = group + 1;
        }
        let alone = begins && ends && down == 1;
        for tile in 0..tiles {
            let part = if alone { WHOLE } else { part + tile / (tiles / down) };
            let unit = FusedUnit { table, group: group as u32, pair: pair as u32, pairs: pairs as u32, tile, part };
            put(bytes, units + (before + count) as usize * size_of::<FusedUnit>(), &[unit]);
            count += 1;
        }
        part += if alone { 0 } else { down };
    }
    put(bytes, parts + groups * size_of::<u32>(), &[part]);
    count
}

/// Some pairs of one `i_2`: a unit for each of their tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// Which `i_2`, of those that occur.
    group: usize,
    pair: usize,
    pairs: usize,
    /// Whether it has the first pair of its `i_2`, and the last.
    begins: bool,
    ends: bool,
}

/// The pieces of a batch, by `i_2`: one has all pairs of its `i_2`, unless they are too many or have too many unique rows.
fn pieces<F: ttcore::Real>(tiling: Tiling, table: &TableGroup<F>) -> impl Iterator<Item = Piece> + '_ {
    let middles = table.nodes.levels.get(1);
    middles.into_iter().flat_map(move |middles| {
        let rows = middles.child_starts();
        (0..middles.groups()).flat_map(move |group| {
            let nodes = middles.nodes(group);
            let mut pair = nodes.start;
            std::iter::from_fn(move || {
                if pair == nodes.end {
                    return None;
                }
                let most = nodes.end.min(pair + tiling.pairs);
                let enough = |end: &usize| (rows[*end] - rows[pair]) as usize >= UNIQUE_ROWS;
                let end = (pair + 1..most).find(enough).unwrap_or(most);
                let (begins, ends) = (pair == nodes.start, end == nodes.end);
                let piece = Piece { group, pair, pairs: end - pair, begins, ends };
                pair = end;
                Some(piece)
            })
        })
    })
}
