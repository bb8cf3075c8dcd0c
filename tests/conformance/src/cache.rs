//! The cache path of a layer against a simple model of it: a map of rows.
//!
//! Random sequences of training, evaluation and refreshes populate, train, age, evict and insert rows again. The model
//! trains cached rows as plain vectors and the others by the algebra of one row; it counts, chooses and halves on its
//! own. After every operation all rows of the table must be the same: a row that stayed hot keeps its value and state, a
//! new one starts from the cores with none, an evicted one is what the cores say.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use ttcore::embedding::Batch;
use ttcore::{
    Backend, Bags, Mode, Offsets, Pooling, Real, Rule, TableConfig, TtEmbeddingBag, TtShape, Update, algebra,
};

use crate::case::values;
use crate::runner::check;
use crate::tolerance::{Expected, assert_close, assert_error, tolerance};

const LR: f64 = 0.01;
/// What the cores learn faster or slower by.
const MULTIPLIER: f64 = 0.5;
const BAGS: usize = 2;
/// Terms that round in one operation; each operation carries on what those before it rounded.
const TERMS: usize = 300;

/// What is done with a layer.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A step on a batch.
    Train(Lookups),
    /// Forward alone.
    Evaluate(Lookups),
    /// The cache chooses its rows anew.
    Refresh,
}

/// Lookups of one batch of two bags.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// Rows of both bags, 8 at most.
    pub rows: Vec<u64>,
    /// How many of them are of the first bag.
    pub split: usize,
    /// Whether they have weights.
    pub weighted: bool,
    /// Whether bags are averaged.
    pub mean: bool,
}

/// A layer and what happens to it.
#[derive(Clone, Debug)]
pub struct Story {
    /// Of the table, whose rows are all compared after each operation: a small one.
    pub shape: TtShape,
    /// Rows that are cached at most, at least 1.
    pub slots: usize,
    /// The update rule.
    pub rule: Rule,
    /// What happens, in order.
    pub operations: Vec<Operation>,
    /// What numbers are drawn from.
    pub seed: u64,
}

fn stories() -> impl Strategy<Value = Story> {
    let shapes = prop_oneof![
        Just((vec![4usize, 5], vec![2usize, 3], vec![1usize, 3, 1])),
        Just((vec![2, 3, 4], vec![2, 1, 2], vec![1, 2, 3, 1])),
    ];
    // Eps keeps Adagrad from turning the rounding of a tiny gradient into a whole step.
    let rules = prop_oneof![Just(Rule::Sgd), Just(Rule::Adagrad { eps: 1.0 })];
    (shapes, 1..=4usize, rules, any::<u64>()).prop_flat_map(|((m, n, ranks), slots, rule, seed)| {
        let shape = TtShape::new(19, &m, &n, &ranks).expect("a shape");
        // A few rows are hot, so that rows stay, go and come back.
        let row = prop_oneof![3 => 0..5u64, 1 => 0..19u64];
        let lookups = (vec(row, 0..=8), any::<usize>(), any::<bool>(), any::<bool>());
        let lookups = lookups.prop_map(|(rows, split, weighted, mean)| {
            let split = split % (rows.len() + 1);
            Lookups { rows, split, weighted, mean }
        });
        let operation = prop_oneof![
            4 => lookups.clone().prop_map(Operation::Train),
            1 => lookups.prop_map(Operation::Evaluate),
            2 => Just(Operation::Refresh),
        ];
        vec(operation, 1..=14).prop_map(move |operations| Story { shape: shape.clone(), slots, rule, operations, seed })
    })
}

/// The table as a model of it: cores, and a map of cached rows with their state.
struct Model {
    shape: TtShape,
    slots: usize,
    rule: Rule,
    cores: Vec<f64>,
    core_state: Vec<f64>,
    cached: BTreeMap<u64, (Vec<f64>, Vec<f64>)>,
    counts: BTreeMap<u64, u64>,
}

impl Model {
    fn core_row(&self, row: u64) -> Vec<f64> {
        let mut out = vec![0.0; self.shape.dim()];
        algebra::row(&self.shape, &self.cores, row, &mut out, &mut vec![0.0; algebra::scratch_len(&self.shape)]);
        out
    }

    fn row(&self, row: u64) -> Vec<f64> {
        self.cached.get(&row).map_or_else(|| self.core_row(row), |(value, _)| value.clone())
    }

    fn update(&self, lr: f64, params: &mut [f64], grads: &[f64], state: &mut [f64]) {
        let update = Update { rule: self.rule, ..Update::sgd(lr) };
        update.apply(lr, params, grads, [state, &mut []]);
    }

    /// One step on the gradients of lookups, `(row, gradient)`.
    fn train(&mut self, lookups: &[(u64, Vec<f64>)]) {
        let mut core_grads = vec![0.0; self.cores.len()];
        let mut row_grads: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (row, grad) in lookups {
            if self.cached.contains_key(row) {
                let sum = row_grads.entry(*row).or_insert_with(|| vec![0.0; grad.len()]);
                sum.iter_mut().zip(grad).for_each(|(sum, g)| *sum += g);
            } else {
                let mut scratch = vec![0.0; algebra::scratch_len(&self.shape)];
                algebra::row_backward(&self.shape, &self.cores, *row, grad, &mut core_grads, &mut scratch);
            }
        }
        let (mut cores, mut state) = (std::mem::take(&mut self.cores), std::mem::take(&mut self.core_state));
        self.update(LR * MULTIPLIER, &mut cores, &core_grads, &mut state);
        (self.cores, self.core_state) = (cores, state);
        for (row, grad) in row_grads {
            let (mut value, mut state) = self.cached.remove(&row).expect("it is cached");
            self.update(LR, &mut value, &grad, &mut state);
            self.cached.insert(row, (value, state));
        }
    }

    fn refresh(&mut self) {
        let mut ranking: Vec<(u64, u64)> = self.counts.iter().map(|(&row, &count)| (row, count)).collect();
        ranking.extend(self.cached.keys().filter(|row| !self.counts.contains_key(row)).map(|&row| (row, 0)));
        ranking.sort_by_key(|&(row, count)| (std::cmp::Reverse(count), row));
        let chosen: Vec<u64> = ranking.into_iter().take(self.slots).map(|(row, _)| row).collect();
        self.cached.retain(|row, _| chosen.contains(row));
        for row in chosen {
            let fresh = (self.core_row(row), vec![0.0; self.shape.dim()]);
            self.cached.entry(row).or_insert(fresh);
        }
        self.counts = self.counts.iter().map(|(&row, &count)| (row, count / 2)).filter(|&(_, n)| n > 0).collect();
    }
}

/// See the module.
///
/// # Panics
///
/// If the layer and the model differ.
pub fn is_a_map_of_rows<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    check(stories(), |story| {
        let (backend, queue) = make();
        tell(&story, backend, queue);
    });
}

/// A layer and what it needs to be run.
struct Layer<B: Backend> {
    table: TtEmbeddingBag<B>,
    queue: B::Queue,
    batch: Batch<B>,
}

/// Runs a story on a layer and on the model of it.
///
/// # Panics
///
/// If they differ.
pub fn tell<B: Backend>(story: &Story, backend: B, mut queue: B::Queue) {
    let Story { shape, slots, rule, operations, seed } = story;
    let config = TableConfig::tt(shape.clone()).with_cache(*slots).expect("a cache");
    let config = config.with_rule(*rule).with_core_lr_multiplier(MULTIPLIER);
    let mut table = TtEmbeddingBag::new(backend, &mut queue, config, BAGS, 8, 0).expect("a table");
    let cores = values(*seed, 0, shape.parameters());
    let parameters = [&cores[..], &vec![0.0; slots * shape.dim()]].concat();
    let parameters: Vec<B::Float> = parameters.into_iter().map(B::Float::of).collect();
    table.collection().set_parameters(&mut queue, 0, &parameters).expect("they fit");
    let batch = table.batch(&mut queue).expect("memory");

    let core_state = vec![0.0; cores.len()];
    let (cached, counts) = (BTreeMap::new(), BTreeMap::new());
    let (shape, slots, rule) = (shape.clone(), *slots, *rule);
    let mut model = Model { shape, slots, rule, cores, core_state, cached, counts };
    let mut layer = Layer { table, queue, batch };
    for (number, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Train(lookups) => run(&mut layer, &mut model, lookups, Mode::Train, *seed, number + 1),
            Operation::Evaluate(lookups) => run(&mut layer, &mut model, lookups, Mode::Evaluate, *seed, number + 1),
            Operation::Refresh => {
                layer.table.refresh(&mut layer.queue).expect("refresh");
                model.refresh();
            }
        }
        compare(&mut layer, &model, number + 1);
    }
}

/// A batch through the layer and the model: outputs, gradients of the weights, and the step; the operation of that number,
/// from 1.
fn run<B: Backend>(
    layer: &mut Layer<B>,
    model: &mut Model,
    lookups: &Lookups,
    mode: Mode,
    seed: u64,
    operation: usize,
) {
    let seed = seed.wrapping_add(operation as u64);
    let Lookups { rows, split, weighted, mean } = lookups;
    let dim = model.shape.dim();
    let weights = if *weighted { values(seed, 1, rows.len()) } else { vec![1.0; rows.len()] };
    let host_weights: Vec<B::Float> = weights.iter().map(|&a| B::Float::of(a)).collect();
    let pooling = if *mean { Pooling::Mean } else { Pooling::Sum };
    let offsets = [0, *split as u64, rows.len() as u64];
    let given = weighted.then_some(&host_weights[..]);
    let bags = Bags::new(model.shape.rows(), rows, Offsets::WithLast(&offsets), pooling, given).expect("bags");
    let bag_of = |j: usize| usize::from(j >= *split);
    let scale = |j: usize| match mean {
        true => 1.0 / (offsets[bag_of(j) + 1] - offsets[bag_of(j)]) as f64,
        false => 1.0,
    };

    let Layer { table, queue, batch } = layer;
    table.group(queue, batch, bags, mode).expect("group");
    let out = on_device(table, queue, &vec![0.0; BAGS * dim], |table, queue, out| {
        table.forward(queue, batch, out).expect("forward");
    });
    // Rows are known as well as `compare` found them: each number to a share of the row's largest.
    let size = |row: u64| model.row(row).iter().fold(0.0, |size: f64, w| size.max(w.abs()));
    let terms = TERMS * operation;
    let mut want = Expected { value: vec![0.0; BAGS * dim], scale: vec![0.0; BAGS * dim] };
    for (j, &row) in rows.iter().enumerate() {
        let (sums, factor) = (bag_of(j) * dim..(bag_of(j) + 1) * dim, scale(j) * weights[j]);
        want.value[sums.clone()].iter_mut().zip(model.row(row)).for_each(|(y, w)| *y += factor * w);
        want.scale[sums].iter_mut().for_each(|y| *y += factor.abs() * size(row));
    }
    assert_close::<B::Float>("output", &out, &want, terms);
    if mode == Mode::Evaluate {
        return;
    }

    let grad_out = values(seed, 2, BAGS * dim);
    let grad = |j: usize| &grad_out[bag_of(j) * dim..][..dim];
    let want = (rows.iter().enumerate()).map(|(j, &row)| {
        let value = model.row(row).iter().zip(grad(j)).map(|(w, g)| w * g).sum::<f64>();
        (scale(j) * value, scale(j) * size(row) * grad(j).iter().map(|g| g.abs()).sum::<f64>())
    });
    let (value, sizes) = want.unzip();
    let got = on_device(table, queue, &vec![0.0; rows.len()], |table, queue, grad_weights| {
        let host: Vec<B::Float> = grad_out.iter().map(|&g| B::Float::of(g)).collect();
        let mut buffer = table.collection().backend().alloc(queue, host.len()).expect("memory");
        table.collection().backend().upload(queue, &host, B::view_mut(&mut buffer)).expect("memory");
        table.step(queue, batch, B::view(&buffer), LR, Some(grad_weights)).expect("step");
    });
    assert_close::<B::Float>("gradients of the weights", &got, &Expected { value, scale: sizes }, terms);
    let lookups: Vec<(u64, Vec<f64>)> = (rows.iter().enumerate())
        .map(|(j, &row)| (row, grad(j).iter().map(|g| scale(j) * weights[j] * g).collect()))
        .collect();
    model.train(&lookups);
    for &row in rows {
        *model.counts.entry(row).or_default() += 1;
    }
}

/// That the layer and the model cache the same rows and agree on all rows, after so many operations.
fn compare<B: Backend>(layer: &mut Layer<B>, model: &Model, operations: usize) {
    let Layer { table, queue, .. } = layer;
    let state = table.collection().cache_state(0).expect("table 0").expect("a cache");
    let mut cached: Vec<u64> = state.slots.into_iter().flatten().collect();
    cached.sort_unstable();
    assert!(cached.iter().eq(model.cached.keys()), "cached: {cached:?}, not {:?}", model.cached.keys());
    assert!(state.counts.into_iter().eq(model.counts.iter().map(|(&row, &count)| (row, count))), "counts");
    let rows: Vec<u64> = (0..model.shape.rows()).collect();
    let got: Vec<f64> = table.rows(queue, &rows).expect("rows").into_iter().map(Real::as_f64).collect();
    let want: Vec<f64> = rows.iter().flat_map(|&row| model.row(row)).collect();
    assert_error("rows", &got, &want, tolerance::<B::Float>(TERMS * operations, 1.0));
}

/// Runs a call on numbers of the device and gives what it leaves there.
fn on_device<B: Backend>(
    table: &mut TtEmbeddingBag<B>,
    queue: &mut B::Queue,
    initial: &[f64],
    call: impl FnOnce(&mut TtEmbeddingBag<B>, &mut B::Queue, B::ViewMut<'_>),
) -> Vec<f64> {
    let mut host: Vec<B::Float> = initial.iter().map(|&x| B::Float::of(x)).collect();
    let mut buffer = table.collection().backend().alloc(queue, host.len()).expect("memory");
    table.collection().backend().upload(queue, &host, B::view_mut(&mut buffer)).expect("memory");
    call(table, queue, B::view_mut(&mut buffer));
    table.collection().backend().download(queue, B::view(&buffer), &mut host).expect("memory");
    host.into_iter().map(Real::as_f64).collect()
}
