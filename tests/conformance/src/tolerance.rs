//! How far a result may be from the right one.
//!
//! One bound serves every property. A value that is a sum of products comes out wrong by at most about
//! `terms x epsilon x scale`, in whatever order it is computed: `terms` counts the roundings on the way of one product
//! to the result, and `scale` is the sum of the absolute values of the products. Where a scale is zero there is nothing
//! to round, and the bound asks for the value itself.

use ttcore::Real;

/// Room for what the first-order bound leaves out: both sides of a comparison round, each by up to half an epsilon a
/// term, intermediate sums round again where another order of work has more of them, and `1 / lookups` of a mean rounds
/// once for every product. Wrong results miss by many orders of magnitude more.
const SAFETY: f64 = 4.0;

/// The largest difference of a result in `F` from the right one: proportional to `terms x epsilon x scale`.
pub fn tolerance<F: Real>(terms: usize, scale: f64) -> f64 {
    SAFETY * terms as f64 * F::epsilon().as_f64() * scale
}

/// The error of a tensor, `max |got - want| / max |want|`; the absolute error where `want` is all zeros.
///
/// Not a number where `got` has one, so that comparing it with a limit by `<=` fails.
pub fn error(got: &[f64], want: &[f64]) -> f64 {
    let largest = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(0.0, |max: f64, x| if x.is_nan() || x > max { x } else { max })
    };
    let size = largest(&mut want.iter().map(|w| w.abs()));
    let difference = largest(&mut got.iter().zip(want).map(|(g, w)| (g - w).abs()));
    if size > 0.0 { difference / size } else { difference }
}

/// That the [`error`] of a tensor is at most `limit`.
///
/// # Panics
///
/// If it is not: with the name of the tensor and its worst element.
#[track_caller]
pub fn assert_error(name: &str, got: &[f64], want: &[f64], limit: f64) {
    assert_eq!(got.len(), want.len(), "{name}: wrong length");
    let error = error(got, want);
    if error <= limit {
        return;
    }
    let differences = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    let (at, _) = worst(differences).expect("an empty tensor has no error");
    panic!("{name}: error {error:e} is above {limit:e}; worst at [{at}]: got {:e}, want {:e}", got[at], want[at]);
}

/// A tensor and how accurately it can be known.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The right values.
    pub value: Vec<f64>,
    /// For each value, the sum of the absolute values of the products it is the sum of.
    pub scale: Vec<f64>,
}

/// That a tensor computed in `F` is the expected one, each element within its own [`tolerance`].
///
/// # Panics
///
/// If it is not: with the name of the tensor and the element furthest outside.
#[track_caller]
pub fn assert_close<F: Real>(name: &str, got: &[f64], want: &Expected, terms: usize) {
    assert_eq!(got.len(), want.value.len(), "{name}: wrong length");
    assert_eq!(got.len(), want.scale.len(), "{name}: wrong length of the scale");
    let excess = got.iter().zip(&want.value).zip(&want.scale).map(|((got, want), &scale)| {
        let (difference, bound) = ((got - want).abs(), tolerance::<F>(terms, scale));
        // Zero over zero is right, anything else over zero is infinitely wrong.
        if difference == 0.0 { 0.0 } else { difference / bound }
    });
    if let Some((at, excess)) = worst(excess)
        && (excess.is_nan() || excess > 1.0)
    {
        let (got, value, bound) = (got[at], want.value[at], tolerance::<F>(terms, want.scale[at]));
        panic!("{name}[{at}]: got {got:e}, want {value:e} within {bound:e}: {excess:.1} times too far");
    }
}

/// That two tensors have the same bits.
///
/// # Panics
///
/// If they have not: with the name of the tensor and the first element that differs.
#[track_caller]
pub fn assert_same(name: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{name}: wrong length");
    if let Some(at) = (0..got.len()).find(|&i| got[i].to_bits() != want[i].to_bits()) {
        panic!("{name}[{at}]: got {:e}, want the same bits as {:e}", got[at], want[at]);
    }
}

/// The largest value and its position; a value that is not a number is the largest.
fn worst(values: impl Iterator<Item = f64>) -> Option<(usize, f64)> {
    let key = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
    values.enumerate().max_by(|a, b| key(a.1).total_cmp(&key(b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_tensor() {
        assert_eq!(error(&[1.0, -3.0], &[1.0, -4.0]), 0.25);
        assert_eq!(error(&[0.5], &[0.0]), 0.5);
        assert!(error(&[f64::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert_eq!(error(&[], &[]), 0.0);
    }

    #[test]
    fn what_is_within_and_what_is_not() {
        let want = Expected { value: vec![1.0, 0.0], scale: vec![2.0, 0.0] };
        let close = |got: &[f64]| std::panic::catch_unwind(|| assert_close::<f64>("x", got, &want, 3)).is_ok();
        let edge = tolerance::<f64>(3, 2.0);
        assert!(close(&[1.0, 0.0]) && close(&[1.0 + 0.9 * edge, 0.0]));
        assert!(!close(&[1.0 + 1.1 * edge, 0.0]));
        assert!(!close(&[1.0, f64::MIN_POSITIVE]), "nothing rounds at scale zero");
        assert!(!close(&[f64::NAN, 0.0]) && !close(&[1.0]));
    }
}
