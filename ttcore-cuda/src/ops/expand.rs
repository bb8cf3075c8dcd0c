//! Rows, uncompressed: the products of Algorithm 1 without bags. Rare, so that the host may wait.

use std::marker::PhantomData;

use super::batched::Train;
use super::bytes;
use super::product::{Items, Products};
use crate::args::CopyRowsArgs;
use crate::device::{Device, Dims, Element, Kernel};
use crate::error::Error;
use crate::memory::Scratch;
use crate::plan::Plan;

/// Writes the rows of table `t` at these addresses, which are checked, to `out`, `[n][N]`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn expand<F: Element, D: Device>(
    device: &D,
    queue: &mut D::Queue,
    plan: &Plan,
    scratch: &mut Scratch<D>,
    t: usize,
    params: u64,
    rows: &[u64],
    out: u64,
) -> Result<(), Error> {
    let (table, memory) = (&plan.layout.tables()[t], D::address(&scratch.memory));
    let at = |place: usize| memory + place as u64;
    let (mut digits, mut dense_rows) = (Vec::new(), Vec::new());
    for (number, rows) in rows.chunks(plan.chunk).enumerate() {
        let out = out + bytes::<F>(number * plan.chunk * table.dim());
        let in_cores = |&row: &u64| row < table.core_rows();
        dense_rows.clear();
        dense_rows.extend(rows.iter().map(|row| if in_cores(row) { u64::MAX } else { row - table.core_rows() }));
        // SAFETY: scratch memory has room for a chunk and is borrowed.
        unsafe { device.upload(queue, bytemuck::cast_slice(&dense_rows), at(plan.scratch.dense_rows))? };
        if let Some(shape) = table.cores() {
            digits.clear();
            for k in 0..shape.cores() {
                // Dense rows get slices too: their products are overwritten below.
                digits.extend(rows.iter().map(|row| if in_cores(row) { shape.digit(*row, k) as u32 } else { 0 }));
            }
            // SAFETY: scratch memory has room for the digits of a chunk in every core, and is borrowed.
            unsafe { device.upload(queue, bytemuck::cast_slice(&digits), at(plan.scratch.digits))? };
            let list = |k: usize| at(plan.scratch.digits) + (k * rows.len() * size_of::<u32>()) as u64;
            let train = Train { shape, size: F::BYTES, params, digits: &list, scratch: &plan.scratch, memory };
            let pointers = at(plan.scratch.pointers);
            let (count, capacity) = (rows.len(), plan.chunk);
            let items = Items { first: 0, count, row_of: 0, core_rows: count, pointers, capacity };
            let mut on = Products::<F, D> { device, queue, numbers: PhantomData };
            train.multiply(&mut on, items, shape.cores() - 1, out)?;
        }
        let args = CopyRowsArgs {
            dense_rows: at(plan.scratch.dense_rows),
            dense: params + bytes::<F>(table.core_parameters()),
            out,
            dim: table.dim() as u64,
            count: rows.len() as u64,
        };
        let dims = Dims::blocks(rows.len(), table.dim());
        // SAFETY: parameters and output have the lengths that were checked, scratch memory the chunk's rows, as written above.
        unsafe { device.launch(queue, Kernel::CopyRows, F::DOUBLE, dims, &args)? };
    }
    Ok(())
}
