//! The update rules, and how accurately a step by one of them can be compared.

use ttcore::{Real, Rule, Table, Update};

use crate::tolerance::Expected;

/// Added to the roots of Adagrad and Adam: so large that a rounding of the gradient stays small in the step, see
/// `amplification`.
pub const EPS: f64 = 0.125;

/// All rules, with constants that keep a step comparable.
pub const RULES: [Rule; 3] =
    [Rule::Sgd, Rule::Adagrad { eps: EPS }, Rule::Adam { beta1: 0.75, beta2: 0.875, eps: EPS }];

/// How many times a small change of the gradient is found in the step, divided by the learning rate, at most.
///
/// SGD: 1. Adagrad: the derivative of `g / (sqrt(h + g^2) + eps)` is largest at `h = g = 0`, where it is `1 / eps`.
/// Adam: the corrected mean `m^` and root `sqrt(v^)` change by no more than the gradient, so `m^ / (sqrt(v^) + eps)`
/// changes by `1 / eps` for the first and `|m^| / sqrt(v^) / eps` for the second. With the decays above and state that
/// begins between 1/4 and 1, that ratio is largest in the first step, where `m^ <= 3 + |g|` and `v^ >= 7/4 + g^2`:
/// below 4.
fn amplification(rule: Rule) -> f64 {
    match rule {
        Rule::Sgd => 1.0,
        Rule::Adagrad { eps } => 1.0 / eps,
        Rule::Adam { eps, .. } => 5.0 / eps,
        _ => unreachable!("a rule the suite does not know: add it here and to RULES"),
    }
}

/// Parameters and state after [`Update::apply`] on the host, and how accurately backward's own can be compared with
/// them, for gradients whose products have the absolute sums `sums`.
pub fn applied<F: Real>(
    table: &Table,
    update: &Update,
    params: &[f64],
    state: &[f64],
    grads: &[f64],
    sums: &[f64],
) -> (Expected, Expected) {
    let [mut new, mut new_state, grads] =
        [params, state, grads].map(|from| from.iter().map(|&x| F::of(x)).collect::<Vec<F>>());
    let cores = table.core_parameters();
    let (first, second) = new_state.split_at_mut(params.len().min(state.len()));
    for (range, lr) in [(0..cores, update.core_lr()), (cores..params.len(), update.lr)] {
        let planes = [&mut *first, &mut *second].map(|plane| plane.get_mut(range.clone()).unwrap_or_default());
        update.apply(lr, &mut new[range.clone()], &grads[range], planes);
    }
    let host = |values: &[F]| values.iter().map(|x| x.as_f64()).collect::<Vec<f64>>();

    // A rule that keeps what no lookup touched must keep its bits: scale zero.
    let moves = |sum: f64| sum > 0.0 || !update.rule.keeps_untouched();
    let lr = |i: usize| if i < cores { update.core_lr() } else { update.lr };
    let scale = |i: usize| {
        let step = lr(i) * amplification(update.rule) * sums[i];
        if moves(sums[i]) { params[i].abs() + new[i].as_f64().abs() + step } else { 0.0 }
    };
    let state_scale = |i: usize| {
        let sum = sums[i % params.len()];
        // The mean of Adam is linear in the gradient, all other state is quadratic: a change of g by e is one of 2 g e.
        let linear = matches!(update.rule, Rule::Adam { .. }) && i < params.len();
        let change = if linear { sum } else { 2.0 * sum * sum };
        if moves(sum) { state[i].abs() + new_state[i].as_f64().abs() + change } else { 0.0 }
    };
    let params_scale = (0..params.len()).map(scale).collect();
    let state_scale = (0..state.len()).map(state_scale).collect();
    (Expected { value: host(&new), scale: params_scale }, Expected { value: host(&new_state), scale: state_scale })
}
