//! What a backend refuses about batches, versions and rows: with which error, and without having written anything.
//!
//! A backend's error is known only to be made from [`ttcore::Error`], so errors are compared as the text they show.

use ttcore::backend::Version;
use ttcore::{Backend, Error, Layout, Pooling, Rule, Stale, Table, TtShape, Update};

use crate::batch::Batch;
use crate::case::Case;
use crate::device::Device;
use crate::harness::{Harness, HostSink};
use crate::oracle::{self, UNWRITTEN};
use crate::tolerance::{assert_close, assert_same};

/// That a call was refused with this error.
#[track_caller]
pub(crate) fn assert_refused<B: Backend>(result: Result<(), B::Error>, want: Error) {
    match result {
        Ok(()) => panic!("accepted, but is: {want}"),
        Err(error) => assert_eq!(error.to_string(), B::Error::from(want).to_string()),
    }
}

/// A table with a cache and a dense one, with a batch of exactly the capacity: 3 bags, 4 lookups.
pub(crate) fn fixture() -> Case {
    let shape = TtShape::new(7, &[2, 4], &[2, 2], &[1, 3, 1]).expect("a valid shape");
    let tables = vec![Table::cached(shape, 2).expect("a small table"), Table::dense(5, 3).expect("a small table")];
    let layout = Layout::with_columns(tables, vec![1, 6], 9, 3, 4).expect("disjoint columns");
    let first = Batch::sum(&[vec![6, 7], vec![], vec![8, 0]]).pooled(Pooling::Mean);
    let second = Batch::sum(&[vec![4], vec![0, 0, 1], vec![]]).weighted(vec![0.5, 2.0, -1.0, 1.0]);
    Case { layout, batches: vec![first, second], seed: 1 }
}

/// A sink that applies a rule and one that accumulates, for the tables of [`fixture`].
pub(crate) fn sinks(case: &Case) -> Vec<HostSink> {
    let [first, second] = <[Vec<f64>; 2]>::try_from(case.params()).expect("two tables");
    let update = Update { rule: Rule::Adagrad { eps: 0.125 }, ..Update::sgd(0.5) };
    vec![
        HostSink::Update { state: vec![0.0; first.len()], params: first, update },
        HostSink::Accumulate { grads: case.values(50, second.len()), params: second },
    ]
}

/// That backward refuses these sinks and leaves them, and the gradients of the weights, as they are.
#[track_caller]
pub(crate) fn assert_backward_refused<B: Backend>(
    harness: &mut Harness<'_, B>,
    mut sinks: Vec<HostSink>,
    grad_out: &[f64],
    weights: usize,
    want: Error,
) {
    let (before, mut grad_weights) = (sinks.clone(), vec![UNWRITTEN; weights]);
    let result = harness.try_backward(&mut sinks, grad_out, Some(&mut grad_weights));
    assert_refused::<B>(result, want);
    assert_eq!(sinks, before, "a refused call wrote to a sink");
    assert_same("gradient of the weights after a refused call", &grad_weights, &vec![UNWRITTEN; weights]);
}

/// That the harness, with the fixture's batch grouped, works as a fresh one does: nothing refused left a trace.
#[track_caller]
pub(crate) fn assert_works<B: Backend>(device: &Device<B>, harness: &mut Harness<'_, B>) {
    assert_works_on(device, harness, &fixture());
}

/// The same for the batch of a case of two tables.
#[track_caller]
fn assert_works_on<B: Backend>(device: &Device<B>, harness: &mut Harness<'_, B>, case: &Case) {
    let step = |harness: &mut Harness<'_, B>| {
        let (mut sinks, out) = (sinks(case), harness.forward(&case.params(), case.bags()));
        harness.backward(&mut sinks, &case.grad_out());
        (out, sinks)
    };
    let want = step(&mut Harness::of(device, case));
    assert_eq!(step(harness), want, "a refused call left a trace");
}

/// A harness with a forward of the fixture behind it.
fn after_forward<'d, B: Backend>(device: &'d Device<B>, case: &Case) -> Harness<'d, B> {
    let mut harness = Harness::of(device, case);
    harness.forward(&case.params(), case.bags());
    harness
}

/// Parameters that changed after forward.
pub fn a_stale_version<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = after_forward(device, &case);
    let forward = harness.version;
    for other in [forward.0 + 1, forward.0 - 1, u64::MAX] {
        harness.version = Version(other);
        let stale = Error::Stale { what: Stale::Parameters };
        assert_backward_refused(&mut harness, sinks(&case), &case.grad_out(), 8, stale);
    }
    harness.version = forward;
    assert_works(device, &mut harness);
}

/// What another batch's forward saved, of another group and of this group before it was filled again.
pub fn saved_of_another_batch<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let others = [
        // Other rows, other bags, and the two tables' batches as they are but for one row.
        vec![Batch::sum(&[vec![0, 1], vec![2], vec![3]]), Batch::sum(&[vec![], vec![], vec![]])],
        vec![Batch::sum(&[vec![6], vec![7], vec![8, 0]]), case.batches[1].clone()],
        vec![case.batches[0].clone(), Batch::sum(&[vec![4], vec![0, 0, 2], vec![]])],
    ];
    for other in others {
        let lookups = other.iter().map(Batch::lookups).sum();
        let mut harness = after_forward(device, &case);
        harness.group(&other);
        let stale = || Error::Stale { what: Stale::Group };
        assert_backward_refused(&mut harness, sinks(&case), &case.grad_out(), lookups, stale());
        harness.group(&case.batches);
        assert_works(device, &mut harness);
    }
}

/// Backward without a forward before it, or after one that did not save.
pub fn nothing_saved<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let mut harness = Harness::of(device, &case);
    for evaluated in [false, true] {
        if evaluated {
            harness.try_forward(&case.params(), &mut vec![UNWRITTEN; case.outputs()], false).expect("forward");
        }
        let nothing = Error::Stale { what: Stale::Nothing };
        assert_backward_refused(&mut harness, sinks(&case), &case.grad_out(), 8, nothing);
    }
    assert_works(device, &mut harness);
}

/// A batch with more bags, or more lookups, than the plan has room for, of the first and of the last table.
pub fn a_batch_above_the_capacity<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let few = Batch::sum(&[vec![0], vec![], vec![]]);
    let bags = Batch::sum(&vec![vec![]; 4]);
    let lookups = Batch::sum(&[vec![0, 1, 2, 3], vec![4], vec![]]);
    let above = |what, table, got, capacity| Error::Capacity { what, table, got, capacity };
    refuse_batches(device, &case, &[&bags, &bags], above("bags", 0, 4, 3));
    refuse_batches(device, &case, &[&lookups, &few], above("lookups", 0, 5, 4));
    refuse_batches(device, &case, &[&few, &lookups], above("lookups", 1, 5, 4));
}

/// Tables with different numbers of bags.
pub fn different_numbers_of_bags<B: Backend>(device: &Device<B>) {
    let [two, three] = [2, 3].map(|bags| Batch::sum(&vec![vec![0]; bags]));
    let case = fixture();
    refuse_batches(device, &case, &[&two, &three], Error::BagCount { table: 1, got: 3, want: 2 });
    refuse_batches(device, &case, &[&three, &two], Error::BagCount { table: 1, got: 2, want: 3 });
}

/// Bags that are not as many for each feature of a table, or not for as many output rows as those of the table before, or
/// for more than there is room for.
pub fn bags_of_features<B: Backend>(device: &Device<B>) {
    // The tables of the fixture with two features and with three, for 2 output rows of 3.
    let tables = fixture().layout.tables().to_vec();
    let layout = Layout::with_features(tables, vec![vec![14, 0], vec![4, 7, 10]], 18, 3, 6).expect("disjoint columns");
    let first = Batch::sum(&[vec![6], vec![7, 8], vec![], vec![0, 6]]).pooled(Pooling::Mean);
    let second = Batch::sum(&[vec![4], vec![0, 0], vec![], vec![1], vec![2], vec![4]]);
    let case = Case { layout, batches: vec![first.clone(), second.clone()], seed: 2 };
    let empty = |bags| Batch::sum(&vec![vec![]; bags]);
    let count = |table, got, want| Error::BagCount { table, got, want };
    for bags in [1, 3, 7] {
        let uneven = Error::UnevenBags { table: 0, got: bags, features: 2 };
        refuse_batches(device, &case, &[&empty(bags), &second], uneven);
    }
    for bags in [0, 4, 5, 7, 9] {
        refuse_batches(device, &case, &[&first, &empty(bags)], count(1, bags, 6));
    }
    refuse_batches(device, &case, &[&empty(2), &second], count(1, 6, 3));
    let capacity = Error::Capacity { what: "bags", table: 0, got: 8, capacity: 6 };
    refuse_batches(device, &case, &[&empty(8), &empty(12)], capacity);
}

/// That batches, validated for their tables, are refused, and that what was saved before them cannot be used with a
/// group half filled.
#[track_caller]
fn refuse_batches<B: Backend>(device: &Device<B>, case: &Case, batches: &[&Batch], want: Error) {
    let mut harness = after_forward(device, case);
    let host: Vec<_> = batches.iter().map(|batch| batch.host()).collect();
    let tables = case.layout.tables();
    let bags = host.iter().zip(tables).map(|(host, table)| host.bags(table.addresses()).expect("valid bags"));
    assert_refused::<B>(harness.try_group(bags), want);
    assert_group_is_old_or_empty(&mut harness, case);
    harness.group(&case.batches);
    assert_works_on(device, &mut harness, case);
}

/// That forward and backward after a refused batch are refused too, or are those of the batch before.
#[track_caller]
pub(crate) fn assert_group_is_old_or_empty<B: Backend>(harness: &mut Harness<'_, B>, case: &Case) {
    let mut out = vec![UNWRITTEN; case.outputs()];
    if harness.try_forward(&case.params(), &mut out, false).is_ok() {
        assert_close::<B::Float>("output", &out, &oracle::forward(case, &case.params()), case.terms());
    }
    let mut got = sinks(case);
    match harness.try_backward(&mut got, &case.grad_out(), None) {
        Ok(()) => {
            let mut want = sinks(case);
            harness.group(&case.batches);
            harness.backward(&mut want, &case.grad_out());
            assert_eq!(got, want, "a refused batch is half grouped");
        }
        Err(error) => {
            let stale = B::Error::from(Error::Stale { what: Stale::Group });
            assert_eq!(error.to_string(), stale.to_string());
            assert_eq!(got, sinks(case), "a refused call wrote to a sink");
        }
    }
}

/// Bags that were validated for another number of rows: more, fewer, and the cores' rows without the cache's.
pub fn bags_for_other_rows<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let host: Vec<_> = [vec![vec![0]; 3], vec![vec![1]; 3]].iter().map(|bags| Batch::sum(bags).host()).collect();
    for (rows, table, got, want) in [([10, 5], 0, 10, 9), ([7, 5], 0, 7, 9), ([9, 4], 1, 4, 5), ([9, 6], 1, 6, 5)] {
        let mut harness = after_forward(device, &case);
        let bags = host.iter().zip(rows).map(|(host, rows)| host.bags(rows).expect("valid bags"));
        assert_refused::<B>(harness.try_group(bags), Error::Rows { table, got, want });
        assert_group_is_old_or_empty(&mut harness, &case);
        harness.group(&case.batches);
        assert_works(device, &mut harness);
    }
}

/// Rows to expand that are no rows of the table, padding included, and tables that are none; the other lists of the
/// call are not written either.
pub fn rows_that_are_none<B: Backend>(device: &Device<B>) {
    let case = fixture();
    let params = case.params();
    let mut harness = Harness::of(device, &case);
    let row = |table, position, row, rows| Error::Row { table, position, row, rows };
    let wrong = [
        (0, vec![8, 9, 10], row(0, 1, 9, 9)),
        (1, vec![5], row(1, 0, 5, 5)),
        (1, vec![0, 4, u64::MAX], row(1, 2, u64::MAX, 5)),
        (2, vec![0], Error::NoTable { table: 2, tables: 2 }),
    ];
    for (table, rows, want) in wrong {
        let (mut good, mut bad) =
            (vec![UNWRITTEN; 4], vec![UNWRITTEN; 3 * rows.len() + if table == 0 { rows.len() } else { 0 }]);
        let bad_params = &params[table.min(1)];
        let result = harness.try_expand(&mut [(0, &params[0], &[0], &mut good), (table, bad_params, &rows, &mut bad)]);
        assert_refused::<B>(result, want);
        assert!([good, bad].concat().iter().all(|&x| x == UNWRITTEN), "a refused call wrote rows");
    }

    // Rows of the cores' padding are addresses of nothing where there is no cache.
    let padded = TtShape::new(7, &[2, 4], &[2, 2], &[1, 3, 1]).expect("a valid shape");
    let case = Case::single(Table::tt(padded), Batch::sum(&[]), 1);
    let mut out = vec![UNWRITTEN; 4];
    let result = Harness::of(device, &case).try_expand(&mut [(0, &case.params()[0], &[7], &mut out)]);
    assert_refused::<B>(result, row(0, 0, 7, 7));
    assert_same("rows", &out, &[UNWRITTEN; 4]);
}
