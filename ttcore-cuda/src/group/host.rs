//! A batch grouped on the host, by `ttcore-cpu`: its lists as they are copied.

use bytemuck::Pod;
use ttcore::Real;
use ttcore_cpu::group::TableGroup;

use super::Counts;
use super::units::put_launches;
use crate::device::Element;
use crate::plan::{CorePlan, Plan, TablePlan};

/// Memory to make lists in.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Digits of the nodes of a level.
    node_digits: Vec<u32>,
    /// Nodes of the rows at that level.
    nodes: Vec<u32>,
    /// Digit of each row.
    digits: Vec<u32>,
    /// Digit in the upper and lookup in the lower half.
    sorted: Vec<u64>,
    run_digits: Vec<u64>,
    run_starts: Vec<u32>,
    run_lookups: Vec<u32>,
}

/// Writes the lists of a batch to where copies start from, for a group at the address `memory`, and how long they are.
pub(super) fn put_batch<F: Element>(
    bytes: &mut [u8],
    plan: &Plan,
    host: &ttcore_cpu::Group<F>,
    lists: &mut Lists,
    counts: &mut [Counts],
    memory: u64,
) {
    let tables = host.tables().iter().zip(&plan.tables).zip(&mut *counts);
    for (t, ((table, places), counts)) in tables.enumerate() {
        counts.bags = table.scales.len();
        counts.lookups = table.lookups();
        counts.core_rows = table.core_rows;
        counts.dense_rows = table.dense.len();
        put(bytes, places.bag_starts, &table.bag_starts);
        put(bytes, places.bag_places, &table.places);
        put(bytes, places.scales, &table.scales);
        put(bytes, places.bag_of, &table.bag_of);
        put(bytes, places.factors, &table.factors);
        put(bytes, places.row_of, &table.row_of);
        put(bytes, places.row_starts, table.row_starts());
        put(bytes, places.row_places, &table.row_places);
        put(bytes, places.row_factors, &table.row_factors);
        put(bytes, places.dense_rows, &table.dense);
        if plan.is_fused(t) {
            put_pairs(bytes, places, table, counts);
            continue;
        }
        for (k, (core, runs)) in places.cores.iter().zip(&mut counts.runs).enumerate() {
            lists.find_digits(table, k);
            lists.find_runs(table);
            *runs = lists.put(bytes, core);
        }
    }
    put_launches::<F>(bytes, plan, host, counts, memory);
}

impl Lists {
    /// The digit `k` of each unique row held by cores.
    fn find_digits<F: Real>(&mut self, table: &TableGroup<F>, k: usize) {
        let Self { node_digits, nodes, digits, .. } = self;
        let (levels, last) = (&table.nodes.levels, &table.nodes.last);
        digits.clear();
        if k == levels.len() {
            digits.extend(last.digit_of().iter().map(|&number| last.digit(number as usize) as u32));
            return;
        }
        // From the last level up, each row's node of level k.
        nodes.clear();
        nodes.extend(&table.nodes.node_of);
        for level in levels[k + 1..].iter().rev() {
            nodes.iter_mut().for_each(|node| *node = level.parents[*node as usize]);
        }
        node_digits.clear();
        for group in 0..levels[k].groups() {
            let digit = levels[k].digit(group) as u32;
            node_digits.extend(levels[k].nodes(group).map(|_| digit));
        }
        digits.extend(nodes.iter().map(|&node| node_digits[node as usize]));
    }

    /// The lookups of rows held by cores, by digit and then in order.
    fn find_runs<F: Real>(&mut self, table: &TableGroup<F>) {
        let Self { digits, sorted, run_digits, run_starts, run_lookups, .. } = self;
        sorted.clear();
        let rows = (0..).zip(&table.row_of).filter(|&(_, &row)| (row as usize) < table.core_rows);
        sorted.extend(rows.map(|(lookup, &row): (u64, _)| u64::from(digits[row as usize]) << 32 | lookup));
        sorted.sort_unstable();
        run_digits.clear();
        run_starts.clear();
        run_lookups.clear();
        for (place, &item) in (0..).zip(&*sorted) {
            if run_digits.last() != Some(&(item >> 32)) {
                run_digits.push(item >> 32);
                run_starts.push(place);
            }
            run_lookups.push(item as u32);
        }
        run_starts.push(sorted.len() as u32);
    }

    /// Writes the lists; gives how many digits there are.
    fn put(&self, bytes: &mut [u8], core: &CorePlan) -> usize {
        put(bytes, core.digits, &self.digits);
        put(bytes, core.run_digits, &self.run_digits);
        put(bytes, core.run_starts, &self.run_starts);
        put(bytes, core.run_lookups, &self.run_lookups);
        self.run_digits.len()
    }
}

/// Writes the lists of a fused table: its pairs, and the digits that occur.
fn put_pairs<F: Real>(bytes: &mut [u8], places: &TablePlan, table: &TableGroup<F>, counts: &mut Counts) {
    let ([firsts, middles], [first, middle, last_core]) = (&table.nodes.levels[..], &places.cores[..]) else { return };
    let (last, pairs) = (&table.nodes.last, &places.pairs);
    for ((core, digits), runs) in [first, middle, last_core]
        .into_iter()
        .zip([firsts.digits(), middles.digits(), last.digits()])
        .zip(&mut counts.runs)
    {
        put(bytes, core.run_digits, digits);
        *runs = digits.len();
    }
    let row_digits = last.digit_of().iter().map(|&number| last.digit(number as usize) as u32);
    put_each(bytes, last_core.digits, row_digits);
    put(bytes, pairs.row_pairs, &table.nodes.node_of);
    put(bytes, pairs.pair_firsts, &middles.parents);
    put(bytes, pairs.pair_rows, middles.child_starts());
    put(bytes, pairs.first_starts, firsts.child_starts());
    put(bytes, pairs.first_pairs, firsts.all_children());
    put(bytes, pairs.last_starts, last.starts());
    put(bytes, pairs.last_rows, last.all_rows());
}

/// Writes numbers to their place.
fn put_each(bytes: &mut [u8], place: usize, numbers: impl Iterator<Item = u32>) {
    for (slot, number) in bytes[place..].chunks_exact_mut(size_of::<u32>()).zip(numbers) {
        slot.copy_from_slice(&number.to_ne_bytes());
    }
}

/// Writes a list to its place.
pub(super) fn put<T: Pod>(bytes: &mut [u8], place: usize, list: &[T]) {
    let list: &[u8] = bytemuck::cast_slice(list);
    bytes[place..place + list.len()].copy_from_slice(list);
}
