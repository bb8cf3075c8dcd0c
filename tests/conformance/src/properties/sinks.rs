//! Where gradients go: accumulated, applied by a rule in the same pass, or nowhere.

use proptest::prelude::*;
use ttcore::{Backend, CoreRule, Real, Rule, StateLayout, Table, TtShape, Update};

use crate::batch::Batch;
use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::{Harness, HostSink};
use crate::oracle;
use crate::rules::{CORE_RULES, RULES, applied};
use crate::runner::check;
use crate::tolerance::{Expected, assert_close, assert_same};

/// Accumulating adds to what the gradients held, and touches nothing else.
pub fn accumulate_adds<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let held: Vec<Vec<f64>> = params.iter().map(|params| case.values(30, params.len())).collect();
        let sink = |(params, held): (&Vec<f64>, &Vec<f64>)| HostSink::Accumulate {
            params: params.clone(),
            grads: held.clone(),
        };
        let mut sinks: Vec<HostSink> = params.iter().zip(&held).map(sink).collect();
        harness.backward(&mut sinks, &grad_out);
        let gradients = oracle::backward(&case, &params, &grad_out).params;
        for ((sink, held), mut want) in sinks.iter().zip(&held).zip(gradients) {
            let HostSink::Accumulate { grads, .. } = sink else { unreachable!() };
            for ((value, scale), held) in want.value.iter_mut().zip(&mut want.scale).zip(held) {
                *value += held;
                // A slice of no lookup keeps its bits.
                *scale += if *scale == 0.0 { 0.0 } else { held.abs() };
            }
            assert_close::<B::Float>("accumulated gradients", grads, &want, case.terms());
        }
    });
}

/// A rule applied in backward does what accumulating and then [`Update::apply`] does: over several steps, cores and
/// dense rows with learning rates of their own, untouched parameters included.
pub fn fused_is_accumulate_then_apply<B: Backend>(device: &Device<B>) {
    let multipliers = prop_oneof![Just(1.0), Just(0.25), Just(3.0)];
    let rules = (prop::sample::select(RULES.to_vec()), prop::sample::select(CORE_RULES.to_vec()));
    check((case::cases(), rules, multipliers), |(case, (rule, core_rule), multiplier)| {
        let mut harness = Harness::of(device, &case);
        let mut params = case.params();
        // State as of earlier steps, also of what this batch does not touch: Adam moves that too.
        let len = |table: &Table| StateLayout::new(table, rule, core_rule).len();
        let state = |table: &Table| oracle::absolute(&case.values(40, len(table)));
        let mut state: Vec<Vec<f64>> = case.layout.tables().iter().map(state).collect();
        for step in 1..=3 {
            let update = Update { rule, core_rule, lr: 0.125, core_lr_multiplier: multiplier, step };
            let grad_out = case.values(40 + step, case.outputs());
            harness.forward(&params, case.bags());
            let grads = harness.grads(&params, &grad_out);
            let scales = oracle::backward(&case, &params, &grad_out).params;
            let tables = case.layout.tables().iter().enumerate();
            let wanted: Vec<_> = tables
                .map(|(t, table)| {
                    applied::<B::Float>(table, &update, &params[t], &state[t], &grads[t], &scales[t].scale)
                })
                .collect();
            // The next step starts from the fused result of this one, so that roundings do not add up.
            harness.update(&mut params, &mut state, update, &grad_out);
            for (t, (want_params, want_state)) in wanted.iter().enumerate() {
                assert_close::<B::Float>("parameters", &params[t], want_params, case.terms());
                assert_close::<B::Float>("state", &state[t], want_state, case.terms());
            }
        }
    });
}

/// Each table of a call has a sink of its own, a frozen table keeps its parameters, and the gradients of the weights
/// come out whatever the sinks are.
pub fn every_table_has_its_own_sink<B: Backend>(device: &Device<B>) {
    check((case::cases(), 0..4usize), |(case, first)| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let want = oracle::backward(&case, &params, &grad_out);
        let lr = 0.125;
        let sink = |(t, params): (usize, &Vec<f64>)| match (first + t) % 4 {
            0 => HostSink::Frozen { params: params.clone() },
            1 => HostSink::Accumulate { params: params.clone(), grads: vec![0.0; params.len()] },
            2 => HostSink::Overwrite { params: params.clone(), grads: vec![f64::NAN; params.len()] },
            _ => HostSink::Update { params: params.clone(), state: Vec::new(), update: Update::sgd(lr) },
        };
        let mut sinks: Vec<HostSink> = params.iter().enumerate().map(sink).collect();
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let mut weights = vec![oracle::UNWRITTEN; want.weights.value.len()];
        harness.try_backward(&mut sinks, &grad_out, Some(&mut weights)).expect("backward");
        assert_close::<B::Float>("gradient of the weights", &weights, &want.weights, case.terms());
        for ((sink, old), want) in sinks.iter().zip(&params).zip(&want.params) {
            match sink {
                HostSink::Frozen { params } => assert_same("frozen parameters", params, old),
                HostSink::Accumulate { grads, .. } | HostSink::Overwrite { grads, .. } => {
                    assert_close::<B::Float>("gradients", grads, want, case.terms());
                }
                HostSink::Update { params, .. } => {
                    let moved = old.iter().zip(&want.value).map(|(w, g)| w - lr * g).collect();
                    let scale = |(w, sum): (&f64, &f64)| if *sum > 0.0 { w.abs() + lr * sum } else { 0.0 };
                    let scale = old.iter().zip(&want.scale).map(scale).collect();
                    assert_close::<B::Float>("updated", params, &Expected { value: moved, scale }, case.terms());
                }
            }
        }
    });
}

/// Every slice that a batch touches receives its gradient, however many of them there are for their size.
///
/// A core of more slices than a slice has numbers, `m_k > R_{k-1} n_k R_k`, is where the published kernels stop short.
/// With positive numbers no gradient can cancel: all must be above zero, and every number must move.
pub fn every_touched_slice_gets_its_gradient<B: Backend>(device: &Device<B>) {
    let many = (100..=200usize, 1..=2usize, 1..=2usize).prop_flat_map(|(m, n, rank)| {
        // The long core is the first, the middle one or the last of three, or one of two.
        let factors = prop::sample::select(vec![vec![m, 3], vec![2, m], vec![m, 1, 2], vec![2, m, 1], vec![1, 2, m]]);
        factors.prop_map(move |factors| {
            let rows: usize = factors.iter().product();
            TtShape::with_rank(rows as u64, &factors, &vec![n; factors.len()], rank).expect("a valid shape")
        })
    });
    check((many, any::<u64>()), |(shape, seed)| {
        let longest = shape.row_factors().iter().copied().max().unwrap_or(1);
        let row = |j: usize| {
            let digits: Vec<usize> = shape.row_factors().iter().map(|m| j % m).collect();
            shape.row(&digits).expect("no padding") as i64
        };
        // All rows in bags of 8: every digit of every core appears.
        let rows: Vec<i64> = (0..longest).map(row).collect();
        let case =
            Case::single(Table::tt(shape), Batch::sum(&rows.chunks(8).map(<[_]>::to_vec).collect::<Vec<_>>()), seed);
        let mut params: Vec<Vec<f64>> = case.params().iter().map(|params| oracle::absolute(params)).collect();
        let grad_out = oracle::absolute(&case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let grads = harness.grads(&params, &grad_out);
        let want = oracle::backward(&case, &params, &grad_out).params.remove(0);
        assert!(want.value.iter().all(|&g| g > 0.0), "the batch touches every slice");
        assert_close::<B::Float>("gradients", &grads[0], &want, case.terms());
        let before = params[0].clone();
        harness.update(&mut params, &mut [Vec::new()], Update::sgd(1.0), &grad_out);
        let stayed = before.iter().zip(&params[0]).position(|(before, after)| before <= after);
        assert_eq!(stayed, None, "SGD moves every number down");
    });
}

/// A gradient whose square is zero in the type of numbers makes no number infinite where a rule divides by a root alone. (Where
/// more digits are kept on the way, it may be a step.)
pub fn a_square_that_underflows_makes_nothing_infinite<B: Backend>(device: &Device<B>) {
    let (adagrad, adam) = (Rule::Adagrad { eps: 0.0 }, Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 0.0 });
    let norm = CoreRule::AdagradNorm { eps: 0.0 };
    let rules = (prop::sample::select(vec![adagrad, adam]), prop::sample::select(vec![CoreRule::ElementWise, norm]));
    check((case::cases(), rules), |(case, (rule, core_rule))| {
        let (mut harness, mut params) = (Harness::of(device, &case), case.params());
        harness.forward(&params, case.bags());
        let update = Update { rule, core_rule, ..Update::sgd(0.125) };
        let state = |table: &Table| vec![0.0; update.state_layout(table).len()];
        let mut state: Vec<Vec<f64>> = case.layout.tables().iter().map(state).collect();
        // Powers of two, exact in either type.
        let tiny = 2f64.powi(if B::Float::BYTES == 4 { -100 } else { -600 });
        harness.update(&mut params, &mut state, update, &vec![tiny; case.outputs()]);
        let numbers = params.concat().into_iter().chain(state.concat());
        assert!(numbers.into_iter().all(f64::is_finite), "{params:?} {state:?}");
    });
}

/// A gradient of zeros moves nothing while the state is fresh, even where a rule divides by its root alone.
pub fn a_zero_gradient_moves_nothing<B: Backend>(device: &Device<B>) {
    let (rules, norm) =
        ([RULES.to_vec(), vec![Rule::Adagrad { eps: 0.0 }]].concat(), CoreRule::AdagradNorm { eps: 0.0 });
    let rules = (prop::sample::select(rules), prop::sample::select(vec![CoreRule::ElementWise, norm]));
    check((case::cases(), rules), |(case, (rule, core_rule))| {
        let (mut harness, mut params) = (Harness::of(device, &case), case.params());
        harness.forward(&params, case.bags());
        let update = Update { rule, core_rule, ..Update::sgd(0.125) };
        let state = |table: &Table| vec![0.0; update.state_layout(table).len()];
        let mut state: Vec<Vec<f64>> = case.layout.tables().iter().map(state).collect();
        harness.update(&mut params, &mut state, update, &vec![0.0; case.outputs()]);
        assert_same("parameters", &params.concat(), &case.params().concat());
        assert!(state.concat().iter().all(|&number| number == 0.0), "state");
    });
}
