//! Binary cross entropy on probabilities.

use ttcore::Real;

/// `1 / (1 + exp(-logit))`.
pub fn sigmoid<F: Real>(logit: F) -> F {
    (F::one() + (-logit).exp()).recip()
}

/// Mean of `-(y ln p + (1-y) ln(1-p))` over the batch, with logarithms not below -100, as the reference model's loss.
/// Accumulates in `f64`.
pub fn binary_cross_entropy<F: Real>(probabilities: &[F], labels: &[F]) -> f64 {
    sum(probabilities, labels) / probabilities.len() as f64
}

/// The sum instead of the mean.
pub(super) fn sum<F: Real>(probabilities: &[F], labels: &[F]) -> f64 {
    let least = F::of(-100.0);
    // `max` would turn what is not a number into -100 and hide a diverged model.
    let floor = |log: F| if log < least { least } else { log };
    let term = |(&p, &y): (&F, &F)| -(y * floor(p.ln()) + (F::one() - y) * floor((F::one() - p).ln()));
    probabilities.iter().zip(labels).map(term).map(F::as_f64).sum()
}

/// Gradient of the loss with respect to the logits, `(p - y) / B`, written to `grad`, of some samples of a batch of `B`.
pub(super) fn logit_gradient<F: Real>(probabilities: &[F], labels: &[F], batch: usize, grad: &mut [F]) {
    let batch = F::of(batch as f64);
    for ((g, &p), &y) in grad.iter_mut().zip(probabilities).zip(labels) {
        *g = (p - y) / batch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_have_a_floor_and_a_diverged_model_has_no_loss() {
        assert_eq!(binary_cross_entropy(&[0f32, 1.0, 0.0, 1.0], &[1.0, 0.0, 0.0, 1.0]), 50.0);
        for label in [0f32, 1.0] {
            assert!(binary_cross_entropy(&[0.5, f32::NAN], &[0.0, label]).is_nan());
        }
    }
}
