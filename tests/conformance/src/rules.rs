//! The update rules, and how accurately a step by one of them can be compared.

use std::ops::Range;

use ttcore::{CoreRule, Real, Rule, Table, TtShape, Update};

use crate::tolerance::Expected;

/// Added to the roots of Adagrad and Adam: so large that a rounding of the gradient stays small in the step, see
/// `amplification`.
pub const EPS: f64 = 0.125;

/// All rules, with constants that keep a step comparable.
pub const RULES: [Rule; 3] =
    [Rule::Sgd, Rule::Adagrad { eps: EPS }, Rule::Adam { beta1: 0.75, beta2: 0.875, eps: EPS }];

/// All rules of cores, alike.
pub const CORE_RULES: [CoreRule; 2] = [CoreRule::ElementWise, CoreRule::AdagradNorm { eps: EPS }];

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
    let (cores, layout) = (table.core_parameters(), update.state_layout(table));
    if let (CoreRule::AdagradNorm { eps }, Some(shape)) = (update.core_rule, table.cores()) {
        return by_blocks(&blocks(table, shape), update.core_lr(), eps, [params, state], [new, new_state, grads], sums);
    }
    for (range, lr) in [(0..cores, update.core_lr()), (cores..params.len(), update.lr)] {
        let [first, second] = [0, 1].map(|plane| layout.plane(plane, range.clone()));
        let mut planes = [new_state[first.clone()].to_vec(), new_state[second.clone()].to_vec()];
        let [one, two] = &mut planes;
        update.apply(lr, &mut new[range.clone()], &grads[range], [one, two]);
        for (range, plane) in [first, second].into_iter().zip(planes) {
            new_state[range].copy_from_slice(&plane);
        }
    }
    // A rule that keeps what no lookup touched must keep its bits: scale zero.
    let moves = |sum: f64| sum > 0.0 || !update.rule.keeps_untouched();
    let lr = |i: usize| if i < cores { update.core_lr() } else { update.lr };
    let scale = |i: usize| {
        let step = lr(i) * amplification(update.rule) * sums[i];
        if moves(sums[i]) { size(params[i], new[i], step) } else { 0.0 }
    };
    let params_scale: Vec<f64> = (0..params.len()).map(scale).collect();
    let mut state_scale = vec![0.0; state.len()];
    for plane in 0..update.rule.state_per_parameter() {
        for (i, &sum) in sums.iter().enumerate() {
            let at = layout.plane(plane, i..i + 1).start;
            // The mean of Adam is linear in the gradient, all other state is quadratic: a change of g by e is one of 2 g e.
            let linear = matches!(update.rule, Rule::Adam { .. }) && plane == 0;
            let change = if linear { sum } else { 2.0 * sum * sum };
            state_scale[at] = if moves(sum) { size(state[at], new_state[at], change) } else { 0.0 };
        }
    }
    (Expected { value: host(&new), scale: params_scale }, Expected { value: host(&new_state), scale: state_scale })
}

/// The same by AdaGrad-Norm, for blocks that lie there.
fn by_blocks<F: Real>(
    blocks: &[Range<usize>],
    lr: f64,
    eps: f64,
    [params, state]: [&[f64]; 2],
    [mut new, mut new_state, grads]: [Vec<F>; 3],
    sums: &[f64],
) -> (Expected, Expected) {
    let (mut params_scale, mut state_scale) = (vec![0.0; params.len()], vec![0.0; state.len()]);
    for (number, range) in blocks.iter().enumerate() {
        let (block, grads) = (&mut new[range.clone()], &grads[range.clone()]);
        CoreRule::adagrad_norm(eps, lr, block, grads, &mut new_state[number]);
        let (n, square) = (range.len() as f64, sums[range.clone()].iter().map(|s| s * s).sum::<f64>());
        // What no lookup touched must keep its bits: scale zero.
        if square == 0.0 {
            continue;
        }
        // With r = sqrt(h + |g|^2), a change of g by e changes g_i / (r + eps) by (|e_i| + |e|) / eps at most. A sum of n
        // squares rounds n times; found from the factors of a product, |g|^2 is wrong by roundings of the squares of the
        // absolute sums, which changes g_i / (r + eps) by half of that over eps^2.
        for i in range.clone() {
            let step = lr * ((n * sums[i] + square.sqrt()) / EPS + square / (2.0 * EPS * EPS));
            params_scale[i] = size(params[i], new[i], step);
        }
        state_scale[number] = size(state[number], new_state[number], (n + 2.0) * square);
    }
    (Expected { value: host(&new), scale: params_scale }, Expected { value: host(&new_state), scale: state_scale })
}

fn host<F: Real>(values: &[F]) -> Vec<f64> {
    values.iter().map(|x| x.as_f64()).collect()
}

/// By what size the roundings of a number are judged.
fn size<F: Real>(before: f64, after: F, change: f64) -> f64 {
    before.abs() + after.as_f64().abs() + change
}

/// Where all blocks lie: slices, then dense rows.
fn blocks(table: &Table, shape: &TtShape) -> Vec<Range<usize>> {
    let slices = |k: usize| (0..shape.row_factors()[k]).map(move |i| shape.slice_range(k, i));
    let rows = (table.core_rows()..table.addresses()).filter_map(|address| table.dense_row(address));
    (0..shape.cores()).flat_map(slices).chain(rows).collect()
}
