//! Forward and `expand_rows` give the rows that the cores stand for.

use proptest::prelude::*;
use ttcore::{Backend, Pooling, Table, TtShape};

use crate::batch::{Batch, IndexType};
use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::Harness;
use crate::oracle;
use crate::runner::check;
use crate::tolerance::{Expected, assert_close, assert_same};

/// The output is that of the expanded tables, and columns of no table are left alone.
pub fn equals_the_expanded_table<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let params = case.params();
        let out = Harness::of(device, &case).forward(&params, case.bags());
        assert_close::<B::Float>("output", &out, &oracle::forward(&case, &params), case.terms());
    });
}

/// An evaluation, which saves nothing, has the output of a training step.
pub fn needs_no_saved<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let params = case.params();
        let mut harness = Harness::of(device, &case);
        let out = harness.forward(&params, case.bags());
        let mut evaluated = vec![oracle::UNWRITTEN; out.len()];
        harness.try_forward(&params, &mut evaluated, false).expect("forward");
        assert_close::<B::Float>(
            "evaluated output",
            &evaluated,
            &Expected { value: out, ..oracle::forward(&case, &params) },
            case.terms(),
        );
    });
}

/// Expanding all addresses of all tables, backwards, gives the expanded tables.
pub fn expand_rows_gives_the_table<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, mut harness) = (case.params(), Harness::of(device, &case));
        for (t, table) in case.layout.tables().iter().enumerate() {
            let rows: Vec<u64> = (0..table.addresses()).rev().collect();
            let want = oracle::rows(table, &params[t], &rows);
            assert_close::<B::Float>("rows", &harness.expand(t, &params[t], &rows), &want, case.terms());
        }
    });
}

/// One call expands several lists of rows: of tables in any order, of one table twice, of one row twice, of none.
pub fn expand_rows_takes_any_lists<B: Backend>(device: &Device<B>) {
    check((case::cases(), any::<u64>()), |(case, pick)| {
        let (params, mut harness) = (case.params(), Harness::of(device, &case));
        let tables = case.layout.tables();
        let last = tables.len() - 1;
        let lists = [(last, 3), (0, 2), (last, 1), (0, 0)].map(|(t, rows)| {
            let row = |i: u64| pick.rotate_left(8 * (i as u32 / 2)) % tables[t].addresses();
            (t, (0..rows).map(row).collect::<Vec<u64>>())
        });
        let mut outs = lists.each_ref().map(|(t, rows)| vec![oracle::UNWRITTEN; rows.len() * tables[*t].dim()]);
        let mut wanted: Vec<_> =
            lists.iter().zip(&mut outs).map(|((t, rows), out)| (*t, &params[*t][..], &rows[..], out)).collect();
        harness.try_expand(&mut wanted).expect("expand_rows");
        for ((t, rows), out) in lists.iter().zip(&outs) {
            let want = oracle::rows(&tables[*t], &params[*t], rows);
            assert_close::<B::Float>("rows", out, &want, case.terms());
        }
    });
}

/// Row numbers are exact beyond 32 bits: a table of eight thousand million rows, and cache slots behind them.
pub fn rows_beyond_32_bits<B: Backend>(device: &Device<B>) {
    const FACTOR: u64 = 2048;
    let shape = TtShape::with_rank(FACTOR.pow(3) - 5, &[FACTOR as usize; 3], &[1, 2, 1], 2).expect("a valid shape");
    let table = Table::cached(shape, 3).expect("parameters of small cores");
    let addresses = table.addresses();
    let index_type = prop_oneof![Just(IndexType::I64), Just(IndexType::U64)];
    let pick = prop_oneof![0..addresses, addresses - 8..addresses];
    check((prop::collection::vec(pick, 1..=8), index_type, any::<u64>()), |(rows, index_type, seed)| {
        let bag = rows.iter().map(|&row| row as i64).collect();
        let case = Case::single(table.clone(), Batch { index_type, ..Batch::sum(&[bag]) }, seed);
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        let out = harness.forward(&params, 1);
        assert_close::<B::Float>("output", &out, &oracle::forward(&case, &params), case.terms());
        let want = oracle::backward(&case, &params, &grad_out);
        assert_close::<B::Float>("gradients", &harness.grads(&params, &grad_out)[0], &want.params[0], case.terms());
        let want = oracle::rows(&table, &params[0], &rows);
        assert_close::<B::Float>("rows", &harness.expand(0, &params[0], &rows), &want, case.terms());
    });
}

/// One lookup a bag of a dense table is a plain gather: the rows' own bits.
pub fn a_dense_table_is_a_gather<B: Backend>(device: &Device<B>) {
    let tables = (1..=60u64, 1..=33usize).prop_map(|(rows, dim)| Table::dense(rows, dim).expect("a small table"));
    let picks = prop::collection::vec(any::<u64>(), 0..=9);
    check((tables, picks, any::<u64>()), |(table, picks, seed)| {
        let rows: Vec<u64> = picks.iter().map(|pick| pick % table.addresses()).collect();
        let bags: Vec<Vec<i64>> = rows.iter().map(|&row| vec![row as i64]).collect();
        let case = Case::single(table, Batch::sum(&bags), seed);
        let params = case.params();
        let dim = case.layout.stride();
        let want: Vec<f64> = rows.iter().flat_map(|&row| &params[0][row as usize * dim..][..dim]).copied().collect();
        let mut harness = Harness::of(device, &case);
        assert_same("gathered rows", &harness.forward(&params, rows.len()), &want);
        assert_same("expanded rows", &harness.expand(0, &params[0], &rows), &want);
    });
}

/// Tables of one call do not mix: each has the output and gradients it has in a call of its own, where its features are one
/// of as many bags.
pub fn tables_of_one_call_do_not_mix<B: Backend>(device: &Device<B>) {
    check(four_tables(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let mut harness = Harness::of(device, &case);
        let out = harness.forward(&params, case.bags());
        let grads = harness.grads(&params, &grad_out);
        let scale = oracle::backward(&case, &params, &grad_out);
        for t in 0..params.len() {
            let (alone, params) = (case.only(t), &params[t..][..1]);
            let mut harness = Harness::of(device, &alone);
            let want = Expected { value: harness.forward(params, alone.bags()), ..oracle::forward(&alone, params) };
            assert_close::<B::Float>("output", &case.of_table(t, &out), &want, case.terms());
            let value = harness.grads(params, &case.of_table(t, &grad_out)).remove(0);
            let want = Expected { value, scale: scale.params[t].scale.clone() };
            assert_close::<B::Float>("gradients", &grads[t], &want, case.terms());
        }
    });
}

/// A TT table of two cores, one of three to six, a dense one, and one with a cache of which one bag takes rows from
/// both sides; in any order of columns, with gaps.
fn four_tables() -> impl Strategy<Value = Case> {
    let cores =
        |wanted: fn(usize) -> bool| case::shape().prop_filter("number of cores", move |shape| wanted(shape.cores()));
    (cores(|d| d == 2), cores(|d| d > 2), case::shape(), 1..=30u64).prop_flat_map(|(two, more, cached, rows)| {
        let dense = Table::dense(rows, 5).expect("a small table");
        let cached = Table::cached(cached, 3).expect("a small table");
        let edge = cached.core_rows() as i64;
        case::cases_of(vec![Table::tt(two), cached, dense, Table::tt(more)]).prop_map(move |case| {
            let mut batches = case.batches.clone();
            let mut bags = batches[1].unbagged();
            if let Some(bag) = bags.first_mut() {
                *bag = vec![(edge - 1, 0.5), (edge, -2.0), (edge + 2, 1.0), (0, 0.25)];
            }
            batches[1] = batches[1].rebagged(&bags).pooled(Pooling::Mean);
            let lookups = batches.iter().map(Batch::lookups).max().unwrap_or(0);
            let layout = case.layout.with_room(case.layout.bags(), lookups).expect("as large as it was");
            Case { layout, batches, ..case }
        })
    })
}
