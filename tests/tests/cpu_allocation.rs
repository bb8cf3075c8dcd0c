//! After the first steps, a step allocates nothing.

mod counting;

use std::thread;

use counting::{allocations_of, count, count_this_thread, pool};
use ttcore::backend::{Call, Sink, Version};
use ttcore::{
    Backend, Bags, CoreRule, EmbeddingBagCollection, Layout, Mode, Offsets, Pooling, Rule, Table, TableConfig, TtShape,
    Update,
};
use ttcore_cpu::{Cpu, Threads};

/// Allocations of some steps of batches of different sizes, after one round of them.
fn allocations(mut queue: Threads) -> usize {
    let queue = &mut queue;
    let (bags, lookups) = (500, 4000);
    let tt = |m: &[usize], n: &[usize]| {
        TableConfig::tt(TtShape::with_rank(1000, m, n, 8).expect("a shape")).with_rule(Rule::Adagrad { eps: 1e-8 })
    };
    let configs = vec![
        tt(&[10, 10, 10], &[2, 2, 4]).with_cache(20).expect("a cache").with_core_rule(CoreRule::ADAGRAD_NORM),
        tt(&[32, 32], &[4, 4]),
        tt(&[4, 5, 5, 10], &[2, 2, 2, 2]),
        TableConfig::dense(1000, 16).expect("a table"),
    ];
    let backend = Cpu::<f32>::new().expect("an instruction set");
    let mut tables = EmbeddingBagCollection::new(backend, queue, configs, bags, lookups, 1).expect("tables");
    let mut batch = tables.batch(queue).expect("memory");
    let rows: Vec<Vec<u32>> =
        (0..3u64).map(|seed| (0..lookups as u64).map(|j| (j * j * (seed + 7) % 1000) as u32).collect()).collect();
    let offsets: Vec<u32> = (0..bags as u32).map(|b| b * 8).collect();
    let mut out = vec![0.0; bags * tables.layout().stride()];
    let mut grad_weights = vec![0.0; 4 * lookups];
    let mut round = |tables: &mut EmbeddingBagCollection<Cpu<f32>>, queue: &mut Threads| {
        for (rows, share) in rows.iter().zip([1, 4, 2]) {
            let (bags, lookups) = (bags / share, lookups / share);
            let batch_of = |_| {
                Bags::new(1000, &rows[..lookups], Offsets::Starts(&offsets[..bags]), Pooling::Mean, None).expect("bags")
            };
            tables.group(queue, &mut batch, (0..4).map(batch_of), Mode::Train).expect("group");
            let out = &mut out[..bags * 64];
            tables.forward(queue, &mut batch, out).expect("forward");
            tables.step(queue, &batch, out, 0.1, Some(&mut grad_weights[..4 * lookups])).expect("step");
        }
    };
    round(&mut tables, queue);
    tables.refresh(queue).expect("refresh");
    round(&mut tables, queue);
    allocations_of(|| (0..10).for_each(|_| round(&mut tables, queue)))
}

/// Allocations of steps that overwrite gradients and ask what was touched, after one of them.
fn allocations_of_fresh_gradients(mut queue: Threads) -> usize {
    let queue = &mut queue;
    let shape = TtShape::with_rank(1000, &[10, 10, 10], &[2, 2, 4], 8).expect("a shape");
    let table = Table::cached(shape, 40_000).expect("a table");
    let (rows, parameters) = (table.addresses(), table.parameters());
    let layout = Layout::new(vec![table], 500, 4000).expect("a layout");
    let backend = Cpu::<f32>::new().expect("an instruction set");
    let plan = backend.plan(queue, layout).expect("a plan");
    let mut group = backend.new_group(queue, &plan).expect("memory");
    let mut saved = backend.new_saved(queue, &plan).expect("memory");
    let mut scratch = backend.new_scratch(queue, &plan).expect("memory");
    let (params, mut grads, mut out) = (vec![0.5; parameters], vec![f32::NAN; parameters], vec![0.0; 500 * 16]);
    let indices: Vec<u64> = (0..4000).map(|j| j * j * 7 % rows).collect();
    let offsets: Vec<u64> = (0..500).map(|bag| bag * 8).collect();
    let mut step = || {
        let bags = Bags::new(rows, &indices, Offsets::Starts(&offsets), Pooling::Sum, None).expect("bags");
        backend.group(queue, &plan, [bags], &mut group).expect("group");
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        backend.forward(call, Version(0), [&params[..]], &mut out, Some(&mut saved)).expect("forward");
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        let sink: Sink<'_, Cpu<f32>> = Sink::Overwrite { params: &params, grads: &mut grads };
        backend.backward(call, Version(0), &saved, [sink], &out, None).expect("backward");
        let mut touched = 0;
        Cpu::touched(&plan, &group, 0, |range| touched += range.len()).expect("touched");
        assert!(0 < touched && touched < parameters);
    };
    step();
    allocations_of(|| (0..10).for_each(|_| step()))
}

/// Allocations of some steps of a table with two features around one with one, after the first.
fn allocations_of_features(mut queue: Threads) -> usize {
    let queue = &mut queue;
    let (backend, shape) = (Cpu::<f32>::new().expect("an instruction set"), TtShape::paper(1000, 16, 3, 8));
    let tables = vec![Table::tt(shape.expect("a shape")), Table::dense(1000, 16).expect("a table")];
    let mut params: Vec<Vec<f32>> = tables.iter().map(|table| vec![0.5; table.parameters()]).collect();
    let (bags, lookups) = (300, 2400);
    let layout = Layout::with_features(tables, vec![vec![32, 0], vec![16]], 48, bags, 2 * lookups).expect("a layout");
    let plan = backend.plan(queue, layout).expect("a plan");
    let mut group = backend.new_group(queue, &plan).expect("memory");
    let mut saved = backend.new_saved(queue, &plan).expect("memory");
    let mut scratch = backend.new_scratch(queue, &plan).expect("memory");
    let rows: Vec<u32> = (0..2 * lookups as u64).map(|j| (j * j * 7 % 1000) as u32).collect();
    let offsets: Vec<u32> = (0..2 * bags as u32).map(|b| b * 8).collect();
    let (mut out, mut grad_weights) = (vec![0.0; bags * 48], vec![0.0; 3 * lookups]);
    let mut step = |queue: &mut Threads| {
        let batch = |features| {
            let (rows, offsets) = (&rows[..features * lookups], Offsets::Starts(&offsets[..features * bags]));
            Bags::new(1000, rows, offsets, Pooling::Mean, None).expect("bags")
        };
        backend.group(queue, &plan, [2, 1].map(batch), &mut group).expect("group");
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        let views = params.iter().map(|params| &params[..]);
        backend.forward(call, Version(0), views, &mut out, Some(&mut saved)).expect("forward");
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        let sink = |params| Sink::Update { params, state: Default::default(), update: Update::sgd(0.1) };
        let sinks = params.iter_mut().map(|params| sink(&mut params[..]));
        backend.backward(call, Version(0), &saved, sinks, &out, Some(&mut grad_weights)).expect("backward");
    };
    step(queue);
    allocations_of(|| (0..10).for_each(|_| step(queue)))
}

#[test]
fn a_step_allocates_nothing() {
    count_this_thread();
    assert_eq!(allocations(Threads::one()), 0, "on one thread");
    assert_eq!(allocations_of_fresh_gradients(Threads::one()), 0, "overwritten, on one thread");
    assert_eq!(allocations_of_features(Threads::one()), 0, "of several features");
    // On a thread of its own, as it is one of a pool from then on.
    let here = || {
        let threads = Threads::here(2).expect("threads");
        (0..2).for_each(|waiting| drop(rayon::broadcast(|thread| count(thread.index(), waiting))));
        allocations(threads)
    };
    assert_eq!(thread::spawn(here).join().expect("no panic"), 0, "here, with a helper");
    // Inside the pool: work that comes from outside goes through a queue of rayon's, which takes a block of memory for
    // every 63 calls.
    let pool = pool();
    let threads = Threads::shared(pool.clone());
    let more = threads.clone();
    assert_eq!(pool.install(move || allocations(threads)), 0, "on two threads");
    assert_eq!(pool.install(move || allocations_of_fresh_gradients(more)), 0, "overwritten, on two threads");
}
