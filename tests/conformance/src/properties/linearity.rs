//! The output is linear in each part of the parameters; gradients are linear in the gradient of the output.

use ttcore::Backend;

use super::adjoint::{parts, with_part};
use crate::case;
use crate::device::Device;
use crate::harness::Harness;
use crate::oracle;
use crate::runner::check;
use crate::tolerance::{Expected, assert_close};

/// Powers of two, so that combinations of parameters are exact.
const ALPHA: f64 = 2.0;
const BETA: f64 = -0.5;

/// `f(alpha X + beta Y) = alpha f(X) + beta f(Y)`, for every core and the dense rows.
pub fn output_in_each_core<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let params = case.params();
        let mut harness = Harness::of(device, &case);
        for (t, table) in case.layout.tables().iter().enumerate() {
            for part in parts(table) {
                let (x, y) = (case.values(20, part.len()), case.values(21, part.len()));
                let [x_params, y_params, both] =
                    [&x, &y, &combine(&x, &y)].map(|values| with_part(&case, &params, t, part.clone(), values));
                let columns = |out: Vec<f64>| case.of_table(t, &out);
                let [x, y, both] =
                    [&x_params, &y_params, &both].map(|params| columns(harness.forward(params, case.bags())));
                let [x_scale, y_scale] =
                    [x_params, y_params].map(|params| columns(oracle::forward(&case, &params).scale));
                let want = Expected { value: combine(&x, &y), scale: combine_scales(&x_scale, &y_scale) };
                assert_close::<B::Float>("output of a combination", &both, &want, case.terms());
            }
        }
    });
}

/// `g(alpha y + beta z) = alpha g(y) + beta g(z)`, for gradients of the parameters and of the weights.
pub fn gradients_in_the_output_gradient<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let params = case.params();
        let lookups = case.batches.iter().map(|batch| batch.lookups()).sum();
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let (y, z) = (case.grad_out(), case.values(20, case.outputs()));
        let all = [&y, &z, &combine(&y, &z)].map(|grad_out| {
            let mut all = harness.grads(&params, grad_out).concat();
            all.extend(harness.weight_grads(&params, grad_out, lookups));
            all
        });
        let scales = [&y, &z].map(|grad_out| {
            let gradients = oracle::backward(&case, &params, grad_out);
            gradients.params.into_iter().chain([gradients.weights]).flat_map(|part| part.scale).collect::<Vec<f64>>()
        });
        let want = Expected { value: combine(&all[0], &all[1]), scale: combine_scales(&scales[0], &scales[1]) };
        assert_close::<B::Float>("gradients of a combination", &all[2], &want, case.terms());
    });
}

fn combine(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| ALPHA * x + BETA * y).collect()
}

fn combine_scales(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| ALPHA.abs() * x + BETA.abs() * y).collect()
}
