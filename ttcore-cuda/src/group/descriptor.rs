//! What the fused kernels read of a table's batch.

use super::Counts;
use crate::args::FusedTable;
use crate::device::Element;
use crate::plan::{Plan, TablePlan};
use crate::tiles::{self, Tiling};

/// The descriptor of a table of so many numbers of everything, with the lists of a group at the address `group`. What the
/// tables before it have is left 0.
pub(super) fn descriptor<F: Element>(plan: &Plan, t: usize, counts: &Counts, group: u64) -> FusedTable {
    let (table, features, places) = (&plan.layout.tables()[t], &plan.layout.features()[t], &plan.tables[t]);
    let TablePlan { pairs, cores, .. } = places;
    let list = |place: usize| group + place as u64;
    // Places are multiples of more than a number.
    let numbers = |place: usize| (place / F::BYTES) as u64;
    let shape = table.cores();
    let core = |k: usize| shape.map_or(0, |shape| shape.core_range(k).start as u64);
    let factor = |k: usize| shape.map_or(0, |shape| shape.row_factors()[k] as u32);
    // A table without cores is one of a single column factor.
    let [n1, n2, n3] = match shape.map(|shape| shape.col_factors()) {
        Some(&[n1, n2, n3]) => [n1, n2, n3],
        _ => [1, 1, table.dim()],
    };
    let [r1, r2] = match shape.map(|shape| shape.ranks()) {
        Some(&[_, r1, r2, _]) => [r1, r2],
        _ => [0, 0],
    };
    let digits = |k: usize| cores.get(k).map_or(0, |core| list(core.run_digits));
    let occur = |k: usize| counts.runs.get(k).map_or(0, |&runs| runs as u32);
    let Tiling { n1: tile_n1, n2: tile_n2, r1: tile_r1, r2: tile_r2, .. } =
        shape.and_then(Tiling::new::<F>).unwrap_or_default();
    let chunks = shape.map_or(0, |shape| shape.slice_len(1).div_ceil(tiles::OUTER_NUMBERS));
    let dense_units = counts.dense_rows.div_ceil(tiles::OUTER_ROWS);
    FusedTable {
        bag_starts: list(places.bag_starts),
        places: if features.count() > 1 { list(places.bag_places) } else { 0 },
        bag_of: list(places.bag_of),
        row_of: list(places.row_of),
        factors: list(places.factors),
        scales: list(places.scales),
        row_starts: list(places.row_starts),
        row_places: list(places.row_places),
        row_factors: list(places.row_factors),
        dense_rows: list(places.dense_rows),
        row_pairs: list(pairs.row_pairs),
        row_digits: cores.get(2).map_or(0, |core| list(core.digits)),
        pair_firsts: list(pairs.pair_firsts),
        pair_rows: list(pairs.pair_rows),
        digits: [digits(0), digits(1), digits(2)],
        first_starts: list(pairs.first_starts),
        first_pairs: list(pairs.first_pairs),
        middle_parts: list(pairs.middle_parts),
        last_starts: list(pairs.last_starts),
        last_rows: list(pairs.last_rows),
        products: numbers(pairs.products),
        rows: numbers(places.saved),
        row_grads: numbers(pairs.row_grads),
        first_grads: numbers(pairs.first_grads),
        middle_grads: numbers(pairs.middle_grads),
        core_grads: numbers(pairs.core_grads),
        core2: core(1),
        core3: core(2),
        dense: table.core_parameters() as u64,
        parameters: table.parameters() as u64,
        origin: features.origin() as u64,
        unit: features.unit() as u64,
        lookups_before: 0,
        outers_before: 0,
        outers: occur(0) + occur(1) * chunks as u32 + occur(2) + dense_units as u32,
        units_end: 0,
        features_before: 0,
        features: features.count() as u32,
        output_rows: 0,
        lookups: counts.lookups as u32,
        core_rows: counts.core_rows as u32,
        dense_count: counts.dense_rows as u32,
        firsts: occur(0),
        middles: occur(1),
        lasts: occur(2),
        slices_before: 0,
        m1: factor(0),
        m2: factor(1),
        n1: n1 as u32,
        n2: n2 as u32,
        n3: n3 as u32,
        r1: r1 as u32,
        r2: r2 as u32,
        tile_n1: tile_n1.max(1) as u32,
        tile_n2: tile_n2.max(1) as u32,
        tile_r1: tile_r1.max(1) as u32,
        tile_r2: tile_r2.max(1) as u32,
    }
}
