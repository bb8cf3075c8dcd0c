//! Algorithms 1 and 2 of the paper, with their misprints mended: the sum over a bag ends at `offsets[i + 1] - 1`, and a bag
//! that crosses from one chunk to the next goes on from what the first left. Any number of cores.
//!
//! Lookups are taken in chunks, in order and as they come: duplicates are computed again. Products are recomputed in
//! backward, where their memory then takes the gradients of the products, as in the paper. Instead of atomics, the slices
//! of a core have owners: see `kernels/batched.cu`.

use std::marker::PhantomData;

use ttcore::TtShape;

use super::product::{Items, Products, Size};
use super::{Of, Step, bytes};
use crate::args::{AccumulateArgs, ApplyArgs, Kind, Operand, PoolArgs, RowGradientsArgs};
use crate::device::{Device, Dims, Element, Kernel};
use crate::error::Error;
use crate::plan::ScratchPlan;
use crate::tiles;

/// The cores of one table in one chunk: the operands of its products.
pub(super) struct Train<'c> {
    pub(super) shape: &'c TtShape,
    /// Bytes of a number.
    pub(super) size: usize,
    /// Where the parameters are.
    pub(super) params: u64,
    /// Where the digits of the rows are, for each core.
    pub(super) digits: &'c dyn Fn(usize) -> u64,
    pub(super) scratch: &'c ScratchPlan,
    /// Where scratch memory is.
    pub(super) memory: u64,
}

impl Train<'_> {
    /// The slices of core `k`.
    fn slices(&self, k: usize) -> Operand {
        let base = self.params + (self.shape.core_range(k).start * self.size) as u64;
        Operand { base, stride: self.shape.slice_len(k) as u64, digits: (self.digits)(k) }
    }

    /// One matrix of `len` numbers for each item.
    fn matrices(&self, base: u64, len: usize) -> Operand {
        Operand { base, stride: len as u64, digits: 0 }
    }

    /// The products of the first `k` slices; or their gradients, once they are not needed any more.
    fn products(&self, k: usize) -> Operand {
        self.matrices(self.memory + self.scratch.products[k - 1] as u64, self.shape.prefix_len(k))
    }

    /// The products of the first `k` slices where they are in forward.
    fn prefixes(&self, k: usize) -> Operand {
        if k == 1 { self.slices(0) } else { self.products(k) }
    }

    /// Sizes of the product with core `k`.
    fn size(&self, k: usize) -> Size {
        let rank = self.shape.ranks()[k];
        Size { height: self.shape.prefix_len(k) / rank, rank, width: self.shape.slice_len(k) / rank }
    }

    /// Lines 8 to 11 of Algorithm 1: products with the cores up to `last`; with the last core of all, to `rows`.
    pub(super) fn multiply<F: Element, D: Device>(
        &self,
        on: &mut Products<'_, F, D>,
        items: Items,
        last: usize,
        rows: u64,
    ) -> Result<(), Error> {
        for k in 1..=last {
            let whole = k + 1 == self.shape.cores();
            let to = if whole { self.matrices(rows, self.shape.dim()) } else { self.products(k + 1) };
            on.forward(items, self.size(k), [self.prefixes(k), self.slices(k), to])?;
        }
        Ok(())
    }
}

impl<F: Element, D: Device> Step<'_, F, D> {
    /// Algorithm 1 for one table; rows to `saved`, if given.
    pub(super) fn batched_forward(&mut self, of: Of<'_>, out: u64, saved: Option<u64>) -> Result<(), Error> {
        let (dim, group) = (of.table.dim(), self.group);
        let digits = |k: usize| group + of.places.cores[k].digits as u64;
        for first in chunks(of.counts.lookups, self.plan.chunk) {
            let items = self.items(of, first);
            let rows = match saved {
                Some(saved) => saved + of.places.saved as u64 + bytes::<F>(first * dim),
                None => self.values(self.plan.scratch.rows),
            };
            if let (Some(shape), true) = (of.table.cores(), of.counts.core_rows > 0) {
                let train = self.train(of, shape, &digits);
                train.multiply(&mut self.products(), items, shape.cores() - 1, rows)?;
            }
            let pool = PoolArgs {
                rows,
                dense: of.dense,
                dense_rows: self.list(of.places.dense_rows),
                row_of: items.row_of,
                bag_starts: self.list(of.places.bag_starts),
                places: of.bag_places,
                factors: self.list(of.places.factors),
                out: out + bytes::<F>(of.features.origin()),
                unit: of.features.unit() as u64,
                dim: dim as u64,
                first: first as u64,
                count: items.count as u32,
                core_rows: items.core_rows as u32,
                bags: of.counts.bags as u32,
                unused: 0,
            };
            if of.counts.bags > 0 {
                self.launch(Kernel::Pool, Dims::blocks(of.counts.bags, dim), &pool)?;
            }
        }
        Ok(())
    }

    /// Algorithm 2 for the cores of one table, into its sink.
    pub(super) fn batched_backward(&mut self, of: Of<'_>, grad_out: u64) -> Result<(), Error> {
        let Some(shape) = of.table.cores() else { return Ok(()) };
        if of.counts.core_rows == 0 {
            return Ok(());
        }
        let (last, group) = (shape.cores() - 1, self.group);
        let digits = |k: usize| group + of.places.cores[k].digits as u64;
        // A rule is applied once, to the sum over all chunks.
        let sums = if of.sink.updates() {
            let sums = self.values(self.plan.scratch.cores);
            let len = bytes::<F>(shape.parameters()) as usize;
            // SAFETY: scratch memory has room for the cores of the largest table, and is borrowed.
            unsafe { self.device.zero(self.queue, sums, len)? };
            sums
        } else {
            of.sink.first
        };
        for first in chunks(of.counts.lookups, self.plan.chunk) {
            let items = self.items(of, first);
            let train = self.train(of, shape, &digits);
            train.multiply(&mut self.products(), items, last - 1, 0)?;
            let rows = self.values(self.plan.scratch.rows);
            self.row_gradients(of, items, grad_out, rows)?;
            let slices = self.values(self.plan.scratch.slices);
            let mut grads = train.matrices(rows, shape.dim());
            for k in (1..=last).rev() {
                let slice_grads = train.matrices(slices, shape.slice_len(k));
                let mut on = self.products();
                on.right_gradient(items, train.size(k), [train.prefixes(k), grads, slice_grads])?;
                // The product is not needed any more: its gradient takes its place.
                on.left_gradient(items, train.size(k), [grads, train.slices(k), train.products(k)])?;
                grads = train.products(k);
                self.accumulate(of, shape, k, items, slices, sums)?;
            }
            self.accumulate(of, shape, 0, items, grads.base, sums)?;
        }
        if of.sink.updates() {
            self.apply(of, shape, sums)?;
        }
        Ok(())
    }

    fn row_gradients(&mut self, of: Of<'_>, items: Items, grad_out: u64, grads: u64) -> Result<(), Error> {
        let args = RowGradientsArgs {
            grad_out: grad_out + bytes::<F>(of.features.origin()),
            bag_of: self.list(of.places.bag_of),
            places: of.bag_places,
            factors: self.list(of.places.factors),
            grads,
            unit: of.features.unit() as u64,
            dim: of.table.dim() as u64,
            first: items.first as u64,
            count: items.count as u64,
        };
        self.launch(Kernel::RowGradients, Dims::blocks(items.count, of.table.dim()), &args)
    }

    /// Adds a chunk's gradients of slices of core `k` to those of the core.
    fn accumulate(
        &mut self,
        of: Of<'_>,
        shape: &TtShape,
        k: usize,
        items: Items,
        grads: u64,
        sums: u64,
    ) -> Result<(), Error> {
        let (core, runs, len) = (&of.places.cores[k], of.counts.runs[k], shape.slice_len(k));
        let args = AccumulateArgs {
            digits: self.list(core.run_digits),
            starts: self.list(core.run_starts),
            lookups: self.list(core.run_lookups),
            grads,
            target: sums + bytes::<F>(shape.core_range(k).start),
            first: items.first as u64,
            count: items.count as u32,
            runs: runs as u32,
            len: len as u64,
            overwrite: u64::from(of.sink.is(Kind::Overwrite)),
        };
        self.launch(Kernel::Accumulate, Dims::blocks(runs, len), &args)
    }

    /// The rule of the cores, on all slices that the batch touched.
    fn apply(&mut self, of: Of<'_>, shape: &TtShape, sums: u64) -> Result<(), Error> {
        let by_blocks = of.sink.has_rule_of_blocks();
        for (k, (core, &runs)) in of.places.cores.iter().zip(&of.counts.runs).enumerate() {
            let (start, len) = (shape.core_range(k).start, shape.slice_len(k));
            let args = ApplyArgs {
                sink: of.sink,
                digits: self.list(core.run_digits),
                grads: sums + bytes::<F>(start),
                base: start as u64,
                len: len as u64,
                runs: runs as u64,
                slices_before: shape.slice_number(k, 0) as u64,
            };
            let dims = Dims::blocks(runs, len);
            if by_blocks {
                self.launch(Kernel::NormSlices, Dims { shared: tiles::norm_bytes::<F>(), ..dims }, &args)?;
            } else {
                self.launch(Kernel::ApplySlices, dims, &args)?;
            }
        }
        Ok(())
    }

    fn items(&self, of: Of<'_>, first: usize) -> Items {
        Items {
            first,
            count: self.plan.chunk.min(of.counts.lookups - first),
            row_of: self.list(of.places.row_of),
            core_rows: of.counts.core_rows,
            pointers: self.values(self.plan.scratch.pointers),
            capacity: self.plan.chunk,
        }
    }

    fn train<'t>(&self, of: Of<'_>, shape: &'t TtShape, digits: &'t dyn Fn(usize) -> u64) -> Train<'t>
    where
        Self: 't,
    {
        let (size, scratch) = (F::BYTES, &self.plan.scratch);
        Train { shape, size, params: of.sink.params, digits, scratch, memory: self.scratch }
    }

    fn products(&mut self) -> Products<'_, F, D> {
        Products { device: self.device, queue: self.queue, numbers: PhantomData }
    }
}

/// Where the chunks of a batch begin. There is always one: it writes empty bags.
fn chunks(lookups: usize, chunk: usize) -> impl Iterator<Item = usize> {
    (0..lookups.max(1)).step_by(chunk)
}
