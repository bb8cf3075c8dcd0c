//! After the first one, a training iteration of a whole model allocates nothing.

mod counting;

use counting::{allocations_of, count_this_thread, pool};
use dlrm::model::{CrossSize, Dlrm, Feature, Lookup, ModelConfig, Samples};
use ttcore::{Rule, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Isa, Threads};

/// Iterations that are counted.
const ITERATIONS: usize = 5;

/// Products of an iteration: 4 layers forward, of one panel each; gradients of 3 layers' inputs, for the first has none;
/// 4 gradients of weights. Each once for every chunk.
const PRODUCTS: usize = 4 + 3 + 4;

/// Layers of a cross network, and its products: two matrices a layer, each forward and backward to its input and its weights.
const CROSS: CrossSize = CrossSize { layers: 2, rank: 4 };
const CROSS_PRODUCTS: usize = CROSS.layers * 2 * 3;

/// Chunks of a batch.
const CHUNKS: usize = 4;

/// Allocations of some iterations after the first.
fn allocations(mut queue: Threads, isa: Isa, cross: Option<CrossSize>) -> usize {
    let queue = &mut queue;
    let (batch, dense) = (100, 5);
    let tt = |rows, m: &[usize]| TableConfig::tt(TtShape::with_rank(rows, m, &[2, 2, 2], 4).expect("a shape"));
    let adagrad = Rule::Adagrad { eps: 1e-8 };
    let tables = vec![
        tt(1000, &[10, 10, 10]).with_cache(20).expect("a cache").with_rule(adagrad),
        TableConfig::dense(50, 8).expect("a table"),
    ];
    let feature = |table: &TableConfig| Feature { categories: table.rows(), lookup: Lookup::Direct, longest: 1 };
    let features = tables.iter().map(feature).collect();
    let mlps = (vec![dense, 20, 8], vec![if cross.is_some() { 24 } else { 11 }, 30, 1]);
    let config = ModelConfig::with_interaction(8, mlps, tables, features, cross).expect("a model").with_rule(adagrad);
    let backend = Cpu::<f32>::new().expect("an instruction set");
    let mut model = Dlrm::new(backend, queue, config, batch, 1).expect("a model").with_isa(isa);
    let features: Vec<f32> = (0..batch * dense).map(|i| (i % 7) as f32 / 7.0).collect();
    let labels: Vec<f32> = (0..batch).map(|i| (i % 3 / 2) as f32).collect();
    let indices: Vec<Vec<u32>> =
        [1000, 50].map(|rows| (0..batch).map(|i| (i * i % rows) as u32).collect()).into_iter().collect();
    let samples = Samples::new(&features, &indices, &labels);
    model.train_step(queue, samples, 0.1).expect("a step");
    model.tables().refresh(queue).expect("refresh");
    model.train_step(queue, samples, 0.1).expect("a step");
    let mut losses = [0.0; ITERATIONS];
    let allocations = allocations_of(|| {
        for loss in &mut losses {
            *loss = model.train_step_beside(queue, samples, 0.1, || ()).expect("a step").0;
        }
    });
    assert!(losses[ITERATIONS - 1] < losses[0], "it trains: {losses:?}");
    allocations
}

#[test]
fn an_iteration_allocates_nothing() {
    count_this_thread();
    let pool = pool();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        for (cross, products) in [(None, PRODUCTS), (Some(CROSS), PRODUCTS + CROSS_PRODUCTS)] {
            // Without kernels, a library computes the products of the layers and takes a buffer for each.
            let want = if isa == Isa::Portable { ITERATIONS * CHUNKS * products } else { 0 };
            assert_eq!(allocations(Threads::one(), isa, cross), want, "{isa}, {cross:?}, one thread");
            // From inside the pool, as a training loop.
            let threads = Threads::shared(pool.clone());
            assert_eq!(pool.install(move || allocations(threads, isa, cross)), want, "{isa}, {cross:?}, two threads");
        }
    }
}
