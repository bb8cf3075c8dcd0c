//! One batch: grouped on the host, its lists on the device.

use std::fmt;
use std::sync::Arc;

use bytemuck::Pod;
use ttcore::{Layout, Real};
use ttcore_cpu::group::TableGroup;

use crate::device::{Device, Element};
use crate::error::Error;
use crate::fused;
use crate::plan::{CorePlan, Make, Plan, TablePlan};

/// One batch of all tables.
///
/// Its lists are copied to the device from memory of its own without waiting; only filling it again waits, until that copy
/// is done. So the next batch is grouped, into another group, while the device computes with this one.
pub struct Group<F: Element, D: Device> {
    pub(crate) layout: Arc<Layout>,
    pub(crate) make: Make,
    pub(crate) host: ttcore_cpu::Group<F>,
    /// Of the output, `B`.
    pub(crate) rows: usize,
    pub(crate) fingerprint: u64,
    pub(crate) tables: Vec<Counts>,
    pub(crate) memory: D::Memory,
    pub(crate) staging: D::Staging,
    /// It may be filled on one queue and used on others.
    pub(crate) fence: D::Fence,
    lists: Lists,
}

/// How long the lists of one table are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Of all features.
    pub(crate) bags: usize,
    pub(crate) lookups: usize,
    /// Unique rows held by cores.
    pub(crate) core_rows: usize,
    /// Unique rows held as they are.
    pub(crate) dense_rows: usize,
    /// Digits that occur, for each core.
    pub(crate) runs: Vec<usize>,
}

/// Memory to make lists in.
#[derive(Debug, Default)]
struct Lists {
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

impl<F: Element, D: Device> fmt::Debug for Group<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("make", &self.make)
            .field("rows", &self.rows)
            .field("fingerprint", &self.fingerprint)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl<F: Element, D: Device> Group<F, D> {
    pub(crate) fn new(
        plan: &Plan,
        host: ttcore_cpu::Group<F>,
        memory: D::Memory,
        staging: D::Staging,
        fence: D::Fence,
    ) -> Self {
        let counts = |table: &TablePlan| Counts { runs: vec![0; table.cores.len()], ..Counts::default() };
        Self {
            layout: plan.layout.clone(),
            make: plan.make,
            host,
            rows: 0,
            fingerprint: 0,
            tables: plan.tables.iter().map(counts).collect(),
            memory,
            staging,
            fence,
            lists: Lists::default(),
        }
    }

    /// Holds no batch from now on.
    pub(crate) fn clear(&mut self) {
        (self.rows, self.fingerprint) = (0, 0);
        for table in &mut self.tables {
            (table.bags, table.lookups, table.core_rows, table.dense_rows) = (0, 0, 0, 0);
            table.runs.fill(0);
        }
    }

    /// Takes over what the host grouped, and writes its lists to where copies start from.
    pub(crate) fn load(&mut self, device: &D, plan: &Plan) -> Result<(), Error> {
        let bytes = device.staged(&mut self.staging)?;
        let tables = self.host.tables().iter().zip(&plan.tables).zip(&mut self.tables);
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
                self.lists.find_digits(table, k);
                self.lists.find_runs(table);
                *runs = self.lists.put(bytes, core);
            }
        }
        let memory = D::address(&self.memory);
        fused::put_launches::<F>(bytes, plan, &self.host, &self.tables, memory);
        (self.rows, self.fingerprint) = (self.host.rows(), self.host.fingerprint());
        Ok(())
    }
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
pub(crate) fn put<T: Pod>(bytes: &mut [u8], place: usize, list: &[T]) {
    let list: &[u8] = bytemuck::cast_slice(list);
    bytes[place..place + list.len()].copy_from_slice(list);
}
