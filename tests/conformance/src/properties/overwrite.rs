//! Fresh gradients, written over whatever was there, and which parameters a batch touches.

use std::ops::Range;

use ttcore::{Backend, Error, Table, TtShape, Update};

use super::contract::{assert_refused, fixture};
use crate::batch::Batch;
use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::{Harness, HostSink};
use crate::runner::check;
use crate::tolerance::assert_same;

/// What gradients hold before they are overwritten.
const GARBAGE: [f64; 5] = [f64::NAN, f64::INFINITY, -1.5, f64::NEG_INFINITY, -0.0];

fn garbage(len: usize, seed: usize) -> Vec<f64> {
    GARBAGE.into_iter().cycle().skip(seed % GARBAGE.len()).take(len).collect()
}

/// Gradients of all tables, overwritten.
fn overwritten<B: Backend>(harness: &mut Harness<'_, B>, params: &[Vec<f64>], grad_out: &[f64]) -> Vec<Vec<f64>> {
    let sink = |(t, params): (usize, &Vec<f64>)| HostSink::Overwrite {
        params: params.clone(),
        grads: garbage(params.len(), t),
    };
    let mut sinks: Vec<HostSink> = params.iter().enumerate().map(sink).collect();
    harness.backward(&mut sinks, grad_out);
    sinks.into_iter().map(grads_of).collect()
}

fn grads_of(sink: HostSink) -> Vec<f64> {
    match sink {
        HostSink::Overwrite { grads, .. } | HostSink::Accumulate { grads, .. } => grads,
        _ => unreachable!("no gradients"),
    }
}

/// The parameters that have something to do with a lookup, from the definition of a table.
fn with_lookups(table: &Table, batch: &Batch) -> Vec<bool> {
    let mut touched = vec![false; table.parameters()];
    for (row, _) in batch.unbagged().concat() {
        let row = row as u64;
        let ranges = match table.cores().filter(|shape| row < shape.rows()) {
            Some(shape) => {
                let digits = shape.digits(row).expect("a row");
                digits.into_iter().enumerate().map(|(k, digit)| shape.slice_range(k, digit)).collect()
            }
            None => vec![table.dense_row(row).expect("a row")],
        };
        ranges.into_iter().for_each(|range| touched[range].fill(true));
    }
    touched
}

/// That the ranges are those of the numbers that are marked, as the contract says.
#[track_caller]
fn assert_touched(ranges: &[Range<usize>], want: &[bool]) {
    let mut got = vec![false; want.len()];
    ranges.iter().for_each(|range| got[range.clone()].fill(true));
    assert_eq!(got.iter().zip(want).position(|(got, want)| got != want), None, "{ranges:?}");
    assert!(ranges.iter().all(|range| range.start < range.end), "{ranges:?}");
    assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{ranges:?}");
}

/// That fresh gradients have the bits of accumulated ones, but for signs of zeros: a zero that is added to loses its sign.
#[track_caller]
fn assert_fresh(got: &[f64], accumulated: &[f64]) {
    let unsigned = |values: &[f64]| values.iter().map(|x| x + 0.0).collect::<Vec<_>>();
    assert_same("overwritten", &unsigned(got), &unsigned(accumulated));
}

/// Overwriting gives what accumulating into zeros does, whatever was there.
pub fn is_accumulate_into_zeros<B: Backend>(device: &Device<B>) {
    check((case::cases(), 0..2usize), |(case, zeros)| {
        let params = case.params();
        // Negative zeros too.
        let grad_out = if zeros == 0 { case.grad_out() } else { vec![-0.0; case.outputs()] };
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let want = harness.grads(&params, &grad_out).concat();
        (0..2).for_each(|_| assert_fresh(&overwritten(&mut harness, &params, &grad_out).concat(), &want));
    });
}

/// Tables with other sinks beside those that are overwritten change nothing, and are not changed.
pub fn beside_other_sinks<B: Backend>(device: &Device<B>) {
    check((case::crowded(), 0..4usize), |(case, first)| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let want = harness.grads(&params, &grad_out);
        let mut updated = params.clone();
        let mut no_state = vec![Vec::new(); params.len()];
        harness.update(&mut updated, &mut no_state, Update::sgd(0.125), &grad_out);
        let sink = |(t, params): (usize, &Vec<f64>)| match (first + t) % 4 {
            0 => HostSink::Frozen { params: params.clone() },
            1 => HostSink::Accumulate { params: params.clone(), grads: vec![0.0; params.len()] },
            2 => HostSink::Update { params: params.clone(), state: Vec::new(), update: Update::sgd(0.125) },
            _ => HostSink::Overwrite { params: params.clone(), grads: garbage(params.len(), t) },
        };
        let mut sinks: Vec<HostSink> = params.iter().enumerate().map(sink).collect();
        harness.backward(&mut sinks, &grad_out);
        for (t, sink) in sinks.into_iter().enumerate() {
            match sink {
                HostSink::Frozen { params: frozen } => assert_same("frozen", &frozen, &params[t]),
                HostSink::Update { params, .. } => assert_same("updated", &params, &updated[t]),
                sink => assert_fresh(&grads_of(sink), &want[t]),
            }
        }
    });
}

/// Without lookups, and without bags, all gradients are zero: nothing of an earlier batch is left.
pub fn an_empty_batch_gives_zeros<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let params = case.params();
        let mut harness = Harness::of(device, &case);
        for bags in [case.bags(), 0] {
            harness.group(&case.batches);
            harness.forward(&params, case.bags());
            overwritten(&mut harness, &params, &case.grad_out());

            let features = case.layout.features().iter();
            let empty = features.map(|features| Batch::sum(&vec![vec![]; features.count() * bags])).collect();
            let empty = case.with_batches(empty);
            harness.group(&empty.batches);
            harness.forward(&params, bags);
            let zeros: Vec<f64> = params.iter().flat_map(|params| vec![0.0; params.len()]).collect();
            assert_fresh(&overwritten(&mut harness, &params, &empty.grad_out()).concat(), &zeros);
            (0..params.len()).for_each(|t| assert_eq!(harness.touched(t), []));
        }
    });
}

/// Of a table so large that what a batch does not touch is shared among threads, in parts that begin anywhere.
pub fn of_a_large_table<B: Backend>(device: &Device<B>) {
    let shape = TtShape::with_rank(2_000_000, &[120, 130, 140], &[2, 2, 4], 32).expect("a shape");
    let rows = shape.rows();
    let tables = vec![Table::cached(shape, 20_000).expect("a table"), Table::dense(30_001, 7).expect("a table")];
    let row = |table: &Table, j: u64| {
        // The first and the last of all rows, the first that is cached, and some.
        let row = [0, table.addresses() - 1, rows].get(j as usize).copied();
        (row.unwrap_or(j.pow(3) * 7919) % table.addresses()) as i64
    };
    let batch = |table: &Table| {
        Batch::sum(&(0..20).map(|b| (15 * b..15 * b + 15).map(|j| row(table, j)).collect()).collect::<Vec<_>>())
    };
    let batches: Vec<Batch> = tables.iter().map(batch).collect();
    let layout = ttcore::Layout::new(tables, 20, 20 * 15).expect("a layout");
    let case = Case { layout, batches, seed: 5 };
    let (params, grad_out) = (case.params(), case.grad_out());
    let mut harness = Harness::of(device, &case);
    harness.forward(&params, case.bags());
    let want = harness.grads(&params, &grad_out);
    let got = overwritten(&mut harness, &params, &grad_out);
    for (t, table) in case.layout.tables().iter().enumerate() {
        assert_fresh(&got[t], &want[t]);
        assert_touched(&harness.touched(t), &with_lookups(table, &case.batches[t]));
    }
}

/// What a batch touches is where its lookups are: all other gradients are zero, and accumulating does not write there.
pub fn touched_is_where_lookups_are<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        harness.forward(&params, case.bags());
        let fresh = harness.grads(&params, &grad_out);
        let sink = |(t, params): (usize, &Vec<f64>)| HostSink::Accumulate {
            params: params.clone(),
            grads: garbage(params.len(), t),
        };
        let mut sinks: Vec<HostSink> = params.iter().enumerate().map(sink).collect();
        harness.backward(&mut sinks, &grad_out);
        for (t, sink) in sinks.into_iter().enumerate() {
            let want = with_lookups(&case.layout.tables()[t], &case.batches[t]);
            assert_touched(&harness.touched(t), &want);
            let (held, grads) = (garbage(want.len(), t), grads_of(sink));
            for i in (0..want.len()).filter(|&i| !want[i]) {
                assert!(fresh[t][i] == 0.0, "table {t}, parameter {i}: a gradient of {}", fresh[t][i]);
                let written = grads[i].to_bits() != held[i].to_bits() && !(grads[i].is_nan() && held[i].is_nan());
                assert!(!written, "table {t}, parameter {i}: accumulated {} to {}", grads[i], held[i]);
            }
        }
    });
}

/// A table that does not exist, a group of another plan, and one that holds no batch after an error.
pub fn touched_of_nothing<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = Harness::of(device, &case);
    for table in [2, usize::MAX] {
        let refused = harness.try_touched(table, |range| panic!("{range:?} of no table"));
        assert_refused::<B>(refused, Error::NoTable { table, tables: 2 });
    }
    let other = Case::single(Table::dense(5, 3).expect("a table"), case.batches[1].clone(), 1);
    let mut others = Harness::of(device, &other);
    std::mem::swap(&mut harness.slot, &mut others.slot);
    let refused = harness.try_touched(0, |range| panic!("{range:?} of another plan"));
    assert_refused::<B>(refused, Error::OtherPlan { what: "group" });
    std::mem::swap(&mut harness.slot, &mut others.slot);

    let host: Vec<_> = case.batches.iter().map(Batch::host).collect();
    let one = [host[0].bags(case.layout.tables()[0].addresses()).expect("valid bags")];
    harness.try_group(one).expect_err("a batch of one table of two");
    (0..2).for_each(|table| assert_eq!(harness.touched(table), []));
    harness.group(&case.batches);
    assert!((0..2).all(|table| !harness.touched(table).is_empty()));
}

/// Too short and too long gradients, and nothing written.
pub fn gradients_of_other_lengths<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = Harness::of(device, &case);
    harness.forward(&case.params(), case.bags());
    for t in 0..2 {
        let want = case.params()[t].len();
        for got in [0, want - 1, want + 1] {
            let sink = |(other, params): (usize, Vec<f64>)| HostSink::Overwrite {
                grads: vec![-1.5; if other == t { got } else { params.len() }],
                params,
            };
            let mut sinks: Vec<HostSink> = case.params().into_iter().enumerate().map(sink).collect();
            let before = sinks.clone();
            let refused = harness.try_backward(&mut sinks, &case.grad_out(), None);
            assert_refused::<B>(refused, Error::Length { what: "gradients", table: Some(t), got, want });
            assert_eq!(sinks, before, "a refused call wrote to a sink");
        }
    }
}
