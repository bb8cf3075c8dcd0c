//! One fully connected layer, `y = W x + c`.

use rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use ttcore::Real;

/// A fully connected layer with `inputs` inputs and `outputs` outputs.
#[derive(Clone, Debug)]
pub struct Linear<F> {
    /// `[outputs][inputs]`.
    pub weight: Vec<F>,
    /// `[outputs]`.
    pub bias: Vec<F>,
    grad_weight: Vec<F>,
    grad_bias: Vec<F>,
}

impl<F: Real> Linear<F> {
    /// A layer drawn as in the reference model: weights from `N(0, 2/(inputs + outputs))`, biases from `N(0, 1/outputs)`,
    /// in double precision.
    pub fn init(inputs: usize, outputs: usize, rng: &mut impl Rng) -> Self {
        let mut draw = |len: usize, std: f64| -> Vec<F> {
            let mut normal = || F::of(std * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng));
            (0..len).map(|_| normal()).collect()
        };
        let weight = draw(inputs * outputs, (2.0 / (inputs + outputs) as f64).sqrt());
        let bias = draw(outputs, (1.0 / outputs as f64).sqrt());
        let (grad_weight, grad_bias) = (vec![F::zero(); weight.len()], vec![F::zero(); outputs]);
        Self { weight, bias, grad_weight, grad_bias }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// All that training changes, by name, in order: what a checkpoint holds of the layer.
    pub fn tensors(&self) -> [(&'static str, &[F]); 2] {
        [("weight", &self.weight), ("bias", &self.bias)]
    }

    /// The same, to write.
    pub fn tensors_mut(&mut self) -> [(&'static str, &mut [F]); 2] {
        [("weight", &mut self.weight), ("bias", &mut self.bias)]
    }

    /// `output` `[B][outputs]` from `input` `[B][inputs]`.
    pub fn forward(&self, input: &[F], output: &mut [F]) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        for (x, y) in input.chunks_exact(inputs).zip(output.chunks_exact_mut(outputs)) {
            for ((y, w), &c) in y.iter_mut().zip(self.weight.chunks_exact(inputs)).zip(&self.bias) {
                *y = c + dot(w, x);
            }
        }
    }

    /// The layer's own gradients, summed over the batch, and that of its input, from `grad_output` `[B][outputs]` and the
    /// `input` `[B][inputs]` it had. `grad_input` `[B][inputs]` is written, where wanted.
    pub fn backward(&mut self, input: &[F], grad_output: &[F], grad_input: Option<&mut [F]>) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        self.grad_weight.fill(F::zero());
        self.grad_bias.fill(F::zero());
        for (x, dy) in input.chunks_exact(inputs).zip(grad_output.chunks_exact(outputs)) {
            for (o, &dy) in dy.iter().enumerate() {
                self.grad_bias[o] += dy;
                axpy(dy, x, &mut self.grad_weight[o * inputs..][..inputs]);
            }
        }
        let Some(grad_input) = grad_input else { return };
        for (dx, dy) in grad_input.chunks_exact_mut(inputs).zip(grad_output.chunks_exact(outputs)) {
            dx.fill(F::zero());
            for (&dy, w) in dy.iter().zip(self.weight.chunks_exact(inputs)) {
                axpy(dy, w, dx);
            }
        }
    }

    /// A step of SGD on the gradients of the last backward.
    pub fn step(&mut self, lr: F) {
        axpy(-lr, &self.grad_weight, &mut self.weight);
        axpy(-lr, &self.grad_bias, &mut self.bias);
    }
}

/// `y += a x`.
fn axpy<F: Real>(a: F, x: &[F], y: &mut [F]) {
    // Most upstream gradients behind a ReLU are zero.
    if a != F::zero() {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    }
}

/// `sum_i x_i y_i`, in a fixed order: eight running sums, which a compiler can keep in one register.
fn dot<F: Real>(x: &[F], y: &[F]) -> F {
    const LANES: usize = 8;
    let mut lanes = [F::zero(); LANES];
    let (head_x, tail_x) = x.as_chunks::<LANES>();
    let (head_y, tail_y) = y.as_chunks::<LANES>();
    for (x, y) in head_x.iter().zip(head_y) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let tail: F = tail_x.iter().zip(tail_y).map(|(&x, &y)| x * y).sum();
    lanes.into_iter().sum::<F>() + tail
}
