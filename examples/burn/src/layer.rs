//! The module: a parameter, and the table that knows what its numbers mean.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use ttcore::{Bags, Index, Offsets, Pooling, TableConfig};
use ttcore_cpu::{Cpu, Threads};
use ttcore_passes::Table;

use crate::Error;
use crate::op::{self, Number};

/// A TT table with pooling, on burn's backend `Flex`, in `f32` or `f64`.
#[derive(Module, Debug)]
pub struct TtEmbeddingBag {
    /// `[parameters]`: `G_1 .. G_d`, each `[m_k][R_{k-1}][n_k][R_k]`.
    pub cores: Param<Tensor<1>>,
    #[module(skip)]
    config: TableConfig,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    table: Tables,
}

/// The table in both types of numbers: a module may be cast, so the cores of a call say which it is.
#[derive(Clone, Debug)]
struct Tables {
    f32: Arc<Table<f32>>,
    f64: Arc<Table<f64>>,
}

impl TtEmbeddingBag {
    /// A layer whose cores are drawn from a seed as the configuration says, in the device's type of numbers. The update rule
    /// of the configuration means nothing here, the optimiser is burn's.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] for a configuration that makes no sense, [`Error::Isa`]; [`Error::Length`] for one with a cache, as
    /// only a step of `ttcore` keeps one.
    pub fn new(config: TableConfig, pooling: Pooling, seed: u64, device: &Device) -> Result<Self, Error> {
        let mut values = vec![0f64; config.table().core_parameters()];
        if values.len() != config.table().parameters() {
            let (got, want) = (config.table().parameters(), values.len());
            return Err(Error::Length { what: "parameters of a table without rows but those of its cores", got, want });
        }
        config.draw(seed, &mut values);
        let table = Tables::new(&config, Threads::one())?;
        let data = TensorData::new(values, [config.table().parameters()]);
        Ok(Self { cores: Param::from_data(data, device), config, pooling, table })
    }

    /// Has the work done by these threads instead of the calling one. Results do not depend on their number.
    ///
    /// # Errors
    ///
    /// [`Error::Isa`].
    pub fn with_threads(mut self, threads: Threads) -> Result<Self, Error> {
        self.table = Tables::new(&self.config, threads)?;
        Ok(self)
    }

    /// Pooled rows `[B, N]`, zero for an empty bag, of `indices` `[L]` in bags as the offsets say. `weights` `[L]` are
    /// per-sample weights, in the type of the cores, and may have a gradient.
    ///
    /// What backward needs is kept only if the cores or the weights may have a gradient; with it the cores as they are now,
    /// so that a step of the optimiser may come before the backward.
    ///
    /// # Errors
    ///
    /// [`Error::Table`], which names position and value, for indices that are no row of the table, offsets that are none, or
    /// weights that are not one for each lookup; [`Error::DType`], [`Error::Length`] or [`Error::Backend`] for weights, or
    /// cores that were loaded, of another type, length or backend.
    pub fn forward<I: Index, O: Index>(
        &self,
        indices: &[I],
        offsets: Offsets<'_, O>,
        weights: Option<Tensor<1>>,
    ) -> Result<Tensor<2>, Error> {
        let cores = self.cores.val();
        match cores.dtype() {
            DType::F32 => self.pass(&self.table.f32, cores, indices, offsets, weights),
            DType::F64 => self.pass(&self.table.f64, cores, indices, offsets, weights),
            got => Err(Error::DType { what: "cores", got }),
        }
    }

    fn pass<F: Number, I: Index, O: Index>(
        &self,
        table: &Arc<Table<F>>,
        cores: Tensor<1>,
        indices: &[I],
        offsets: Offsets<'_, O>,
        weights: Option<Tensor<1>>,
    ) -> Result<Tensor<2>, Error> {
        let (got, want) = (cores.dims()[0], self.config.table().parameters());
        if got != want {
            return Err(Error::Length { what: "cores", got, want });
        }
        op::tt_bags(cores, weights, |weights, mode| {
            let bags = Bags::new(self.config.rows(), indices, offsets, self.pooling, weights)?;
            let shape = [bags.bags(), self.config.table().dim()];
            Ok((table.group(bags, mode)?, shape))
        })
    }

    /// How the table is held.
    pub fn config(&self) -> &TableConfig {
        &self.config
    }
}

impl Tables {
    fn new(config: &TableConfig, threads: Threads) -> Result<Self, Error> {
        let f32 = Table::new(Cpu::new()?, threads.clone(), config.clone())?;
        Ok(Self { f32, f64: Table::new(Cpu::new()?, threads, config.clone())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_as_long_as_there_may_be_gradients() {
        let config = TableConfig::tt(ttcore::TtShape::paper(100, 4, 2, 2).expect("a shape"));
        let trained = TtEmbeddingBag::new(config, Pooling::Sum, 1, &Device::flex().autodiff()).expect("a layer");
        let spare = || trained.table.f32.spare_batches();
        let forward = |layer: &TtEmbeddingBag| {
            layer.forward(&[3u32, 99], Offsets::Starts(&[0u32]), None).expect("a batch that fits")
        };

        // All of them on the same table.
        let out = [forward(&trained.valid()), forward(&trained.clone().no_grad())];
        assert_eq!((spare(), out[0].dims()), (1, [1, 4]));
        let outs = [forward(&trained), forward(&trained)];
        assert_eq!(spare(), 0);
        outs[0].backward();
        assert_eq!(spare(), 1, "a graph of burn is asked once");
        outs[1].backward();
        assert_eq!(spare(), 2);
    }
}
