//! The same bits for any number of threads and in every run, on every instruction set.
//!
//! Batches are large enough that every region has many tasks, which the threads take in an order that is never the same.

use std::thread;

use rand_core::Rng;
use ttcore::embedding::Batch;
use ttcore::{Backend, Bags, EmbeddingBagCollection, Mode, Offsets, Pooling, Rule, TableConfig, TtShape};
use ttcore_conformance::case::rng;
use ttcore_cpu::{Cpu, Element, Isa, Threads};

const BAGS: usize = 700;
const LOOKUPS: usize = 6000;
const STEPS: u64 = 3;

/// Trains of 2, 3 and 4 cores, with and without a cache, and dense tables, under all rules.
fn configs() -> Vec<TableConfig> {
    let tt =
        |rows, m: &[usize], n: &[usize], rank| TableConfig::tt(TtShape::with_rank(rows, m, n, rank).expect("a shape"));
    let adagrad = Rule::Adagrad { eps: 1e-8 };
    vec![
        tt(9_000, &[20, 21, 22], &[2, 2, 4], 16),
        tt(9_000, &[20, 21, 22], &[2, 2, 4], 13).with_cache(64).expect("a cache").with_rule(adagrad),
        tt(2_400, &[48, 50], &[4, 4], 9),
        tt(9_000, &[20, 21, 22], &[2, 2, 4], 16).with_rule(Rule::Sgd),
        tt(10_000, &[10, 10, 10, 10], &[2, 2, 2, 3], 7).with_rule(Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }),
        TableConfig::dense(5_000, 16).expect("a table"),
        TableConfig::dense(3, 24).expect("a table").with_rule(adagrad),
    ]
}

/// The bits of all outputs, gradients of weights, accumulated gradients and parameters of a few steps.
fn bits<F: Element>(isa: Isa, mut threads: Threads) -> Vec<u64> {
    let backend = Cpu::<F>::with_isa(isa);
    let queue = &mut threads;
    let mut tables = EmbeddingBagCollection::new(backend, queue, configs(), BAGS, LOOKUPS, 1).expect("tables");
    let mut batch = tables.batch(queue).expect("memory");
    let stride = tables.layout().stride();
    let parameters: Vec<usize> = tables.layout().tables().iter().map(|table| table.parameters()).collect();
    let mut bits = Vec::new();
    let mut keep = |values: &[F]| bits.extend(values.iter().map(|x| x.as_f64().to_bits()));
    for step in 0..STEPS {
        let mut out = vec![F::zero(); BAGS * stride];
        let lookups = group(&mut tables, queue, &mut batch, step);
        tables.forward(queue, &mut batch, &mut out).expect("forward");
        keep(&out);
        let mut grads: Vec<Vec<F>> = parameters.iter().map(|&len| vec![F::one(); len]).collect();
        let views = grads.iter_mut().map(|grads| &mut grads[..]);
        tables.backward(queue, &batch, &out, views, None).expect("backward");
        grads.iter().for_each(|grads| keep(grads));
        let mut grad_weights = vec![F::zero(); lookups];
        tables.step(queue, &batch, &out, 0.5, Some(&mut grad_weights)).expect("step");
        keep(&grad_weights);
        if step == 1 {
            tables.refresh(queue).expect("refresh");
        }
    }
    for table in 0..parameters.len() {
        keep(&tables.parameters(queue, table).expect("parameters"));
    }
    bits
}

/// A batch with hot rows, empty bags and, every other time, weights; gives its lookups.
fn group<F: Element>(
    tables: &mut EmbeddingBagCollection<Cpu<F>>,
    queue: &mut Threads,
    batch: &mut Batch<Cpu<F>>,
    step: u64,
) -> usize {
    let rows: Vec<u64> = tables.configs().map(TableConfig::rows).collect();
    let mut rng = rng(step, 0);
    let indices: Vec<Vec<u64>> = (rows.iter())
        .map(|&rows| {
            // The product of two draws is skewed towards small rows.
            let mut draw = || (rng.next_u64() % rows) as f64 / rows as f64;
            (0..LOOKUPS).map(|_| (draw() * draw() * rows as f64) as u64).collect()
        })
        .collect();
    let mut offsets: Vec<u64> = (1..BAGS).map(|_| rng.next_u64() % LOOKUPS as u64).chain([0, LOOKUPS as u64]).collect();
    offsets.sort_unstable();
    let weights: Vec<F> = (0..LOOKUPS).map(|j| F::of((j % 7) as f64 / 4.0 - 0.5)).collect();
    let bags: Vec<Bags<'_, F>> = (rows.iter().zip(&indices).enumerate())
        .map(|(table, (&rows, indices))| {
            let pooling = if table % 2 == 0 { Pooling::Sum } else { Pooling::Mean };
            let weights = (step % 2 == 1).then_some(&weights[..]);
            Bags::new(rows, indices, Offsets::WithLast(&offsets), pooling, weights).expect("bags")
        })
        .collect();
    tables.group(queue, batch, bags, Mode::Train).expect("group");
    rows.len() * LOOKUPS
}

fn same_bits<F: Element>()
where
    Cpu<F>: Backend,
{
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let one = bits::<F>(isa, Threads::one());
        let distinct = one.iter().collect::<std::collections::HashSet<_>>().len();
        assert!(distinct > one.len() / 2, "{distinct} of {} numbers are distinct: nothing was computed", one.len());
        let check = |many: Vec<u64>, what: &str| {
            let differ = one.iter().zip(&many).filter(|(a, b)| a != b).count();
            assert!(one.len() == many.len() && differ == 0, "{isa}, {what}: {differ} of {} differ", one.len());
        };
        for threads in [1, 2, 2, 3, 8] {
            check(bits::<F>(isa, Threads::new(threads).expect("threads")), &format!("{threads} threads"));
        }
        // On a thread of its own and its helpers, then on the helpers alone.
        let here = || Threads::here(3).expect("threads");
        let (many, left) = thread::scope(|scope| {
            let maker = scope.spawn(|| (bits::<F>(isa, here()), here()));
            maker.join().expect("no panic")
        });
        check(many, "here");
        check(bits::<F>(isa, left), "from another thread");
    }
}

#[test]
fn f32_has_the_same_bits_for_any_number_of_threads() {
    same_bits::<f32>();
}

#[test]
fn f64_has_the_same_bits_for_any_number_of_threads() {
    same_bits::<f64>();
}
