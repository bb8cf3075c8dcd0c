//! After the first steps, a step allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ttcore::{Bags, EmbeddingBagCollection, Mode, Offsets, Pooling, Rule, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Threads};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of some steps of batches of different sizes, after one round of them.
fn allocations(mut queue: Threads) -> usize {
    let queue = &mut queue;
    let (bags, lookups) = (500, 4000);
    let tt = |m: &[usize], n: &[usize]| {
        TableConfig::tt(TtShape::with_rank(1000, m, n, 8).expect("a shape")).with_rule(Rule::Adagrad { eps: 1e-8 })
    };
    let configs = vec![
        tt(&[10, 10, 10], &[2, 2, 4]).with_cache(20).expect("a cache"),
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
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "the allocator counts");
    for _ in 0..10 {
        round(&mut tables, queue);
    }
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn a_step_allocates_nothing() {
    assert_eq!(allocations(Threads::one()), 0, "on one thread");
    // Inside the pool: work that comes from outside goes through a queue of rayon's, which takes a block of memory for
    // every 63 calls.
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads"));
    let threads = Threads::shared(pool.clone());
    assert_eq!(pool.install(move || allocations(threads)), 0, "on two threads");
}
