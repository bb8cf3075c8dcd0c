//! NaN and infinity, wherever they come from, never reach the parameters, a checkpoint or a metric.

mod common;

use dlrm::model::{Dlrm, Engine, ModelConfig, NonFinite, Number, Quantity, Samples, StepError};
use ttcore::{Real, Reference, Rule, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Isa, Threads};

const BATCH: usize = 150;
const FEATURES: usize = 3;

/// A batch that can be spoiled.
struct Data<F> {
    dense: Vec<F>,
    labels: Vec<F>,
    indices: Vec<Vec<u32>>,
}

impl<F: Number> Data<F> {
    fn new() -> Self {
        let feature = |i: usize| F::of((i * 7919 % 100) as f64 / 50.0);
        Self {
            dense: (0..BATCH * FEATURES).map(feature).collect(),
            labels: (0..BATCH).map(|i| F::of((i % 2) as f64)).collect(),
            indices: vec![(0..BATCH as u32).map(|i| i * 3 % 100).collect(), (0..BATCH as u32).map(|i| i % 9).collect()],
        }
    }

    fn samples(&self) -> Samples<'_, F> {
        Samples { dense: &self.dense, indices: &self.indices, labels: &self.labels }
    }
}

fn model<B: Engine>(backend: B, queue: &mut B::Queue) -> Dlrm<B> {
    let rule = Rule::Adagrad { eps: 1e-8 };
    let shape = TtShape::with_rank(100, &[4, 5, 5], &[2, 2, 1], 3).expect("a shape");
    let tables = vec![
        TableConfig::tt(shape).with_cache(4).expect("a cache").with_rule(rule),
        TableConfig::dense(9, 4).expect("a table").with_rule(rule),
    ];
    let config = ModelConfig::new(4, vec![FEATURES, 8, 4], vec![7, 5, 1], tables).expect("a model").with_rule(rule);
    Dlrm::new(backend, queue, config, BATCH, 1).expect("a model")
}

/// The bits of all parameters and of all optimiser state.
fn bits<B: Engine>(model: &mut Dlrm<B>, queue: &mut B::Queue) -> Vec<u64> {
    let mut bits = Vec::new();
    for mlp in model.mlps(queue).expect("the layers") {
        let tensors = mlp.layers().iter().flat_map(|layer| layer.tensors());
        bits.extend(tensors.flat_map(|(_, values)| values).map(|x| x.as_f64().to_bits()));
    }
    for table in 0..2 {
        let tables = model.tables();
        let values = [tables.parameters(queue, table), tables.state(queue, table)];
        bits.extend(values.into_iter().flat_map(|values| values.expect("numbers")).map(|x| x.as_f64().to_bits()));
    }
    bits
}

/// The number that a step refuses, after which the model is as before and learns on as if it had not been.
#[track_caller]
fn refused<B: Engine>(new: impl Fn() -> (B, B::Queue), spoil: impl Fn(&mut Data<B::Float>)) -> NonFinite {
    let (good, mut bad) = (Data::new(), Data::new());
    spoil(&mut bad);
    let [mut with, mut without] = [(); 2].map(|()| {
        let (backend, mut queue) = new();
        let mut model = model(backend, &mut queue);
        model.train_step(&mut queue, good.samples(), 0.1).expect("a step");
        (model, queue)
    });
    let before = bits(&mut with.0, &mut with.1);
    let Err(StepError::NonFinite(number)) = with.0.train_step(&mut with.1, bad.samples(), 0.1) else {
        panic!("a step that should have been refused");
    };
    assert!(bits(&mut with.0, &mut with.1) == before, "nothing was updated");
    for (model, queue) in [&mut with, &mut without] {
        model.train_step(queue, good.samples(), 0.1).expect("a step");
        assert_eq!(model.non_finite_parameter(queue).expect("numbers"), None);
    }
    assert!(bits(&mut with.0, &mut with.1) == bits(&mut without.0, &mut without.1));
    number
}

fn everywhere(spoil: impl Fn(&mut [f32], &mut [f32]) + Copy + Sync, sample: usize, quantity: Quantity, value: f64) {
    let check = |number: NonFinite, what: &str| {
        assert_eq!((number.sample, number.quantity), (sample, quantity), "{what}");
        assert!(number.value.total_cmp(&value).is_eq() || value.is_nan() && number.value.is_nan(), "{what}: {number}");
    };
    let data = move |data: &mut Data<f32>| spoil(&mut data.dense, &mut data.labels);
    check(refused(|| (Reference::<f32>::new(), ()), data), "reference");
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        for threads in [1, 2, 3] {
            let pool = Threads::new(threads).expect("threads");
            let new = || (Cpu::<f32>::with_isa(isa), pool.clone());
            check(pool.install(|| refused(new, data)), &format!("{isa}, {threads} threads"));
        }
    }
}

#[test]
fn what_is_given() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for sample in [0, 63, 64, BATCH - 1] {
            everywhere(move |_, labels| labels[sample] = value, sample, Quantity::Label, value.into());
            for feature in [0, FEATURES - 1] {
                let spoil = move |dense: &mut [f32], _: &mut [f32]| dense[sample * FEATURES + feature] = value;
                everywhere(spoil, sample, Quantity::Dense { feature }, value.into());
            }
        }
    }
}

#[test]
fn the_first_of_several_is_named() {
    let spoil = |dense: &mut [f32], labels: &mut [f32]| {
        (dense[140 * FEATURES], labels[99], dense[99 * FEATURES]) = (f32::NAN, f32::INFINITY, f32::NAN);
    };
    everywhere(spoil, 99, Quantity::Label, f64::INFINITY);
}

#[test]
fn what_overflows_in_a_layer_is_found_where_the_loss_does_not_show_it() {
    let (mut queue, mut data) = (Threads::one(), Data::<f32>::new());
    data.dense[70 * FEATURES..][..FEATURES].fill(f32::MAX);
    for sign in [1.0, -1.0] {
        let mut model = model(Cpu::<f32>::new().expect("a backend"), &mut queue);
        let [bottom, _] = model.mlps(&mut queue).expect("the layers");
        bottom.layers_mut()[0].weight.fill(1.0);
        // Negative infinity ends in the next ReLU, as zero.
        bottom.layers_mut()[1].weight.fill(sign);
        let error = model.train_step(&mut queue, data.samples(), 0.1).expect_err("refused");
        let StepError::NonFinite(number) = error else { panic!("{error}") };
        assert_eq!((number.sample, number.quantity, number.value), (70, Quantity::Bottom { layer: 0 }, f64::INFINITY));
        let probability = model.probabilities(&mut queue, BATCH).expect("predictions")[70];
        assert_eq!(probability.is_finite(), sign < 0.0, "{probability}");
    }
    // In double precision the same numbers are nothing special.
    let mut data = Data::<f64>::new();
    data.dense[70 * FEATURES..][..FEATURES].fill(f32::MAX.into());
    let mut model = model(Cpu::<f64>::new().expect("a backend"), &mut queue);
    model.train_step(&mut queue, data.samples(), 0.1).expect("a step");
}

#[test]
fn a_gradient_that_overflows_is_found_where_the_loss_does_not_show_it() {
    let (mut queue, data) = (Threads::one(), Data::<f32>::new());
    let mut model = model(Cpu::<f32>::new().expect("a backend"), &mut queue);
    // Embeddings of table 0 are zero, so that huge weights on their products with the others do nothing forward.
    let zeros = vec![0.0; model.tables().parameters(&mut queue, 0).expect("numbers").len()];
    model.tables().set_parameters(&mut queue, 0, &zeros).expect("zeros");
    let large = vec![1e34; 36];
    model.tables().set_parameters(&mut queue, 1, &large).expect("numbers");
    let [_, top] = model.mlps(&mut queue).expect("the layers");
    // The interaction is [x; (1,0), (2,0), (2,1)]: only the last pair, of both tables, goes on.
    let first = &mut top.layers_mut()[0];
    first.weight.fill(0.0);
    first.weight.chunks_exact_mut(7).for_each(|row| row[6] = 1e10);
    first.bias.fill(1.0);
    let error = model.train_step(&mut queue, data.samples(), 0.1).expect_err("refused");
    let StepError::NonFinite(number) = error else { panic!("{error}") };
    assert_eq!((number.sample, number.quantity), (0, Quantity::Gradient { position: 0 }), "{number}");
}

#[test]
fn every_tensor_that_is_not_finite_is_named() {
    let mut queue = Threads::one();
    let mut model = model(Cpu::<f32>::new().expect("a backend"), &mut queue);
    let found = |model: &mut Dlrm<Cpu<f32>>, queue: &mut Threads| model.non_finite_parameter(queue).expect("numbers");
    assert_eq!(found(&mut model, &mut queue), None);
    let names = [["bottom.0", "bottom.1"], ["top.0", "top.1"]];
    for (mlp, names) in names.into_iter().enumerate() {
        for (layer, name) in names.into_iter().enumerate() {
            for tensor in 0..3 {
                let put = |value: f32, model: &mut Dlrm<Cpu<f32>>, queue: &mut Threads| {
                    let [bottom, top] = model.mlps(queue).expect("the layers");
                    let mlp = [bottom, top].into_iter().nth(mlp).expect("an MLP");
                    let (part, values) = mlp.layers_mut()[layer].tensors_mut().into_iter().nth(tensor).expect("one");
                    (part, std::mem::replace(values.last_mut().expect("a number"), value))
                };
                let (part, value) = put(f32::INFINITY, &mut model, &mut queue);
                assert_eq!(found(&mut model, &mut queue), Some(format!("{name}.{part}")));
                put(value, &mut model, &mut queue);
            }
        }
    }
    // Cores of 4 x 1 x 2 x 3, 5 x 3 x 2 x 3 and 5 x 3 x 1 x 1 numbers, then 4 cached rows.
    let parts = [(0, 24, "core.0"), (24, 90, "core.1"), (114, 15, "core.2"), (129, 16, "cache.values")];
    let dense = [(0, 36, "rows")];
    for (table, parts) in [&parts[..], &dense[..]].into_iter().enumerate() {
        for &(start, len, name) in parts {
            for at in [start, start + len - 1] {
                let tables = model.tables();
                let (values, state) = (tables.parameters(&mut queue, table), tables.state(&mut queue, table));
                let (values, state) = (values.expect("numbers"), state.expect("numbers"));
                let mut spoilt = values.clone();
                spoilt[at] = f32::NAN;
                tables.set_parameters(&mut queue, table, &spoilt).expect("numbers");
                assert_eq!(found(&mut model, &mut queue), Some(format!("tables.{table}.{name}")));
                let tables = model.tables();
                tables.set_parameters(&mut queue, table, &values).expect("numbers");
                let mut spoilt = state.clone();
                spoilt[at] = f32::INFINITY;
                tables.set_state(&mut queue, table, &spoilt).expect("numbers");
                assert_eq!(found(&mut model, &mut queue), Some(format!("tables.{table}.{name}.state.0")));
                model.tables().set_state(&mut queue, table, &state).expect("numbers");
                assert_eq!(found(&mut model, &mut queue), None);
            }
        }
    }
}
