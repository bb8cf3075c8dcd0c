//! Dot products between all pairs of features.
//!
//! The features of a sample are `T = [x, e_1, .., e_n]`, `n + 1` vectors of `N` numbers: the output of the bottom MLP and
//! the embeddings. The interaction is `[x, Z]` with `Z` the strict lower triangle of `T T^T`, row by row:
//! `(1,0), (2,0), (2,1), (3,0), ..`. The order matters to whoever loads weights of the reference model.
//!
//! One small product a sample: `T T^T` forward, and backward `dT = G T` with the symmetric `G` of the gradients of the
//! pairs.

use ttcore::Real;
use ttcore_cpu::Kernels;

/// Numbers in the interaction of `embeddings` embeddings of `dim` numbers with the bottom output.
pub fn width(dim: usize, embeddings: usize) -> usize {
    dim + (embeddings + 1) * embeddings / 2
}

/// The interaction of `embeddings` embeddings of `dim` numbers with the bottom output.
#[derive(Clone, Copy, Debug)]
pub struct Interaction {
    /// Numbers of a feature, `N`.
    pub dim: usize,
    /// Features beside the output of the bottom MLP, `n`.
    pub embeddings: usize,
}

/// Memory for one sample.
#[derive(Clone, Debug)]
pub(super) struct Scratch<F> {
    /// `T` or its gradient, `[n + 1][N]`, and transposed.
    features: Vec<F>,
    other: Vec<F>,
    /// `T T^T` or `G`, `[n + 1][n + 1]`.
    pairs: Vec<F>,
}

impl Interaction {
    /// Numbers in the interaction of a sample.
    pub fn width(self) -> usize {
        width(self.dim, self.embeddings)
    }

    /// Features of a sample.
    fn features(self) -> usize {
        self.embeddings + 1
    }

    pub(super) fn scratch<F: Real>(self) -> Scratch<F> {
        let zeros = |len: usize| vec![F::zero(); len];
        let (features, dim) = (self.features(), self.dim);
        Scratch { features: zeros(features * dim), other: zeros(features * dim), pairs: zeros(features * features) }
    }

    /// `out` `[B][width]` from the bottom output `[B][N]` and the embeddings `[B][n N]`.
    pub(super) fn forward<F: Real, K: Kernels<F>>(
        self,
        kernels: K,
        bottom: &[F],
        embedded: &[F],
        out: &mut [F],
        scratch: &mut Scratch<F>,
    ) {
        let (dim, features) = (self.dim, self.features());
        let Scratch { features: t, other: transposed, pairs } = scratch;
        for (sample, (x, out)) in bottom.chunks_exact(dim).zip(out.chunks_exact_mut(self.width())).enumerate() {
            self.gather(x, embedded, sample, t);
            kernels.transpose(features, dim, t, transposed);
            kernels.gemm([features, features, dim], t, (dim, 1), transposed, features, pairs, features, false);
            let (copy, mut products) = out.split_at_mut(dim);
            copy.copy_from_slice(x);
            for f in 1..features {
                let (row, rest) = products.split_at_mut(f);
                row.copy_from_slice(&pairs[f * features..][..f]);
                products = rest;
            }
        }
    }

    /// Gradients of the bottom output `[B][N]` and of the embeddings `[B][n N]` from that of the interaction `[B][width]`.
    pub(super) fn backward<F: Real, K: Kernels<F>>(
        self,
        kernels: K,
        (bottom, embedded): (&[F], &[F]),
        grad_out: &[F],
        (grad_bottom, grad_embedded): (&mut [F], &mut [F]),
        scratch: &mut Scratch<F>,
    ) {
        let (dim, features) = (self.dim, self.features());
        let Scratch { features: t, other: grad_t, pairs } = scratch;
        let samples = bottom.chunks_exact(dim).zip(grad_out.chunks_exact(self.width()));
        for (sample, ((x, dz), dx)) in samples.zip(grad_bottom.chunks_exact_mut(dim)).enumerate() {
            self.gather(x, embedded, sample, t);
            let (copy, mut products) = dz.split_at(dim);
            for f in 0..features {
                let (row, rest) = products.split_at(f);
                pairs[f * features..][..f].copy_from_slice(row);
                pairs[f * features + f] = F::zero();
                for (g, &dz) in row.iter().enumerate() {
                    pairs[g * features + f] = dz;
                }
                products = rest;
            }
            kernels.gemm([features, dim, features], pairs, (features, 1), t, dim, grad_t, dim, false);
            let (grad_x, grad_e) = grad_t.split_at(dim);
            dx.iter_mut().zip(copy).zip(grad_x).for_each(|((dx, &copy), &products)| *dx = copy + products);
            grad_embedded[sample * self.embeddings * dim..][..self.embeddings * dim].copy_from_slice(grad_e);
        }
    }

    /// `T` of a sample.
    fn gather<F: Real>(self, x: &[F], embedded: &[F], sample: usize, t: &mut [F]) {
        let len = self.embeddings * self.dim;
        t[..self.dim].copy_from_slice(x);
        t[self.dim..].copy_from_slice(&embedded[sample * len..][..len]);
    }
}

#[cfg(test)]
mod tests {
    use ttcore_cpu::{Element, Isa, Work};

    use super::*;

    /// Runs a closure's worth of work with kernels.
    struct Forward<'a>(Interaction, &'a [f64], &'a [f64], &'a mut [f64]);

    impl Work<f64> for Forward<'_> {
        type Output = ();

        fn run<K: Kernels<f64>>(self, kernels: K) {
            let Self(interaction, x, e, out) = self;
            interaction.forward(kernels, x, e, out, &mut interaction.scratch());
        }
    }

    type Pair<'a> = (&'a [f64], &'a [f64]);

    struct Backward<'a>(Interaction, Pair<'a>, &'a [f64], (&'a mut [f64], &'a mut [f64]));

    impl Work<f64> for Backward<'_> {
        type Output = ();

        fn run<K: Kernels<f64>>(self, kernels: K) {
            let Self(interaction, inputs, grad_out, grads) = self;
            interaction.backward(kernels, inputs, grad_out, grads, &mut interaction.scratch());
        }
    }

    #[test]
    fn order_and_gradient() {
        for isa in Isa::ALL {
            let interaction = Interaction { dim: 2, embeddings: 3 };
            // Two samples, of which the second is the one that is looked at.
            let x = [9.0f64, 9.0, 1.0, 2.0];
            let e = [8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0];
            let forward = |x: &[f64], e: &[f64]| {
                let mut out = [0.0; 16];
                f64::dispatch(isa, Forward(interaction, x, e, &mut out));
                out
            };
            let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
            let (x2, e1, e2, e3) = ([1.0, 2.0], [3.0, 5.0], [7.0, 11.0], [13.0, 17.0]);
            let want = [1.0, 2.0, dot(e1, x2), dot(e2, x2), dot(e2, e1), dot(e3, x2), dot(e3, e1), dot(e3, e2)];
            assert_eq!(forward(&x, &e)[8..], want);

            // Bilinear in each feature: the gradient is exact for any step.
            let weight = [
                0.5, -1.0, 2.0, 3.0, -4.0, 5.0, 0.25, 7.0, //
                1.5, 0.5, -2.0, 6.0, 1.0, -3.0, 0.75, 2.0,
            ];
            let loss = |x: &[f64], e: &[f64]| forward(x, e).iter().zip(&weight).map(|(a, b)| a * b).sum::<f64>();
            let (mut dx, mut de) = ([0.0; 4], [0.0; 12]);
            f64::dispatch(isa, Backward(interaction, (&x, &e), &weight, (&mut dx, &mut de)));
            for k in 0..4 {
                let mut moved = x;
                moved[k] += 1.0;
                assert!((loss(&moved, &e) - loss(&x, &e) - dx[k]).abs() < 1e-9);
            }
            for k in 0..12 {
                let mut moved = e;
                moved[k] += 1.0;
                assert!((loss(&x, &moved) - loss(&x, &e) - de[k]).abs() < 1e-9);
            }
        }
    }
}
