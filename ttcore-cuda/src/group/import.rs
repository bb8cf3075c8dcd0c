//! A batch that is on the device: records of where its numbers are, the kernel that checks and copies them, and what it found.

use std::sync::atomic::{AtomicU64, Ordering};

use ttcore::{BagsError, check};

use super::Counts;
use super::device::Inputs;
use super::given::{DeviceBags, DeviceOffsets, Integer, Integers};
use super::records::{Placed, Records, put_at};
use crate::args::{ImportArgs, ImportFound, ImportTable};
use crate::device::{Device, Element, Kernel};
use crate::error::Error;
use crate::plan::{Arena, GroupingPlan, Plan, is_wide, take_rows, take_starts};

/// What the host has to know of a table to say what is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Imported {
    rows: u64,
    bags: usize,
    lookups: usize,
    index_kind: Integer,
    offset_kind: Integer,
}

/// Numbers that no two batches have.
static BATCHES: AtomicU64 = AtomicU64::new(1);

/// Takes down where the numbers of a batch are, for a group at the address `memory`; gives how many output rows there are, and
/// a fingerprint that no other batch has: what is in it is not known.
pub(super) fn load<'a, F: Element>(
    inputs: &mut Inputs,
    plan: &Plan,
    grouping: &GroupingPlan,
    bags: impl IntoIterator<Item = DeviceBags<'a, F>>,
    counts: &mut [Counts],
    memory: u64,
) -> Result<(usize, u64), Error> {
    let mut arena = Arena { bytes: grouping.inputs };
    let mut records = Records::new(plan, grouping, memory);
    let (mut imported, mut rows) = (Vec::with_capacity(counts.len()), 0);
    let bytes = inputs.records(grouping);
    for (t, given) in bags.into_iter().enumerate() {
        let Some(table) = plan.layout.tables().get(t) else {
            return Ok(check::table_count(&plan.layout, "batches", t + 1).map(|()| (0, 0))?);
        };
        let (bags, lookups) = (given.bags(), given.lookups());
        rows = check::batch_size(&plan.layout, t, bags, lookups, (t > 0).then_some(rows))?;
        let (indices, starts) = (take_rows(&mut arena, table, lookups), take_starts(&mut arena, bags));
        let weights = given.weights.map_or(0, |weights| weights.address());
        // Lookups without a bag are found wrong there, and grouped as none.
        let grouped = if bags == 0 { 0 } else { lookups };
        let pooling = given.pooling;
        records.put::<F>(
            bytes,
            t,
            Placed { rows, bags, lookups: grouped, pooling, indices, starts, weights },
            &mut counts[t],
        );
        let (form, offsets): (u32, Option<Integers<'_>>) = match given.offsets {
            DeviceOffsets::OnePerBag => (0, None),
            DeviceOffsets::Starts(entries) => (1, Some(entries)),
            DeviceOffsets::WithLast(entries) => (2, Some(entries)),
        };
        let offset_kind = offsets.map_or(Integer::U32, |entries| entries.kind);
        let import = ImportTable {
            indices: given.indices.address,
            offsets: offsets.map_or(0, |entries| entries.address),
            weights,
            to_rows: memory + indices as u64,
            to_starts: memory + starts as u64,
            found: memory + grouping.found_at(t) as u64,
            rows: table.addresses(),
            lookups: lookups as u32,
            bags: bags as u32,
            index_kind: given.indices.kind as u32,
            offset_kind: offset_kind as u32,
            form,
            wide: u32::from(is_wide(table)),
        };
        put_at(bytes, grouping.imports, t, &import);
        imported.push(Imported { rows: table.addresses(), bags, lookups, index_kind: given.indices.kind, offset_kind });
    }
    check::table_count(&plan.layout, "batches", imported.len())?;
    inputs.imported = imported;
    // Not a number that a batch on the host is likely to have.
    let number = BATCHES.fetch_add(1, Ordering::Relaxed);
    Ok((rows, number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Starts the kernel that checks and copies the batch.
///
/// # Safety
///
/// At `memory` is the memory of a group of the plan's, with records that [`load`] wrote once earlier work of the queue is done;
/// nobody else uses it meanwhile, and the numbers that the batch was given stay.
pub(super) unsafe fn launch<F: Element, D: Device>(
    device: &D,
    queue: &mut D::Queue,
    plan: &GroupingPlan,
    memory: u64,
) -> Result<(), Error> {
    let (count, blocks) = (plan.tables.len() as u32, plan.import_blocks as u32);
    let args = ImportArgs { tables: memory + plan.imports as u64, count, blocks };
    // SAFETY: the caller's; inputs have room for what was counted.
    unsafe { device.launch(queue, Kernel::GroupImport, F::DOUBLE, plan.import_dims(), &args) }
}

/// What is wrong with a batch, if anything: of the first such table what the host would have said. Waits for the device.
pub(super) fn check<D: Device>(
    device: &D,
    queue: &mut D::Queue,
    plan: &GroupingPlan,
    imported: &[Imported],
    memory: u64,
) -> Result<(), Error> {
    if imported.is_empty() {
        return Ok(());
    }
    let mut found = vec![<ImportFound as bytemuck::Zeroable>::zeroed(); imported.len() * plan.import_blocks];
    // SAFETY: the memory of a group of the plan's, which is borrowed, has so many.
    unsafe { device.download(queue, memory + plan.found_at(0) as u64, bytemuck::cast_slice_mut(&mut found))? };
    for (t, (found, of)) in found.chunks(plan.import_blocks).zip(imported).enumerate() {
        if let Some(error) = of.error(found) {
            return Err(error.of_table(t).into());
        }
    }
    Ok(())
}

impl Imported {
    /// What is wrong, in the order in which [`ttcore::Bags::new`] looks.
    fn error(&self, found: &[ImportFound]) -> Option<BagsError> {
        let first = |at: fn(&ImportFound) -> u32| {
            found.iter().filter(|found| at(found) != u32::MAX).min_by_key(|found| at(found))
        };
        if let Some(found) = first(|found| found.index_at) {
            let (position, index) = (found.index_at as usize, self.index_kind.value(found.index));
            return Some(BagsError::IndexOutOfRange { position, index, rows: self.rows });
        }
        if let Some(found) = first(|found| found.offset_at) {
            return Some(self.offset_error(found));
        }
        let found = first(|found| found.weight_at)?;
        let value = ["NaN", "infinity", "-infinity"][found.weight.min(2) as usize];
        Some(BagsError::WeightNotFinite { position: found.weight_at as usize, value })
    }

    fn offset_error(&self, found: &ImportFound) -> BagsError {
        let (position, lookups, base) = (found.offset_at as usize, self.lookups, 0);
        let [offset, previous] = [found.offset, found.previous].map(|bits| self.offset_kind.value(bits));
        match position {
            0 if offset != 0 => BagsError::FirstOffset { offset },
            _ if offset < previous => BagsError::OffsetDecreases { position, previous, offset },
            _ if offset > lookups as i128 => BagsError::OffsetOutOfRange { position, offset, base, lookups },
            _ => BagsError::LastOffset { position: self.bags, offset, base, lookups },
        }
    }
}
