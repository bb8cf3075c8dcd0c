//! Nothing is left over between calls: the same input gives the same bits, whatever ran before.

use ttcore::{Backend, Pooling, Rule, Update};

use crate::batch::Batch;
use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::{Harness, HostSink};
use crate::oracle;
use crate::runner::check;
use crate::tolerance::{assert_close, assert_same};

/// A step of each sort from the case's parameters, with the batch grouped anew: all that it gives.
fn step<B: Backend>(harness: &mut Harness<'_, B>, case: &Case) -> Vec<f64> {
    let (mut params, grad_out) = (case.params(), case.grad_out());
    let lookups = case.batches.iter().map(Batch::lookups).sum();
    harness.group(&case.batches);
    let mut all = harness.forward(&params, case.bags());
    all.extend(harness.grads(&params, &grad_out).concat());
    all.extend(harness.weight_grads(&params, &grad_out, lookups));
    let mut state: Vec<Vec<f64>> = params.iter().map(|params| vec![0.0; params.len()]).collect();
    let update = Update { rule: Rule::Adagrad { eps: 1e-3 }, ..Update::sgd(0.1) };
    harness.update(&mut params, &mut state, update, &grad_out);
    all.extend([params.concat(), state.concat()].concat());
    all
}

/// A step gives the same bits on fresh memory, after another batch and other parameters, and once more.
pub fn same_bits_every_time<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let first = step(&mut Harness::of(device, &case), &case);
        let mut harness = Harness::of(device, &case);
        step(&mut harness, &Case { seed: !case.seed, ..case.mirrored() });
        assert_same("after another batch", &step(&mut harness, &case), &first);
        assert_same("again", &step(&mut harness, &case), &first);
    });
}

/// Two batches are in use at once: forward on both, then backward on the first, then on the second.
pub fn two_batches_at_once<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let other = case.mirrored();
        let alone = [&case, &other].map(|case| {
            let mut harness = Harness::of(device, case);
            harness.forward(&params, case.bags());
            harness.grads(&params, &grad_out)
        });

        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        // Each backward is given the version that its own forward had.
        let version = harness.version;
        let mut second = harness.new_slot();
        std::mem::swap(&mut harness.slot, &mut second);
        harness.group(&other.batches);
        harness.forward(&params, case.bags());
        let later_version = harness.version;
        for (version, alone) in [(version, &alone[0]), (later_version, &alone[1])] {
            std::mem::swap(&mut harness.slot, &mut second);
            harness.version = version;
            assert_same("gradients", &harness.grads(&params, &grad_out).concat(), &alone.concat());
        }
    });
}

/// Backward may follow a forward more than once, and expanding rows in between disturbs nothing.
pub fn backward_twice<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let first = harness.grads(&params, &grad_out).concat();
        harness.expand(0, &params[0], &[0]);
        assert_same("gradients", &harness.grads(&params, &grad_out).concat(), &first);
    });
}

/// The gradients after grouping the same rows with other weights and pooling, without another forward, are refused or
/// right, but never those of the weights before.
pub fn other_weights_are_seen_or_refused<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let batches = case.batches.iter().map(|batch| {
            let pooling = if batch.pooling == Pooling::Sum { Pooling::Mean } else { Pooling::Sum };
            batch.weighted(case.values(5, batch.lookups())).pooled(pooling)
        });
        let changed = case.with_batches(batches.collect());
        harness.group(&changed.batches);
        let want = oracle::backward(&changed, &params, &grad_out);
        let mut weights = vec![oracle::UNWRITTEN; want.weights.value.len()];
        let mut sinks: Vec<_> = params.iter().map(|params| HostSink::Frozen { params: params.clone() }).collect();
        if harness.try_backward(&mut sinks, &grad_out, Some(&mut weights)).is_ok() {
            assert_close::<B::Float>("gradient of the weights", &weights, &want.weights, case.terms());
            let grads = harness.grads(&params, &grad_out);
            for (grads, want) in grads.iter().zip(&want.params) {
                assert_close::<B::Float>("gradients", grads, want, case.terms());
            }
        }
    });
}
