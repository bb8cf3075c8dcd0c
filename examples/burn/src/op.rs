//! The operation: forward on the numbers of `Flex`, and the step that burn's graph keeps for the backward.
//!
//! It is applied to tensors turned into those of the backend, not through the dispatch that `#[backend_extension]` makes:
//! that has no way to return an error, and panics on tensors of other backends.

use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, CheckpointStrategy, NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, DispatchKindConversion, DispatchTensor, Flex, GradientCheckpointingStrategy,
};
use burn::tensor::{Tensor, TensorData};
use ttcore::Mode;
use ttcore_cpu::Element;
use ttcore_passes::Pass;

use crate::Error;

/// Types of numbers that both burn and the kernels have.
pub(crate) trait Number: Element + burn::tensor::Element {
    /// The numbers of a contiguous tensor of this type.
    fn numbers(tensor: &FlexTensor) -> Option<&[Self]>;
}

macro_rules! numbers {
    ($($real:ty),+) => {$(
        impl Number for $real {
            fn numbers(tensor: &FlexTensor) -> Option<&[Self]> {
                tensor.as_slice()
            }
        }
    )+};
}
numbers!(f32, f64);

/// Pooled rows `[B, N]` of the cores. `group` makes a pass of the weights, and says the shape of the output.
pub(crate) fn tt_bags<F: Number>(
    cores: Tensor<1>,
    weights: Option<Tensor<1>>,
    group: impl FnOnce(Option<&[F]>, Mode) -> Result<(Pass<F>, [usize; 2]), Error>,
) -> Result<Tensor<2>, Error> {
    let of = |tensor: &Tensor<1>| tensor.device().gradient_checkpointing_strategy();
    match of(&cores).or_else(|| weights.as_ref().and_then(of)) {
        Some(GradientCheckpointingStrategy::Disabled) => differentiable::<F, NoCheckpointing>(cores, weights, group),
        Some(GradientCheckpointingStrategy::Balanced) => {
            differentiable::<F, BalancedCheckpointing>(cores, weights, group)
        }
        None => {
            let cores = cores.try_into_primitive::<Flex>()?;
            let weights = weights.map(|weights| weights.try_into_primitive::<Flex>()).transpose()?;
            let (_, out) = forward(&cores.to_contiguous(), weights.as_ref(), Mode::Evaluate, group)?;
            Ok(Tensor::from_primitive::<Flex>(out))
        }
    }
}

/// The same where there may be gradients. Its work is not repeated by checkpointing, which is for what takes memory more than
/// time.
fn differentiable<F: Number, C: CheckpointStrategy>(
    cores: Tensor<1>,
    weights: Option<Tensor<1>>,
    group: impl FnOnce(Option<&[F]>, Mode) -> Result<(Pass<F>, [usize; 2]), Error>,
) -> Result<Tensor<2>, Error>
where
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let lifted = |tensor: Tensor<1>| -> Result<FloatTensor<Autodiff<Flex, C>>, Error> {
        if tensor.device().is_autodiff() {
            return Ok(tensor.try_into_primitive::<Autodiff<Flex, C>>()?);
        }
        Ok(Autodiff::<Flex, C>::from_inner(tensor.try_into_primitive::<Flex>()?))
    };
    let (cores, node) = lifted(cores)?.into_parts();
    let out = match weights.map(lifted).transpose()? {
        None => apply::<F, C, 1>([node], cores, None, group)?,
        Some(weights) => {
            let (weights, weights_node) = weights.into_parts();
            apply::<F, C, 2>([node, weights_node], cores, Some(&weights), group)?
        }
    };
    Ok(Tensor::from_primitive::<Autodiff<Flex, C>>(out))
}

fn apply<F: Number, C: CheckpointStrategy, const N: usize>(
    nodes: [NodeGuard; N],
    cores: FlexTensor,
    weights: Option<&FlexTensor>,
    group: impl FnOnce(Option<&[F]>, Mode) -> Result<(Pass<F>, [usize; 2]), Error>,
) -> Result<FloatTensor<Autodiff<Flex, C>>, Error> {
    let cores = cores.to_contiguous();
    match TtBags::<F>::new().prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let (pass, out) = forward(&cores, weights, Mode::Train, group)?;
            let lookups = weights.map_or(0, |weights| weights.layout().num_elements());
            Ok(step.finish(State { pass: Arc::new(pass), cores, lookups }, out))
        }
        OpsKind::UnTracked(step) => Ok(step.finish(forward(&cores, weights, Mode::Evaluate, group)?.1)),
    }
}

fn forward<F: Number>(
    cores: &FlexTensor,
    weights: Option<&FlexTensor>,
    mode: Mode,
    group: impl FnOnce(Option<&[F]>, Mode) -> Result<(Pass<F>, [usize; 2]), Error>,
) -> Result<(Pass<F>, FlexTensor), Error> {
    let weights = weights.map(FlexTensor::to_contiguous);
    let (mut pass, shape) = group(weights.as_ref().map(|weights| numbers("weights", weights)).transpose()?, mode)?;
    let mut out = vec![F::default(); shape[0] * shape[1]];
    pass.forward(numbers("cores", cores)?, &mut out)?;
    Ok((pass, FlexTensor::from_data(TensorData::new(out, shape))))
}

fn numbers<'a, F: Number>(what: &'static str, tensor: &'a FlexTensor) -> Result<&'a [F], Error> {
    F::numbers(tensor).ok_or(Error::DType { what, got: tensor.dtype() })
}

/// The step of burn's graph.
#[derive(Debug)]
struct TtBags<F>(std::marker::PhantomData<F>);

impl<F> TtBags<F> {
    fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

/// What backward needs.
#[derive(Clone)]
struct State<F: Element> {
    pass: Arc<Pass<F>>,
    /// As they were: burn copies a tensor before it writes to one that is held.
    cores: FlexTensor,
    /// Lookups, where there are weights.
    lookups: usize,
}

/// Of the cores, and with `N = 2` of the weights.
impl<F: Number, const N: usize> Backward<Flex, N> for TtBags<F> {
    type State = State<F>;

    fn backward(self, ops: Ops<State<F>, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State { pass, cores, lookups } = ops.state;
        let grad_out = grads.consume::<Flex>(&ops.node).to_contiguous();
        let mut parents = ops.parents.into_iter();
        let (cores_node, weights_node) = (parents.next().flatten(), parents.next().flatten());
        let mut of_cores = cores_node.as_ref().map(|_| vec![F::default(); cores.layout().num_elements()]);
        let mut of_weights = weights_node.as_ref().map(|_| vec![F::default(); lookups]);
        // burn has no errors here, and there is none left: these are the batch and the cores of forward.
        let result = numbers("cores", &cores).and_then(|cores| {
            let grad_out = numbers("gradients", &grad_out)?;
            Ok(pass.backward(cores, of_cores.as_deref_mut(), grad_out, of_weights.as_deref_mut())?)
        });
        result.unwrap_or_else(|error| panic!("backward of a TT embedding bag: {error}"));
        for (node, values) in [(cores_node, of_cores), (weights_node, of_weights)] {
            if let (Some(node), Some(values)) = (node, values) {
                let shape = [values.len()];
                grads.register::<Flex>(node.id, FlexTensor::from_data(TensorData::new(values, shape)));
            }
        }
    }
}

impl<F: Element> fmt::Debug for State<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("pass", &self.pass).field("lookups", &self.lookups).finish_non_exhaustive()
    }
}
