//! The prefix tree of a batch.

use std::ops::Range;

use super::sort::Sorter;
use crate::plan::Tree;

/// All nodes of one batch of a TT table, and its rows by their last digit.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// Level `k` is `levels[k - 1]`.
    pub(crate) levels: Vec<Level>,
    /// Rows by their last digit: the children are rows.
    pub(crate) last: Level,
    /// For each row, which of the last digits it has.
    pub(crate) last_of: Vec<u32>,
    /// For each row, its node at the last level.
    pub(crate) node_of: Vec<u32>,
    row_keys: Vec<u64>,
}

/// The nodes of one level, in the order of their digit; those of one digit are a group, which shares a slice.
#[derive(Debug, Default)]
pub(crate) struct Level {
    /// For each node, the node above. Empty at level 1.
    pub(crate) parents: Vec<u32>,
    /// For each group, its digit.
    pub(crate) digits: Vec<u32>,
    /// For each group, its first node; and the number of nodes.
    starts: Vec<u32>,
    /// Children of all nodes, and where those of each node begin. The last level has no list: its children are rows, which
    /// follow each other.
    children: Vec<u32>,
    child_starts: Vec<u32>,
    keys: Vec<u64>,
}

impl Nodes {
    pub(super) fn new(tree: &Tree) -> Self {
        let rows = tree.max_rows;
        let below = tree.max_nodes[1..].iter().copied().chain([rows]);
        let levels = tree.max_nodes.iter().zip(below).map(|(&nodes, below)| Level::with_capacity(nodes, below));
        Self {
            levels: levels.collect(),
            last: Level::with_capacity(tree.max_last, rows),
            last_of: Vec::with_capacity(rows),
            node_of: Vec::with_capacity(rows),
            row_keys: Vec::with_capacity(rows),
        }
    }

    pub(super) fn bytes(tree: &Tree) -> usize {
        let level = |nodes: usize, below: usize| nodes * (4 * 4 + 8) + below * 4;
        let below = tree.max_nodes[1..].iter().copied().chain([tree.max_rows]);
        let levels: usize = tree.max_nodes.iter().zip(below).map(|(&nodes, below)| level(nodes, below)).sum();
        levels + level(tree.max_last, tree.max_rows) + tree.max_rows * (2 * 4 + 8)
    }

    pub(super) fn clear(&mut self) {
        self.levels.iter_mut().for_each(Level::clear);
        self.last.clear();
        self.last_of.clear();
        self.node_of.clear();
        self.row_keys.clear();
    }

    /// Adds a unique row of the cores; keys ascend.
    pub(super) fn push_row(&mut self, key: u64) {
        self.row_keys.push(key);
    }

    /// Builds all levels, from the last up to the first.
    pub(super) fn build(&mut self, tree: &Tree, sorter: &mut Sorter) {
        let factors = tree.shape.row_factors();
        let last_factor = factors[tree.levels()] as u64;
        let Self { levels, last, last_of, node_of, row_keys } = self;

        // The last level: rows of one node follow each other.
        let deepest = &mut levels[tree.levels() - 1];
        for (row, &key) in row_keys.iter().enumerate() {
            let node_key = key / last_factor;
            if deepest.keys.last() != Some(&node_key) {
                deepest.keys.push(node_key);
                deepest.child_starts.push(row as u32);
            }
            node_of.push(deepest.keys.len() as u32 - 1);
        }
        deepest.child_starts.push(row_keys.len() as u32);

        // Rows by their last digit.
        last_of.resize(row_keys.len(), 0);
        sorter.sort(row_keys.iter().map(|key| key % last_factor), last_factor - 1, |digit, row| {
            last.push_child(digit, row);
            last_of[row as usize] = last.keys.len() as u32 - 1;
        });
        last.close();
        last.digits.extend(last.keys.iter().map(|&digit| digit as u32));

        // A node's key is its digit and the key of its parent.
        for k in (1..tree.levels()).rev() {
            let (above, below) = levels.split_at_mut(k);
            let (parents, children) = (&mut above[k - 1], &mut below[0]);
            let parent_keys: u64 = factors[..k].iter().map(|&m| m as u64).product();
            children.group(parent_keys);
            children.parents.resize(children.keys.len(), 0);
            let Level { keys, parents: parent_of, .. } = children;
            sorter.sort(keys.iter().map(|key| key % parent_keys), parent_keys - 1, |key, child| {
                parents.push_child(key, child);
                parent_of[child as usize] = parents.keys.len() as u32 - 1;
            });
            parents.close();
        }
        levels[0].group(1);
    }
}

impl Level {
    fn with_capacity(nodes: usize, below: usize) -> Self {
        Self {
            parents: Vec::with_capacity(nodes),
            digits: Vec::with_capacity(nodes),
            starts: Vec::with_capacity(nodes + 1),
            children: Vec::with_capacity(below),
            child_starts: Vec::with_capacity(nodes + 1),
            keys: Vec::with_capacity(nodes),
        }
    }

    fn clear(&mut self) {
        self.parents.clear();
        self.digits.clear();
        self.starts.clear();
        self.children.clear();
        self.child_starts.clear();
        self.keys.clear();
    }

    /// Adds a child to the node with this key; keys ascend.
    fn push_child(&mut self, key: u64, child: u32) {
        if self.keys.last() != Some(&key) {
            self.keys.push(key);
            self.child_starts.push(self.children.len() as u32);
        }
        self.children.push(child);
    }

    fn close(&mut self) {
        self.child_starts.push(self.children.len() as u32);
    }

    /// Finds the groups: the digit is what is above the parent's key.
    fn group(&mut self, parent_keys: u64) {
        for (node, &key) in self.keys.iter().enumerate() {
            let digit = (key / parent_keys) as u32;
            if self.digits.last() != Some(&digit) {
                self.digits.push(digit);
                self.starts.push(node as u32);
            }
        }
        self.starts.push(self.keys.len() as u32);
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Nodes of a group.
    pub(crate) fn nodes(&self, group: usize) -> Range<usize> {
        self.starts[group] as usize..self.starts[group + 1] as usize
    }

    /// Children of a node.
    pub(crate) fn children(&self, node: usize) -> &[u32] {
        &self.children[self.child_range(node)]
    }

    /// A child some places behind the first of a node, which may be another node's: to ask for what will be needed soon.
    pub(crate) fn child_ahead(&self, node: usize, places: usize) -> Option<u32> {
        self.children.get(self.child_starts[node] as usize + places).copied()
    }

    /// Where the children of a node are among all; at the last level, its rows.
    pub(crate) fn child_range(&self, node: usize) -> Range<usize> {
        self.child_starts[node] as usize..self.child_starts[node + 1] as usize
    }
}
