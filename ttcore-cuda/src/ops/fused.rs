//! The fused kernels: all tables of three cores, and those without cores, in a few launches. See `kernels/fused.cuh`.

use super::Step;
use crate::args::{FUSED_TABLES, FusedArgs, FusedTable, Sink};
use crate::device::{Device, Dims, Element, Kernel};
use crate::error::Error;
use crate::plan::LaunchPlan;
use crate::tiles;

impl<'c, F: Element, D: Device> Step<'c, F, D> {
    /// Pooled rows; what backward needs is left in `saved`, if given.
    pub(super) fn fused_forward(&mut self, out: u64, saved: Option<u64>) -> Result<(), Error> {
        let [shared, ..] = tiles::shared_bytes::<F>();
        for (number, launch) in self.launches() {
            let args = FusedArgs { saved: saved.unwrap_or(0), out, ..self.fused_args(number, launch) };
            if launch.most_units > 0 {
                self.launch(Kernel::FusedPairs, units(launch, shared), &args)?;
            }
            let numbers = self.plan.layout.bags() * launch.features * launch.dim;
            self.launch(Kernel::FusedPool, Dims::threads(numbers), &args)?;
        }
        Ok(())
    }

    /// Gradients of the weights of lookups.
    pub(super) fn fused_weights(&mut self, saved: u64, grad_out: u64, out: u64) -> Result<(), Error> {
        for (number, launch) in self.launches() {
            let args = FusedArgs { saved, grad_out, out, ..self.fused_args(number, launch) };
            self.launch(Kernel::FusedWeights, Dims::threads(self.plan.layout.lookups()), &args)?;
        }
        Ok(())
    }

    /// Gradients of all parameters, into their sinks.
    pub(super) fn fused_backward(&mut self, saved: u64, grad_out: u64) -> Result<(), Error> {
        let [_, middle, outer] = tiles::shared_bytes::<F>();
        for (number, launch) in self.launches() {
            let args = FusedArgs { saved, grad_out, ..self.fused_args(number, launch) };
            if launch.most_units > 0 {
                self.launch(Kernel::FusedMiddle, units(launch, middle), &args)?;
            }
            let dims = Dims::blocks(launch.most_outers, Dims::MOST_THREADS as usize);
            self.launch(Kernel::FusedOuter, Dims { shared: outer, ..dims }, &args)?;
            if args.sinks.iter().any(Sink::has_rule_of_blocks) {
                let dims = Dims::blocks(launch.most_slices, Dims::MOST_THREADS as usize);
                self.launch(Kernel::FusedSlices, Dims { shared: tiles::norm_bytes::<F>(), ..dims }, &args)?;
            }
            if args.sinks.iter().any(Sink::visits_all) {
                let dims = Dims::blocks(launch.most_blocks, Dims::MOST_THREADS as usize);
                self.launch(Kernel::FusedUntouched, dims, &args)?;
            }
        }
        Ok(())
    }

    /// The launches, by number. None for a group that holds no batch, perhaps after an error: its memory on the device may
    /// still describe one, for which there is no output.
    fn launches(&self) -> impl Iterator<Item = (usize, &'c LaunchPlan)> + use<'c, F, D> {
        let launches = if self.rows == 0 { &[] } else { &self.plan.fused.launches[..] };
        launches.iter().enumerate()
    }

    /// What all kernels are given for the tables of a launch.
    fn fused_args(&self, number: usize, launch: &LaunchPlan) -> FusedArgs {
        let (fused, first) = (&self.plan.fused, number * FUSED_TABLES);
        let tables = fused.tables[first..].iter().take(FUSED_TABLES);
        let mut sinks = [Sink::frozen(0); FUSED_TABLES];
        for (sink, &t) in sinks.iter_mut().zip(tables.clone()) {
            *sink = self.sinks[t];
        }
        FusedArgs {
            tables: self.list(fused.descriptors + first * size_of::<FusedTable>()),
            units: self.list(launch.units),
            saved: 0,
            scratch: self.scratch,
            grad_out: 0,
            out: 0,
            count: tables.len() as u32,
            dim: launch.dim as u32,
            sinks,
        }
    }
}

/// One block for each unit.
fn units(launch: &LaunchPlan, shared: u32) -> Dims {
    Dims { shared, ..Dims::blocks(launch.most_units, tiles::THREADS) }
}
