//! Log loss, accuracy and area under the curve of click predictions.
//!
//! Predictions are probabilities in `f64` (widen an `f32` model's with `f64::from`), labels 0 or 1, both `[n]`.

/// Mean binary cross-entropy in nats, with each logarithm held at or above -100 as in `torch.nn.BCELoss`.
///
/// NaN without samples, and if a prediction is NaN or outside 0 to 1.
///
/// # Panics
///
/// If the lengths differ.
///
/// ```
/// assert!((dlrm::metrics::log_loss(&[0.5, 0.5], &[0.0, 1.0]) - 2f64.ln()).abs() < 1e-15);
/// ```
pub fn log_loss(predictions: &[f64], labels: &[f32]) -> f64 {
    check(predictions, labels);
    let sum: f64 = predictions.iter().zip(labels).map(|(&p, &y)| log_loss_of(p, y)).sum();
    sum / predictions.len() as f64
}

/// What one sample adds to [`log_loss`].
pub fn log_loss_of(prediction: f64, label: f32) -> f64 {
    let label = f64::from(label);
    -(label * floor(prediction.ln()) + (1.0 - label) * floor((-prediction).ln_1p()))
}

/// `f64::max` would turn a NaN into -100 and hide a diverged model.
fn floor(log: f64) -> f64 {
    if log < -100.0 { -100.0 } else { log }
}

/// Fraction of samples whose prediction, rounded half to even, is the label: above 0.5 is class 1, exactly 0.5 is 0.
///
/// A NaN or a prediction that rounds to neither class is wrong for every label. NaN without samples.
///
/// # Panics
///
/// If the lengths differ.
pub fn accuracy(predictions: &[f64], labels: &[f32]) -> f64 {
    check(predictions, labels);
    let right = predictions.iter().zip(labels).filter(|&(&p, &y)| p.round_ties_even() == f64::from(y)).count();
    right as f64 / predictions.len() as f64
}

/// Exact area under the ROC curve: the chance that a random positive is predicted above a random negative, ties
/// counting half. `None` when only one class is present (or no sample).
///
/// A label above 0.5 is positive. A NaN prediction ranks above every number and ties with every other NaN, so a fully
/// diverged model gets 0.5. Takes O(n log n) time and 16 n bytes; pairs are counted in integers, so the result does not
/// depend on the order of the samples.
///
/// # Panics
///
/// If the lengths differ.
pub fn auc(predictions: &[f64], labels: &[f32]) -> Option<f64> {
    check(predictions, labels);
    let mut samples: Vec<(f64, bool)> = predictions.iter().zip(labels).map(|(&p, &y)| (key(p), y > 0.5)).collect();
    samples.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of ordered pairs, so that half a tie is an integer; n^2 may exceed 64 bits.
    let mut twice = 0u128;
    let (mut positives, mut negatives) = (0u128, 0u128);
    for tied in samples.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let above = tied.iter().filter(|sample| sample.1).count() as u128;
        let below = tied.len() as u128 - above;
        twice += above * (2 * negatives + below);
        positives += above;
        negatives += below;
    }
    let pairs = positives * negatives;
    (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
}

/// `total_cmp` tells -0 from 0 and orders NaNs by sign and payload; neither difference means anything here.
fn key(prediction: f64) -> f64 {
    if prediction.is_nan() { f64::NAN.copysign(1.0) } else { prediction + 0.0 }
}

fn check(predictions: &[f64], labels: &[f32]) {
    assert_eq!(predictions.len(), labels.len(), "number of predictions and labels");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    #[test]
    fn loss_is_clamped_and_keeps_nan() {
        assert_eq!(log_loss(&[0.0, 1.0, 1.0, 0.0], &[0.0, 1.0, 0.0, 1.0]), 50.0);
        let want = -(0.9f64.ln() + (1.0f64 - 0.2).ln()) / 2.0;
        assert!((log_loss(&[0.9, 0.2], &[1.0, 0.0]) - want).abs() < 1e-15);
        // Below the resolution of 1 - p: the loss of a sure negative is p, not 0.
        assert!((log_loss(&[1e-20], &[0.0]) - 1e-20).abs() < 1e-30);
        for bad in [NAN, -0.1, 1.1] {
            assert!(log_loss(&[0.5, bad], &[0.0, 1.0]).is_nan());
            assert!(log_loss(&[0.5, bad], &[0.0, 0.0]).is_nan());
        }
        assert!(log_loss(&[], &[]).is_nan());
    }

    #[test]
    fn accuracy_rounds_half_to_zero() {
        let just_above = f64::from_bits(0.5f64.to_bits() + 1);
        assert_eq!(accuracy(&[0.5, 0.5, just_above, 0.0, 1.0], &[0.0, 1.0, 1.0, 0.0, 1.0]), 0.8);
        assert_eq!(accuracy(&[NAN, NAN, 1.6], &[0.0, 1.0, 1.0]), 0.0);
        assert!(accuracy(&[], &[]).is_nan());
    }

    #[test]
    fn auc_of_small_cases() {
        assert_eq!(auc(&[0.1, 0.9], &[0.0, 1.0]), Some(1.0));
        assert_eq!(auc(&[0.9, 0.1], &[0.0, 1.0]), Some(0.0));
        assert_eq!(auc(&[0.3; 5], &[0.0, 1.0, 0.0, 1.0, 1.0]), Some(0.5));
        assert_eq!(auc(&[0.0, -0.0], &[0.0, 1.0]), Some(0.5));
        for one_class in [&[][..], &[1.0], &[0.0, 0.0], &[1.0, 1.0, 1.0]] {
            assert_eq!(auc(&vec![0.2; one_class.len()], one_class), None);
        }
    }

    #[test]
    fn auc_with_nan() {
        assert_eq!(auc(&[NAN, -NAN, NAN], &[0.0, 1.0, 1.0]), Some(0.5));
        assert_eq!(auc(&[f64::INFINITY, -NAN], &[0.0, 1.0]), Some(1.0));
    }

    #[test]
    fn auc_agrees_with_its_definition() {
        let mut state = 7u64;
        let mut draw = |bound: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % bound
        };
        for case in 0..200 {
            let n = draw(60) as usize;
            // Few distinct values in half of the cases, for many ties.
            let levels = if case % 2 == 0 { 5 } else { 1 << 30 };
            let predictions: Vec<f64> = (0..n).map(|_| draw(levels) as f64 / levels as f64).collect();
            let labels: Vec<f32> = (0..n).map(|_| draw(2) as f32).collect();
            let (mut twice, mut pairs) = (0u32, 0u32);
            for (p, _) in predictions.iter().zip(&labels).filter(|s| *s.1 == 1.0) {
                for (q, _) in predictions.iter().zip(&labels).filter(|s| *s.1 == 0.0) {
                    pairs += 1;
                    twice += if p > q { 2 } else { u32::from(p == q) };
                }
            }
            let want = (pairs > 0).then(|| f64::from(twice) / f64::from(2 * pairs));
            assert_eq!(auc(&predictions, &labels), want);
        }
    }

    #[test]
    #[should_panic(expected = "number of predictions and labels")]
    fn lengths_must_agree() {
        auc(&[0.1], &[0.0, 1.0]);
    }
}
