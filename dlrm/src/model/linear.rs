//! One fully connected layer, `y = W x + c`, or `y = W x`.

use rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use ttcore::{Real, Rule, Update};
use ttcore_cpu::Kernels;

use super::gemm::{Machine, Number};
use super::parallel::{Parts, cut_mut};

/// Outputs of a panel. A panel belongs to one task, and is a fixed part of a layer.
const PANEL: usize = 64;

/// A fully connected layer with `inputs` inputs and `outputs` outputs.
#[derive(Clone, Debug)]
pub struct Linear<F> {
    /// `[outputs][inputs]`.
    pub weight: Vec<F>,
    /// `[outputs]`, or nothing in a layer without biases.
    pub bias: Vec<F>,
    /// State of the update rule, `[Rule::state_per_parameter][outputs inputs + outputs]`: of the weights, then of the
    /// biases.
    pub state: Vec<F>,
    outputs: usize,
    /// The weights transposed, one panel of outputs after the other, `[inputs][outputs of the panel]` each: what a product
    /// with a row of inputs reads is contiguous.
    panels: Vec<F>,
    grad_weight: Vec<F>,
    grad_bias: Vec<F>,
}

impl<F: Real> Linear<F> {
    /// A layer drawn as in the reference model: weights from `N(0, 2/(inputs + outputs))`, biases from `N(0, 1/outputs)`,
    /// in double precision; trained by `rule`.
    pub fn init(inputs: usize, outputs: usize, rule: Rule, rng: &mut impl Rng) -> Self {
        let weight = Self::weights(inputs, outputs, rng);
        let bias = draw(outputs, (1.0 / outputs as f64).sqrt(), rng);
        Self::new(weight, bias, outputs, rule)
    }

    /// A layer with the same weights, and with biases of zero or without any.
    pub(super) fn init_plain(inputs: usize, outputs: usize, has_bias: bool, rule: Rule, rng: &mut impl Rng) -> Self {
        let bias = if has_bias { vec![F::zero(); outputs] } else { Vec::new() };
        Self::new(Self::weights(inputs, outputs, rng), bias, outputs, rule)
    }

    fn weights(inputs: usize, outputs: usize, rng: &mut impl Rng) -> Vec<F> {
        draw(inputs * outputs, (2.0 / (inputs + outputs) as f64).sqrt(), rng)
    }

    fn new(weight: Vec<F>, bias: Vec<F>, outputs: usize, rule: Rule) -> Self {
        let zeros = |len: usize| vec![F::zero(); len];
        Self {
            state: zeros(rule.state_per_parameter() * (weight.len() + bias.len())),
            panels: zeros(weight.len()),
            grad_weight: zeros(weight.len()),
            grad_bias: zeros(bias.len()),
            outputs,
            weight,
            bias,
        }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.outputs
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// All that training changes, by name, in order: what a checkpoint holds of the layer.
    pub fn tensors(&self) -> [(&'static str, &[F]); 3] {
        [("weight", &self.weight), ("bias", &self.bias), ("state", &self.state)]
    }

    /// The same, to write.
    pub fn tensors_mut(&mut self) -> [(&'static str, &mut [F]); 3] {
        [("weight", &mut self.weight), ("bias", &mut self.bias), ("state", &mut self.state)]
    }

    /// The layer in panels, to write.
    pub(super) fn panels_mut(&mut self) -> Panels<'_, F> {
        let (inputs, outputs, len) = (self.inputs(), self.outputs(), self.weight.len());
        let (first, second) = cut_mut(&mut self.state, len + self.bias.len());
        let [(first, first_bias), (second, second_bias)] = [cut_mut(first, len), cut_mut(second, len)];
        Panels {
            first: 0,
            inputs,
            outputs,
            weight: &mut self.weight,
            bias: &mut self.bias,
            transposed: &mut self.panels,
            grad_weight: &mut self.grad_weight,
            grad_bias: &mut self.grad_bias,
            state: [first, second],
            bias_state: [first_bias, second_bias],
        }
    }
}

impl<F: Number> Linear<F> {
    /// `output` `[B][outputs]` from `input` `[B][inputs]`, the larger of it and zero if `relu`, in a layer with biases.
    pub(super) fn forward<K: Kernels<F>>(&self, machine: Machine<K>, input: &[F], output: &mut [F], relu: bool) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let batch = output.len() / outputs;
        for first in (0..outputs).step_by(PANEL) {
            let width = PANEL.min(outputs - first);
            let weight = &self.panels[first * inputs..][..width * inputs];
            let size = [batch, width, inputs];
            machine.gemm(size, (input, (inputs, 1)), (weight, width), (&mut output[first..], outputs), false);
            // Without biases there is no ReLU either.
            let Some(bias) = self.bias.get(first..first + width) else { continue };
            for row in output.chunks_exact_mut(outputs) {
                let row = row[first..][..width].iter_mut().zip(bias);
                // Whatever is not a number stays so.
                match relu {
                    true => row.for_each(|(y, &c)| *y = if *y + c < F::zero() { F::zero() } else { *y + c }),
                    false => row.for_each(|(y, &c)| *y += c),
                }
            }
        }
    }

    /// The gradient of the input, `grad_input` `[B][inputs]`, from that of the output, `[B][outputs]`; added to what is
    /// there if `add`.
    pub(super) fn backward<K: Kernels<F>>(
        &self,
        machine: Machine<K>,
        grad_output: &[F],
        grad_input: &mut [F],
        add: bool,
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let size = [grad_output.len() / outputs, inputs, outputs];
        machine.gemm(size, (grad_output, (outputs, 1)), (&self.weight, inputs), (grad_input, inputs), add);
    }
}

/// Panels of a layer, each `[PANEL][..]` of the layer's tensors, the last one perhaps narrower.
pub(super) struct Panels<'a, F> {
    /// Number of the first of them.
    first: usize,
    inputs: usize,
    /// Outputs of the whole layer.
    outputs: usize,
    weight: &'a mut [F],
    bias: &'a mut [F],
    transposed: &'a mut [F],
    grad_weight: &'a mut [F],
    grad_bias: &'a mut [F],
    state: [&'a mut [F]; 2],
    bias_state: [&'a mut [F]; 2],
}

impl<F: Real> Parts for Panels<'_, F> {
    fn len(&self) -> usize {
        self.width().div_ceil(PANEL)
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let matrix = |numbers| cut_mut(numbers, at * PANEL * inputs);
        let vector = |numbers| cut_mut(numbers, at * PANEL);
        let (weight, bias, transposed) = (matrix(self.weight), vector(self.bias), matrix(self.transposed));
        let (grad_weight, grad_bias) = (matrix(self.grad_weight), vector(self.grad_bias));
        let [first, second] = self.state.map(matrix);
        let [first_bias, second_bias] = self.bias_state.map(vector);
        let front = Self {
            first: self.first,
            inputs,
            outputs,
            weight: weight.0,
            bias: bias.0,
            transposed: transposed.0,
            grad_weight: grad_weight.0,
            grad_bias: grad_bias.0,
            state: [first.0, second.0],
            bias_state: [first_bias.0, second_bias.0],
        };
        let back = Self {
            first: self.first + at,
            inputs,
            outputs,
            weight: weight.1,
            bias: bias.1,
            transposed: transposed.1,
            grad_weight: grad_weight.1,
            grad_bias: grad_bias.1,
            state: [first.1, second.1],
            bias_state: [first_bias.1, second_bias.1],
        };
        (front, back)
    }
}

impl<F> Panels<'_, F> {
    /// Outputs of these panels.
    fn width(&self) -> usize {
        self.weight.len() / self.inputs
    }
}

impl<F: Number> Panels<'_, F> {
    /// Applies a rule to one panel, with gradients summed over parts of a batch: the `input` `[b][inputs]` and the gradient
    /// of the output `[b][outputs]` of each part, in order.
    pub(super) fn update<'p, K: Kernels<F>>(
        self,
        machine: Machine<K>,
        update: &Update,
        batch: impl Iterator<Item = (&'p [F], &'p [F])>,
    ) {
        let (first, width, inputs) = (self.first * PANEL, self.width(), self.inputs);
        self.grad_bias.fill(F::zero());
        let mut parts = 0;
        for (input, grad_output) in batch {
            let size = [width, inputs, input.len() / inputs];
            let grads = (&grad_output[first..], (1, self.outputs));
            machine.gemm(size, grads, (input, inputs), (&mut *self.grad_weight, inputs), parts > 0);
            for row in grad_output.chunks_exact(self.outputs) {
                self.grad_bias.iter_mut().zip(&row[first..]).for_each(|(sum, &g)| *sum += g);
            }
            parts += 1;
        }
        if parts == 0 {
            self.grad_weight.fill(F::zero());
        }
        machine.kernels.update(update, update.lr, self.weight, self.grad_weight, self.state);
        machine.kernels.update(update, update.lr, self.bias, self.grad_bias, self.bias_state);
        machine.kernels.transpose(width, inputs, self.weight, self.transposed);
    }

    /// Transposes weights that were set.
    pub(super) fn transpose<K: Kernels<F>>(self, kernels: K) {
        kernels.transpose(self.width(), self.inputs, self.weight, self.transposed);
    }
}

/// Numbers from `N(0, std^2)`.
fn draw<F: Real>(len: usize, std: f64, rng: &mut impl Rng) -> Vec<F> {
    let mut normal = || F::of(std * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng));
    (0..len).map(|_| normal()).collect()
}
