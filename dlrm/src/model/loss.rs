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
    let floor = F::of(-100.0);
    let term = |(&p, &y): (&F, &F)| -(y * p.ln().max(floor) + (F::one() - y) * (F::one() - p).ln().max(floor));
    probabilities.iter().zip(labels).map(term).map(F::as_f64).sum()
}

/// Gradient of the loss with respect to the logits, `(p - y) / B`, written to `grad`, of some samples of a batch of `B`.
pub(super) fn logit_gradient<F: Real>(probabilities: &[F], labels: &[F], batch: usize, grad: &mut [F]) {
    let batch = F::of(batch as f64);
    for ((g, &p), &y) in grad.iter_mut().zip(probabilities).zip(labels) {
        *g = (p - y) / batch;
    }
}
