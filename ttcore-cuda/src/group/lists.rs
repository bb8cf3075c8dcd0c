//! The lists of a batch, copied back from the device.

use super::Group;
use crate::args::{FUSED_TABLES, FusedTable, FusedUnit};
use crate::device::{Device, Element, Fence};
use crate::error::Error;
use crate::plan::Plan;

/// What the fused kernels read of one table's batch, as plain numbers: lists by their names in `kernels/fused.cuh`, and the
/// numbers of its descriptor. Wherever a batch is grouped, these are the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableLists {
    /// Lists by name; of `f32` and `f64` the bits.
    pub lists: Vec<(&'static str, Vec<u64>)>,
}

/// Copies back.
struct Reader<'c, D: Device> {
    device: &'c D,
    queue: &'c mut D::Queue,
    lists: Vec<(&'static str, Vec<u64>)>,
}

impl<D: Device> Reader<'_, D> {
    /// `len` items of `size` bytes, 4 or 8, at an address.
    fn list(&mut self, name: &'static str, address: u64, len: usize, size: usize) -> Result<(), Error> {
        let mut bytes = vec![0; len * size];
        // SAFETY: the lists of a group that is borrowed, each at least so long, as their kernels were done.
        unsafe { self.device.download(self.queue, address, &mut bytes)? };
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.lists.push((name, bytes.chunks(size).map(word).collect()));
        Ok(())
    }
}

impl<F: Element, D: Device> Group<F, D> {
    /// Of every fused table, in order. None without a batch.
    pub(crate) fn lists(&self, device: &D, queue: &mut D::Queue, plan: &Plan) -> Result<Vec<TableLists>, Error> {
        let (memory, fused) = (D::address(&self.memory), &plan.fused);
        let tables = if self.rows == 0 && self.fingerprint == 0 { &[][..] } else { &fused.tables };
        self.fence.begin_use(queue)?;
        let mut all = Vec::new();
        let mut units_before = 0;
        for number in 0..tables.len() {
            let mut bytes = [0; size_of::<FusedTable>()];
            let at = memory + (fused.descriptors + number * size_of::<FusedTable>()) as u64;
            // SAFETY: the descriptors of a group that is borrowed.
            unsafe { device.download(queue, at, &mut bytes)? };
            let table: FusedTable = bytemuck::pod_read_unaligned(&bytes);
            let mut reader = Reader { device, queue, lists: Vec::new() };
            read::<F, D>(&mut reader, &table)?;
            if number.is_multiple_of(FUSED_TABLES) {
                units_before = 0;
            }
            let units =
                memory + (fused.launches[number / FUSED_TABLES].units + units_before * size_of::<FusedUnit>()) as u64;
            let count = table.units_end as usize - units_before;
            reader.list("units", units, count * size_of::<FusedUnit>() / 4, 4)?;
            units_before = table.units_end as usize;
            all.push(TableLists { lists: reader.lists });
        }
        Ok(all)
    }
}

fn read<F: Element, D: Device>(reader: &mut Reader<'_, D>, table: &FusedTable) -> Result<(), Error> {
    let numbers = [
        table.products,
        table.rows,
        table.row_grads,
        table.first_grads,
        table.middle_grads,
        table.core_grads,
        table.core2,
        table.core3,
        table.dense,
        table.parameters,
        table.origin,
        table.unit,
        table.lookups_before,
    ];
    let counts = [
        table.outers_before,
        table.outers,
        table.units_end,
        table.features_before,
        table.features,
        table.output_rows,
        table.lookups,
        table.core_rows,
        table.dense_count,
        table.firsts,
        table.middles,
        table.lasts,
        table.slices_before,
        table.m1,
        table.m2,
        table.n1,
        table.n2,
        table.n3,
        table.r1,
        table.r2,
        table.tile_n1,
        table.tile_n2,
        table.tile_r1,
        table.tile_r2,
    ];
    reader.lists.push(("numbers", numbers.to_vec()));
    reader.lists.push(("counts", counts.map(u64::from).to_vec()));
    let [bags, lookups] = [table.features as usize * table.output_rows as usize, table.lookups as usize];
    let (cores, dense) = (table.core_rows as usize, table.dense_count as usize);
    reader.list("bag_starts", table.bag_starts, bags + 1, 4)?;
    reader.list("places", table.places, if table.places == 0 { 0 } else { bags }, 4)?;
    reader.list("bag_of", table.bag_of, lookups, 4)?;
    reader.list("row_of", table.row_of, lookups, 4)?;
    reader.list("factors", table.factors, lookups, F::BYTES)?;
    reader.list("scales", table.scales, bags, F::BYTES)?;
    reader.list("row_starts", table.row_starts, cores + dense + 1, 4)?;
    reader.list("row_places", table.row_places, lookups, 4)?;
    reader.list("row_factors", table.row_factors, lookups, F::BYTES)?;
    reader.list("dense_rows", table.dense_rows, dense, 8)?;
    if table.m1 == 0 {
        return Ok(());
    }
    reader.list("row_pairs", table.row_pairs, cores, 4)?;
    reader.list("row_digits", table.row_digits, cores, 4)?;
    reader.list("first_starts", table.first_starts, table.firsts as usize + 1, 4)?;
    let pairs = reader.lists.last().and_then(|(_, starts)| starts.last()).map_or(0, |&pairs| pairs as usize);
    reader.list("pair_firsts", table.pair_firsts, pairs, 4)?;
    reader.list("pair_rows", table.pair_rows, pairs + 1, 4)?;
    reader.list("first_pairs", table.first_pairs, pairs, 4)?;
    let occur = [table.firsts, table.middles, table.lasts].map(|digits| digits as usize);
    for ((name, digits), occur) in ["digits 0", "digits 1", "digits 2"].into_iter().zip(table.digits).zip(occur) {
        reader.list(name, digits, occur, 8)?;
    }
    reader.list("middle_parts", table.middle_parts, table.middles as usize + 1, 4)?;
    reader.list("last_starts", table.last_starts, table.lasts as usize + 1, 4)?;
    reader.list("last_rows", table.last_rows, cores, 4)
}
