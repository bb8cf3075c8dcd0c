//! One batch: unique rows, the prefix tree above them, and the tasks of every region.
//!
//! Nothing in here computes with parameters, so other backends can group with it: they make a [`Cpu`](crate::Cpu), its plan
//! and its group, and read the lists of [`Group::tables`].

mod runs;
mod sort;
mod tasks;
mod touched;
mod tree;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;
use ttcore::{Bags, Error, Features, Layout, Real, Table, check};

use crate::plan::Plan;
use crate::threads::Threads;
use runs::Runs;
use sort::Sorter;

pub(crate) use tasks::{Part, Task, Tasks};
pub use tree::{Last, Level, Nodes};

/// Lookups of a batch from which on its tables are sorted in parallel.
const SHARED_LOOKUPS: usize = 2048;

/// One batch of all tables.
pub struct Group<F> {
    pub(crate) layout: Arc<Layout>,
    /// Of the output, `B`.
    pub(crate) rows: usize,
    pub(crate) fingerprint: u64,
    pub(crate) tables: Vec<TableGroup<F>>,
    pub(crate) tasks: Tasks,
}

/// One batch of one table. Rows are numbered in the order of their keys: those of the cores, then dense ones.
pub struct TableGroup<F> {
    /// First lookup of each bag, of all features, and the number of lookups.
    pub bag_starts: Vec<u32>,
    /// The place of each bag in the output, see [`ttcore::Features`]; empty for a table of one feature, where it is the bag's
    /// number.
    pub places: Vec<u32>,
    /// What the sum of each bag is multiplied by.
    pub scales: Vec<F>,
    /// Bag of each lookup.
    pub bag_of: Vec<u32>,
    /// What each lookup is multiplied by: its weight and the scale of its bag.
    pub factors: Vec<F>,
    /// Unique row of each lookup.
    pub row_of: Vec<u32>,
    /// Places of the bags of the lookups in the order of rows.
    pub row_places: Vec<u32>,
    /// What the lookup at each place in the order of rows is multiplied by.
    pub row_factors: Vec<F>,
    /// The unique rows: runs of lookups in the order of rows.
    rows: Runs,
    /// How many of the rows are held by the cores.
    pub core_rows: usize,
    /// Dense rows of the unique rows behind those of the cores, ascending.
    pub dense: Vec<u64>,
    /// The prefix tree.
    pub nodes: Nodes,
    /// What each lookup was sorted by: for a dense table its row.
    pub(crate) keys: Vec<u64>,
    sorter: Sorter,
}

// Lists are as long as batches are large: what is printed is how long.

impl<F: Real> fmt::Debug for Group<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("rows", &self.rows)
            .field("fingerprint", &self.fingerprint)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl<F: Real> fmt::Debug for TableGroup<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableGroup")
            .field("lookups", &self.lookups())
            .field("core_rows", &self.core_rows)
            .field("dense_rows", &self.dense.len())
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl<F: Real> Group<F> {
    pub(crate) fn new(plan: &Plan) -> Self {
        let tables = (0..plan.trees.len()).map(|table| TableGroup::new(plan, table)).collect();
        Self { layout: plan.layout.clone(), rows: 0, fingerprint: 0, tables, tasks: Tasks::new(plan) }
    }

    pub(crate) fn bytes(plan: &Plan) -> usize {
        let lookups = plan.layout.lookups();
        let lists = lookups * (3 * 4 + 2 * F::BYTES + 2 * 8) + Runs::bytes(lookups) + Sorter::bytes(lookups);
        let bags = |features: &Features| {
            let places = if features.count() > 1 { 4 } else { 0 };
            features.count() * plan.layout.bags() * (4 + places + F::BYTES)
        };
        let bags: usize = plan.layout.features().iter().map(bags).sum();
        let nodes: usize = plan.trees.iter().flatten().map(Nodes::bytes).sum();
        plan.trees.len() * lists + bags + nodes + Tasks::bytes(plan)
    }

    /// The batch of each table.
    pub fn tables(&self) -> &[TableGroup<F>] {
        &self.tables
    }

    /// How many rows the output has, which are the bags of each feature.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The fingerprint of the batch: see [`check::fingerprint`].
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn fill<'a>(
        &mut self,
        threads: &Threads,
        plan: &Plan,
        bags: impl IntoIterator<Item = Bags<'a, F>>,
    ) -> Result<(), Error> {
        check::same_layout("group", &plan.layout, &self.layout)?;
        (self.rows, self.fingerprint) = (0, 0);
        let filled = self.load(plan, bags);
        if let Err(error) = filled {
            (self.rows, self.fingerprint) = (0, 0);
            self.tables.iter_mut().for_each(TableGroup::clear);
            self.tasks.clear();
            return Err(error);
        }
        let tables = &mut self.tables;
        // Sorting few lookups takes less than handing them to another thread.
        let lookups: usize = tables.iter().map(|table| table.keys.len()).sum();
        if lookups > SHARED_LOOKUPS && threads.count() > 1 && tables.len() > 1 {
            let tables = tables.par_iter_mut().zip(&plan.trees);
            threads.install(|| tables.for_each(|(table, tree)| table.sort(tree.as_ref())));
        } else {
            tables.iter_mut().zip(&plan.trees).for_each(|(table, tree)| table.sort(tree.as_ref()));
        }
        self.tasks.fill(plan, self.rows, &self.tables);
        Ok(())
    }

    /// Checks and copies the bags: they are not needed afterwards.
    fn load<'a>(&mut self, plan: &Plan, bags: impl IntoIterator<Item = Bags<'a, F>>) -> Result<(), Error> {
        let mut tables = 0;
        for (table, bags) in bags.into_iter().enumerate() {
            self.rows = check::bags(&plan.layout, table, &bags, (table > 0).then_some(self.rows))?;
            self.fingerprint = check::fingerprint(self.fingerprint, &bags);
            let batch = &mut self.tables[table];
            batch.load(&plan.layout.tables()[table], plan.trees[table].as_ref(), &bags);
            batch.find_places(&plan.layout.features()[table], self.rows);
            tables += 1;
        }
        check::table_count(&plan.layout, "batches", tables)
    }
}

impl<F: Real> TableGroup<F> {
    fn new(plan: &Plan, table: usize) -> Self {
        let (lookups, features) = (plan.layout.lookups(), plan.layout.features()[table].count());
        let bags = features * plan.layout.bags();
        let dense = if plan.layout.tables()[table].dense_rows() > 0 { lookups } else { 0 };
        Self {
            bag_starts: Vec::with_capacity(bags + 1),
            places: Vec::with_capacity(if features > 1 { bags } else { 0 }),
            scales: Vec::with_capacity(bags),
            bag_of: Vec::with_capacity(lookups),
            factors: Vec::with_capacity(lookups),
            row_of: Vec::with_capacity(lookups),
            row_places: Vec::with_capacity(lookups),
            row_factors: Vec::with_capacity(lookups),
            rows: Runs::with_capacity(lookups),
            core_rows: 0,
            dense: Vec::with_capacity(dense),
            nodes: plan.trees[table].as_ref().map(Nodes::new).unwrap_or_default(),
            keys: Vec::with_capacity(lookups),
            sorter: Sorter::with_capacity(lookups),
        }
    }

    fn clear(&mut self) {
        self.bag_starts.clear();
        self.places.clear();
        self.scales.clear();
        self.bag_of.clear();
        self.factors.clear();
        self.row_of.clear();
        self.row_places.clear();
        self.row_factors.clear();
        self.rows.clear();
        self.core_rows = 0;
        self.dense.clear();
        self.nodes.clear();
        self.keys.clear();
    }

    /// Copies bags and weights, and turns rows into keys.
    fn load(&mut self, table: &Table, tree: Option<&crate::plan::Tree>, bags: &Bags<'_, F>) {
        self.clear();
        let lookups = bags.lookups();
        self.bag_of.resize(lookups, 0);
        self.factors.resize(lookups, F::one());
        let mut bag = 0;
        bags.for_each_bag(|range| {
            let scale = bags.pooling().scale(range.len());
            self.bag_starts.push(range.start as u32);
            self.scales.push(scale);
            self.bag_of[range.clone()].fill(bag);
            match bags.weights() {
                Some(weights) => {
                    let factors = self.factors[range.clone()].iter_mut().zip(&weights[range]);
                    factors.for_each(|(factor, &weight)| *factor = scale * weight);
                }
                None => self.factors[range].fill(scale),
            }
            bag += 1;
        });
        self.bag_starts.push(lookups as u32);
        let core_rows = table.core_rows();
        match tree {
            Some(tree) => bags.for_each_row(|row| {
                self.keys.push(if row < core_rows { tree.key(row) } else { tree.keys + (row - core_rows) });
            }),
            None => bags.for_each_row(|row| self.keys.push(row)),
        }
    }

    /// Of all bags, for so many output rows.
    fn find_places(&mut self, features: &Features, rows: usize) {
        if features.count() > 1 {
            self.places.extend(features.places(rows));
        }
    }

    /// Merges duplicates and builds the tree.
    fn sort(&mut self, tree: Option<&crate::plan::Tree>) {
        let core_keys = tree.map_or(0, |tree| tree.keys);
        let Self { places, bag_of, factors, row_of, row_places, row_factors, rows, keys, sorter, .. } = self;
        let lookups = keys.len();
        row_of.resize(lookups, 0);
        row_places.resize(lookups, 0);
        row_factors.resize(lookups, F::zero());
        let largest = keys.iter().copied().max().unwrap_or(0);
        rows.find(sorter.sort(keys.iter().copied(), largest), |place, lookup, row| {
            let lookup = lookup as usize;
            row_of[lookup] = row;
            (row_places[place], row_factors[place]) = (bag_of[lookup], factors[lookup]);
        });
        if !places.is_empty() {
            row_places.iter_mut().for_each(|bag| *bag = places[*bag as usize]);
        }
        self.core_rows = rows.keys.partition_point(|&key| key < core_keys);
        let (core_keys_found, dense) = rows.keys.split_at(self.core_rows);
        self.dense.extend(dense.iter().map(|key| key - core_keys));
        if let Some(tree) = tree {
            self.nodes.build(tree, core_keys_found, sorter);
        }
    }

    /// Where the lookups of each unique row begin in the order of rows, and the number of lookups; nothing before the first
    /// batch.
    pub fn row_starts(&self) -> &[u32] {
        &self.rows.starts
    }

    /// Where the lookups of a unique row are in the order of rows.
    pub(crate) fn lookups_of(&self, row: usize) -> std::ops::Range<usize> {
        self.rows.range(row)
    }

    /// What the lookups of a unique row are multiplied by.
    pub(crate) fn factors_of(&self, row: usize) -> &[F] {
        &self.row_factors[self.lookups_of(row)]
    }

    /// How many bags there are, of all features.
    pub(crate) fn bags(&self) -> usize {
        self.scales.len()
    }

    /// Where a bag is in the output: see [`ttcore::Features`].
    pub(crate) fn place(&self, bag: usize) -> usize {
        if self.places.is_empty() { bag } else { self.places[bag] as usize }
    }

    /// The lookups of a bag.
    pub(crate) fn bag(&self, bag: usize) -> std::ops::Range<usize> {
        self.bag_starts[bag] as usize..self.bag_starts[bag + 1] as usize
    }

    /// How many lookups there are.
    pub fn lookups(&self) -> usize {
        self.row_places.len()
    }
}
