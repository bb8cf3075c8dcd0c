//! The cross network in the place of the dot products: against PyTorch, against differences, and through runs that resume.

mod common;

use std::collections::BTreeMap;

use common::{Stop, final_bytes, kept, lines, run, settings};
use dlrm::model::{CrossSize, Dlrm, Engine, Feature, Lookup, ModelConfig, Samples};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde::Deserialize;
use ttcore::{Reference, TableConfig};
use ttcore_cpu::{Cpu, Isa, Threads};

/// What `tests/cross/write.py` wrote.
#[derive(Deserialize)]
struct Golden {
    dense: Vec<f64>,
    indices: Vec<Vec<u32>>,
    labels: Vec<f64>,
    probabilities: Vec<f64>,
    loss: f64,
    params: BTreeMap<String, Vec<f64>>,
    gradients: BTreeMap<String, Vec<f64>>,
}

/// A model of dense tables.
fn config((dense, dim): (usize, usize), rows: &[u64], size: CrossSize) -> ModelConfig {
    let tables: Vec<TableConfig> = rows.iter().map(|&rows| TableConfig::dense(rows, dim).expect("a table")).collect();
    let feature = |&rows: &u64| Feature { categories: rows, lookup: Lookup::Direct, longest: 1 };
    let mlps = (vec![dense, dim], vec![dim * (1 + rows.len()), 1]);
    let features = rows.iter().map(feature).collect();
    ModelConfig::with_interaction(dim, mlps, tables, features, Some(size)).expect("a model")
}

/// All parameters of a model, by the names of the golden vectors.
fn params<B: Engine<Float = f64>>(
    model: &mut Dlrm<B>,
    queue: &mut B::Queue,
    tables: usize,
) -> BTreeMap<String, Vec<f64>> {
    let mut all = BTreeMap::new();
    let [bottom, top] = model.mlps(queue).expect("layers");
    for (name, mlp) in [("bottom", bottom), ("top", top)] {
        all.insert(format!("{name}.weight"), mlp.layers()[0].weight.clone());
        all.insert(format!("{name}.bias"), mlp.layers()[0].bias.clone());
    }
    for (layer, pair) in model.cross().expect("a network").layers().layers().chunks(2).enumerate() {
        assert!(pair[0].bias.is_empty());
        all.insert(format!("cross.{layer}.v"), pair[0].weight.clone());
        all.insert(format!("cross.{layer}.w"), pair[1].weight.clone());
        all.insert(format!("cross.{layer}.bias"), pair[1].bias.clone());
    }
    for table in 0..tables {
        all.insert(format!("tables.{table}"), model.tables().parameters(queue, table).expect("numbers"));
    }
    all
}

fn set<B: Engine<Float = f64>>(model: &mut Dlrm<B>, queue: &mut B::Queue, all: &BTreeMap<String, Vec<f64>>) {
    for (name, values) in all {
        let parts: Vec<&str> = name.split('.').collect();
        let number = |at: usize| parts[at].parse::<usize>().expect("a number");
        if parts[0] == "tables" {
            model.tables().set_parameters(queue, number(1), values).expect("as many");
            continue;
        }
        if parts[0] == "cross" {
            let layers = model.cross().expect("a network").layers_mut().layers_mut();
            let pair = &mut layers[2 * number(1)..][..2];
            match parts[2] {
                "v" => pair[0].weight.copy_from_slice(values),
                "w" => pair[1].weight.copy_from_slice(values),
                _ => pair[1].bias.copy_from_slice(values),
            }
            continue;
        }
        let [bottom, top] = model.mlps(queue).expect("layers");
        let layer = &mut if parts[0] == "bottom" { bottom } else { top }.layers_mut()[0];
        if parts[1] == "weight" { layer.weight.copy_from_slice(values) } else { layer.bias.copy_from_slice(values) }
    }
}

fn golden<B: Engine<Float = f64>>(backend: B, queue: &mut B::Queue, isa: Isa) {
    let golden: Golden = serde_json::from_str(include_str!("cross/golden.json")).expect("the golden vectors");
    let config = config((3, 2), &[4, 6], CrossSize { layers: 2, rank: 3 });
    let mut model = Dlrm::new(backend, queue, config, 5, 1).expect("a model").with_isa(isa);
    set(&mut model, queue, &golden.params);
    let Golden { dense, indices, labels, .. } = &golden;
    let samples = Samples::new(dense, indices, labels);
    for (got, want) in model.predict(queue, samples).expect("predictions").iter().zip(&golden.probabilities) {
        assert!((got - want).abs() < 1e-14, "{got} {want}");
    }
    let loss = model.train_step(queue, samples, 1.0).expect("a step");
    assert!((loss - golden.loss).abs() < 1e-14, "{loss} {}", golden.loss);
    let after = params(&mut model, queue, 2);
    assert!(after.keys().eq(golden.gradients.keys()));
    for (name, want) in &golden.gradients {
        let before = &golden.params[name];
        for (at, want) in want.iter().enumerate() {
            let got = before[at] - after[name][at];
            assert!((got - want).abs() < 1e-13, "{name}, {at}: {got} {want}");
        }
    }
}

#[test]
fn it_is_what_pytorch_computes() {
    let mut queue = Threads::new(2).expect("threads");
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        golden(Reference::<f64>::new(), &mut (), isa);
        golden(Cpu::<f64>::with_isa(isa), &mut queue, isa);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The gradient of every parameter is the derivative of the loss by it.
    #[test]
    fn gradients_are_derivatives(
        layers in 1usize..4, rank in 1usize..5, dim in 1usize..4, tables in 1usize..4, batch in 1usize..70, seed in any::<u64>(),
    ) {
        let rows = vec![5; tables];
        let config = config((2, dim), &rows, CrossSize { layers, rank });
        let number = |at: usize| ((seed % 1000) as f64 + 7.0 * at as f64).sin();
        let dense: Vec<f64> = (0..batch * 2).map(number).collect();
        let labels: Vec<f64> = (0..batch).map(|at| f64::from(u8::from(number(3 * at) > 0.0))).collect();
        let indices: Vec<Vec<u32>> =
            (0..tables).map(|t| (0..batch).map(|at| ((number(at + 17 * t) + 1.0) * 2.4) as u32).collect()).collect();
        let samples = Samples::new(&dense, &indices, &labels);
        let mut model = Dlrm::new(Reference::<f64>::new(), &mut (), config, batch, seed).expect("a model");
        // Where a probability is 0 or 1 to the last digit, differences of its logarithm say nothing.
        let p = model.predict(&mut (), samples).expect("predictions");
        prop_assume!(p.iter().all(|p| (1e-6..1.0 - 1e-6).contains(p)));
        let before = params(&mut model, &mut (), tables);
        model.train_step(&mut (), samples, 1.0).expect("a step");
        let after = params(&mut model, &mut (), tables);
        let h = 1e-5;
        for (name, values) in &before {
            // Some of each, which are many.
            for at in (0..values.len()).step_by(values.len() / 6 + 1) {
                let mut loss = |change: f64| {
                    let mut moved = before.clone();
                    moved.get_mut(name).expect("a name")[at] += change;
                    set(&mut model, &mut (), &moved);
                    let p = model.predict(&mut (), samples).expect("predictions");
                    let each = p.iter().zip(&labels).map(|(p, y)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln()));
                    each.sum::<f64>() / batch as f64
                };
                let (below, here, above) = (loss(-h), loss(0.0), loss(h));
                let (left, right) = ((here - below) / h, (above - here) / h);
                let got = values[at] - after[name][at];
                let near = |want: f64| (got - want).abs() <= 1e-7 + 1e-4 * want.abs();
                // Where a ReLU changes sign within a step, the loss has two slopes.
                let kink = (left - right).abs() > 1e-5;
                prop_assert!(
                    near((above - below) / (2.0 * h)) || kink && (near(left) || near(right)),
                    "{}, {}: {} for {} and {}", name, at, got, left, right
                );
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes_and_a_run_goes_on_from_them() {
    let (data, folder) = (lines(), tempfile::tempdir().expect("a folder"));
    for optimizer in [dlrm::train::Optimizer::Sgd, dlrm::train::Optimizer::Adagrad { eps: 1e-8 }] {
        let folder = folder.path().join(format!("{optimizer:?}").split(' ').next().unwrap_or_default());
        let mut settings = settings();
        (settings.cross, settings.optimizer) = (Some(CrossSize { layers: 2, rank: 5 }), optimizer);
        let at = |name: &str| folder.join(name);
        let whole = run(&data, &settings, &kept(&at("1"), 0, false), &mut Stop::default(), 1).expect("a run");
        assert!(whole.log_loss.is_finite());
        run(&data, &settings, &kept(&at("3"), 0, false), &mut Stop::default(), 3).expect("a run");
        assert_eq!(final_bytes(&at("3")), final_bytes(&at("1")));
        run(&data, &settings, &kept(&at("cut"), 0, false), &mut Stop::after(17), 2).expect_err("it is stopped");
        run(&data, &settings, &kept(&at("cut"), 0, true), &mut Stop::default(), 2).expect("a run");
        assert_eq!(final_bytes(&at("cut")), final_bytes(&at("1")));
        let bytes = final_bytes(&at("1"));
        let file = SafeTensors::deserialize(&bytes).expect("a checkpoint");
        let shape = |name: &str| file.tensor(name).map(|tensor| tensor.shape().to_vec()).ok();
        // 27 features of 4 numbers.
        assert_eq!(shape("cross.1.v.weight"), Some(vec![5, 108]));
        assert_eq!(shape("cross.1.w.weight"), Some(vec![108, 5]));
        assert_eq!(shape("cross.1.w.bias"), Some(vec![108]));
        assert_eq!(shape("cross.1.v.bias"), None);
        let state = |len| (optimizer != dlrm::train::Optimizer::Sgd).then(|| vec![1, len]);
        assert_eq!([shape("cross.0.v.state"), shape("cross.0.w.state")], [state(5 * 108), state(6 * 108)]);
        // Another model.
        let other = dlrm::train::TrainSettings { cross: Some(CrossSize { layers: 2, rank: 4 }), ..settings.clone() };
        let error = run(&data, &other, &kept(&at("1"), 0, true), &mut Stop::default(), 1).expect_err("another model");
        assert!(error.to_string().contains("cross.rank"), "{error}");
        let dot = dlrm::train::TrainSettings { cross: None, ..settings.clone() };
        let error = run(&data, &dot, &kept(&at("1"), 0, true), &mut Stop::default(), 1).expect_err("another model");
        assert!(
            error.to_string().contains("made with cross = {\"layers\":2,\"rank\":5}, this run has null"),
            "{error}"
        );
    }
    let none = dlrm::train::TrainSettings { cross: Some(CrossSize { layers: 0, rank: 4 }), ..settings() };
    let error = run(&data, &none, &kept(&folder.path().join("none"), 0, false), &mut Stop::default(), 1);
    assert!(error.expect_err("no model").to_string().contains("from 1 to 64 layers"));
}
