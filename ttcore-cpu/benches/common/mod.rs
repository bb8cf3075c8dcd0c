//! What the benchmarks share: tables, batches, and one training step taken apart.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use ttcore::backend::{Call, Sink, Version};
use ttcore::init::{CoreInit, fill_dense};
use ttcore::{Backend, Bags, Layout, Offsets, Pooling, Table, TtShape, Update};
use ttcore_cpu::{Cpu, Group, Plan, Saved, Scratch, Threads};

/// Bags of a batch and lookups of a bag: the batch sizes of Criteo Kaggle and Terabyte, one category a sample as there,
/// and many, where bags pool and rows repeat.
const SIZES: [(usize, usize); 3] = [(128, 1), (2048, 1), (2048, 10)];

/// Batches an operation goes through in turn, so that no branch predictor learns one by heart.
const BATCHES: usize = 16;

/// Small enough for parameters to stay of their size in any number of steps.
const LEARNING_RATE: f64 = 1e-6;

/// A table with the name its measurements have.
pub(crate) type Named = (&'static str, Table);

/// The largest table of Criteo Kaggle, at two ranks.
pub(crate) fn kaggle_largest() -> [Named; 2] {
    [("kaggle_largest_rank32", 32), ("kaggle_largest_rank16", 16)].map(|(name, rank)| {
        let shape = TtShape::with_rank(10_131_227, &[200, 220, 250], &[2, 2, 4], rank);
        (name, Table::tt(shape.expect("the factors of the paper")))
    })
}

/// An uncompressed table whose 64 MB fit few caches.
pub(crate) fn dense_million() -> [Named; 1] {
    [("dense_million", Table::dense(1_000_000, 16).expect("it fits the address space"))]
}

/// Criterion, after one line about the machine.
pub(crate) fn criterion() -> Criterion {
    let [isa, threads] = [backend().isa().to_string(), format!("{:?}", thread_counts())];
    // Not to standard output: tools read the list of benchmarks there.
    eprintln!("ttcore-cpu: f32, instruction set {isa}, threads {threads}");
    Criterion::default()
}

/// Measures `operation` on tables, batch sizes and threads, in lookups a second. `prepare` leads there from the last
/// operation and is not counted.
pub(crate) fn measure(
    criterion: &mut Criterion,
    name: &str,
    tables: &[Named],
    prepare: fn(&mut Training),
    operation: fn(&mut Training),
) {
    let mut group = criterion.benchmark_group(name);
    for (table_name, table) in tables {
        for (bags, pooling) in SIZES {
            group.throughput(Throughput::Elements((bags * pooling) as u64));
            for threads in thread_counts() {
                let id = BenchmarkId::new(*table_name, format!("{bags}x{pooling}/threads_{threads}"));
                // Made when it first runs, so that a filter or a list costs nothing.
                let mut made = None;
                group.bench_function(id, |bencher| {
                    let queue = || Threads::new(threads).expect("threads");
                    let training = made.get_or_insert_with(|| Training::new(table.clone(), bags, pooling, queue()));
                    // On the pool's own threads, as in a training loop: from outside, every call would pay for handing
                    // its work over.
                    let threads = training.threads.clone();
                    bencher.iter_custom(|iterations| {
                        threads.install(|| {
                            let mut elapsed = Duration::ZERO;
                            for _ in 0..iterations {
                                prepare(training);
                                let start = Instant::now();
                                operation(training);
                                elapsed += start.elapsed();
                            }
                            elapsed
                        })
                    });
                });
            }
        }
    }
    group.finish();
}

/// A table in training: the parts of a step, one method each, to be called in this order.
///
/// What an operation reads was just written by the one before, so caches are as warm as in a training loop.
pub(crate) struct Training {
    backend: Cpu<f32>,
    threads: Threads,
    plan: Plan,
    group: Group<f32>,
    saved: Saved<f32>,
    scratch: Scratch<f32>,
    rows: u64,
    /// `[BATCHES][lookups]`.
    indices: Vec<i64>,
    /// `[bags + 1]`.
    offsets: Vec<i64>,
    batch: usize,
    params: Vec<f32>,
    grads: Vec<f32>,
    version: Version,
    out: Vec<f32>,
    grad_out: Vec<f32>,
}

impl Training {
    pub(crate) fn new(table: Table, bags: usize, pooling: usize, mut threads: Threads) -> Self {
        let backend = backend();
        let (rows, lookups) = (table.addresses(), bags * pooling);
        let mut params = vec![0.0; table.parameters()];
        match table.cores() {
            Some(shape) => CoreInit::default().fill(shape, 0, &mut params),
            None => fill_dense(rows, 0, &mut params),
        }
        let layout = Layout::new(vec![table], bags, lookups).expect("one table of a moderate batch");
        let stride = layout.stride();
        let plan = backend.plan(&mut threads, layout).expect("plan");
        let group = backend.new_group(&mut threads, &plan).expect("group");
        let saved = backend.new_saved(&mut threads, &plan).expect("saved");
        let scratch = backend.new_scratch(&mut threads, &plan).expect("scratch");
        let mut random = Random(1);
        Self {
            indices: (0..BATCHES * lookups).map(|_| random.row(rows) as i64).collect(),
            offsets: (0..=bags).map(|bag| (bag * pooling) as i64).collect(),
            batch: 0,
            grads: vec![0.0; params.len()],
            version: Version(0),
            out: vec![0.0; bags * stride],
            grad_out: (0..bags * stride).map(|_| (2.0 * random.unit() - 1.0) as f32 / bags as f32).collect(),
            backend,
            threads,
            plan,
            group,
            saved,
            scratch,
            rows,
            params,
        }
    }

    /// Turns to the next batch.
    pub(crate) fn next(&mut self) {
        self.batch = (self.batch + 1) % BATCHES;
    }

    /// Turns to the next batch, up to its forward.
    pub(crate) fn next_to_forward(&mut self) {
        self.next();
        self.group();
    }

    /// Turns to the next batch, up to its backward.
    pub(crate) fn next_to_backward(&mut self) {
        self.next_to_forward();
        self.forward();
    }

    /// Groups the batch. Its validation, in [`Bags::new`], is a part: every batch has to pass it.
    pub(crate) fn group(&mut self) {
        let lookups = self.indices.len() / BATCHES;
        let indices = &self.indices[self.batch * lookups..][..lookups];
        let bags = Bags::new(self.rows, indices, Offsets::WithLast(&self.offsets), Pooling::Sum, None);
        let bags = bags.expect("rows of the table");
        self.backend.group(&mut self.threads, &self.plan, [bags], &mut self.group).expect("group");
        black_box(&self.group);
    }

    /// Computes the output, and keeps what backward needs.
    pub(crate) fn forward(&mut self) {
        let Self { backend, threads: queue, plan, group, scratch, .. } = self;
        let call = Call { plan, group, queue, scratch };
        let forward = backend.forward(call, self.version, [&*self.params], &mut self.out, Some(&mut self.saved));
        forward.expect("forward");
        black_box(&self.out);
    }

    /// Backward, the parameters updated in the same pass.
    pub(crate) fn step(&mut self) {
        let update = Update::sgd(LEARNING_RATE);
        let sink: Sink<'_, Cpu<f32>> = Sink::Update { params: &mut self.params, state: &mut [], update };
        let Self { backend, threads: queue, plan, group, scratch, .. } = self;
        let call = Call { plan, group, queue, scratch };
        backend.backward(call, self.version, &self.saved, [sink], &self.grad_out, None).expect("backward");
        self.version.0 += 1;
        black_box(&self.params);
    }

    /// Backward, the gradients added to those before.
    pub(crate) fn accumulate(&mut self) {
        let sink: Sink<'_, Cpu<f32>> = Sink::Accumulate { params: &self.params, grads: &mut self.grads };
        let Self { backend, threads: queue, plan, group, scratch, .. } = self;
        let call = Call { plan, group, queue, scratch };
        backend.backward(call, self.version, &self.saved, [sink], &self.grad_out, None).expect("backward");
        black_box(&self.grads);
    }

    /// Backward, fresh gradients: all zeroed, then added to.
    pub(crate) fn zero_and_accumulate(&mut self) {
        self.backend.zero(&mut self.threads, &mut self.grads).expect("zero");
        self.accumulate();
    }

    /// Backward, fresh gradients in zeros: added to, and what the batch touched made zero again for the next.
    pub(crate) fn accumulate_and_clear(&mut self) {
        self.accumulate();
        Cpu::touched(&self.plan, &self.group, 0, |range| self.grads[range].fill(0.0)).expect("touched");
        black_box(&self.grads);
    }

    /// Backward, fresh gradients.
    pub(crate) fn overwrite(&mut self) {
        let sink: Sink<'_, Cpu<f32>> = Sink::Overwrite { params: &self.params, grads: &mut self.grads };
        let Self { backend, threads: queue, plan, group, scratch, .. } = self;
        let call = Call { plan, group, queue, scratch };
        backend.backward(call, self.version, &self.saved, [sink], &self.grad_out, None).expect("backward");
        black_box(&self.grads);
    }
}

fn backend() -> Cpu<f32> {
    Cpu::new().expect("an instruction set of this machine")
}

/// One thread and one for each core, which may be the same.
fn thread_counts() -> Vec<usize> {
    let mut counts = vec![1, Threads::new(0).expect("threads").count()];
    counts.dedup();
    counts
}

/// SplitMix64: the same batches in every run and on every machine, whatever happens to a crate's generators.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0, below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A row, popular ones more often.
    ///
    /// The logarithm of the popularity rank is uniform, so rank `k` comes in proportion to about `1 / k`, as categories of
    /// advertising do. Of ten million rows, the first has 4% of all lookups; 128 lookups are of about 116 rows, 2,048 of
    /// 1,470 and 20,480 of 11,850.
    fn row(&mut self, rows: u64) -> u64 {
        let rank = ((rows as f64).powf(self.unit()) as u64).clamp(1, rows) - 1;
        // Ranks are scattered, or popular rows would share leading digits, and with them products of slices. The factor
        // is a prime beyond all numbers of rows here, so no two ranks share a row; its product fits 64 bits.
        rank * 2_654_435_761 % rows
    }
}
