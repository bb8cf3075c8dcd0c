//! The descriptors of a batch for the fused kernels.

use crate::args::{FUSED_TABLES, FusedTable};
use crate::device::Element;
use crate::group::Counts;
use crate::plan::{Plan, TablePlan};

/// What the fused kernels read of the batch: one descriptor for each of their tables, with the lists of a group at `group`.
/// Units of work are counted anew for every launch.
pub(crate) fn descriptors<'a, F: Element>(
    plan: &'a Plan,
    counts: &'a [Counts],
    bags: usize,
    group: u64,
) -> impl Iterator<Item = FusedTable> + 'a {
    let (mut middles, mut outers) = (0, 0);
    plan.fused.tables.iter().enumerate().map(move |(number, &t)| {
        if number % FUSED_TABLES == 0 {
            (middles, outers) = (0, 0);
        }
        let before = counts[..t].iter().map(|table| table.lookups as u64).sum();
        let mut table = descriptor::<F>(plan, t, &counts[t], group);
        (table.bags, table.lookups_before) = (bags as u32, before);
        (table.middles_before, table.outers_before) = (middles, outers);
        middles += table.middles;
        outers += table.firsts + table.lasts + table.dense_count;
        table
    })
}

fn descriptor<F: Element>(plan: &Plan, t: usize, counts: &Counts, group: u64) -> FusedTable {
    let (table, places) = (&plan.layout.tables()[t], &plan.tables[t]);
    let TablePlan { pairs, cores, .. } = places;
    let list = |place: usize| group + place as u64;
    // Places are multiples of more than a number.
    let numbers = |place: usize| (place / F::BYTES) as u64;
    let shape = table.cores();
    let core = |k: usize| shape.map_or(0, |shape| shape.core_range(k).start as u64);
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
    FusedTable {
        bag_starts: list(places.bag_starts),
        bag_of: list(places.bag_of),
        row_of: list(places.row_of),
        factors: list(places.factors),
        scales: list(places.scales),
        row_starts: list(places.row_starts),
        row_bags: list(places.row_bags),
        row_factors: list(places.row_factors),
        dense_rows: list(places.dense_rows),
        row_pairs: list(pairs.row_pairs),
        row_digits: cores.get(2).map_or(0, |core| list(core.digits)),
        pair_firsts: list(pairs.pair_firsts),
        pair_rows: list(pairs.pair_rows),
        digits: [digits(0), digits(1), digits(2)],
        middle_pairs: list(pairs.middle_pairs),
        first_starts: list(pairs.first_starts),
        first_pairs: list(pairs.first_pairs),
        last_starts: list(pairs.last_starts),
        last_rows: list(pairs.last_rows),
        products: numbers(places.saved),
        row_grads: numbers(pairs.row_grads),
        product_grads: numbers(pairs.product_grads),
        first_grads: numbers(pairs.first_grads),
        core2: core(1),
        core3: core(2),
        dense: table.core_parameters() as u64,
        column: plan.layout.columns()[t] as u64,
        lookups_before: 0,
        middles_before: 0,
        outers_before: 0,
        bags: 0,
        lookups: counts.lookups as u32,
        core_rows: counts.core_rows as u32,
        dense_count: counts.dense_rows as u32,
        firsts: occur(0),
        middles: occur(1),
        lasts: occur(2),
        n1: n1 as u32,
        n2: n2 as u32,
        n3: n3 as u32,
        r1: r1 as u32,
        r2: r2 as u32,
    }
}
