//! What a backend refuses about the number of things: views of another length, more or fewer than one for each table.

use ttcore::{Backend, Error};

use super::contract::{
    assert_backward_refused, assert_group_is_old_or_empty, assert_refused, assert_works, fixture, sinks,
};
use crate::batch::Batch;
use crate::device::Device;
use crate::harness::{Harness, HostSink};
use crate::oracle::UNWRITTEN;

/// Lengths next to the right one, and none.
fn wrong_lengths(right: usize) -> [usize; 3] {
    [0, right - 1, right + 1]
}

fn length(what: &'static str, table: Option<usize>, got: usize, want: usize) -> Error {
    Error::Length { what, table, got, want }
}

/// Too short and too long outputs and parameters of forward.
pub fn views_of_forward<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = Harness::of(device, &case);
    let mut refuse = |params: &[Vec<f64>], outputs: usize, want: Error| {
        let mut out = vec![UNWRITTEN; outputs];
        assert_refused::<B>(harness.try_forward(params, &mut out, true), want);
        assert!(out.iter().all(|&y| y == UNWRITTEN), "a refused call wrote its output");
    };
    for got in wrong_lengths(case.outputs()) {
        refuse(&case.params(), got, length("output", None, got, case.outputs()));
    }
    for t in 0..2 {
        let mut params = case.params();
        let right = params[t].len();
        for got in wrong_lengths(right) {
            params[t].resize(got, 0.0);
            refuse(&params, case.outputs(), length("parameters", Some(t), got, right));
        }
    }
    assert_works(device, &mut harness);
}

/// Too short and too long views of backward: both gradients, and what is in each sink.
pub fn views_of_backward<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = Harness::of(device, &case);
    harness.forward(&case.params(), case.bags());
    let (grad_out, lookups) = (case.grad_out(), 8);
    for got in wrong_lengths(grad_out.len()) {
        let want = length("gradient of the output", None, got, grad_out.len());
        assert_backward_refused(&mut harness, sinks(&case), &vec![1.0; got], lookups, want);
    }
    for got in wrong_lengths(lookups) {
        let want = length("gradient of the weights", None, got, lookups);
        assert_backward_refused(&mut harness, sinks(&case), &grad_out, got, want);
    }
    for t in 0..2 {
        let right = case.params()[t].len();
        for got in wrong_lengths(right) {
            let mut wrong = sinks(&case);
            let (HostSink::Update { params, .. } | HostSink::Accumulate { params, .. }) = &mut wrong[t] else {
                unreachable!("no frozen sink")
            };
            params.resize(got, 0.0);
            let frozen = HostSink::Frozen { params: params.clone() };
            let want = || length("parameters", Some(t), got, right);
            assert_backward_refused(&mut harness, wrong.clone(), &grad_out, lookups, want());
            wrong[t] = frozen;
            assert_backward_refused(&mut harness, wrong, &grad_out, lookups, want());

            let mut wrong = sinks(&case);
            let (HostSink::Update { state: other, .. } | HostSink::Accumulate { grads: other, .. }) = &mut wrong[t]
            else {
                unreachable!("no frozen sink")
            };
            other.resize(got, 0.0);
            let what = ["optimiser state", "gradients"][t];
            assert_backward_refused(&mut harness, wrong, &grad_out, lookups, length(what, Some(t), got, right));
        }
    }
    assert_works(device, &mut harness);
}

/// Too short and too long views of `expand_rows`; the other list of the call is not written either.
pub fn views_of_expand_rows<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let params = case.params();
    let mut harness = Harness::of(device, &case);
    let right = params[1].len();
    let mut refuse = |wrong_params: &[f64], out: usize, want: Error| {
        let (mut good, mut bad) = (vec![UNWRITTEN; 4], vec![UNWRITTEN; out]);
        let result = harness.try_expand(&mut [(0, &params[0], &[0], &mut good), (1, wrong_params, &[4, 0], &mut bad)]);
        assert_refused::<B>(result, want);
        assert!([good, bad].concat().iter().all(|&x| x == UNWRITTEN), "a refused call wrote rows");
    };
    for got in wrong_lengths(right) {
        refuse(&vec![1.0; got], 6, length("parameters", Some(1), got, right));
    }
    for got in wrong_lengths(6) {
        refuse(&params[1], got, length("expanded rows", Some(1), got, 6));
    }
}

/// Fewer or more batches, parameter views and sinks than tables. However many there are too many, the error says one,
/// and an endless iterator ends.
pub fn one_of_each_for_every_table<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = Harness::of(device, &case);
    harness.forward(&case.params(), case.bags());
    for count in [0, 1, 3, 5] {
        let wrong = |what| Error::TableCount { what, got: count.min(3), tables: 2 };
        let params: Vec<Vec<f64>> = case.params().into_iter().cycle().take(count).collect();
        let mut out = vec![UNWRITTEN; case.outputs()];
        assert_refused::<B>(harness.try_forward(&params, &mut out, true), wrong("parameter views"));
        assert!(out.iter().all(|&y| y == UNWRITTEN), "a refused call wrote its output");

        let sinks: Vec<HostSink> = sinks(&case).into_iter().cycle().take(count).collect();
        assert_backward_refused(&mut harness, sinks, &case.grad_out(), 8, wrong("sinks"));
    }
    assert_works(device, &mut harness);

    let rows = case.layout.tables().iter().map(|table| table.addresses());
    let host: Vec<_> = case.batches.iter().map(Batch::host).collect();
    let bags = || host.iter().zip(rows.clone()).map(|(host, rows)| host.bags(rows).expect("valid bags"));
    for count in [0, 1, 3, 5] {
        let wrong = Error::TableCount { what: "batches", got: count.min(3), tables: 2 };
        assert_refused::<B>(harness.try_group(bags().cycle().take(count)), wrong);
        assert_group_is_old_or_empty(&mut harness, &case);
        harness.group(&case.batches);
        assert_works(device, &mut harness);
    }
    let endless = Error::TableCount { what: "batches", got: 3, tables: 2 };
    assert_refused::<B>(harness.try_group(bags().cycle()), endless);
    harness.group(&case.batches);
    assert_works(device, &mut harness);
}
