//! Rules of blocks, of slices and cached rows, on the host-compiled kernels, both methods: the definition's steps of long
//! slices and popular rows too, the same bits on blocks of any size, and nothing that one step leaves for the next but
//! parameters and state.

use ttcore::{Layout, Rule, Table, TtShape, Update};
use ttcore_conformance::batch::Batch;
use ttcore_conformance::case::Case;
use ttcore_conformance::harness::Harness;
use ttcore_conformance::rules::{CORE_RULES, RULES, applied};
use ttcore_conformance::tolerance::{assert_error, assert_same};
use ttcore_conformance::{Device, oracle};
use ttcore_cuda::{Cuda, Element, Emulator, Method};

type Backend<F> = Cuda<F, Emulator>;

const METHODS: [Method; 2] = [Method::Fused, Method::Batched];

fn device<F: Element>(method: Method) -> Device<Backend<F>> {
    Device::new(Cuda::new(Emulator).with_method(method).with_chunk(7), ())
}

/// Slices of fewer numbers than there are partial sums of squares, and of more; cached rows of fewer and of more, also more
/// of them than one block has; tables without cores, and of two.
fn tables() -> Vec<Table> {
    let tt = |m: &[usize], n: &[usize], r: &[usize]| {
        TtShape::new(m.iter().product::<usize>() as u64, m, n, r).expect("a shape")
    };
    vec![
        Table::cached(tt(&[4, 3, 5], &[2, 4, 3], &[1, 9, 10, 1]), 6).expect("a table"),
        Table::dense(30, 5).expect("a table"),
        Table::cached(tt(&[5, 6], &[20, 3], &[1, 13, 1]), 7).expect("a table"),
        Table::tt(tt(&[3, 2, 4], &[90, 1, 2], &[1, 3, 130, 1])),
        Table::cached(tt(&[2, 2, 3], &[1, 3, 4], &[1, 2, 3, 1]), CACHED).expect("a table"),
    ]
}

/// Cached rows of the last table.
const CACHED: usize = 40;

/// Bags of three rows, `step` apart from each other, cached ones among them; for the last table of twelve, every second of
/// which is the same cached row, too often for one thread.
fn batches(step: i64) -> Vec<Batch> {
    let batch = |table: Table| {
        let row = |j: i64| (step * j + j / 5) % table.addresses() as i64;
        Batch::sum(&(0..8).map(|bag| (3 * bag..3 * bag + 3).map(row).collect()).collect::<Vec<Vec<i64>>>())
    };
    let row = |table: &Table, j: i64| {
        let number = if j % 2 == 0 { 3 } else { (step * j + j / 3) % CACHED as i64 };
        if j % 5 == 0 { j % table.core_rows() as i64 } else { table.core_rows() as i64 + number }
    };
    let mut batches: Vec<Batch> = tables().into_iter().map(batch).collect();
    if let (Some(last), Some(table)) = (batches.last_mut(), tables().last()) {
        *last = Batch::sum(
            &(0..8).map(|bag| (12 * bag..12 * bag + 12).map(|j| row(table, j)).collect()).collect::<Vec<_>>(),
        );
    }
    batches
}

fn case(step: i64) -> Case {
    let layout = Layout::new(tables(), 8, 96).expect("a layout");
    Case { layout, batches: batches(step), seed: step as u64 }
}

fn update(rule: Rule) -> Update {
    Update { rule, core_rule: CORE_RULES[1], step: 3, core_lr_multiplier: 0.5, ..Update::sgd(0.25) }
}

/// State that a step begins with.
fn state(case: &Case, rule: Rule) -> Vec<Vec<f64>> {
    let state = |table: &Table| oracle::absolute(&case.values(40, update(rule).state_layout(table).len()));
    case.layout.tables().iter().map(state).collect()
}

/// Parameters and state after a step, from those of the case.
fn updated<F: Element>(harness: &mut Harness<'_, Backend<F>>, case: &Case, rule: Rule) -> [Vec<Vec<f64>>; 2] {
    let (mut params, mut state) = (case.params(), state(case, rule));
    harness.group(&case.batches);
    harness.forward(&params, case.bags());
    harness.update(&mut params, &mut state, update(rule), &case.grad_out());
    [params, state]
}

fn step<F: Element>(harness: &mut Harness<'_, Backend<F>>, case: &Case, rule: Rule) -> Vec<f64> {
    updated(harness, case, rule).concat().concat()
}

/// Of the same gradients, so that only sums of squares are rounded in another order.
fn by_definition<F: Element>() {
    let case = case(7);
    let limit = 64.0 * F::epsilon().as_f64();
    for (method, rule) in METHODS.into_iter().flat_map(|method| RULES.map(|rule| (method, rule))) {
        let device = device::<F>(method);
        let mut harness = Harness::of(&device, &case);
        let [params, new_state] = updated(&mut harness, &case, rule);
        let grads = harness.grads(&case.params(), &case.grad_out());
        let (before, state) = (case.params(), state(&case, rule));
        for (t, table) in case.layout.tables().iter().enumerate() {
            let sums = oracle::absolute(&grads[t]);
            let (want, want_state) = applied::<F>(table, &update(rule), &before[t], &state[t], &grads[t], &sums);
            // A rule of blocks moves nothing that no lookup touched, whatever the rule of elements.
            for i in (0..grads[t].len()).filter(|&i| table.cores().is_some() && grads[t][i] == 0.0) {
                assert_eq!(
                    params[t][i],
                    F::of(before[t][i]).as_f64(),
                    "{method:?}, {rule:?}, table {t}, parameter {i}"
                );
            }
            assert_error("parameters", &params[t], &want.value, limit);
            assert_error("state", &new_state[t], &want_state.value, limit);
        }
    }
}

#[test]
fn by_definition_f32() {
    by_definition::<f32>();
}

#[test]
fn by_definition_f64() {
    by_definition::<f64>();
}

fn same_bits_on_any_blocks<F: Element>() {
    let case = case(7);
    for method in METHODS {
        let device = device::<F>(method);
        let mut harness = Harness::of(&device, &case);
        for rule in RULES {
            let steps = [256, 1, 16, 32].map(|threads| {
                Emulator::set_most_threads(threads);
                step(&mut harness, &case, rule)
            });
            steps.iter().for_each(|step| assert_same("a step", step, &steps[0]));
        }
    }
}

#[test]
fn same_bits_on_any_blocks_f32() {
    same_bits_on_any_blocks::<f32>();
}

#[test]
fn same_bits_on_any_blocks_f64() {
    same_bits_on_any_blocks::<f64>();
}

/// Gradients that a step kept in scratch memory, also of slices that the next does not touch, are gone in the next.
#[test]
fn a_step_knows_nothing_of_the_one_before() {
    let (one, other) = (case(1), case(7));
    for (method, rule) in METHODS.into_iter().flat_map(|method| RULES.map(|rule| (method, rule))) {
        let device = device::<f32>(method);
        let fresh = step(&mut Harness::of(&device, &other), &other, rule);
        let mut harness = Harness::of(&device, &one);
        step(&mut harness, &one, rule);
        for _ in 0..2 {
            assert_same("a later step", &step(&mut harness, &other, rule), &fresh);
        }
    }
}
