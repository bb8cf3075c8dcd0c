//! Backward is the transposed derivative of forward.
//!
//! The output is linear in each core, in the dense rows and in the weights, with the others fixed: its derivative in a
//! direction `x` of one of these parts is forward itself, with the part replaced by `x`.

use std::ops::Range;

use rand_core::Rng;
use ttcore::{Backend, Table};

use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::Harness;
use crate::oracle::{self, absolute};
use crate::runner::check;
use crate::tolerance::{Expected, assert_close};

/// Gradients are those of the definition, of the parameters and of the weights, alone and in one call.
pub fn gradients_are_the_definition<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let want = oracle::backward(&case, &params, &grad_out);
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        for (grads, want) in harness.grads(&params, &grad_out).iter().zip(&want.params) {
            assert_close::<B::Float>("gradient of the parameters", grads, want, case.terms());
        }
        let weights = harness.weight_grads(&params, &grad_out, want.weights.value.len());
        assert_close::<B::Float>("gradient of the weights", &weights, &want.weights, case.terms());
    });
}

/// `<J x, y> = <x, J^T y>` for every core and the dense rows.
pub fn the_adjoint_identity<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, y) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let grads = harness.grads(&params, &y);
        for (t, table) in case.layout.tables().iter().enumerate() {
            for (stream, part) in parts(table).into_iter().enumerate() {
                let x = case.values(10 + stream as u64, part.len());
                let replaced = with_part(&case, &params, t, part.clone(), &x);
                let forward = on_table(&case, t, &harness.forward(&replaced, case.bags()));
                let scale = on_table(&case, t, &oracle::forward(&case, &replaced).scale);
                assert_number::<B>(
                    "<J x, y>",
                    dot(&forward, &y),
                    dot(&x, &grads[t][part]),
                    dot(&scale, &absolute(&y)),
                    case.terms() + forward.len(),
                );
            }
        }
    });
}

/// `<J x, y> = <x, J^T y>` for the weights of each table.
pub fn the_adjoint_identity_of_weights<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, y) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let lookups = case.batches.iter().map(|batch| batch.lookups()).sum();
        let grads = harness.weight_grads(&params, &y, lookups);
        let mut first = 0;
        for (t, batch) in case.batches.iter().enumerate() {
            let x = case.values(10 + t as u64, batch.lookups());
            let mut batches = case.batches.clone();
            batches[t] = batch.weighted(x.clone());
            let weighted = case.with_batches(batches);
            let forward = on_table(&case, t, &Harness::of(device, &weighted).forward(&params, case.bags()));
            let scale = on_table(&case, t, &oracle::forward(&weighted, &params).scale);
            let grads = &grads[first..][..batch.lookups()];
            let terms = case.terms() + forward.len();
            assert_number::<B>("<J a, y>", dot(&forward, &y), dot(&x, grads), dot(&scale, &absolute(&y)), terms);
            first += batch.lookups();
        }
    });
}

/// The gradient of single parameters and weights is the central difference of `<y, output>`.
///
/// The output is linear in any one number, so the central difference has no truncation error at any step: a step of 1/2
/// makes it as accurate as the output itself, in `f32` too.
pub fn central_differences<B: Backend>(device: &Device<B>) {
    const STEP: f64 = 0.5;
    const NUMBERS: usize = 8;
    check(case::cases(), |case| {
        let (params, y) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let grads = harness.grads(&params, &y);
        let lookups = case.batches.iter().map(|batch| batch.lookups()).sum();
        let weight_grads = harness.weight_grads(&params, &y, lookups);
        let mut rng = case::rng(case.seed, 2);
        let mut pick = |len: usize| (rng.next_u64() % len.max(1) as u64) as usize;
        let mut first = 0;
        for t in 0..params.len() {
            let loss = |harness: &mut Harness<'_, B>, case: &Case, params: &[Vec<f64>]| {
                let scale = oracle::forward(case, params).scale;
                let out = harness.forward(params, case.bags());
                (dot(&on_table(case, t, &out), &y), dot(&on_table(case, t, &scale), &absolute(&y)))
            };
            let terms = case.terms() + case.outputs();
            let assert_difference = |[high, low]: [(f64, f64); 2], grad: f64| {
                let difference = (high.0 - low.0) / (2.0 * STEP);
                assert_number::<B>("central difference", difference, grad, (high.1 + low.1) / (2.0 * STEP), terms);
            };
            for _ in 0..NUMBERS {
                let i = pick(params[t].len());
                let ends = [STEP, -STEP].map(|step| {
                    let mut moved = params.clone();
                    moved[t][i] += step;
                    loss(&mut harness, &case, &moved)
                });
                assert_difference(ends, grads[t][i]);
            }
            let batch = &case.batches[t];
            for _ in 0..NUMBERS.min(batch.lookups()) {
                let j = pick(batch.lookups());
                let ends = [STEP, -STEP].map(|step| {
                    let mut weights: Vec<f64> = (0..batch.lookups()).map(|j| batch.weight(j)).collect();
                    weights[j] += step;
                    let mut batches = case.batches.clone();
                    batches[t] = batch.weighted(weights);
                    let moved = case.with_batches(batches);
                    loss(&mut Harness::of(device, &moved), &moved, &params)
                });
                assert_difference(ends, weight_grads[first + j]);
            }
            first += batch.lookups();
        }
    });
}

/// The parts of a table that the output is linear in: each core, and the dense rows.
pub(crate) fn parts(table: &Table) -> Vec<Range<usize>> {
    let cores = table.cores().into_iter().flat_map(|shape| (0..shape.cores()).map(|k| shape.core_range(k)));
    cores.chain(std::iter::once(table.core_parameters()..table.parameters())).filter(|part| !part.is_empty()).collect()
}

/// The parameters with one part of table `t` replaced, for which the output of the table is linear in that part: the
/// dense rows are zero where the part is a core, and the cores where it is not.
pub(crate) fn with_part(case: &Case, params: &[Vec<f64>], t: usize, part: Range<usize>, x: &[f64]) -> Vec<Vec<f64>> {
    let cores = case.layout.tables()[t].core_parameters();
    let mut params = params.to_vec();
    if part.end <= cores {
        params[t][cores..].fill(0.0);
    } else {
        params[t][..cores].fill(0.0);
    }
    params[t][part].copy_from_slice(x);
    params
}

/// An output with zeros but for the columns of table `t`.
fn on_table(case: &Case, t: usize, out: &[f64]) -> Vec<f64> {
    let mut masked = vec![0.0; out.len()];
    for b in 0..case.batches[t].bags() {
        masked[case.pooled(t, b)].copy_from_slice(&out[case.pooled(t, b)]);
    }
    masked
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[track_caller]
fn assert_number<B: Backend>(name: &str, got: f64, want: f64, scale: f64, terms: usize) {
    assert_close::<B::Float>(name, &[got], &Expected { value: vec![want], scale: vec![scale] }, terms);
}
