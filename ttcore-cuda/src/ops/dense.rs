//! Rows held as they are, and sinks that visit parameters that a batch does not touch.

use super::{Of, Step};
use crate::args::{DenseArgs, UntouchedArgs};
use crate::device::{Device, Dims, Element, Kernel};
use crate::error::Error;
use crate::tiles;

impl<F: Element, D: Device> Step<'_, F, D> {
    /// Gradients of the dense rows of a batch, into the table's sink.
    pub(super) fn dense_rows(&mut self, of: Of<'_>, grad_out: u64) -> Result<(), Error> {
        let Of { table, places, counts, .. } = of;
        if counts.dense_rows == 0 {
            return Ok(());
        }
        let by_blocks = of.sink.has_rule_of_blocks();
        // Behind the rows of the cores, in the order of rows.
        let starts = self.list(places.row_starts) + (counts.core_rows * size_of::<u32>()) as u64;
        let args = DenseArgs {
            sink: of.sink,
            dense_rows: self.list(places.dense_rows),
            starts,
            places: self.list(places.row_places),
            factors: self.list(places.row_factors),
            grad_out: grad_out + super::bytes::<F>(of.features.origin()),
            unit: of.features.unit() as u64,
            dim: table.dim() as u64,
            base: table.core_parameters() as u64,
            rows: counts.dense_rows as u64,
            grads: if by_blocks { self.values(self.plan.scratch.dense) } else { 0 },
        };
        self.launch(Kernel::DenseRows, Dims::blocks(counts.dense_rows, table.dim()), &args)?;
        if by_blocks {
            let blocks = counts.dense_rows.div_ceil(tiles::NORM_ROWS);
            let dims = Dims::blocks(blocks, Dims::MOST_THREADS as usize);
            self.launch(Kernel::NormDense, Dims { shared: tiles::norm_bytes::<F>(), ..dims }, &args)?;
        }
        Ok(())
    }

    /// A gradient of zero, to the sink, of slices and dense rows that the batch did not touch.
    pub(super) fn untouched(&mut self, of: Of<'_>) -> Result<(), Error> {
        let Of { table, places, counts, sink, .. } = of;
        if let Some(shape) = table.cores() {
            for (k, (core, &runs)) in places.cores.iter().zip(&counts.runs).enumerate() {
                let (slices, len) = (shape.row_factors()[k], shape.slice_len(k));
                let args = UntouchedArgs {
                    sink,
                    touched: self.list(core.run_digits),
                    base: shape.core_range(k).start as u64,
                    slices: slices as u64,
                    len: len as u64,
                    count: runs as u32,
                    cores: 1,
                };
                self.launch(Kernel::Untouched, Dims::blocks(slices, len), &args)?;
            }
        }
        let (rows, len) = (table.dense_rows() as usize, table.dim());
        let args = UntouchedArgs {
            sink,
            touched: self.list(places.dense_rows),
            base: table.core_parameters() as u64,
            slices: rows as u64,
            len: len as u64,
            count: counts.dense_rows as u32,
            cores: 0,
        };
        if rows == 0 { Ok(()) } else { self.launch(Kernel::Untouched, Dims::blocks(rows, len), &args) }
    }
}
