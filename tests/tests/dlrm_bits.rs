//! Training a whole model gives the same bits for any number of threads, on every instruction set, under every rule.

use dlrm::model::{CrossSize, Dlrm, Feature, Lookup, ModelConfig, Samples};
use rand_core::Rng;
use ttcore::{CoreRule, Rule, TableConfig, TtShape};
use ttcore_conformance::case::rng;
use ttcore_cpu::{Cpu, Isa, Threads};

/// A model and the batches it is trained on.
struct Run {
    config: ModelConfig,
    largest_batch: usize,
    /// Samples of each batch.
    batches: Vec<usize>,
}

fn tt(rows: u64, m: &[usize], n: &[usize], rank: usize) -> TableConfig {
    TableConfig::tt(TtShape::with_rank(rows, m, n, rank).expect("a shape"))
}

fn dense(rows: u64, dim: usize) -> TableConfig {
    TableConfig::dense(rows, dim).expect("a table")
}

/// Sizes that fit no panel, chunk or vector.
fn odd(rule: Rule, core_rule: CoreRule) -> Run {
    let tt = tt(500, &[7, 8, 9], &[1, 3, 2], 5).with_rule(rule).with_core_rule(core_rule);
    let tables = vec![tt, dense(7, 6), dense(1, 6)];
    let config = ModelConfig::new(6, vec![3, 129, 6], vec![12, 70, 3, 1], tables).expect("a model").with_rule(rule);
    Run { config, largest_batch: 37, batches: vec![37, 1, 30, 37, 0, 9] }
}

/// The same under a cross network of which no size fits either.
fn crossed(rule: Rule) -> Run {
    let Run { config, .. } = odd(rule, CoreRule::ElementWise);
    let size = CrossSize { layers: 3, rank: 67 };
    let tables = [config.tables().to_vec(), vec![dense(11, 6); 9]].concat();
    let feature = |table: &TableConfig| Feature { categories: table.rows(), lookup: Lookup::Direct, longest: 1 };
    let features = tables.iter().map(feature).collect();
    let mlps = (vec![3, 29, 6], vec![78, 30, 1]);
    let config = ModelConfig::with_interaction(6, mlps, tables, features, Some(size)).expect("a model").with_rule(rule);
    Run { config, largest_batch: 37, batches: vec![37, 1, 0, 9] }
}

/// The layers of the Kaggle model.
fn kaggle() -> Run {
    let table = |number| match number {
        0..3 => tt(9_000, &[20, 21, 22], &[2, 2, 4], 16),
        _ => dense(200 + number, 16),
    };
    let config = ModelConfig::new(16, vec![13, 512, 256, 64, 16], vec![367, 512, 256, 1], (0..26).map(table).collect());
    Run { config: config.expect("a model"), largest_batch: 300, batches: vec![300, 131] }
}

/// The bits of the losses, predictions and all parameters, and whether every loss is finite.
fn bits(run: &Run, isa: Isa, threads: &Threads) -> Vec<u64> {
    let mut queue = threads.clone();
    threads.install(move || {
        let queue = &mut queue;
        let config = run.config.clone();
        let (features, tables) = (config.bottom()[0], config.tables().to_vec());
        let mut model = Dlrm::new(Cpu::<f32>::with_isa(isa), queue, config, run.largest_batch, 3).expect("a model");
        model = model.with_isa(isa);
        let mut bits = Vec::new();
        for (number, &batch) in run.batches.iter().enumerate() {
            let mut rng = rng(number as u64, 0);
            let mut draw = |below: u64| rng.next_u64() % below;
            let dense: Vec<f32> = (0..batch * features).map(|_| draw(1000) as f32 / 300.0).collect();
            let labels: Vec<f32> = (0..batch).map(|_| draw(2) as f32).collect();
            let indices: Vec<Vec<u32>> =
                tables.iter().map(|table| (0..batch).map(|_| draw(table.rows()) as u32).collect()).collect();
            let samples = Samples::new(&dense, &indices, &labels);
            let beside = || indices.iter().flatten().map(|&row| u64::from(row)).sum::<u64>();
            let (loss, sum) = model.train_step_beside(queue, samples, 0.1, beside).expect("a step");
            assert!(loss.is_finite() == (batch > 0), "{loss} of {batch} samples");
            let predictions = model.predict(queue, samples).expect("predictions");
            bits.extend(predictions.iter().map(|p| u64::from(p.to_bits())));
            bits.extend((batch > 0).then_some(loss.to_bits()).into_iter().chain([sum]));
        }
        let cross = model.cross().map(|cross| cross.layers().clone());
        for mlp in model.mlps(queue).expect("the layers").into_iter().map(|mlp| &*mlp).chain(&cross) {
            for layer in mlp.layers() {
                bits.extend(layer.tensors().iter().flat_map(|(_, tensor)| *tensor).map(|x| u64::from(x.to_bits())));
            }
        }
        for table in 0..tables.len() {
            let parameters = model.tables().parameters(queue, table).expect("parameters");
            bits.extend(parameters.iter().map(|x| u64::from(x.to_bits())));
        }
        bits
    })
}

fn same_bits(run: &Run) {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let one = bits(run, isa, &Threads::one());
        let distinct = one.iter().collect::<std::collections::HashSet<_>>().len();
        assert!(distinct > one.len() / 3, "{distinct} of {} numbers are distinct: nothing was computed", one.len());
        for threads in [2, 3, 8] {
            let many = bits(run, isa, &Threads::new(threads).expect("threads"));
            let differ = one.iter().zip(&many).filter(|(a, b)| a != b).count();
            assert!(
                one.len() == many.len() && differ == 0,
                "{isa}, {threads} threads: {differ} of {} differ",
                one.len()
            );
        }
    }
}

#[test]
fn odd_sizes() {
    for rule in [Rule::Sgd, Rule::Adagrad { eps: 1e-8 }, Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }] {
        same_bits(&odd(rule, CoreRule::ElementWise));
    }
    same_bits(&odd(Rule::Sgd, CoreRule::ADAGRAD_NORM));
}

#[test]
fn a_cross_network() {
    for rule in [Rule::Sgd, Rule::Adagrad { eps: 1e-8 }] {
        same_bits(&crossed(rule));
    }
}

#[test]
fn the_kaggle_layers() {
    same_bits(&kaggle());
}

/// Weights that are set are the ones computed with, in evaluation and in training.
#[test]
fn weights_that_are_set_count() {
    let run = odd(Rule::Sgd, CoreRule::ElementWise);
    let (mut queue, dense) = (Threads::one(), [0.5; 3 * 4]);
    let (labels, indices) = ([0.0, 1.0, 0.0, 1.0], vec![vec![1u32, 2, 3, 4], vec![0, 1, 2, 3], vec![0; 4]]);
    let samples = Samples::new(&dense, &indices, &labels);
    let mut new = |seed| Dlrm::new(Cpu::<f32>::new().expect("a backend"), &mut queue, run.config.clone(), 4, seed);
    let (mut from, mut to) = (new(1).expect("a model"), new(2).expect("a model"));
    let queue = &mut queue;
    for model in [&mut from, &mut to] {
        model.train_step(queue, samples, 0.1).expect("a step");
    }
    let before = to.predict(queue, samples).expect("predictions").to_vec();
    let layers = (from.mlps(queue).expect("the layers"), to.mlps(queue).expect("the layers"));
    for (from, to) in layers.0.into_iter().zip(layers.1) {
        for (from, to) in from.layers().iter().zip(to.layers_mut()) {
            for ((name, from), (same, to)) in from.tensors().into_iter().zip(to.tensors_mut()) {
                assert_eq!(name, same);
                to.copy_from_slice(from);
            }
        }
    }
    for table in 0..3 {
        let parameters = from.tables().parameters(queue, table).expect("parameters");
        to.tables().set_parameters(queue, table, &parameters).expect("parameters that fit");
    }
    let want = from.predict(queue, samples).expect("predictions").to_vec();
    assert_ne!(before, want);
    assert_eq!(to.predict(queue, samples).expect("predictions"), want);
    let step = |model: &mut Dlrm<Cpu<f32>>, queue: &mut Threads| model.train_step(queue, samples, 0.1).expect("a step");
    assert_eq!(step(&mut from, queue), step(&mut to, queue));
    assert_eq!(from.predict(queue, samples).expect("predictions"), to.predict(queue, samples).expect("predictions"));
}
