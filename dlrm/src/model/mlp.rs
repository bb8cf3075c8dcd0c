//! A stack of fully connected layers with ReLU.

use rand_core::Rng;
use ttcore::Real;

use super::linear::Linear;

/// A multilayer perceptron.
///
/// In the reference model every layer is followed by a ReLU, the last one of the bottom MLP included; the last layer of
/// the top MLP gives the logit instead.
#[derive(Clone, Debug)]
pub struct Mlp<F> {
    layers: Vec<Linear<F>>,
    /// Whether a ReLU follows the last layer too.
    relu_last: bool,
    /// Outputs of each layer, `[B][outputs]`, and gradients of them.
    activations: Vec<Vec<F>>,
    gradients: Vec<Vec<F>>,
}

impl<F: Real> Mlp<F> {
    /// Layers between these sizes, drawn as in the reference model, for at most `batch` samples.
    pub fn init(sizes: &[usize], relu_last: bool, batch: usize, rng: &mut impl Rng) -> Self {
        let layers: Vec<_> = sizes.windows(2).map(|pair| Linear::init(pair[0], pair[1], rng)).collect();
        let outputs: Vec<_> = sizes[1..].iter().map(|size| vec![F::zero(); size * batch]).collect();
        Self { layers, relu_last, gradients: outputs.clone(), activations: outputs }
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Linear<F>] {
        &self.layers
    }

    /// The layers, to write.
    pub fn layers_mut(&mut self) -> &mut [Linear<F>] {
        &mut self.layers
    }

    /// Outputs `[B][outputs]` for inputs `[B][inputs]` of `batch` samples.
    pub fn forward(&mut self, input: &[F], batch: usize) -> &[F] {
        let last = self.layers.len() - 1;
        for (l, layer) in self.layers.iter().enumerate() {
            let (before, from) = self.activations.split_at_mut(l);
            let input = before.last().map_or(input, |x| &x[..batch * layer.inputs()]);
            let output = &mut from[0][..batch * layer.outputs()];
            layer.forward(input, output);
            if l < last || self.relu_last {
                output.iter_mut().for_each(|y| *y = y.max(F::zero()));
            }
        }
        self.output(batch)
    }

    /// Outputs of the last forward.
    pub fn output(&self, batch: usize) -> &[F] {
        let outputs = self.layers[self.layers.len() - 1].outputs();
        &self.activations[self.layers.len() - 1][..batch * outputs]
    }

    /// Gradients of all layers, and that of the `input` `[B][inputs]` the last forward had, from `grad_output`
    /// `[B][outputs]`.
    pub fn backward(&mut self, input: &[F], batch: usize, grad_output: &[F], mut grad_input: Option<&mut [F]>) {
        let last = self.layers.len() - 1;
        self.gradients[last][..grad_output.len()].copy_from_slice(grad_output);
        for l in (0..=last).rev() {
            let layer = &mut self.layers[l];
            let (before, from) = self.gradients.split_at_mut(l);
            let grad = &mut from[0][..batch * layer.outputs()];
            if l < last || self.relu_last {
                for (g, &y) in grad.iter_mut().zip(&self.activations[l]) {
                    if y <= F::zero() {
                        *g = F::zero();
                    }
                }
            }
            let input = if l == 0 { input } else { &self.activations[l - 1][..batch * layer.inputs()] };
            let below = match before.last_mut() {
                Some(gradient) => Some(&mut gradient[..batch * layer.inputs()]),
                None => grad_input.take(),
            };
            layer.backward(input, grad, below);
        }
    }

    /// A step of SGD on all layers.
    pub fn step(&mut self, lr: F) {
        self.layers.iter_mut().for_each(|layer| layer.step(lr));
    }
}
