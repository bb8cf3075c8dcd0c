//! Two backends that compute in the same float agree, step after step, on random tables and batches.

use ttcore::{Backend, Update};

use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::Harness;
use crate::oracle;
use crate::runner::check;
use crate::tolerance::{Expected, assert_close};

/// Steps of a case. Each begins with the parameters the first backend came to, so that differences do not add up.
const STEPS: usize = 3;

/// Outputs, gradients, gradients of the weights and updated parameters of `other` are those of `one`.
///
/// # Panics
///
/// If not.
pub fn agree<A: Backend, B: Backend<Float = A::Float>>(one: &Device<A>, other: &Device<B>) {
    check(case::cases(), |case| {
        let (mut one, mut other) = (Harness::of(one, &case), Harness::of(other, &case));
        let mut params = case.params();
        for _ in 0..STEPS {
            params = step(&case, &mut one, &mut other, params);
        }
    });
}

/// One step of two backends on the same numbers: the parameters the first comes to.
///
/// # Panics
///
/// If outputs, gradients, gradients of the weights or updated parameters differ.
pub fn step<A: Backend, B: Backend<Float = A::Float>>(
    case: &Case,
    one: &mut Harness<'_, A>,
    other: &mut Harness<'_, B>,
    params: Vec<Vec<f64>>,
) -> Vec<Vec<f64>> {
    // Both sides round, so twice the terms.
    let (grad_out, terms) = (case.grad_out(), 2 * case.terms());
    let scales = oracle::backward(case, &params, &grad_out);
    let close = |name: &str, got: &[f64], want: Vec<f64>, scale: Vec<f64>| {
        assert_close::<A::Float>(name, got, &Expected { value: want, scale }, terms);
    };
    let want = one.forward(&params, case.bags());
    close("output", &other.forward(&params, case.bags()), want, oracle::forward(case, &params).scale);

    let lookups = case.batches.iter().map(|batch| batch.lookups()).sum();
    let want = one.weight_grads(&params, &grad_out, lookups);
    let got = other.weight_grads(&params, &grad_out, lookups);
    close("gradients of the weights", &got, want, scales.weights.scale.clone());

    let (want, got) = (one.grads(&params, &grad_out), other.grads(&params, &grad_out));
    for ((want, got), scale) in want.into_iter().zip(&got).zip(&scales.params) {
        close("gradients", got, want, scale.scale.clone());
    }

    let update = Update { core_lr_multiplier: 0.5, ..Update::sgd(0.125) };
    let (mut new, mut other_new) = (params.clone(), params.clone());
    let state = || vec![Vec::new(); params.len()];
    one.update(&mut new, &mut state(), update, &grad_out);
    other.update(&mut other_new, &mut state(), update, &grad_out);
    for (((want, got), before), scale) in new.iter().zip(&other_new).zip(&params).zip(&scales.params) {
        let scale = before.iter().zip(&scale.scale).map(|(w, g)| w.abs() + update.lr * g).collect();
        close("updated parameters", got, want.clone(), scale);
    }
    new
}
