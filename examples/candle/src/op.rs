//! What candle calls: forward once, when the op is applied, and backward as often as its graph is asked for gradients.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape, Storage, Tensor, WithDType};
use ttcore_cpu::Element;
use ttcore_passes::Pass;

const NAME: &str = "tt-embedding-bag";

/// Types of numbers that both candle and the kernels have.
pub(crate) trait Number: Element + WithDType {}

impl Number for f32 {}
impl Number for f64 {}

/// Pooled rows of one batch: of the cores, and of per-sample weights where there are some. One object for each call, which
/// the graph holds as long as it may be asked for gradients.
pub(crate) struct TtBags<F: Number> {
    /// candle has ops behind a shared reference; nobody waits for this lock, as forward comes before backward.
    pass: Mutex<Pass<F>>,
    /// `[B, N]`
    shape: (usize, usize),
}

impl<F: Number> TtBags<F> {
    /// The op of a batch that was grouped, of so many bags and columns.
    pub(crate) fn new(pass: Pass<F>, shape: (usize, usize)) -> Self {
        Self { pass: Mutex::new(pass), shape }
    }

    fn pass(&self) -> MutexGuard<'_, Pass<F>> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self, cores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![F::default(); self.shape.0 * self.shape.1];
        self.pass().forward(slice(cores, layout)?, &mut out).map_err(Error::wrap)?;
        Ok((F::to_cpu_storage_owned(out), self.shape.into()))
    }

    /// Gradients of the cores and of the weights, each where it is asked for.
    fn backward(
        &self,
        cores: &Tensor,
        weights: Option<&Tensor>,
        grad_out: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let zeros = |tensor: &Tensor| tensor.track_op().then(|| vec![F::default(); tensor.elem_count()]);
        let (mut grads, mut grad_weights) = (zeros(cores), weights.and_then(zeros));
        let grad_out = grad_out.contiguous()?;
        contiguous(cores, |cores| {
            contiguous(&grad_out, |grad_out| {
                let (grads, grad_weights) = (grads.as_deref_mut(), grad_weights.as_deref_mut());
                self.pass().backward(cores, grads, grad_out, grad_weights).map_err(Error::wrap)
            })
        })?;
        let like = |tensor: &Tensor, values: Vec<F>| Tensor::from_vec(values, tensor.shape(), tensor.device());
        let grad_weights = weights.zip(grad_weights).map(|(weights, values)| like(weights, values));
        Ok((grads.map(|values| like(cores, values)).transpose()?, grad_weights.transpose()?))
    }
}

impl<F: Number> CustomOp1 for TtBags<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, cores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(cores, layout)
    }

    fn bwd(&self, cores: &Tensor, _out: &Tensor, grad_out: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.backward(cores, None, grad_out)?.0)
    }
}

impl<F: Number> CustomOp2 for TtBags<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    /// The values of the weights are in the group already.
    fn cpu_fwd(&self, cores: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(cores, layout)
    }

    fn bwd(
        &self,
        cores: &Tensor,
        weights: &Tensor,
        _out: &Tensor,
        grad_out: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(cores, Some(weights), grad_out)
    }
}

/// Calls with the numbers of a contiguous tensor on the CPU, where they lie.
pub(crate) fn contiguous<F: Number, T>(tensor: &Tensor, call: impl FnOnce(&[F]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => call(slice(storage, layout)?),
        _ => Err(Error::msg("tt-embedding-bag is on the CPU alone")),
    }
}

fn slice<'a, F: Number>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [F]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| Error::RequiresContiguous { op: NAME }.bt())?;
    Ok(&storage.as_slice()?[start..end])
}
