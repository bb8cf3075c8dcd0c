//! Values made for one plan are refused by another, and a batch of one collection by another.

use ttcore::backend::{Call, Version};
use ttcore::embedding::Batch;
use ttcore::{Backend, Bags, EmbeddingBagCollection, Error, Layout, Mode, Offsets, Pooling, Table, TableConfig};

/// A layout of one dense table.
fn layout(rows: u64, dim: usize) -> Layout {
    Layout::new(vec![Table::dense(rows, dim).expect("a table")], 2, 4).expect("a layout")
}

/// The text of an error.
fn text<B: Backend>(what: &'static str) -> String {
    B::Error::from(Error::OtherPlan { what }).to_string()
}

/// Groups, saved values and scratch of a larger table are refused, and nothing is written.
///
/// # Panics
///
/// If not.
pub fn values_of_another_plan<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let queue = &mut queue;
    let plans = [(50, 3), (9, 2)].map(|(rows, dim)| backend.plan(queue, layout(rows, dim)).expect("a plan"));
    let [mut other, mut own] = [0, 1].map(|p| {
        let plan = &plans[p];
        let group = backend.new_group(queue, plan).expect("memory");
        let saved = backend.new_saved(queue, plan).expect("memory");
        (group, saved, backend.new_scratch(queue, plan).expect("memory"))
    });
    let bags = |rows| Bags::new(rows, &[1u32, 8, 3], Offsets::Starts(&[0, 1]), Pooling::Sum, None).expect("bags");
    let (plan, version) = (&plans[1], Version(1));
    let refused = backend.group(queue, plan, [bags(9)], &mut other.0).map_err(|error| error.to_string());
    assert_eq!(refused, Err(text::<B>("group")));
    backend.group(queue, &plans[0], [bags(50)], &mut other.0).expect("its own plan");
    backend.group(queue, plan, [bags(9)], &mut own.0).expect("its own plan");

    let (params, mut out) = (backend.alloc(queue, 18).expect("memory"), backend.alloc(queue, 4).expect("memory"));
    let ones = [<B::Float as num_traits::One>::one(); 4];
    backend.upload(queue, &ones, B::view_mut(&mut out)).expect("memory");
    // Which of the group, the saved values and the scratch are of the other plan.
    for (what, mixed) in
        [("group", [true, false, false]), ("saved", [false, true, false]), ("scratch", [false, false, true])]
    {
        let group = if mixed[0] { &other.0 } else { &own.0 };
        let saved = if mixed[1] { &mut other.1 } else { &mut own.1 };
        let scratch = if mixed[2] { &mut other.2 } else { &mut own.2 };
        let call = Call { plan, group, queue, scratch };
        let result = backend.forward(call, version, [B::view(&params)], B::view_mut(&mut out), Some(saved));
        assert_eq!(result.map_err(|error| error.to_string()), Err(text::<B>(what)));
    }
    let mut host = [<B::Float as Default>::default(); 4];
    backend.download(queue, B::view(&out), &mut host).expect("memory");
    assert_eq!(host, ones, "nothing was written");
}

/// A batch of another collection is refused, also when the other is gone and this one may lie where it was.
///
/// # Panics
///
/// If not.
pub fn batches_of_another_collection<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let tables = || {
        let (backend, mut queue) = make();
        let config = TableConfig::dense(9, 2).expect("a table");
        let tables = EmbeddingBagCollection::new(backend, &mut queue, vec![config], 2, 4, 1).expect("tables");
        (tables, queue)
    };
    let ((mut one, mut queue), (mut other, mut other_queue)) = (tables(), tables());
    let mut batch: Batch<B> = other.batch(&mut other_queue).expect("memory");
    let bags = Bags::new(9, &[1u32, 8, 3], Offsets::Starts(&[0, 1]), Pooling::Sum, None).expect("bags");
    let refused = one.group(&mut queue, &mut batch, [bags], Mode::Train).map_err(|error| error.to_string());
    assert_eq!(refused, Err(text::<B>("batch")));
    other.group(&mut other_queue, &mut batch, [bags], Mode::Train).expect("its own");
    drop(other);
    let (mut next, mut queue) = tables();
    let refused = next.group(&mut queue, &mut batch, [bags], Mode::Train).map_err(|error| error.to_string());
    assert_eq!(refused, Err(text::<B>("batch")));
}
