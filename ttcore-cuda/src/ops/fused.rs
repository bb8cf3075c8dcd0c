//! The fused kernels: all tables of three cores, and those without cores, in a few launches. See `kernels/fused.cu`.

use super::Step;
use crate::args::{FUSED_TABLES, FusedArgs, FusedTable, Sink};
use crate::device::{Device, Dims, Element, Kernel};
use crate::error::Error;

impl<F: Element, D: Device> Step<'_, F, D> {
    /// Pooled rows, from the products of pairs, which are left in `saved`, if given.
    pub(super) fn fused_forward(&mut self, out: u64, saved: Option<u64>) -> Result<(), Error> {
        let fused = &self.plan.fused;
        let products = saved.unwrap_or_else(|| self.values(self.plan.scratch.saved));
        let shared = fused.shared as u32;
        let pairs = Dims { shared, ..Dims::blocks(fused.middles, Dims::MOST_THREADS as usize) };
        for first in self.launches() {
            let args = FusedArgs { products, out, ..self.fused_args(first) };
            if fused.middles > 0 {
                self.launch(Kernel::FusedPairs, pairs, &args)?;
            }
            let bags = self.plan.layout.bags() * args.count as usize;
            self.launch(Kernel::FusedPool, Dims::blocks(bags, fused.dim), &args)?;
        }
        Ok(())
    }

    /// Gradients of the weights of lookups.
    pub(super) fn fused_weights(&mut self, saved: u64, grad_out: u64, out: u64) -> Result<(), Error> {
        for first in self.launches() {
            let args = FusedArgs { products: saved, grad_out, out, ..self.fused_args(first) };
            self.launch(Kernel::FusedWeights, Dims::threads(self.plan.layout.lookups()), &args)?;
        }
        Ok(())
    }

    /// Gradients of all parameters, into their sinks.
    pub(super) fn fused_backward(&mut self, saved: u64, grad_out: u64) -> Result<(), Error> {
        let fused = &self.plan.fused;
        for first in self.launches() {
            let args = FusedArgs { products: saved, grad_out, ..self.fused_args(first) };
            if fused.middles > 0 {
                let dims = Dims::blocks(fused.middles, Dims::MOST_THREADS as usize);
                self.launch(Kernel::FusedMiddle, dims, &args)?;
            }
            self.launch(Kernel::FusedOuter, Dims::blocks(fused.outers, 2 * fused.dim.max(32)), &args)?;
        }
        Ok(())
    }

    /// The first table of each launch, among the fused ones. None for a group that holds no batch, perhaps after an error:
    /// its memory on the device may still describe one, for which there is no output.
    fn launches(&self) -> impl Iterator<Item = usize> + use<F, D> {
        let tables = if self.bags == 0 { 0 } else { self.plan.fused.tables.len() };
        (0..tables).step_by(FUSED_TABLES)
    }

    /// What all kernels are given for the tables of a launch.
    fn fused_args(&self, first: usize) -> FusedArgs {
        let fused = &self.plan.fused;
        let tables = fused.tables[first..].iter().take(FUSED_TABLES);
        let mut sinks = [Sink::frozen(0); FUSED_TABLES];
        for (sink, &t) in sinks.iter_mut().zip(tables.clone()) {
            *sink = self.sinks[t];
        }
        FusedArgs {
            tables: self.list(fused.descriptors + first * size_of::<FusedTable>()),
            products: 0,
            scratch: self.scratch,
            grad_out: 0,
            out: 0,
            stride: self.stride(),
            count: tables.len() as u32,
            shared: (fused.shared / F::BYTES) as u32,
            sinks,
        }
    }
}
