//! Stories of a few consecutive steps, and everything that comes out of one.
//!
//! What [`equivalence`](super::equivalence) compares between backends and [`bits`](super::bits) between runs.

use proptest::prelude::*;
use ttcore::{Backend, Real, Table, Update};

use crate::batch::Batch;
use crate::case::Case;
use crate::harness::{Harness, HostSink};
use crate::oracle;
use crate::rules::{CORE_RULES, RULES, applied};
use crate::tolerance::{Expected, assert_close, assert_same};

/// Tables in one layout, their batches, and a rule for each.
#[derive(Clone, Debug)]
pub struct Story {
    /// The tables, and the first batches.
    pub case: Case,
    /// Of table 0, 1, ..; then from the first again.
    pub updates: Vec<Update>,
}

/// Stories of these cases, with any rules and learning rates.
pub(super) fn stories(cases: impl Strategy<Value = Case>) -> impl Strategy<Value = Story> {
    let multipliers = prop_oneof![Just(1.0), Just(0.25), Just(3.0)];
    let rules = (prop::sample::select(RULES.to_vec()), prop::sample::select(CORE_RULES.to_vec()));
    let update = (rules, multipliers).prop_map(|((rule, core_rule), core_lr_multiplier)| Update {
        rule,
        core_rule,
        core_lr_multiplier,
        ..Update::sgd(0.125)
    });
    (cases, prop::collection::vec(update, 3)).prop_map(|(case, updates)| Story { case, updates })
}

/// What a step begins with.
pub(super) struct Before {
    pub(super) case: Case,
    pub(super) grad_out: Vec<f64>,
    pub(super) updates: Vec<Update>,
    pub(super) params: Vec<Vec<f64>>,
    pub(super) state: Vec<Vec<f64>>,
}

/// What a step gives.
pub(super) struct After {
    pub(super) output: Vec<f64>,
    /// Gradients of the weights of all lookups.
    pub(super) weights: Vec<f64>,
    pub(super) grads: Vec<Vec<f64>>,
    pub(super) params: Vec<Vec<f64>>,
    pub(super) state: Vec<Vec<f64>>,
}

impl Story {
    /// A harness for the story's tables.
    pub(super) fn harness<'d, B: Backend>(&self, device: &'d crate::Device<B>) -> Harness<'d, B> {
        Harness::of(device, &self.case)
    }

    /// Where the first step begins: with state as of earlier steps, also of what no batch touches, as Adam moves that too.
    pub(super) fn begin(&self) -> Before {
        let params = self.case.params();
        let updates: Vec<Update> = self.updates.iter().copied().cycle().take(params.len()).collect();
        let state = |(update, table): (&Update, &Table)| {
            oracle::absolute(&self.case.values(40, update.state_layout(table).len()))
        };
        let state = updates.iter().zip(self.case.layout.tables()).map(state).collect();
        Before { grad_out: self.case.grad_out(), case: self.case.clone(), updates, params, state }
    }
}

impl Before {
    /// The next step, from what this one came to: on another batch, with another gradient of the output.
    pub(super) fn next(self, after: After) -> Self {
        let step = |update: Update| Update { step: update.step + 1, ..update };
        let case = self.case.mirrored();
        let case = Case { seed: case.seed.wrapping_add(1), ..case };
        Self {
            grad_out: case.grad_out(),
            case,
            updates: self.updates.into_iter().map(step).collect(),
            params: after.params,
            state: after.state,
        }
    }

    /// The step on a backend: forward; gradients accumulated; rules applied, with gradients of the weights.
    pub(super) fn step<B: Backend>(&self, harness: &mut Harness<'_, B>) -> After {
        harness.group(&self.case.batches);
        let output = harness.forward(&self.params, self.case.bags());
        let grads = harness.grads(&self.params, &self.grad_out);
        let tables = self.params.iter().zip(&self.state).zip(&self.updates);
        let sink = |((params, state), &update): ((&Vec<f64>, &Vec<f64>), _)| HostSink::Update {
            params: params.clone(),
            state: state.clone(),
            update,
        };
        let mut sinks: Vec<HostSink> = tables.map(sink).collect();
        let mut weights = vec![oracle::UNWRITTEN; self.lookups()];
        harness.try_backward(&mut sinks, &self.grad_out, Some(&mut weights)).expect("backward");
        let updated = sinks.into_iter().map(|sink| match sink {
            HostSink::Update { params, state, .. } => (params, state),
            _ => unreachable!("all sinks are updates"),
        });
        let (params, state) = updated.unzip();
        After { output, weights, grads, params, state }
    }

    /// Lookups of all tables.
    pub(super) fn lookups(&self) -> usize {
        self.case.batches.iter().map(Batch::lookups).sum()
    }

    /// That the output of one backend, computed in `F`, is that of the other.
    ///
    /// # Panics
    ///
    /// If not: with the number furthest outside.
    pub(super) fn assert_same_output<F: Real>(&self, one: &[f64], other: &[f64]) {
        let scale = oracle::forward(&self.case, &self.params).scale;
        assert_close::<F>("output", other, &Expected { value: one.to_vec(), scale }, self.terms());
    }

    /// Roundings of two results: both sides round, so twice the terms.
    fn terms(&self) -> usize {
        2 * self.case.terms()
    }

    /// That what one backend computed in `F` is what the other did.
    ///
    /// # Panics
    ///
    /// If not: with the first tensor that differs and its number furthest outside.
    pub(super) fn assert_agree<F: Real>(&self, one: &After, other: &After) {
        self.assert_same_output::<F>(&one.output, &other.output);
        let scales = oracle::backward(&self.case, &self.params, &self.grad_out);
        let close = |name: &str, got: &[f64], want: &[f64], scale: Vec<f64>| {
            assert_close::<F>(name, got, &Expected { value: want.to_vec(), scale }, self.terms());
        };
        close("gradients of the weights", &other.weights, &one.weights, scales.weights.scale);
        for (t, table) in self.case.layout.tables().iter().enumerate() {
            let (update, sums) = (&self.updates[t], &scales.params[t].scale);
            let (params, state) = applied::<F>(table, update, &self.params[t], &self.state[t], &one.grads[t], sums);
            let name = |what| format!("{what} of table {t}");
            close(&name("gradients"), &other.grads[t], &one.grads[t], sums.clone());
            close(&name("updated parameters"), &other.params[t], &one.params[t], params.scale);
            close(&name("optimiser state"), &other.state[t], &one.state[t], state.scale);
        }
    }
}

impl After {
    /// That this has the bits of another.
    ///
    /// # Panics
    ///
    /// If not: with the first number that differs.
    pub(super) fn assert_same(&self, what: &str, other: &After) {
        let tensors = |after: &After| {
            let tables = [after.grads.concat(), after.params.concat(), after.state.concat()];
            [vec![after.output.clone(), after.weights.clone()], tables.to_vec()].concat()
        };
        let names = ["output", "gradients of the weights", "gradients", "updated parameters", "optimiser state"];
        for ((name, got), want) in names.iter().zip(tensors(self)).zip(tensors(other)) {
            assert_same(&format!("{what}: {name}"), &got, &want);
        }
    }
}
