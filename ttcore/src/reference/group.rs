//! One batch: its unique rows, and the way back to lookups.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use hashbrown::HashMap;

use crate::bags::Bags;
use crate::check;
use crate::error::Error;
use crate::layout::Layout;
use crate::real::Real;
use crate::table::Table;

/// One batch of all tables.
#[derive(Clone)]
pub struct Group<F> {
    pub(super) layout: Layout,
    /// Of the output, `B`.
    pub(super) rows: usize,
    pub(super) fingerprint: u64,
    pub(super) tables: Vec<TableGroup<F>>,
}

/// One batch of one table.
#[derive(Clone, Debug)]
pub(super) struct TableGroup<F> {
    /// Addresses of the unique rows, in order of first appearance.
    pub(super) unique: Vec<u64>,
    /// Where a row is among the unique ones.
    pub(super) position: HashMap<u64, usize>,
    /// The lookups, in order.
    pub(super) lookups: Vec<Lookup<F>>,
}

/// One lookup: it adds `scale * weight * row` to the output of its bag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<F> {
    /// Which of the unique rows.
    pub(super) unique: usize,
    /// Where the output of its bag begins.
    pub(super) output: usize,
    /// Per-sample weight `a_j`.
    pub(super) weight: F,
    /// Of the bag, `s_b`.
    pub(super) scale: F,
}

impl<F> fmt::Debug for Group<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("rows", &self.rows)
            .field("tables", &self.tables.len())
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl<F: Real> Group<F> {
    pub(super) fn new(plan: &Layout) -> Self {
        let table = |_| TableGroup {
            unique: Vec::with_capacity(plan.lookups()),
            position: HashMap::with_capacity(plan.lookups()),
            lookups: Vec::with_capacity(plan.lookups()),
        };
        Self { layout: plan.clone(), rows: 0, fingerprint: 0, tables: plan.tables().iter().map(table).collect() }
    }

    pub(super) fn bytes(plan: &Layout) -> usize {
        // A hash table has room for 8/7 of its entries, rounded up to a power of two, and a control byte for each.
        let buckets = (plan.lookups().saturating_mul(8) / 7).checked_next_power_of_two().unwrap_or(usize::MAX);
        let map = buckets.saturating_mul(size_of::<(u64, usize)>() + 1);
        let lists = plan.lookups().saturating_mul(size_of::<u64>() + size_of::<Lookup<F>>());
        plan.tables().len().saturating_mul(lists.saturating_add(map))
    }

    pub(super) fn fill<'a>(&mut self, plan: &Layout, bags: impl IntoIterator<Item = Bags<'a, F>>) -> Result<(), Error> {
        check::same_layout("group", plan, &self.layout)?;
        self.clear();
        let filled = self.fill_tables(plan, bags);
        if filled.is_err() {
            self.clear();
        }
        filled
    }

    fn clear(&mut self) {
        self.rows = 0;
        self.fingerprint = 0;
        for table in &mut self.tables {
            table.unique.clear();
            table.position.clear();
            table.lookups.clear();
        }
    }

    fn fill_tables<'a>(&mut self, plan: &Layout, bags: impl IntoIterator<Item = Bags<'a, F>>) -> Result<(), Error> {
        let mut tables = 0;
        for (table, bags) in bags.into_iter().enumerate() {
            self.rows = check::bags(plan, table, &bags, (table > 0).then_some(self.rows))?;
            self.fingerprint = check::fingerprint(self.fingerprint, &bags);
            let columns = plan.features()[table].columns();
            self.tables[table].fill(&bags, |bag| bag % self.rows * plan.stride() + columns[bag / self.rows]);
            tables += 1;
        }
        check::table_count(plan, "batches", tables)
    }
}

impl<F: Real> TableGroup<F> {
    /// See [`Backend::touched`](crate::Backend::touched).
    pub(super) fn touched(&self, table: &Table, mut visit: impl FnMut(Range<usize>)) {
        let mut ranges = Vec::new();
        for &address in &self.unique {
            match (table.dense_row(address), table.cores()) {
                (None, Some(shape)) => {
                    ranges.extend((0..shape.cores()).map(|k| shape.slice_range(k, shape.digit(address, k))));
                }
                (row, _) => ranges.extend(row),
            }
        }
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup();
        for run in ranges.chunk_by(|range, next| range.end == next.start) {
            visit(run[0].start..run[run.len() - 1].end);
        }
    }

    fn fill(&mut self, bags: &Bags<'_, F>, output: impl Fn(usize) -> usize) {
        for bag in 0..bags.bags() {
            let (scale, output) = (bags.scale(bag), output(bag));
            for j in bags.bag(bag) {
                let row = bags.row(j);
                let unique = *self.position.entry(row).or_insert_with(|| {
                    self.unique.push(row);
                    self.unique.len() - 1
                });
                let weight = bags.weights().map_or(F::one(), |weights| weights[j]);
                self.lookups.push(Lookup { unique, output, weight, scale });
            }
        }
    }
}
