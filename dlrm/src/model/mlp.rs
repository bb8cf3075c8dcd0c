//! A stack of fully connected layers with ReLU.

use rand_core::Rng;
use ttcore::{Real, Rule, Update};
use ttcore_cpu::Kernels;

use super::gemm::{Machine, Number};
use super::linear::Linear;
use super::parallel::{Parts, for_each};

/// A multilayer perceptron.
///
/// In the reference model every layer is followed by a ReLU, the last one of the bottom MLP included; the last layer of
/// the top MLP gives the logit instead.
#[derive(Debug)]
pub struct Mlp<F> {
    layers: Vec<Linear<F>>,
    /// Whether a ReLU follows the last layer too.
    relu_last: bool,
    /// Whether weights may have been set.
    changed: bool,
}

impl<F: Clone> Clone for Mlp<F> {
    fn clone(&self) -> Self {
        // Wherever it goes, its weights are new there.
        Self { layers: self.layers.clone(), relu_last: self.relu_last, changed: true }
    }
}

/// What an MLP leaves of some samples: outputs of each layer, `[B][outputs]`, and gradients of them.
#[derive(Clone, Debug)]
pub(super) struct Trace<F> {
    outputs: Vec<Vec<F>>,
    gradients: Vec<Vec<F>>,
}

impl<F: Real> Mlp<F> {
    /// Layers between these sizes, drawn as in the reference model, trained by `rule`.
    pub fn init(sizes: &[usize], relu_last: bool, rule: Rule, rng: &mut impl Rng) -> Self {
        let layers = sizes.windows(2).map(|pair| Linear::init(pair[0], pair[1], rule, rng)).collect();
        Self { layers, relu_last, changed: true }
    }

    /// Of these layers, without a ReLU behind the last.
    pub(super) fn of(layers: Vec<Linear<F>>) -> Self {
        Self { layers, relu_last: false, changed: true }
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Linear<F>] {
        &self.layers
    }

    /// The layers, to write.
    pub fn layers_mut(&mut self) -> &mut [Linear<F>] {
        self.changed = true;
        &mut self.layers
    }

    /// The layers, for what they have become where they are computed.
    pub(super) fn received(&mut self) -> &mut [Linear<F>] {
        &mut self.layers
    }

    /// Room for what so many samples leave.
    pub(super) fn trace(&self, rows: usize) -> Trace<F> {
        let outputs: Vec<_> = self.layers.iter().map(|layer| vec![F::zero(); rows * layer.outputs()]).collect();
        Trace { gradients: outputs.clone(), outputs }
    }

    /// Whether weights may have been set since [`Mlp::take_changed`].
    #[cfg(any(feature = "cuda", feature = "emulator"))]
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Whether weights may have been set since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether a ReLU follows a layer.
    pub(super) fn relu(&self, layer: usize) -> bool {
        layer + 1 < self.layers.len() || self.relu_last
    }
}

impl<F: Number> Mlp<F> {
    /// Makes up for weights that were set since the last call.
    pub(super) fn refresh<K: Kernels<F>>(&mut self, kernels: K) {
        if self.take_changed() {
            self.layers.iter_mut().for_each(|layer| for_each(layer.panels_mut(), &|panel| panel.transpose(kernels)));
        }
    }

    /// Outputs for inputs `[B][inputs]` of `rows` samples.
    pub(super) fn forward<'t, K: Kernels<F>>(
        &self,
        machine: Machine<K>,
        input: &[F],
        rows: usize,
        trace: &'t mut Trace<F>,
    ) -> &'t [F] {
        for (l, layer) in self.layers.iter().enumerate() {
            let (before, from) = trace.outputs.split_at_mut(l);
            let input = before.last().map_or(input, |x| &x[..rows * layer.inputs()]);
            layer.forward(machine, input, &mut from[0][..rows * layer.outputs()], self.relu(l));
        }
        self.output(rows, trace)
    }

    /// Outputs of the last forward.
    pub(super) fn output<'t>(&self, rows: usize, trace: &'t Trace<F>) -> &'t [F] {
        let last = self.layers.len() - 1;
        &trace.outputs[last][..rows * self.layers[last].outputs()]
    }

    /// Outputs of each layer in the last forward, first to last.
    pub(super) fn outputs<'t>(&self, rows: usize, trace: &'t Trace<F>) -> impl Iterator<Item = &'t [F]> + Clone {
        self.layers.iter().zip(&trace.outputs).map(move |(layer, outputs)| &outputs[..rows * layer.outputs()])
    }

    /// Outputs of the last forward, and where the gradient of them goes before [`Mlp::backward`].
    pub(super) fn output_and_gradient<'t>(&self, rows: usize, trace: &'t mut Trace<F>) -> (&'t [F], &'t mut [F]) {
        let last = self.layers.len() - 1;
        let len = rows * self.layers[last].outputs();
        (&trace.outputs[last][..len], &mut trace.gradients[last][..len])
    }

    /// Where the gradient of the output goes, before [`Mlp::backward`].
    pub(super) fn grad_output<'t>(&self, rows: usize, trace: &'t mut Trace<F>) -> &'t mut [F] {
        self.output_and_gradient(rows, trace).1
    }

    /// Gradients of the outputs of all layers, as they were before a ReLU, and where wanted that of the input,
    /// `[B][inputs]`.
    pub(super) fn backward<K: Kernels<F>>(
        &self,
        machine: Machine<K>,
        rows: usize,
        trace: &mut Trace<F>,
        mut grad_input: Option<&mut [F]>,
    ) {
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let (before, from) = trace.gradients.split_at_mut(l);
            let grad = &mut from[0][..rows * layer.outputs()];
            if self.relu(l) {
                let outputs = &trace.outputs[l];
                grad.iter_mut().zip(outputs).for_each(|(g, &y)| *g = if y <= F::zero() { F::zero() } else { *g });
            }
            let below = match before.last_mut() {
                Some(gradient) => Some(&mut gradient[..rows * layer.inputs()]),
                None => grad_input.take(),
            };
            if let Some(below) = below {
                layer.backward(machine, grad, below, false);
            }
        }
    }

    /// Applies a rule to all layers, with the gradients of a batch in parts: how many samples each has, what the MLP was
    /// given and what it left.
    pub(super) fn update<'p, K: Kernels<F>>(
        &mut self,
        machine: Machine<K>,
        update: &Update,
        batch: impl Iterator<Item = (usize, &'p [F], &'p Trace<F>)> + Clone + Send + Sync,
    ) {
        let layers = Layers { first: 0, layers: &mut self.layers };
        for_each(layers, &|one| {
            let (l, layer) = (one.first, &mut one.layers[0]);
            let (inputs, outputs) = (layer.inputs(), layer.outputs());
            let part = |(rows, input, trace): (usize, &'p [F], &'p Trace<F>)| {
                let input = if l == 0 { input } else { &trace.outputs[l - 1] };
                (&input[..rows * inputs], &trace.gradients[l][..rows * outputs])
            };
            for_each(layer.panels_mut(), &|panel| panel.update(machine, update, batch.clone().map(part)));
        });
    }
}

/// Some layers in a row, to write.
struct Layers<'a, F> {
    /// Number of the first.
    first: usize,
    layers: &'a mut [Linear<F>],
}

impl<F: Real> Parts for Layers<'_, F> {
    fn len(&self) -> usize {
        self.layers.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (front, back) = self.layers.split_at_mut(at);
        (Self { first: self.first, layers: front }, Self { first: self.first + at, layers: back })
    }
}
