//! A whole model on the GPU's kernels: compiled for the host, or with the feature `device-tests` on a GPU.

mod common;

use std::path::Path;

use common::{Stop, kept, lines, settings};
use dlrm::model::{CrossSize, Dlrm, ModelConfig, Number, Quantity, Samples, StepError};
use dlrm::train::{Optimizer, Outcome, RunOptions, TrainError, TrainSettings, train};
use ttcore::{Rule, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Threads};
use ttcore_cuda::{Cuda, Element, Method};
use ttcore_tests::dlrm_golden::training;

#[cfg(not(feature = "device-tests"))]
mod machine {
    pub(crate) use ttcore_cuda::Emulator as Machine;

    pub(crate) fn machine() -> Machine {
        Machine
    }

    pub(crate) fn queue() {}
}

#[cfg(feature = "device-tests")]
mod machine {
    use std::sync::OnceLock;

    pub(crate) use ttcore_cuda::Driver as Machine;
    use ttcore_cuda::driver::Queue;

    /// One for all tests, with kernels compiled once.
    pub(crate) fn machine() -> Machine {
        static MACHINE: OnceLock<Machine> = OnceLock::new();
        MACHINE.get_or_init(|| Machine::new(0).expect("a GPU")).clone()
    }

    pub(crate) fn queue() -> Queue {
        machine().queue().expect("a stream")
    }
}

use machine::{Machine, machine, queue};

fn gpu<F: Number + Element>() -> Cuda<F, Machine> {
    Cuda::new(machine())
}

#[test]
fn golden_training() {
    training(|| (gpu::<f64>(), queue()));
    training(|| (gpu::<f32>(), queue()));
    training(|| (gpu::<f64>().with_method(Method::Batched).with_chunk(3), queue()));
}

fn run(settings: &TrainSettings, options: &RunOptions, observer: &mut Stop) -> Result<Outcome, TrainError> {
    train(gpu::<f32>(), &mut queue(), &lines(), settings, options, observer)
}

fn settings_of(optimizer: Optimizer) -> TrainSettings {
    let mut settings = TrainSettings { optimizer, epochs: 1, ..settings() };
    // Adagrad's first step of a number is all of the learning rate, its sign maybe that of a rounding.
    settings.lr.base = if optimizer == ADAGRAD { 0.01 } else { settings.lr.base };
    settings
}

const ADAGRAD: Optimizer = Optimizer::Adagrad { eps: 1e-8 };

/// The optimiser's state of the layers is on the device as well.
const RULES: [Optimizer; 2] = [Optimizer::Sgd, ADAGRAD];

#[test]
fn a_run_is_that_of_the_cpu() {
    for optimizer in RULES {
        let (settings, options) = (settings_of(optimizer), RunOptions { eval_every: 7, ..RunOptions::default() });
        let on_gpu = run(&settings, &options, &mut Stop::default()).expect("a run");
        let on_cpu = common::run(&lines(), &settings, &options, &mut Stop::default(), 2).expect("a run");
        let close = |what: &str, gpu: f64, cpu: f64| {
            assert!((gpu - cpu).abs() <= 1e-4 * cpu.abs(), "{optimizer:?}, {what}: {gpu}, not {cpu}");
        };
        close("first loss", on_gpu.loss_first, on_cpu.loss_first);
        close("last loss", on_gpu.loss_last, on_cpu.loss_last);
        close("log loss", on_gpu.log_loss, on_cpu.log_loss);
        let hits = |outcome: &Outcome| outcome.cache.map(|cache| (cache.rows, cache.hit_rate));
        assert_eq!(hits(&on_gpu), hits(&on_cpu));
        assert!(hits(&on_gpu).is_some_and(|(rows, rate)| rows > 0 && rate > 0.0), "{:?}", on_gpu.cache);
    }
}

#[test]
fn a_run_goes_on_bit_for_bit() {
    for optimizer in RULES {
        let (settings, folder) = (settings_of(optimizer), tempfile::tempdir().expect("a folder"));
        let path = |name: &str| folder.path().join(name);
        let (whole, parts) = (path("whole"), path("parts"));
        run(&settings, &kept(&whole, 0, false), &mut Stop::default()).expect("a run");
        let stopped = run(&settings, &kept(&parts, 4, false), &mut Stop::after(10));
        assert!(matches!(stopped, Err(TrainError::Interrupted { iteration: 10, .. })), "{stopped:?}");
        let outcome = run(&settings, &kept(&parts, 4, true), &mut Stop::default()).expect("the rest");
        assert_eq!(outcome.resumed_at, Some(10));
        assert!(common::final_bytes(&whole) == common::final_bytes(&parts));
    }
}

/// What one machine began, the other ends.
#[test]
fn checkpoints_are_those_of_the_cpu() {
    let settings = settings_of(ADAGRAD);
    let on_cpu = |folder: &Path, resume: bool, observer: &mut Stop| {
        common::run(&lines(), &settings, &kept(folder, 0, resume), observer, 1)
    };
    let on_gpu = |folder: &Path, resume: bool, observer: &mut Stop| run(&settings, &kept(folder, 0, resume), observer);
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second, third) = (folder.path().join("1"), folder.path().join("2"), folder.path().join("3"));
    let whole = on_cpu(&first, false, &mut Stop::default()).expect("a run");
    on_cpu(&second, false, &mut Stop::after(10)).expect_err("stopped");
    on_gpu(&third, false, &mut Stop::after(10)).expect_err("stopped");
    for outcome in [on_gpu(&second, true, &mut Stop::default()), on_cpu(&third, true, &mut Stop::default())] {
        let outcome = outcome.expect("the rest");
        assert_eq!(outcome.resumed_at, Some(10));
        let (got, want) = (outcome.log_loss, whole.log_loss);
        assert!((got - want).abs() <= 1e-4 * want, "{got}, not {want}");
    }
}

#[test]
fn a_number_that_is_not_finite_is_found_and_nothing_updated() {
    let queue = &mut queue();
    let shape = TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 1], 3).expect("a shape");
    let tables = vec![TableConfig::tt(shape), TableConfig::dense(9, 4).expect("a table")];
    let config = ModelConfig::new(4, vec![3, 8, 4], vec![7, 5, 1], tables).expect("a model").with_rule(Rule::Sgd);
    let indices = [vec![0, 1, 2], vec![3, 4, 5]];
    let labels = [0.0, 1.0, 1.0];
    let cpu = &mut Threads::one();
    for feature in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut dense = [0.5f32; 9];
        let mut model = Dlrm::new(gpu::<f32>(), queue, config.clone(), 3, 1).expect("a model");
        let mut other = Dlrm::new(Cpu::<f32>::new().expect("a backend"), cpu, config.clone(), 3, 1).expect("a model");
        // What overflows in a layer ends in its ReLU, or goes on.
        [model.mlps(queue).expect("layers"), other.mlps(cpu).expect("layers")]
            .into_iter()
            .for_each(|[bottom, _]| bottom.layers_mut()[0].weight[..6].fill(2.0));
        model.train_step(queue, Samples::new(&dense, &indices, &labels), 0.1).expect("a step");
        let weights = |model: &mut Dlrm<Cuda<f32, Machine>>, queue: &mut _| {
            let [bottom, top] = model.mlps(queue).expect("layers");
            [bottom, top].map(|mlp| mlp.layers().iter().map(|layer| layer.weight.clone()).collect::<Vec<_>>())
        };
        let before = (weights(&mut model, queue), model.tables().parameters(queue, 0).expect("parameters"));
        dense[3] = feature;
        let samples = Samples::new(&dense, &indices, &labels);
        let StepError::NonFinite(got) = model.train_step(queue, samples, 0.1).expect_err("refused") else {
            panic!("another error")
        };
        let StepError::NonFinite(want) = other.train_step(cpu, samples, 0.1).expect_err("refused") else {
            panic!("another error")
        };
        assert_eq!((got.sample, got.quantity), (want.sample, want.quantity));
        assert_eq!(got.sample, 1);
        let given = matches!(got.quantity, Quantity::Dense { feature: 0 });
        assert_eq!(given, !feature.is_finite(), "{got}");
        assert!(before == (weights(&mut model, queue), model.tables().parameters(queue, 0).expect("parameters")));
        assert_eq!(model.non_finite_parameter(queue).expect("numbers"), None);
    }
}

#[test]
fn a_cross_network_is_not_there_yet() {
    let settings = TrainSettings { cross: Some(CrossSize { layers: 2, rank: 5 }), ..settings() };
    let error = run(&settings, &RunOptions::default(), &mut Stop::default()).expect_err("there are no such kernels");
    assert!(matches!(&error, TrainError::Backend(reason) if reason.contains("--interaction dcn")), "{error}");
}

/// Layers that are cloned from one model into another are those that it computes with.
#[test]
fn layers_move_between_machines() {
    let queue = &mut queue();
    let config = || ModelConfig::new(4, vec![3, 8, 4], vec![5, 5, 1], vec![TableConfig::dense(9, 4).expect("a table")]);
    let config = || config().expect("a model");
    let cpu = &mut Threads::one();
    let mut on_gpu = Dlrm::new(gpu::<f64>(), queue, config(), 3, 1).expect("a model");
    let mut on_cpu = Dlrm::new(Cpu::<f64>::new().expect("a backend"), cpu, config(), 3, 2).expect("a model");
    let (dense, indices, labels) =
        ([0.5, -0.25, 1.0, 2.0, 0.0, 0.75, 1.5, 0.125, -1.0], [vec![0, 1, 2]], [0.0, 1.0, 1.0]);
    let samples = Samples::new(&dense, &indices, &labels);
    on_gpu.train_step(queue, samples, 0.1).expect("a step");
    on_cpu.train_step(cpu, samples, 0.1).expect("a step");
    let table = on_gpu.tables().parameters(queue, 0).expect("parameters");
    on_cpu.tables().set_parameters(cpu, 0, &table).expect("parameters that fit");

    let kept = on_gpu.mlps(queue).expect("layers").map(|mlp| mlp.clone());
    let want = on_gpu.predict(queue, samples).expect("predictions").to_vec();
    on_cpu.mlps(cpu).expect("layers").into_iter().zip(&kept).for_each(|(mlp, kept)| *mlp = kept.clone());
    let close = |got: &[f64]| got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-14);
    assert!(close(on_cpu.predict(cpu, samples).expect("predictions")));

    on_gpu.train_step(queue, samples, 0.1).expect("a step");
    let table_now = on_gpu.tables().parameters(queue, 0).expect("parameters");
    assert_ne!(table, table_now);
    on_gpu.tables().set_parameters(queue, 0, &table).expect("parameters that fit");
    assert!(!close(on_gpu.predict(queue, samples).expect("predictions")));
    on_gpu.mlps(queue).expect("layers").into_iter().zip(kept).for_each(|(mlp, kept)| *mlp = kept);
    assert!(close(on_gpu.predict(queue, samples).expect("predictions")));
}
