//! Where everything of a layout lies in memory of the device: known before any batch.

mod arena;
mod fused;
mod grouping;
mod scratch;
mod tables;

use std::sync::Arc;

use ttcore::{Layout, Table, check};

use crate::device::Element;
use crate::error::Error;
use crate::settings::{Grouping, Method, Settings};

pub(crate) use arena::Arena;
pub(crate) use fused::{FusedPlan, LaunchPlan};
pub(crate) use grouping::{GroupingPlan, is_wide, take_rows, take_starts};
pub(crate) use scratch::ScratchPlan;
pub(crate) use tables::{CorePlan, TablePlan};

/// What sizes and places depend on beside the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Make {
    double: bool,
    settings: Settings,
}

/// What [`Cuda`](crate::Cuda) knows of a layout before any batch.
#[derive(Debug)]
pub struct Plan {
    pub(crate) layout: Arc<Layout>,
    pub(crate) make: Make,
    /// Groups batches on the host.
    pub(crate) host: ttcore_cpu::Plan,
    /// Of batches that are grouped on the device.
    pub(crate) grouping: Option<GroupingPlan>,
    /// Lookups of a chunk of the batched algorithm.
    pub(crate) chunk: usize,
    pub(crate) tables: Vec<TablePlan>,
    pub(crate) fused: FusedPlan,
    pub(crate) scratch: ScratchPlan,
    /// Bytes of the device memory of a group, and of a saved.
    pub(crate) group_bytes: usize,
    pub(crate) saved_bytes: usize,
}

impl Plan {
    pub(crate) fn new<F: Element>(host: ttcore_cpu::Plan, layout: Layout, settings: Settings) -> Result<Self, Error> {
        check_sizes(&layout)?;
        let method = settings.method;
        let fused = |table: &Table| method == Method::Fused && table.cores().is_none_or(|shape| shape.cores() == 3);
        let on_device = settings.grouping == Grouping::Device && layout.tables().iter().all(fused);
        let settings = Settings {
            chunk: settings.chunk.clamp(1, layout.lookups().max(1)),
            grouping: if on_device { Grouping::Device } else { Grouping::Host },
            ..settings
        };
        let (mut group, mut saved) = (Arena::default(), Arena::default());
        let mut grouping = on_device.then(|| GroupingPlan::new::<F>(&layout, &settings, &mut group));
        let table = |t: usize| {
            let fused = fused(&layout.tables()[t]);
            TablePlan::new::<F>(&layout, t, fused, on_device, &mut group, &mut saved)
        };
        let mut tables: Vec<TablePlan> = (0..layout.tables().len()).map(table).collect();
        let fused: Vec<usize> = (0..tables.len()).filter(|&t| fused(&layout.tables()[t])).collect();
        let descriptors = grouping.as_ref().map(|grouping| grouping.descriptors);
        let fused = FusedPlan::new::<F>(&layout, fused, descriptors, &mut group);
        if let Some(grouping) = &mut grouping {
            grouping.take_lists(&layout, &mut group);
        }
        let chunk = settings.chunk;
        let scratch = ScratchPlan::new::<F>(&layout, chunk, &fused, &mut tables);
        let (group_bytes, saved_bytes) = (group.bytes, saved.bytes);
        let (layout, make) = (Arc::new(layout), Make { double: F::DOUBLE, settings });
        Ok(Self { layout, make, host, grouping, chunk, tables, fused, scratch, group_bytes, saved_bytes })
    }

    /// Most bytes of a group that the host copies.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.grouping.as_ref().map_or(self.group_bytes, |grouping| grouping.sent_bytes)
    }

    /// That this is a plan for numbers of type `F`, and a value one that was made for such a plan.
    pub(crate) fn check<F: Element>(&self, what: &'static str, layout: &Layout, make: Make) -> Result<(), Error> {
        check::same_layout(what, &self.layout, layout)?;
        let same = self.make.double == F::DOUBLE && self.make == make;
        if same { Ok(()) } else { Err(ttcore::Error::OtherPlan { what }.into()) }
    }

    /// Whether the fused kernels take a table.
    pub(crate) fn is_fused(&self, table: usize) -> bool {
        self.fused.tables.binary_search(&table).is_ok()
    }
}

/// That cuBLAS can count what it is given.
fn check_sizes(layout: &Layout) -> Result<(), Error> {
    let fits = |what, size: usize| match i32::try_from(size) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::TooLarge { what, size }),
    };
    for table in layout.tables() {
        fits("the number of columns of a table", table.dim())?;
        let Some(shape) = table.cores() else { continue };
        for k in 0..shape.cores() {
            fits("the length of a core's slice", shape.slice_len(k))?;
            fits("the length of a product of slices", shape.prefix_len(k + 1))?;
        }
    }
    Ok(())
}
