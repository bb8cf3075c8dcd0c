//! The fused kernels where the work of a batch does not fit into one tile: against the definition, and the same bits in any
//! order of blocks and threads.

use ttcore::{CoreRule, Layout, Pooling, Rule, Table, TtShape, Update};
use ttcore_conformance::batch::Batch;
use ttcore_conformance::case::{self, Case};
use ttcore_conformance::harness::Harness;
use ttcore_conformance::tolerance::{assert_close, assert_same};
use ttcore_conformance::{Device, oracle};
use ttcore_cuda::{Cuda, Element, Emulator};

fn device<F: Element>() -> Device<Cuda<F, Emulator>> {
    Device::new(Cuda::new(Emulator), ())
}

fn shape(m: [usize; 3], n: [usize; 3], r: [usize; 2]) -> TtShape {
    let rows = m.iter().product::<usize>() as u64 - 1;
    TtShape::new(rows, &m, &n, &[1, r[0], r[1], 1]).expect("a shape")
}

/// Bags of these rows of each table, every third one empty; means and weights with every other table.
fn case(tables: Vec<Table>, each: usize, row: impl Fn(&Table, usize) -> u64) -> Case {
    case_of(tables, each, row, |_| 1)
}

/// The same of so many features of each table, the columns of all side by side: the first of each table, then the second.
fn case_of(
    tables: Vec<Table>,
    each: usize,
    row: impl Fn(&Table, usize) -> u64,
    features: impl Fn(usize) -> usize,
) -> Case {
    let bags = 3 * 8;
    let batch = |(t, table): (usize, &Table)| {
        let mut next = (0..).map(|j| (row(table, j) % table.addresses()) as i64);
        let bag = |b| next.by_ref().take(if b % 3 == 2 { 0 } else { each }).collect();
        let batch = Batch::sum(&(0..bags * features(t)).map(bag).collect::<Vec<Vec<i64>>>());
        let lookups = batch.lookups();
        if t % 2 == 0 { batch } else { batch.pooled(Pooling::Mean).weighted(case::values(1, t as u64, lookups)) }
    };
    let batches: Vec<Batch> = tables.iter().enumerate().map(batch).collect();
    let lookups = batches.iter().map(Batch::lookups).max().unwrap_or(0);
    let (mut columns, mut stride) = (vec![Vec::new(); tables.len()], 0);
    for feature in 0..(0..tables.len()).map(&features).max().unwrap_or(0) {
        for t in (0..tables.len()).filter(|&t| feature < features(t)) {
            columns[t].push(stride);
            stride += tables[t].dim();
        }
    }
    let layout = Layout::with_features(tables, columns, stride, bags, lookups).expect("a layout");
    Case { layout, batches, seed: 7 }
}

/// Row after row, far from each other, some of them twice.
fn scattered(_: &Table, j: usize) -> u64 {
    (j as u64 - j as u64 / 7).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// Outputs, rows of no saved values, gradients and updated parameters are those of the definition.
fn agrees<F: Element>(case: &Case) {
    let device = device::<F>();
    let mut harness = Harness::of(&device, case);
    let (params, grad_out, terms) = (case.params(), case.grad_out(), case.terms());
    let want = oracle::forward(case, &params);
    let mut out = vec![oracle::UNWRITTEN; case.outputs()];
    harness.try_forward(&params, &mut out, false).expect("forward");
    assert_close::<F>("output without saved values", &out, &want, terms);
    assert_same("output", &harness.forward(&params, case.bags()), &out);

    let want = oracle::backward(case, &params, &grad_out);
    let lookups = case.batches.iter().map(Batch::lookups).sum();
    let got = harness.weight_grads(&params, &grad_out, lookups);
    assert_close::<F>("gradients of the weights", &got, &want.weights, terms);
    let grads = harness.grads(&params, &grad_out);
    for (got, want) in grads.iter().zip(&want.params) {
        assert_close::<F>("gradients", got, want, terms);
    }

    // In the same pass: exactly the parameters minus a power of two times the gradients above, rounded once.
    let mut new = params.clone();
    harness.update(&mut new, &mut vec![Vec::new(); params.len()], Update::sgd(0.5), &grad_out);
    let step = |(w, g): (&f64, &f64)| F::of(w - 0.5 * g).as_f64();
    for ((new, params), grads) in new.iter().zip(&params).zip(&grads) {
        let want: Vec<f64> = params.iter().zip(grads).map(step).collect();
        assert_same("updated parameters", new, &want);
    }
}

/// In both types, with blocks as on a GPU; and the same bits whenever it is computed, on blocks of any size: the emulator runs
/// them in another order every other launch.
fn holds(case: &Case) {
    Emulator::set_most_threads(256);
    agrees::<f32>(case);
    agrees::<f64>(case);
    let device = device::<f32>();
    for core_rule in [CoreRule::ElementWise, CoreRule::AdagradNorm { eps: 1e-3 }] {
        Emulator::set_most_threads(256);
        let first = step(&mut Harness::of(&device, case), case, core_rule);
        let mut harness = Harness::of(&device, case);
        for threads in [1, 16, 32, 256] {
            Emulator::set_most_threads(threads);
            assert_same("a step", &step(&mut harness, case, core_rule), &first);
        }
    }
}

/// All that a step of rules with state gives.
fn step<F: Element>(harness: &mut Harness<'_, Cuda<F, Emulator>>, case: &Case, core_rule: CoreRule) -> Vec<f64> {
    let update = Update { rule: Rule::Adagrad { eps: 1e-3 }, core_rule, ..Update::sgd(0.25) };
    let (mut params, tables) = (case.params(), case.layout.tables());
    let mut state: Vec<Vec<f64>> = tables.iter().map(|table| vec![0.0; update.state_layout(table).len()]).collect();
    let mut all = harness.forward(&params, case.bags());
    harness.update(&mut params, &mut state, update, &case.grad_out());
    all.extend([params.concat(), state.concat()].concat());
    all
}

/// Some hundred pairs of one `i_2`: parts of the gradient of its slice, the last not full.
#[test]
fn many_pairs_of_one_digit() {
    holds(&case(vec![Table::tt(shape([150, 1, 30], [4, 2, 2], [8, 6]))], 10, scattered));
}

/// Pairs with so many rows that a unit has few of them, and one that no unit shares.
#[test]
fn many_rows_of_one_pair() {
    let table = Table::tt(shape([6, 2, 90], [2, 2, 3], [5, 7]));
    holds(&case(vec![table], 12, |_, j| if j < 150 { j as u64 / 2 } else { 90 * (j as u64 % 11) + j as u64 }));
}

/// A row of each `i_2` in most lookups: units with popular rows one after the other.
#[test]
fn popular_rows() {
    let tables = vec![
        Table::tt(shape([5, 6, 7], [2, 2, 2], [4, 4])),
        // A unit of as many columns as a block sums of a popular row at once, in either type, and more.
        Table::tt(shape([5, 6, 7], [8, 4, 8], [2, 8])),
        Table::dense(30, 5).expect("a table"),
    ];
    let row = |table: &Table, j: usize| if j.is_multiple_of(4) { scattered(table, j) } else { 3 + 7 * (j as u64 % 6) };
    holds(&case(tables, 20, row));
}

/// Patches that are not full: each size below and above a multiple of what a thread, a load and a tile have.
#[test]
fn uneven_sizes() {
    let shapes = [([12, 3, 5], [3, 5, 2], [33, 30]), ([9, 4, 30], [1, 7, 3], [5, 37]), ([3, 9, 2], [7, 9, 1], [9, 4])];
    holds(&case(shapes.map(|(m, n, r)| Table::tt(shape(m, n, r))).to_vec(), 3, scattered));
}

/// Slices of core 2 of 73 KB in `f32`, more than a block has: several tiles of both ranks.
#[test]
fn a_slice_larger_than_shared_memory() {
    holds(&case(vec![Table::tt(shape([2, 3, 3], [2, 2, 1], [70, 132]))], 1, scattered));
}

/// More rows of one slice of core 1 than a unit stacks.
#[test]
fn a_wide_first_core() {
    holds(&case(vec![Table::tt(shape([4, 3, 2], [130, 2, 1], [3, 2]))], 1, scattered));
}

/// Cached rows beside cores, and more tables than a launch takes, of one feature and of several.
#[test]
fn many_tables_of_every_make() {
    let tt = |m: &[usize], n: &[usize]| Table::tt(TtShape::with_rank(20, m, n, 3).expect("a shape"));
    let makes = [
        tt(&[3, 4, 5], &[2, 2, 2]),
        Table::dense(30, 5).expect("a table"),
        tt(&[5, 5], &[3, 2]),
        Table::cached(shape([4, 3, 3], [1, 2, 3], [2, 4]), 6).expect("a table"),
        tt(&[2, 3, 2, 2], &[2, 1, 2, 2]),
    ];
    let tables = |count| makes.iter().cycle().take(count).cloned().collect();
    holds(&case(tables(75), 2, scattered));
    holds(&case_of(tables(38), 2, scattered, |t| 1 + t % 4));
}
