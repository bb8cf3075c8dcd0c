//! The tasks of every region of a step, split by counted work.
//!
//! Every task owns what it writes, and does the same work in the same order wherever it runs: how the work is split
//! changes nothing in the result.

use std::ops::Range;

use ttcore::{Features, Real};

use super::TableGroup;
use crate::plan::{Plan, Tree};

/// Work of a task, roughly in flops: some ten microseconds, well above the cost of handing it to another thread.
const GRAIN: usize = 600_000;

/// What a number read from memory counts, in flops.
const READ: usize = 8;

/// What part of a step a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Transposes slices of the last core.
    Transpose,
    /// Products of groups of this level; at the last level also rows.
    Level(usize),
    /// Pools bags of one feature.
    Pool,
    /// Gradients of the weights of lookups.
    Weights,
    /// Gradients at the last level, of groups.
    Deepest,
    /// Gradients of groups of a level between the first and the last.
    Middle(usize),
    /// Gradients of slices of the first core.
    First,
    /// Gradients of slices of the last core.
    Last,
    /// Gradients of dense rows.
    Dense,
}

/// A part of one table.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) table: usize,
    pub(crate) part: Part,
    /// Groups, bags, lookups or rows.
    pub(crate) range: Range<usize>,
}

/// Regions of a batch: a region begins when the one before has ended.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) forward: Vec<Vec<Task>>,
    pub(crate) weights: Vec<Task>,
    pub(crate) backward: Vec<Vec<Task>>,
}

impl Tasks {
    pub(super) fn new(plan: &Plan) -> Self {
        let levels = plan.trees.iter().flatten().map(Tree::levels).max().unwrap_or(1);
        let tasks = || Vec::with_capacity(capacity(plan));
        Self {
            // Transposes, levels from the second, pooling; deepest, levels between, the outer cores.
            forward: (0..levels.max(2) + 1).map(|_| tasks()).collect(),
            weights: tasks(),
            backward: (0..levels.max(2)).map(|_| tasks()).collect(),
        }
    }

    pub(super) fn bytes(plan: &Plan) -> usize {
        let levels = plan.trees.iter().flatten().map(Tree::levels).max().unwrap_or(1);
        (2 * levels.max(2) + 2) * capacity(plan) * size_of::<Task>()
    }

    pub(super) fn clear(&mut self) {
        self.forward.iter_mut().chain(&mut self.backward).chain([&mut self.weights]).for_each(Vec::clear);
    }

    /// Tasks of the largest region.
    pub(crate) fn largest(&self) -> usize {
        self.forward.iter().chain(&self.backward).chain([&self.weights]).map(Vec::len).max().unwrap_or(0)
    }

    pub(super) fn fill<F: Real>(&mut self, plan: &Plan, rows: usize, tables: &[TableGroup<F>]) {
        self.clear();
        let Self { forward, weights, backward } = self;
        let (pool, regions) = forward.split_last_mut().expect("there is a region to pool in");
        let (outer, inner) = backward.split_last_mut().expect("there is a region for the outer cores");
        for (table, (batch, tree)) in tables.iter().zip(&plan.trees).enumerate() {
            let dim = plan.layout.tables()[table].dim();
            let (bags, lookups) = (batch.bags(), batch.lookups());
            let pooled = 1 + lookups / bags.max(1);
            for feature in 0..plan.layout.features()[table].count() {
                let bags = feature * rows..(feature + 1) * rows;
                split_evenly(pool, table, Part::Pool, bags, pooled * dim * READ);
            }
            split_evenly(weights, table, Part::Weights, 0..lookups, dim * READ);
            split(&mut inner[0], table, Part::Dense, batch.dense.len(), |row| {
                (2 + batch.lookups_of(batch.core_rows + row).len()) * dim * READ
            });
            let Some(tree) = tree else { continue };

            let (nodes, levels) = (&batch.nodes, tree.levels());
            // Flops of the product of a node of level k from its parent's.
            let node_work = |k: usize| 2 * tree.product_rows(k - 1) * tree.shape.slice_len(k - 1);
            let row_work = 2 * tree.product_len(levels) * tree.last_cols() + dim * READ;
            let last_len = tree.last_rank() * tree.last_cols();
            split_evenly(&mut regions[0], table, Part::Transpose, 0..nodes.last.len(), last_len * READ);
            for k in 2.min(levels)..=levels {
                let level = &nodes.levels[k - 1];
                let work = |group: usize| {
                    let rows = if k == levels { level.group_children(group) * row_work } else { 0 };
                    level.nodes(group).len() * node_work(k) + rows
                };
                split(&mut regions[(k - 1).max(1)], table, Part::Level(k), level.groups(), work);
                // Level 2 of the longest train is the last before the outer cores.
                let (above, groups) = (levels - k, level.groups());
                let part = if above == 0 { Part::Deepest } else { Part::Middle(k) };
                split(&mut inner[above], table, part, groups, |group| 2 * work(group));
            }
            let first = &nodes.levels[0];
            let slice = tree.shape.slice_len(0);
            let first_work = |group| (first.child_range(group).len() + 2) * slice * READ;
            split(outer, table, Part::First, first.groups(), first_work);
            split(outer, table, Part::Last, nodes.last.len(), |group| nodes.last.rows(group).len() * row_work);
        }
    }
}

/// Cuts `units` units of work into tasks of about the grain.
fn split(tasks: &mut Vec<Task>, table: usize, part: Part, units: usize, work: impl Fn(usize) -> usize) {
    let (mut start, mut sum) = (0, 0usize);
    for unit in 0..units {
        sum = sum.saturating_add(work(unit));
        if sum >= GRAIN {
            tasks.push(Task { table, part, range: start..unit + 1 });
            (start, sum) = (unit + 1, 0);
        }
    }
    if start < units {
        tasks.push(Task { table, part, range: start..units });
    }
}

/// The same for units that are all the same work.
fn split_evenly(tasks: &mut Vec<Task>, table: usize, part: Part, units: Range<usize>, work: usize) {
    let (step, end) = (GRAIN.div_ceil(work.max(1)), units.end);
    tasks.extend(units.step_by(step).map(|start| Task { table, part, range: start..end.min(start + step) }));
}

/// Tasks of a region that are allocated for in advance; a batch of more makes the list grow once.
fn capacity(plan: &Plan) -> usize {
    plan.layout.features().iter().map(Features::count).sum::<usize>() * 64
}
