//! What `{:?}` prints of a large batch fits a screen, whatever is printed.

use std::fmt::Debug;

use ttcore::backend::{Call, Expand, Sink, Version};
use ttcore::init::CoreInit;
use ttcore::{
    Backend, Bags, EmbeddingBagCollection, FrequencyCache, Layout, Mode, Offsets, Pooling, Reference, Table,
    TableConfig, TtCores, TtShape,
};
use ttcore_cpu::{Cpu, Threads};

const ROWS: u64 = 4000;
const LOOKUPS: usize = 5000;
/// Characters: fewer than a list of the lookups would be.
const SCREEN: usize = 3000;

fn shape() -> TtShape {
    TtShape::with_rank(ROWS, &[20, 20, 10], &[2, 2, 2], 8).expect("a shape")
}

#[track_caller]
fn fits(what: &dyn Debug) {
    let text = format!("{what:?}");
    assert!(text.len() < SCREEN, "{} characters: {text}", text.len());
}

fn backend<B: Backend<Float = f32>>(backend: B, queue: &mut B::Queue)
where
    B::Plan: Debug,
    B::Group: Debug,
    B::Saved: Debug,
    B::Scratch: Debug,
{
    let rows: Vec<u64> = (0..LOOKUPS as u64).map(|j| j * j % ROWS).collect();
    let starts: Vec<u64> = (0..LOOKUPS as u64).collect();
    let bags = Bags::new(ROWS, &rows, Offsets::Starts(&starts), Pooling::Sum, None).expect("bags");
    fits(&bags);
    fits(&(bags.indices(), Offsets::Starts(&starts), Offsets::WithLast(&starts)));

    let table = Table::cached(shape(), 100).expect("a table");
    let layout = Layout::new(vec![table], LOOKUPS, LOOKUPS).expect("a layout");
    let plan = backend.plan(queue, layout).expect("a plan");
    let mut group = backend.new_group(queue, &plan).expect("a group");
    let addressed = Bags::new(ROWS + 100, &rows, Offsets::Starts(&starts), Pooling::Sum, None).expect("bags");
    backend.group(queue, &plan, [addressed], &mut group).expect("grouped");
    let mut saved = backend.new_saved(queue, &plan).expect("saved");
    let mut scratch = backend.new_scratch(queue, &plan).expect("scratch");
    let params = backend.alloc(queue, shape().parameters() + 100 * 8).expect("parameters");
    let mut out = backend.alloc(queue, LOOKUPS * 8).expect("an output");
    let call: Call<'_, B> = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
    fits(&call);
    backend.forward(call, Version(1), [B::view(&params)], B::view_mut(&mut out), Some(&mut saved)).expect("a forward");
    fits(&(&plan, &group, &saved, &scratch));
    let sink: Sink<'_, B> = Sink::Frozen { params: B::view(&params) };
    fits(&sink);
    fits(&Expand::<'_, '_, B> { table: 0, params: B::view(&params), rows: &rows, out: B::view_mut(&mut out) });

    let config = TableConfig::tt(shape()).with_cache(100).expect("a cache");
    let mut tables = EmbeddingBagCollection::new(backend, queue, vec![config], LOOKUPS, LOOKUPS, 1).expect("tables");
    let mut batch = tables.batch(queue).expect("a batch");
    tables.group(queue, &mut batch, [bags], Mode::Train).expect("grouped");
    tables.forward(queue, &mut batch, B::view_mut(&mut out)).expect("a forward");
    fits(&(&tables, &batch));
}

#[test]
fn of_a_step() {
    backend(Reference::new(), &mut ());
    backend(Cpu::new().expect("a backend"), &mut Threads::one());
}

#[test]
fn of_what_holds_numbers() {
    fits(&TtCores::<f32>::init(shape(), &CoreInit::default(), 1));
    let mut cache = FrequencyCache::new(1000, 10_000).expect("a cache");
    (0..5000).for_each(|row| cache.count(row));
    cache.refresh();
    fits(&cache);
}
