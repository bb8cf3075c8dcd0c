//! What forward leaves for backward, and what both work in.

use std::fmt;
use std::sync::Arc;

use ttcore::Layout;
use ttcore::check::Stamp;

use crate::args::Sink;
use crate::device::Device;
use crate::plan::{Make, Plan};

/// What forward leaves for backward.
pub struct Saved<D: Device> {
    pub(crate) layout: Arc<Layout>,
    pub(crate) make: Make,
    pub(crate) stamp: Stamp,
    pub(crate) memory: D::Memory,
}

/// Memory for intermediate values.
pub struct Scratch<D: Device> {
    pub(crate) layout: Arc<Layout>,
    pub(crate) make: Make,
    pub(crate) memory: D::Memory,
    /// What becomes of each table's gradients in a call, and where its parameters are.
    pub(crate) sinks: Vec<Sink>,
}

impl<D: Device> fmt::Debug for Saved<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saved").field("make", &self.make).field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl<D: Device> fmt::Debug for Scratch<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("make", &self.make).finish_non_exhaustive()
    }
}

impl<D: Device> Saved<D> {
    pub(crate) fn new(plan: &Plan, memory: D::Memory) -> Self {
        Self { layout: plan.layout.clone(), make: plan.make, stamp: Stamp::default(), memory }
    }
}

impl<D: Device> Scratch<D> {
    pub(crate) fn new(plan: &Plan, memory: D::Memory) -> Self {
        Self { layout: plan.layout.clone(), make: plan.make, memory, sinks: Vec::with_capacity(plan.tables.len()) }
    }
}
