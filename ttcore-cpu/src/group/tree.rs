//! The prefix tree of a batch.

use std::fmt;
use std::ops::Range;

use super::runs::Runs;
use super::sort::Sorter;
use crate::plan::Tree;

/// All nodes of one batch of a TT table, and its rows by their last digit.
#[derive(Default)]
#[non_exhaustive]
pub struct Nodes {
    /// Level `k` is `levels[k - 1]`.
    pub levels: Vec<Level>,
    /// Rows by their last digit.
    pub last: Last,
    /// For each row, its node at the last level.
    pub node_of: Vec<u32>,
}

/// The nodes of one level, in the order of their digit; those of one digit are a group, which shares a slice.
#[derive(Default)]
pub struct Level {
    /// For each node, the node above. Empty at level 1.
    pub parents: Vec<u32>,
    /// The nodes: runs of children.
    nodes: Runs,
    /// The groups: runs of nodes, with their digits.
    groups: Runs,
    /// Children of all nodes. The last level has no list: its children are rows, which follow each other.
    children: Vec<u32>,
    /// For each node, its digit and the key of its parent.
    keys: Vec<(u64, u64)>,
}

/// Rows by their last digit.
#[derive(Default)]
pub struct Last {
    /// The digits: runs of rows in the order of their last digit.
    digits: Runs,
    rows: Vec<u32>,
    /// For each row, which of the last digits it has.
    of: Vec<u32>,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").field("levels", &self.levels).field("last", &self.last).finish_non_exhaustive()
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, groups) = (self.nodes.keys.len(), self.groups.keys.len());
        f.debug_struct("Level").field("nodes", &nodes).field("groups", &groups).finish_non_exhaustive()
    }
}

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, rows) = (self.digits.keys.len(), self.rows.len());
        f.debug_struct("Last").field("digits", &digits).field("rows", &rows).finish_non_exhaustive()
    }
}

impl Nodes {
    pub(super) fn new(tree: &Tree) -> Self {
        let levels = tree.max_nodes.iter().zip(children(tree)).zip(tree.shape.row_factors());
        let levels = levels.map(|((&nodes, children), &digits)| Level::with_capacity(nodes, children, digits));
        Self {
            levels: levels.collect(),
            last: Last::with_capacity(tree.max_last, tree.max_rows),
            node_of: Vec::with_capacity(tree.max_rows),
        }
    }

    pub(super) fn bytes(tree: &Tree) -> usize {
        let levels = tree.max_nodes.iter().zip(children(tree)).zip(tree.shape.row_factors());
        let levels: usize = levels.map(|((&nodes, children), &digits)| Level::bytes(nodes, children, digits)).sum();
        levels + Runs::bytes(tree.max_last) + tree.max_rows * 3 * 4
    }

    pub(super) fn clear(&mut self) {
        self.levels.iter_mut().for_each(Level::clear);
        self.last.clear();
        self.node_of.clear();
    }

    /// Builds all levels, from the last up to the first, for the keys of the unique rows of the cores, ascending.
    pub(super) fn build(&mut self, tree: &Tree, rows: &[u64], sorter: &mut Sorter) {
        let Self { levels, last, node_of } = self;

        // The last level: rows of one node follow each other.
        last.of.resize(rows.len(), 0);
        node_of.resize(rows.len(), 0);
        let split = rows.iter().map(|&key| tree.split_row(key));
        levels[tree.levels() - 1].nodes.find(split, |row, digit, node| {
            (last.of[row], node_of[row]) = (digit as u32, node);
        });
        last.sort(tree, sorter);

        // A node's key is its digit and the key of its parent.
        for k in (2..=tree.levels()).rev() {
            let (above, below) = levels.split_at_mut(k - 1);
            let (parents, children) = (&mut above[k - 2], &mut below[0]);
            children.group(tree, k);
            children.parents.resize(children.keys.len(), 0);
            parents.children.resize(children.keys.len(), 0);
            let keys = children.keys.iter().map(|&(_, parent)| parent);
            let largest = tree.parent_count(k) - 1;
            parents.nodes.find(sorter.sort(keys, largest), |place, child, parent| {
                (parents.children[place], children.parents[child as usize]) = (child, parent);
            });
        }
        levels[0].group(tree, 1);
    }
}

/// How many children the nodes of each level may have in all, if there is a list of them.
fn children(tree: &Tree) -> impl Iterator<Item = usize> + '_ {
    tree.max_nodes[1..].iter().copied().chain([0])
}

impl Level {
    fn with_capacity(nodes: usize, children: usize, digits: usize) -> Self {
        Self {
            parents: Vec::with_capacity(nodes),
            nodes: Runs::with_capacity(nodes),
            groups: Runs::with_capacity(digits.min(nodes)),
            children: Vec::with_capacity(children),
            keys: Vec::with_capacity(nodes),
        }
    }

    fn bytes(nodes: usize, children: usize, digits: usize) -> usize {
        nodes * (4 + size_of::<(u64, u64)>()) + Runs::bytes(nodes) + Runs::bytes(digits.min(nodes)) + children * 4
    }

    fn clear(&mut self) {
        self.parents.clear();
        self.nodes.clear();
        self.groups.clear();
        self.children.clear();
        self.keys.clear();
    }

    /// Finds the groups, once the nodes are known.
    fn group(&mut self, tree: &Tree, k: usize) {
        self.keys.clear();
        self.keys.extend(self.nodes.keys.iter().map(|&key| tree.split_node(k, key)));
        self.groups.find(self.keys.iter().map(|&(digit, _)| (digit, ())), |_, (), _| ());
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The digit of a group.
    pub fn digit(&self, group: usize) -> usize {
        self.groups.keys[group] as usize
    }

    /// The digits of all groups, ascending.
    pub fn digits(&self) -> &[u64] {
        &self.groups.keys
    }

    /// Nodes of a group.
    pub fn nodes(&self, group: usize) -> Range<usize> {
        self.groups.range(group)
    }

    /// Children of a node.
    pub(crate) fn children(&self, node: usize) -> &[u32] {
        &self.children[self.child_range(node)]
    }

    /// Where the children of each node begin in [`Level::all_children`], at the last level its rows, and where the last end.
    pub fn child_starts(&self) -> &[u32] {
        &self.nodes.starts
    }

    /// Where the nodes of each group begin, and the number of nodes.
    pub fn group_starts(&self) -> &[u32] {
        &self.groups.starts
    }

    /// Children of all nodes, one node's behind another's. None at the last level: its children are rows in order.
    pub fn all_children(&self) -> &[u32] {
        &self.children
    }

    /// Where the children of a node are among all; at the last level, its rows.
    pub(crate) fn child_range(&self, node: usize) -> Range<usize> {
        self.nodes.range(node)
    }

    /// How many children the nodes of a group have.
    pub(crate) fn group_children(&self, group: usize) -> usize {
        let nodes = self.nodes(group);
        (self.nodes.starts[nodes.end] - self.nodes.starts[nodes.start]) as usize
    }

    /// A child some places behind the first of a node, which may be another node's: to ask for what will be needed soon.
    pub(crate) fn child_ahead(&self, node: usize, places: usize) -> Option<u32> {
        self.children.get(self.nodes.starts[node] as usize + places).copied()
    }
}

impl Last {
    fn with_capacity(digits: usize, rows: usize) -> Self {
        Self { digits: Runs::with_capacity(digits), rows: Vec::with_capacity(rows), of: Vec::with_capacity(rows) }
    }

    fn clear(&mut self) {
        self.digits.clear();
        self.rows.clear();
        self.of.clear();
    }

    /// Sorts rows by their last digit, which `of` holds until then.
    fn sort(&mut self, tree: &Tree, sorter: &mut Sorter) {
        let Self { digits, rows, of } = self;
        rows.resize(of.len(), 0);
        let keys = of.iter().map(|&digit| u64::from(digit));
        digits.find(sorter.sort(keys, tree.last_count() - 1), |place, row, digit| {
            (rows[place], of[row as usize]) = (row, digit);
        });
    }

    /// How many different digits there are.
    pub fn len(&self) -> usize {
        self.digits.len()
    }

    /// Whether no row of the batch is held by the cores.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of the digits.
    pub fn digit(&self, number: usize) -> usize {
        self.digits.keys[number] as usize
    }

    /// All digits, ascending.
    pub fn digits(&self) -> &[u64] {
        &self.digits.keys
    }

    /// The rows with a digit.
    pub fn rows(&self, number: usize) -> &[u32] {
        &self.rows[self.digits.range(number)]
    }

    /// A row some places behind the first with a digit, which may have another: to ask for what will be needed soon.
    pub(crate) fn row_ahead(&self, number: usize, places: usize) -> Option<u32> {
        self.rows.get(self.digits.starts[number] as usize + places).copied()
    }

    /// Where the rows of each digit begin in [`Last::all_rows`], and the number of rows.
    pub fn starts(&self) -> &[u32] {
        &self.digits.starts
    }

    /// The rows of all digits, one digit's behind another's.
    pub fn all_rows(&self) -> &[u32] {
        &self.rows
    }

    /// Which of the digits each row has.
    pub fn digit_of(&self) -> &[u32] {
        &self.of
    }

    /// Which of the digits a row has.
    pub(crate) fn of(&self, row: usize) -> usize {
        self.of[row] as usize
    }
}
