//! A batch that is grouped on the device: what kernels do that from, packed to be copied, and their launches.

use ttcore::{Bags, IndexSlice, check};

use super::Counts;
use super::digest::digest;
use super::import::Imported;
use super::records::{Placed, Records};
use crate::args::GroupArgs;
use crate::device::{Device, Element, Kernel};
use crate::error::Error;
use crate::plan::{Arena, GroupingPlan, Plan, is_wide, take_rows, take_starts};

/// What is copied to the front of the memory of a group: see [`GroupingPlan`].
pub(super) struct Inputs {
    /// In words, for lists of all numbers to be aligned.
    words: Vec<u64>,
    used: usize,
    /// Where the rows of each table are, of how many lookups, and whether they have 64 bits; none if the batch came from the
    /// device.
    rows: Vec<(usize, usize, bool)>,
    /// Of a batch that came from the device.
    pub(super) imported: Vec<Imported>,
}

/// Row numbers of a table.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    Narrow(&'a [u32]),
    Wide(&'a [u64]),
}

impl Inputs {
    pub(super) fn new(plan: &GroupingPlan) -> Self {
        let words = vec![0; plan.sent_bytes.div_ceil(size_of::<u64>())];
        Self { words, used: 0, rows: Vec::with_capacity(plan.tables.len()), imported: Vec::new() }
    }

    /// The bytes of the last batch.
    pub(super) fn used(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.used]
    }

    /// The rows of a table that the last batch looks up, if the host knows them.
    pub(super) fn rows(&self, table: usize) -> Option<Rows<'_>> {
        let &(place, len, wide) = self.rows.get(table)?;
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        Some(if wide {
            Rows::Wide(bytemuck::cast_slice(&bytes[place..place + len * size_of::<u64>()]))
        } else {
            Rows::Narrow(bytemuck::cast_slice(&bytes[place..place + len * size_of::<u32>()]))
        })
    }

    /// Forgets the last batch, for one that comes from the device: gives the bytes in front of all inputs, for its records.
    pub(super) fn records(&mut self, plan: &GroupingPlan) -> &mut [u8] {
        self.rows.clear();
        self.imported.clear();
        self.used = plan.inputs;
        bytemuck::cast_slice_mut(&mut self.words)
    }

    /// Checks and copies the bags, for a group at the address `memory`; gives how many output rows there are, and the
    /// fingerprint of the batch.
    pub(super) fn load<'a, F: Element>(
        &mut self,
        plan: &Plan,
        bags: impl IntoIterator<Item = Bags<'a, F>>,
        counts: &mut [Counts],
        memory: u64,
    ) -> Result<(usize, u64), Error> {
        self.rows.clear();
        self.imported.clear();
        let Some(grouping) = &plan.grouping else { return Ok((0, 0)) };
        let mut arena = Arena { bytes: grouping.inputs };
        let (mut tables, mut rows, mut fingerprint) = (0, 0, 0);
        let (mut records, mut starts) = (Records::new(plan, grouping, memory), None);
        for (t, bags) in bags.into_iter().enumerate() {
            rows = check::bags(&plan.layout, t, &bags, (t > 0).then_some(rows))?;
            let table = &plan.layout.tables()[t];
            let wide = is_wide(table);
            let weighted = bags.weights().is_some();
            let indices = take_rows(&mut arena, table, bags.lookups());
            let own_starts = take_starts(&mut arena, bags.bags());
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
            put_rows(&mut bytes[indices..own_starts], &bags, wide);
            put_starts(&mut bytes[own_starts..arena.bytes], &bags);
            // Where bags begin is often the same in all tables: then it is copied once.
            let shared = starts.filter(|&(_, len)| len == arena.bytes - own_starts);
            let shared = shared.filter(|&(at, len)| bytes[at..at + len] == bytes[own_starts..arena.bytes]);
            if shared.is_some() {
                arena.bytes = own_starts;
            }
            let (place, len) = shared.unwrap_or((own_starts, arena.bytes - own_starts));
            starts = Some((place, len));
            // Weights are no part of what a batch is.
            let words = bytemuck::cast_slice(&bytes[indices..arena.bytes]);
            let sizes = [bags.bags(), bags.lookups(), usize::from(shared.is_some())];
            fingerprint = digest(fingerprint, sizes, words);
            let weights = arena.take::<F>(if weighted { bags.lookups() } else { 0 });
            if let Some(list) = bags.weights() {
                let list: &[u8] = bytemuck::cast_slice(list);
                bytes[weights..weights + list.len()].copy_from_slice(list);
            }
            self.rows.push((indices, bags.lookups(), wide));

            let placed = Placed {
                rows,
                bags: bags.bags(),
                lookups: bags.lookups(),
                pooling: bags.pooling(),
                indices,
                starts: place,
                weights: if weighted { memory + weights as u64 } else { 0 },
            };
            records.put::<F>(bytes, t, placed, &mut counts[t]);
            tables += 1;
        }
        check::table_count(&plan.layout, "batches", tables)?;
        self.used = arena.bytes;
        Ok((rows, fingerprint))
    }
}

/// Row numbers, and zeros up to the end of `bytes`.
fn put_rows<F: Element>(bytes: &mut [u8], bags: &Bags<'_, F>, wide: bool) {
    let size = if wide { size_of::<u64>() } else { size_of::<u32>() };
    let (bytes, rest) = bytes.split_at_mut(bags.lookups() * size);
    rest.fill(0);
    match (bags.indices(), wide) {
        (IndexSlice::U32(rows), false) => bytes.copy_from_slice(bytemuck::cast_slice(rows)),
        // None is negative.
        (IndexSlice::I32(rows), false) => bytes.copy_from_slice(bytemuck::cast_slice(rows)),
        (IndexSlice::U64(rows), false) => fill::<u32>(bytes, rows.iter().map(|&row| row as u32)),
        (IndexSlice::I64(rows), false) => fill::<u32>(bytes, rows.iter().map(|&row| row as u32)),
        (_, false) => fill::<u32>(bytes, (0..bags.lookups()).map(|j| bags.row(j) as u32)),
        (_, true) => fill::<u64>(bytes, (0..bags.lookups()).map(|j| bags.row(j))),
    }
}

/// Where bags begin and the last ends, and zeros up to the end of `bytes`.
fn put_starts<F: Element>(bytes: &mut [u8], bags: &Bags<'_, F>) {
    let starts: &mut [u32] = bytemuck::cast_slice_mut(bytes);
    let (starts, rest) = starts.split_at_mut(bags.bags());
    bags.write_starts(starts);
    rest.fill(0);
    // There is room for it, and nothing to read for a table without bags.
    if let Some(end) = rest.first_mut() {
        *end = bags.lookups() as u32;
    }
}

fn fill<T: bytemuck::Pod>(bytes: &mut [u8], numbers: impl Iterator<Item = T>) {
    let places: &mut [T] = bytemuck::cast_slice_mut(bytes);
    places.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
}

/// Starts the kernels that find the lists of the batch in a group's memory: the same launches for every batch.
///
/// # Safety
///
/// At `memory` is the memory of a group of the plan's, with a batch that [`Inputs::load`] packed, once earlier work of the
/// queue is done; nobody else uses it meanwhile.
pub(super) unsafe fn launch<F: Element, D: Device>(
    device: &D,
    queue: &mut D::Queue,
    plan: &GroupingPlan,
    memory: u64,
) -> Result<(), Error> {
    let args = |[from, to]: [u32; 2]| GroupArgs {
        tables: memory + plan.descriptors as u64,
        groups: memory + plan.groups as u64,
        count: plan.tables.len() as u32,
        chunks: plan.chunks as u32,
        chunk: plan.chunk as u32,
        from,
        to,
        passes: plan.passes,
        outer_passes: plan.outer_passes,
        unused: 0,
    };
    for stages in plan.launches() {
        // SAFETY: the caller's; every list has the room that a batch of the layout needs.
        unsafe { device.launch(queue, Kernel::GroupTables, F::DOUBLE, plan.dims(), &args(stages))? };
    }
    // SAFETY: as above.
    unsafe { device.launch(queue, Kernel::GroupUnits, F::DOUBLE, plan.units_dims(), &args([0, 0])) }
}
