//! A step as launches on a device.
//!
//! | file | content |
//! |---|---|
//! | `batched.rs` | Algorithms 1 and 2 of the paper: pointer arrays, batched products, chunks of lookups; any `d` |
//! | `dense.rs` | rows held as they are, and rules that move what a batch does not touch |
//! | `fused.rs` | all tables of three cores, or none, in a few launches |
//! | `product.rs` | batched products of row major matrices |
//! | `expand.rs` | rows, uncompressed |

mod batched;
mod dense;
mod expand;
mod fused;
mod product;

use std::marker::PhantomData;

use ttcore::{Features, Table};

use crate::args::{self, Args, Kind, WeightsArgs};
use crate::device::{Device, Dims, Element, Kernel};
use crate::error::Error;
use crate::group::{Counts, Group};
use crate::memory::Scratch;
use crate::plan::{Plan, TablePlan};

pub(crate) use expand::expand;

/// One call's work: on which batch, in which order, with which parameters.
pub(crate) struct Step<'c, F: Element, D: Device> {
    device: &'c D,
    queue: &'c mut D::Queue,
    plan: &'c Plan,
    /// Of the output, `B`.
    rows: usize,
    counts: &'c [Counts],
    /// Where the memory of the group and the scratch memory begin.
    group: u64,
    scratch: u64,
    sinks: &'c [args::Sink],
    numbers: PhantomData<F>,
}

/// What a step knows of one table.
#[derive(Clone, Copy)]
struct Of<'c> {
    table: &'c Table,
    places: &'c TablePlan,
    counts: &'c Counts,
    sink: args::Sink,
    /// Where the parameters of the dense rows begin.
    dense: u64,
    features: &'c Features,
    /// Where the places of its bags are; 0 for a table of one feature.
    bag_places: u64,
}

impl<'c, F: Element, D: Device> Step<'c, F, D> {
    pub(crate) fn new(
        device: &'c D,
        queue: &'c mut D::Queue,
        plan: &'c Plan,
        group: &'c Group<F, D>,
        scratch: &'c Scratch<D>,
    ) -> Self {
        Self {
            device,
            queue,
            plan,
            rows: group.rows,
            counts: &group.tables,
            group: D::address(&group.memory),
            scratch: D::address(&scratch.memory),
            sinks: &scratch.sinks,
            numbers: PhantomData,
        }
    }

    fn of(&self, t: usize) -> Of<'c> {
        let (layout, sink, places) = (&self.plan.layout, self.sinks[t], &self.plan.tables[t]);
        let (table, features) = (&layout.tables()[t], &layout.features()[t]);
        Of {
            table,
            places,
            counts: &self.counts[t],
            sink,
            dense: sink.params + bytes::<F>(table.core_parameters()),
            features,
            bag_places: if features.count() > 1 { self.list(places.bag_places) } else { 0 },
        }
    }

    /// The address of a list of the group.
    fn list(&self, place: usize) -> u64 {
        self.group + place as u64
    }

    /// The address of intermediate values.
    fn values(&self, place: usize) -> u64 {
        self.scratch + place as u64
    }

    /// Starts a kernel of this step.
    fn launch<A: Args>(&mut self, kernel: Kernel, dims: Dims, args: &A) -> Result<(), Error> {
        // SAFETY: addresses and counts are those of the plan's memory, of a batch that was grouped for this plan, and of
        // views whose lengths were checked; all are borrowed for the call, and later work on them is ordered behind.
        unsafe { self.device.launch(self.queue, kernel, F::DOUBLE, dims, args) }
    }

    /// Pooled rows of all tables to `out`; rows of the cores to `saved` too, if given.
    pub(crate) fn forward(&mut self, out: u64, saved: Option<u64>) -> Result<(), Error> {
        for t in 0..self.plan.tables.len() {
            if !self.plan.is_fused(t) {
                self.batched_forward(self.of(t), out, saved)?;
            }
        }
        self.fused_forward(out, saved)
    }

    /// Gradients of the weights of all lookups.
    pub(crate) fn weights(&mut self, saved: u64, grad_out: u64, out: u64) -> Result<(), Error> {
        let mut before = 0;
        for t in 0..self.plan.tables.len() {
            let of = self.of(t);
            let Of { places, counts, .. } = of;
            let args = WeightsArgs {
                rows: saved + places.saved as u64,
                dense: of.dense,
                dense_rows: self.list(places.dense_rows),
                row_of: self.list(places.row_of),
                bag_of: self.list(places.bag_of),
                places: of.bag_places,
                scales: self.list(places.scales),
                grad_out: grad_out + bytes::<F>(of.features.origin()),
                out: out + bytes::<F>(before),
                unit: of.features.unit() as u64,
                dim: of.table.dim() as u64,
                count: counts.lookups as u32,
                core_rows: counts.core_rows as u32,
            };
            if counts.lookups > 0 && !self.plan.is_fused(t) {
                self.launch(Kernel::Weights, Dims::threads(counts.lookups), &args)?;
            }
            before += counts.lookups;
        }
        self.fused_weights(saved, grad_out, out)
    }

    /// Gradients of all tables to their sinks.
    pub(crate) fn backward(&mut self, saved: u64, grad_out: u64) -> Result<(), Error> {
        self.fused_backward(saved, grad_out)?;
        for t in 0..self.plan.tables.len() {
            let of = self.of(t);
            if of.sink.is(Kind::Frozen) {
                continue;
            }
            if !self.plan.is_fused(t) {
                self.batched_backward(of, grad_out)?;
                self.dense_rows(of, grad_out)?;
            }
            // Without bags there were no fused launches.
            if of.sink.visits_all() && (self.rows == 0 || !self.plan.is_fused(t)) {
                self.untouched(of)?;
            }
        }
        Ok(())
    }
}

/// Bytes of so many numbers.
fn bytes<F: Element>(numbers: usize) -> u64 {
    (numbers * F::BYTES) as u64
}
