//! Dot products between all pairs of features.
//!
//! The features of a sample are `T = [x, e_1, .., e_n]`, `n + 1` vectors of `N` numbers: the output of the bottom MLP and
//! the embeddings. The interaction is `[x, Z]` with `Z` the strict lower triangle of `T T^T`, row by row:
//! `(1,0), (2,0), (2,1), (3,0), ..`. The order matters to whoever loads weights of the reference model.

use ttcore::Real;

/// Numbers in the interaction of `embeddings` embeddings of `dim` numbers with the bottom output.
pub fn width(dim: usize, embeddings: usize) -> usize {
    dim + (embeddings + 1) * embeddings / 2
}

/// `out` `[B][width]` from the bottom output `[B][N]` and the embeddings `[B][n N]`.
pub fn forward<F: Real>(dim: usize, embeddings: usize, bottom: &[F], embedded: &[F], out: &mut [F]) {
    let samples = bottom.chunks_exact(dim).zip(embedded.chunks_exact(embeddings * dim));
    for ((x, e), out) in samples.zip(out.chunks_exact_mut(width(dim, embeddings))) {
        let feature = |f: usize| if f == 0 { x } else { &e[(f - 1) * dim..][..dim] };
        let (copy, products) = out.split_at_mut(dim);
        copy.copy_from_slice(x);
        for ((f, g), z) in pairs(embeddings).zip(products) {
            *z = feature(f).iter().zip(feature(g)).map(|(&a, &b)| a * b).sum();
        }
    }
}

/// Gradients of the bottom output `[B][N]` and of the embeddings `[B][n N]` from that of the interaction `[B][width]`.
pub fn backward<F: Real>(
    dim: usize,
    embeddings: usize,
    inputs: (&[F], &[F]),
    grad_out: &[F],
    grad_bottom: &mut [F],
    grad_embedded: &mut [F],
) {
    let samples = inputs.0.chunks_exact(dim).zip(inputs.1.chunks_exact(embeddings * dim));
    let grads = grad_bottom.chunks_exact_mut(dim).zip(grad_embedded.chunks_exact_mut(embeddings * dim));
    for (((x, e), (dx, de)), dz) in samples.zip(grads).zip(grad_out.chunks_exact(width(dim, embeddings))) {
        let (copy, products) = dz.split_at(dim);
        dx.copy_from_slice(copy);
        de.fill(F::zero());
        for ((f, g), &dz) in pairs(embeddings).zip(products) {
            // f > g, so f is an embedding.
            let (a, (before, from)) = (&e[(f - 1) * dim..][..dim], de.split_at_mut((f - 1) * dim));
            let (b, db) = match g {
                0 => (x, &mut *dx),
                _ => (&e[(g - 1) * dim..][..dim], &mut before[(g - 1) * dim..][..dim]),
            };
            for k in 0..dim {
                from[k] += dz * b[k];
                db[k] += dz * a[k];
            }
        }
    }
}

/// `(1,0), (2,0), (2,1), (3,0), ..`.
fn pairs(embeddings: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..=embeddings).flat_map(|f| (0..f).map(move |g| (f, g)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_gradient() {
        let (dim, n) = (2, 3);
        let x = [1.0f64, 2.0];
        let e = [3.0, 5.0, 7.0, 11.0, 13.0, 17.0];
        let mut out = [0.0; 8];
        forward(dim, n, &x, &e, &mut out);
        let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
        let (e1, e2, e3) = ([3.0, 5.0], [7.0, 11.0], [13.0, 17.0]);
        assert_eq!(out, [1.0, 2.0, dot(e1, x), dot(e2, x), dot(e2, e1), dot(e3, x), dot(e3, e1), dot(e3, e2)]);

        // Bilinear in each feature: the gradient is exact for any step.
        let weight = [0.5, -1.0, 2.0, 3.0, -4.0, 5.0, 0.25, 7.0];
        let loss = |x: &[f64], e: &[f64]| {
            let mut out = [0.0; 8];
            forward(dim, n, x, e, &mut out);
            out.iter().zip(&weight).map(|(a, b)| a * b).sum::<f64>()
        };
        let (mut dx, mut de) = ([0.0; 2], [0.0; 6]);
        backward(dim, n, (&x, &e), &weight, &mut dx, &mut de);
        for k in 0..2 {
            let mut moved = x;
            moved[k] += 1.0;
            assert!((loss(&moved, &e) - loss(&x, &e) - dx[k]).abs() < 1e-9);
        }
        for k in 0..6 {
            let mut moved = e;
            moved[k] += 1.0;
            assert!((loss(&x, &moved) - loss(&x, &e) - de[k]).abs() < 1e-9);
        }
    }
}
