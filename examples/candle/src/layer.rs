//! The layer: a variable, and the table that knows what its numbers mean.

use std::sync::Arc;

use candle_core::{DType, Device, Error, Result, Tensor, Var};
use candle_nn::VarBuilder;
use ttcore::{Bags, Index, Mode, Offsets, Pooling, TableConfig};
use ttcore_cpu::{Cpu, Threads};
use ttcore_passes::Table;

use crate::op::{Number, TtBags, contiguous};

/// A TT table with pooling, on the CPU, in `f32` or `f64`.
#[derive(Clone, Debug)]
pub struct TtEmbeddingBag {
    /// `[parameters]`: `G_1 .. G_d`, each `[m_k][R_{k-1}][n_k][R_k]`.
    cores: Tensor,
    config: TableConfig,
    pooling: Pooling,
    table: Kind,
}

/// The table in the type of the cores.
#[derive(Clone, Debug)]
enum Kind {
    F32(Arc<Table<f32>>),
    F64(Arc<Table<f64>>),
}

impl TtEmbeddingBag {
    /// A layer whose cores are the tensor `cores` of a [`VarBuilder`]: drawn from a seed as the configuration says, or those
    /// there are already. The update rule of the configuration means nothing here, the optimiser is candle's.
    ///
    /// # Errors
    ///
    /// As [`TtEmbeddingBag::with_cores`], or what the [`VarBuilder`] says.
    pub fn new(config: TableConfig, pooling: Pooling, seed: u64, vb: VarBuilder<'_>) -> Result<Self> {
        let drawn = (!vb.contains_tensor("cores")).then(|| draw(&config, seed, vb.dtype(), vb.device())).transpose()?;
        let cores = vb.get_with_hints(config.table().parameters(), "cores", candle_nn::init::ZERO)?;
        if let Some(drawn) = drawn.filter(|_| cores.is_variable()) {
            Var::from_tensor(&cores)?.set(&drawn)?;
        }
        Self::with_cores(config, pooling, cores, Threads::one())
    }

    /// A layer of given cores, `[parameters]` and contiguous on the CPU: a variable, which is trained, or any other tensor,
    /// which is not unless it was computed from one. The work is done by these threads.
    ///
    /// # Errors
    ///
    /// Cores of another shape, type or device; [`ttcore::Error`] for a configuration that makes no sense or with a cache,
    /// as only a step of `ttcore` keeps one.
    pub fn with_cores(config: TableConfig, pooling: Pooling, cores: Tensor, threads: Threads) -> Result<Self> {
        let want = config.table().parameters();
        if cores.dims() != [want] {
            let (expected, got) = (want.into(), cores.shape().clone());
            return Err(Error::UnexpectedShape { msg: "cores".into(), expected, got }.bt());
        }
        if config.table().core_parameters() != want {
            return Err(Error::msg("a layer of candle has no rows but those of the cores"));
        }
        if !cores.device().is_cpu() {
            return Err(Error::msg("the cores of a layer of ttcore-candle are on the CPU"));
        }
        let table = match cores.dtype() {
            DType::F32 => Kind::F32(table(&config, threads)?),
            DType::F64 => Kind::F64(table(&config, threads)?),
            dtype => return Err(Error::UnsupportedDTypeForOp(dtype, "tt-embedding-bag").bt()),
        };
        Ok(Self { cores, config, pooling, table })
    }

    /// Pooled rows `[B, N]`, zero for an empty bag, of `indices` `[L]` in bags as the offsets say. `weights` `[L]` are
    /// per-sample weights, in the type of the cores, and may have a gradient.
    ///
    /// What backward needs is kept only if the cores or the weights may have a gradient. Backward belongs before the step of
    /// the optimiser, which changes cores in place: see [`TtEmbeddingBag::parameters_changed`].
    ///
    /// # Errors
    ///
    /// A wrapped [`ttcore::BagsError`], which names position and value, for indices that are no row of the table, offsets
    /// that are none, or weights that are not one for each lookup; weights of another type or device, or not contiguous.
    pub fn forward<I: Index, O: Index>(
        &self,
        indices: &[I],
        offsets: Offsets<'_, O>,
        weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        match &self.table {
            Kind::F32(table) => self.pass(table, indices, offsets, weights),
            Kind::F64(table) => self.pass(table, indices, offsets, weights),
        }
    }

    fn pass<F: Number, I: Index, O: Index>(
        &self,
        table: &Arc<Table<F>>,
        indices: &[I],
        offsets: Offsets<'_, O>,
        weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let trained = self.cores.track_op() || weights.is_some_and(Tensor::track_op);
        let mode = if trained { Mode::Train } else { Mode::Evaluate };
        let group = |weights: Option<&[F]>| {
            let bags = Bags::new(self.config.rows(), indices, offsets, self.pooling, weights).map_err(Error::wrap)?;
            let shape = (bags.bags(), self.config.table().dim());
            Ok(TtBags::new(table.group(bags, mode).map_err(Error::wrap)?, shape))
        };
        match (weights, trained) {
            (None, true) => self.cores.apply_op1(group(None)?),
            (None, false) => self.cores.apply_op1_no_bwd(&group(None)?),
            (Some(weights), true) => self.cores.apply_op2(weights, contiguous(weights, |w| group(Some(w)))?),
            (Some(weights), false) => self.cores.apply_op1_no_bwd(&contiguous(weights, |w| group(Some(w)))?),
        }
    }

    /// The cores, `[parameters]`: `G_1 .. G_d`, each `[m_k][R_{k-1}][n_k][R_k]`.
    pub fn cores(&self) -> &Tensor {
        &self.cores
    }

    /// How the table is held.
    pub fn config(&self) -> &TableConfig {
        &self.config
    }

    /// Refuses the backward of every forward until now. candle changes variables in place and tells nobody, so that what a
    /// forward kept no longer fits the cores after a step: who lets a forward wait for its backward across one can say so.
    pub fn parameters_changed(&self) {
        match &self.table {
            Kind::F32(table) => table.parameters_changed(),
            Kind::F64(table) => table.parameters_changed(),
        }
    }
}

fn table<F: Number>(config: &TableConfig, threads: Threads) -> Result<Arc<Table<F>>> {
    Table::new(Cpu::new().map_err(Error::wrap)?, threads, config.clone()).map_err(Error::wrap)
}

fn draw(config: &TableConfig, seed: u64, dtype: DType, device: &Device) -> Result<Tensor> {
    // Drawn as f64, so that cores of all types begin alike.
    let mut values = vec![0f64; config.table().parameters()];
    config.draw(seed, &mut values);
    let len = values.len();
    Tensor::from_vec(values, len, device)?.to_dtype(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_as_long_as_there_may_be_gradients() -> Result<()> {
        let config = TableConfig::tt(ttcore::TtShape::paper(100, 4, 2, 2).expect("a shape"));
        let cores = Var::from_tensor(&draw(&config, 1, DType::F32, &Device::Cpu)?)?;
        let layer = |cores: Tensor| TtEmbeddingBag::with_cores(config.clone(), Pooling::Sum, cores, Threads::one());
        let spare = |layer: &TtEmbeddingBag| match &layer.table {
            Kind::F32(table) => table.spare_batches(),
            Kind::F64(table) => table.spare_batches(),
        };
        let (trained, frozen) = (layer(cores.as_tensor().clone())?, layer(cores.detach())?);
        let forward = |layer: &TtEmbeddingBag| layer.forward(&[3u32, 99], Offsets::Starts(&[0u32]), None);

        let out = forward(&frozen)?;
        assert_eq!((spare(&frozen), out.dims()), (1, &[1, 4][..]));
        let outs = [forward(&trained)?, forward(&trained)?];
        assert_eq!(spare(&trained), 0);
        outs[0].backward()?;
        assert_eq!(spare(&trained), 0, "the graph may be asked again");
        drop(outs);
        assert_eq!(spare(&trained), 2);
        Ok(())
    }
}
