//! A low-rank cross network in the place of the dot products: DCN V2 (Wang et al., 2021, section 3.1), as in MLPerf's
//! DLRM-DCNv2.
//!
//! The features of a sample side by side are `x_0 = [x, e_1, .., e_n]`, `M = (n + 1) N` numbers: the output of the bottom MLP
//! and the embeddings. Layer `l` of `L` is
//!
//! ```text
//! x_{l+1} = x_0 * (W_l V_l x_l + c_l) + x_l        V_l: [R][M], W_l: [M][R], c_l: [M]; * is element by element
//! ```
//!
//! and the top MLP begins with `x_L`.

use rand_core::Rng;
use serde::{Deserialize, Serialize};
use ttcore::{Real, Rule, Update};
use ttcore_cpu::Kernels;

use super::config::ConfigError;
use super::gemm::{Machine, Number};
use super::linear::Linear;
use super::mlp::Mlp;
use super::parallel::for_each;

/// Size of a cross network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossSize {
    /// Layers, `L`.
    pub layers: usize,
    /// Rank of their weights, `R`.
    pub rank: usize,
}

impl CrossSize {
    /// The most layers.
    pub const MOST_LAYERS: usize = 64;
    /// The largest rank. One above `M` is of no use.
    pub const LARGEST_RANK: usize = 1 << 16;

    /// That both are in range: those of a checkpoint may be any, and are believed before memory is taken for them.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Cross`] if not.
    pub fn check(self) -> Result<(), ConfigError> {
        let fits = (1..=Self::MOST_LAYERS).contains(&self.layers) && (1..=Self::LARGEST_RANK).contains(&self.rank);
        if fits { Ok(()) } else { Err(ConfigError::Cross { size: self }) }
    }
}

/// A cross network. Its layers are kept as those of an MLP, `V_0, W_0, V_1, W_1, ..`, of which the first of each pair
/// has no biases.
#[derive(Clone, Debug)]
pub struct Cross<F> {
    layers: Mlp<F>,
}

/// The name of a matrix in a checkpoint, by its number: that of `V` or `W` of a layer.
pub(crate) fn matrix_name(matrix: usize) -> String {
    format!("cross.{}.{}", matrix / 2, ["v", "w"][matrix % 2])
}

/// What a cross network leaves of some samples, `[L][B][..]`.
#[derive(Clone, Debug)]
pub(super) struct CrossTrace<F> {
    /// `x_0 .. x_{L-1}`, `[M]` each.
    inputs: Vec<Vec<F>>,
    /// `V_l x_l`, `[R]`, and its gradient.
    low: Vec<Vec<F>>,
    grad_low: Vec<Vec<F>>,
    /// What `x_0` is multiplied by, `[M]`; its gradient from backward on, which needs it for nothing else.
    factors: Vec<Vec<F>>,
    /// The gradient of `x_0` as a factor, `[B][M]`.
    grad_first: Vec<F>,
}

impl<F: Real> Cross<F> {
    /// A network for `width` numbers, trained by `rule`: weights from `N(0, 2/(inputs + outputs))`, biases 0.
    pub fn init(width: usize, CrossSize { layers, rank }: CrossSize, rule: Rule, rng: &mut impl Rng) -> Self {
        let mut matrix = |inputs, outputs, has_bias| Linear::init_plain(inputs, outputs, has_bias, rule, rng);
        let pair = |_| [matrix(width, rank, false), matrix(rank, width, true)];
        Self { layers: Mlp::of((0..layers).flat_map(pair).collect()) }
    }

    /// The layers `V_0, W_0, V_1, W_1, ..`.
    pub fn layers(&self) -> &Mlp<F> {
        &self.layers
    }

    /// The same, to write.
    pub fn layers_mut(&mut self) -> &mut Mlp<F> {
        &mut self.layers
    }

    /// Room for what so many samples leave.
    pub(super) fn trace(&self, rows: usize) -> CrossTrace<F> {
        let of = |first: usize| -> Vec<Vec<F>> {
            let layers = self.layers.layers().iter().skip(first).step_by(2);
            layers.map(|layer| vec![F::zero(); rows * layer.outputs()]).collect()
        };
        let (low, factors) = (of(0), of(1));
        CrossTrace {
            inputs: factors.clone(),
            grad_low: low.clone(),
            low,
            grad_first: factors.first().cloned().unwrap_or_default(),
            factors,
        }
    }

    /// About how many numbers are held for each sample, its output and the gradient of it included.
    pub(super) fn numbers_of_a_sample(&self) -> usize {
        let width = self.layers.layers().last().map_or(0, Linear::outputs);
        3 * width + self.layers.layers().iter().map(|layer| 2 * layer.outputs()).sum::<usize>()
    }

    fn pairs(&self) -> impl DoubleEndedIterator<Item = (usize, [&Linear<F>; 2])> {
        self.layers.layers().as_chunks::<2>().0.iter().map(|[v, w]| [v, w]).enumerate()
    }
}

impl<F: Number> Cross<F> {
    pub(super) fn refresh<K: Kernels<F>>(&mut self, kernels: K) {
        self.layers.refresh(kernels);
    }

    /// `out` `[B][M]` from the bottom output `[B][N]` and the embeddings `[B][n N]`.
    pub(super) fn forward<K: Kernels<F>>(
        &self,
        machine: Machine<K>,
        (bottom, embedded): (&[F], &[F]),
        rows: usize,
        trace: &mut CrossTrace<F>,
        out: &mut [F],
    ) {
        let CrossTrace { inputs, low, factors, .. } = trace;
        let (width, dim) = (out.len() / rows, bottom.len() / rows);
        let parts = bottom.chunks_exact(dim).zip(embedded.chunks_exact(width - dim));
        for ((x, e), first) in parts.zip(inputs[0].chunks_exact_mut(width)) {
            first[..dim].copy_from_slice(x);
            first[dim..].copy_from_slice(e);
        }
        for (l, [v, w]) in self.pairs() {
            let (before, behind) = inputs.split_at_mut(l + 1);
            let (input, low) = (&before[l][..rows * width], &mut low[l][..rows * v.outputs()]);
            let factors = &mut factors[l][..rows * width];
            v.forward(machine, input, low, false);
            w.forward(machine, low, factors, false);
            let next = behind.first_mut().map_or(&mut *out, |next| &mut next[..rows * width]);
            let numbers = before[0].iter().zip(&*factors).zip(input);
            next.iter_mut().zip(numbers).for_each(|(next, ((&first, &factor), &x))| *next = first * factor + x);
        }
    }

    /// Gradients of the bottom output `[B][N]` and of the embeddings `[B][n N]` from that of what came out, `grad` `[B][M]`,
    /// which does not stay.
    pub(super) fn backward<K: Kernels<F>>(
        &self,
        machine: Machine<K>,
        rows: usize,
        trace: &mut CrossTrace<F>,
        grad: &mut [F],
        (grad_bottom, grad_embedded): (&mut [F], &mut [F]),
    ) {
        let CrossTrace { inputs, grad_low, factors, grad_first, .. } = trace;
        let (len, width, dim) = (grad.len(), grad.len() / rows, grad_bottom.len() / rows);
        let grad_first = &mut grad_first[..len];
        grad_first.fill(F::zero());
        for (l, [v, w]) in self.pairs().rev() {
            let (factors, grad_low) = (&mut factors[l][..len], &mut grad_low[l][..rows * v.outputs()]);
            let numbers = grad_first.iter_mut().zip(&mut *factors).zip(&inputs[0]).zip(&*grad);
            numbers.for_each(|(((sum, factor), &first), &g)| {
                *sum += g * *factor;
                *factor = g * first;
            });
            w.backward(machine, factors, grad_low, false);
            v.backward(machine, grad_low, grad, true);
        }
        grad.iter_mut().zip(&*grad_first).for_each(|(g, &first)| *g += first);
        let parts = grad_bottom.chunks_exact_mut(dim).zip(grad_embedded.chunks_exact_mut(width - dim));
        for ((x, e), grad) in parts.zip(grad.chunks_exact(width)) {
            x.copy_from_slice(&grad[..dim]);
            e.copy_from_slice(&grad[dim..]);
        }
    }

    /// Applies a rule to all layers, with the gradients of a batch in parts: how many samples each has, and what they left.
    pub(super) fn update<'p, K: Kernels<F>>(
        &mut self,
        machine: Machine<K>,
        update: &Update,
        batch: impl Iterator<Item = (usize, &'p CrossTrace<F>)> + Clone + Send + Sync,
    ) {
        for (number, layer) in self.layers.received().iter_mut().enumerate() {
            let (inputs, outputs, l) = (layer.inputs(), layer.outputs(), number / 2);
            let part = |(rows, trace): (usize, &'p CrossTrace<F>)| {
                let (input, grad) = match number % 2 {
                    0 => (&trace.inputs[l], &trace.grad_low[l]),
                    _ => (&trace.low[l], &trace.factors[l]),
                };
                (&input[..rows * inputs], &grad[..rows * outputs])
            };
            for_each(layer.panels_mut(), &|panel| panel.update(machine, update, batch.clone().map(part)));
        }
    }
}
