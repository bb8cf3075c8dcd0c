//! One batch: grouped on the host or on the device, its lists on the device.
//!
//! | file | content |
//! |---|---|
//! | `host.rs`, `units.rs` | lists and units of work of a batch that `ttcore-cpu` grouped |
//! | `device.rs` | what kernels group from: rows, starts of bags and weights, packed; and the launches |
//! | `given.rs`, `import.rs` | a batch whose numbers are on the device already |
//! | `records.rs` | what kernels of grouping read of a table |
//! | `descriptor.rs` | what the fused kernels read of a table, for both |
//! | `digest.rs`, `touched.rs` | of a batch whose lists the host does not have: its fingerprint, what it touches |
//! | `lists.rs` | the lists, copied back: for tests |

mod descriptor;
mod device;
mod digest;
mod given;
mod host;
mod import;
mod lists;
mod records;
mod touched;
mod units;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ttcore::{Bags, Layout};
use ttcore_cpu::{Cpu, Threads};

use crate::device::{Device, Element, Fence};
use crate::error::Error;
use crate::plan::{Make, Plan, TablePlan};
use device::Inputs;
use host::Lists;

pub use given::{DeviceBags, DeviceOffsets, Integer, Integers};
pub use lists::TableLists;

/// One batch of all tables.
///
/// What is copied to the device comes from memory of its own without waiting; only filling it again waits, until that copy
/// is done. So the next batch is grouped, into another group, while the device computes with this one.
pub struct Group<F: Element, D: Device> {
    pub(crate) layout: Arc<Layout>,
    pub(crate) make: Make,
    /// Of the output, `B`.
    pub(crate) rows: usize,
    pub(crate) fingerprint: u64,
    pub(crate) tables: Vec<Counts>,
    pub(crate) memory: D::Memory,
    staging: D::Staging,
    /// It may be filled on one queue and used on others.
    pub(crate) fence: D::Fence,
    by: By<F>,
}

/// Who groups, and what it keeps on the host.
enum By<F: Element> {
    Host { group: Box<ttcore_cpu::Group<F>>, lists: Lists },
    Device(Inputs),
}

/// How long the lists of one table are, as far as the host knows: of a batch that is grouped on the device, bags and lookups.
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
    pub(crate) fn new(device: &D, queue: &mut D::Queue, plan: &Plan, host: &Cpu<F>) -> Result<Self, Error> {
        let counts = |table: &TablePlan| Counts { runs: vec![0; table.cores.len()], ..Counts::default() };
        let by = match &plan.grouping {
            Some(grouping) => By::Device(Inputs::new(grouping)),
            None => {
                let group = ttcore::Backend::new_group(host, &mut Threads::one(), &plan.host)?;
                By::Host { group: Box::new(group), lists: Lists::default() }
            }
        };
        let (memory, mut fence) = (device.allocate(queue, plan.group_bytes)?, device.fence()?);
        // With zeros, on this queue.
        fence.end_fill(queue)?;
        Ok(Self {
            layout: plan.layout.clone(),
            make: plan.make,
            rows: 0,
            fingerprint: 0,
            tables: plan.tables.iter().map(counts).collect(),
            memory,
            staging: device.staging(plan.sent_bytes())?,
            fence,
            by,
        })
    }

    /// Bytes of a group, on the device and on the host.
    pub(crate) fn bytes(plan: &Plan) -> usize {
        let host = match &plan.grouping {
            Some(grouping) => grouping.sent_bytes,
            None => <Cpu<F> as ttcore::Backend>::workspace(&plan.host).group,
        };
        plan.group_bytes + plan.sent_bytes() + host
    }

    /// Holds no batch from now on.
    pub(crate) fn clear(&mut self) {
        (self.rows, self.fingerprint) = (0, 0);
        for table in &mut self.tables {
            (table.bags, table.lookups, table.core_rows, table.dense_rows) = (0, 0, 0, 0);
            table.runs.fill(0);
        }
    }

    /// Takes a batch, and copies to the device what it needs of it, in order on the queue. After an error it holds none.
    pub(crate) fn fill<'a>(
        &mut self,
        device: &D,
        queue: &mut D::Queue,
        plan: &Plan,
        (host, threads): (&Cpu<F>, &Threads),
        bags: impl IntoIterator<Item = Bags<'a, F>>,
    ) -> Result<(), Error> {
        self.clear();
        let filled = self.try_fill(device, queue, plan, (host, threads), bags);
        filled.inspect_err(|_| self.clear())
    }

    fn try_fill<'a>(
        &mut self,
        device: &D,
        queue: &mut D::Queue,
        plan: &Plan,
        (host, threads): (&Cpu<F>, &Threads),
        bags: impl IntoIterator<Item = Bags<'a, F>>,
    ) -> Result<(), Error> {
        let memory = D::address(&self.memory);
        let bytes = match &mut self.by {
            By::Host { group, lists } => {
                ttcore::Backend::group(host, &mut threads.clone(), &plan.host, bags, group)?;
                let bytes = device.staged(&mut self.staging)?;
                host::put_batch(bytes, plan, group, lists, &mut self.tables, memory);
                (self.rows, self.fingerprint) = (group.rows(), group.fingerprint());
                plan.group_bytes
            }
            By::Device(inputs) => {
                (self.rows, self.fingerprint) = inputs.load(plan, bags, &mut self.tables, memory)?;
                let bytes = inputs.used();
                device.staged(&mut self.staging)?[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
        };
        self.fence.begin_fill(queue)?;
        // SAFETY: the group's memory is that of the plan, has so many bytes and is borrowed; all uses of it come after this, or
        // before.
        let filled = unsafe {
            device.send(queue, &mut self.staging, memory, bytes).and_then(|()| match &plan.grouping {
                Some(grouping) => device::launch::<F, D>(device, queue, grouping, memory),
                None => Ok(()),
            })
        };
        // Whatever was started fills it, also if not all was.
        self.fence.end_fill(queue)?;
        filled
    }

    /// Takes a batch that is on the device, in order on the queue. After an error it holds none.
    ///
    /// # Safety
    ///
    /// What the batch is given stays as it is until this work of the queue is done.
    pub(crate) unsafe fn import<'a>(
        &mut self,
        device: &D,
        queue: &mut D::Queue,
        plan: &Plan,
        bags: impl IntoIterator<Item = DeviceBags<'a, F>>,
    ) -> Result<(), Error> {
        self.clear();
        // SAFETY: the caller's.
        unsafe { self.try_import(device, queue, plan, bags) }.inspect_err(|_| self.clear())
    }

    /// # Safety
    ///
    /// As [`Group::import`].
    unsafe fn try_import<'a>(
        &mut self,
        device: &D,
        queue: &mut D::Queue,
        plan: &Plan,
        bags: impl IntoIterator<Item = DeviceBags<'a, F>>,
    ) -> Result<(), Error> {
        let memory = D::address(&self.memory);
        let (By::Device(inputs), Some(grouping)) = (&mut self.by, &plan.grouping) else {
            return Err(Error::Unsupported { what: "a batch on the device, of a layout that is grouped on the host" });
        };
        (self.rows, self.fingerprint) = import::load(inputs, plan, grouping, bags, &mut self.tables, memory)?;
        let records = inputs.used();
        device.staged(&mut self.staging)?[..records.len()].copy_from_slice(records);
        self.fence.begin_fill(queue)?;
        // SAFETY: as in `try_fill`, and the caller's.
        let filled = unsafe {
            device
                .send(queue, &mut self.staging, memory, records.len())
                .and_then(|()| import::launch::<F, D>(device, queue, grouping, memory))
                .and_then(|()| device::launch::<F, D>(device, queue, grouping, memory))
        };
        self.fence.end_fill(queue)?;
        filled
    }

    /// What is wrong with a batch that came from the device; waits for it.
    pub(crate) fn check(&self, device: &D, queue: &mut D::Queue, plan: &Plan) -> Result<(), Error> {
        self.fence.begin_use(queue)?;
        match (&self.by, &plan.grouping) {
            (By::Device(inputs), Some(grouping)) if self.fingerprint != 0 => {
                import::check(device, queue, grouping, &inputs.imported, D::address(&self.memory))
            }
            _ => Ok(()),
        }
    }

    /// Calls `visit` with the ranges of the parameters of a table that the batch touches: see
    /// [`Backend::touched`](ttcore::Backend::touched).
    pub(crate) fn touched(&self, plan: &Plan, table: usize, visit: impl FnMut(Range<usize>)) -> Result<(), Error> {
        let shape = &plan.layout.tables()[table];
        match &self.by {
            // After an error the host may hold a batch that the device does not.
            _ if self.rows == 0 => {}
            By::Host { group, .. } => group.tables()[table].touched(shape, visit),
            By::Device(inputs) => match inputs.rows(table) {
                Some(rows) => touched::touched(shape, rows, visit),
                None => {
                    return Err(Error::Unsupported { what: "telling what a batch touches that the host has not seen" });
                }
            },
        }
        Ok(())
    }
}
