//! NaN and infinity, wherever they come from, never reach the parameters, a checkpoint or a metric.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Stop, final_bytes, kept, lines, output, run, settings, stderr, stdout};
use dlrm::checkpoint::CheckpointErrorKind;
use dlrm::data::{Dataset, prepare};
use dlrm::model::{Dlrm, Engine, ModelConfig, NonFinite, Number, Quantity, Samples, StepError};
use dlrm::train::{DataIdentity, NonFiniteBatch, OnNonFinite, Part, RunOptions, TrainError, TrainSettings, Trainer};
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
        Samples::new(&self.dense, &self.indices, &self.labels)
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

/// The lines of most tests, prepared, with dense features of some rows so large that the first layer overflows.
fn spoilt(folder: &Path, spoilt: std::ops::Range<usize>) -> PathBuf {
    let (text, directory) = (folder.join("lines.tsv"), folder.join("data"));
    let mut content = Vec::new();
    let synthetic = dlrm::data::Synthetic { lines: 700, seed: 3, ..Default::default() };
    std::io::Read::read_to_end(&mut synthetic.reader().expect("lines"), &mut content).expect("lines");
    fs::write(&text, content).expect("written");
    prepare(&[&text], &directory, &Default::default(), false, |_| ()).expect("prepared");
    let mut batch = dlrm::data::Batch::default();
    Dataset::open(&directory).expect("data").fill_batch(spoilt, &mut batch).expect("rows");
    let rows = directory.join("rows.bin");
    let mut bytes = fs::read(&rows).expect("rows");
    for dense in batch.dense.chunks_exact(13) {
        // The first has the label as its sign.
        let features: Vec<u8> = dense[1..].iter().flat_map(|x| x.to_le_bytes()).collect();
        let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&features)).collect();
        let &[at] = &places[..] else { panic!("a row is at {places:?}") };
        bytes[at..][..12 * 4].copy_from_slice(&f32::MAX.to_le_bytes().repeat(12));
    }
    fs::write(rows, bytes).expect("written");
    directory
}

const ROW: usize = 321;

fn on(on_non_finite: OnNonFinite, options: RunOptions) -> RunOptions {
    RunOptions { on_non_finite, ..options }
}

#[test]
fn a_run_stops_and_keeps_its_last_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Dataset::open(spoilt(folder.path(), ROW..ROW + 1)).expect("data");
    for threads in [1, 3] {
        let run_folder = folder.path().join(threads.to_string());
        let mut observer = Stop::default();
        let error = run(&data, &settings(), &kept(&run_folder, 1, false), &mut observer, threads).expect_err("NaN");
        let TrainError::NonFinite { batch, checkpoint: Some(path) } = &error else { panic!("{error}") };
        let NonFiniteBatch { iteration, epoch: 0, batch: number, row: ROW, number: found } = *batch else {
            panic!("{batch}")
        };
        assert_eq!((number, found.quantity), (iteration - 1, Quantity::Bottom { layer: 0 }));
        assert!((2..19).contains(&iteration), "{iteration}");
        let kept = dlrm::checkpoint::Checkpoint::open(path).and_then(|mut file| file.verify().map(|()| file));
        assert_eq!(kept.expect("a checkpoint").iteration(), iteration - 1);
        for words in
            [&format!("row {ROW}"), "output of layer 0 of the bottom MLP is inf", path.to_str().expect("UTF-8")]
        {
            assert!(error.to_string().contains(words), "no {words:?} in {error}");
        }
        let last = observer.events.last().expect("events");
        assert!(last.contains("\"non_finite\"") && last.contains("\"action\":\"stop\""), "{last}");
        assert!(!run_folder.join("final.safetensors").exists());
    }
}

#[test]
fn a_run_that_skips_is_the_same_however_it_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Dataset::open(spoilt(folder.path(), ROW..ROW + 1)).expect("data");
    let settings = TrainSettings { optimizer: dlrm::train::Optimizer::Adagrad { eps: 1e-8 }, ..settings() };
    let path = |name: &str| folder.path().join(name);
    let skip = |name, every, resume| on(OnNonFinite::Skip, kept(&path(name), every, resume));
    let mut observer = Stop::default();
    let whole = run(&data, &settings, &skip("whole", 0, false), &mut observer, 1).expect("a run");
    // In the first epoch, and in the second unless the first layer has changed enough.
    let skipped = whole.skipped_batches;
    assert!((1..=2).contains(&skipped), "{skipped}");
    assert_eq!((whole.iterations, whole.test.non_finite), (38, 0));
    assert!(whole.loss_first.is_finite() && whole.loss_last.is_finite());
    let told = observer.events.iter().filter(|event| event.contains("\"action\":\"skip\"")).count();
    assert_eq!(told as u64, skipped);

    run(&data, &settings, &skip("threads", 4, false), &mut Stop::default(), 3).expect("a run");
    assert!(final_bytes(&path("threads")) == final_bytes(&path("whole")));
    for after in [5, 20, 30] {
        run(&data, &settings, &skip("parts", 0, true), &mut Stop::after(after), 1).expect_err("stopped");
    }
    let last = run(&data, &settings, &skip("parts", 0, true), &mut Stop::default(), 2).expect("the rest");
    assert_eq!(last.skipped_batches, skipped);
    assert!(final_bytes(&path("parts")) == final_bytes(&path("whole")));
}

#[test]
fn a_hundred_batches_in_a_row_are_skipped_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Dataset::open(spoilt(folder.path(), 0..600)).expect("data");
    let settings = TrainSettings { batch_size: 2, ..settings() };
    let (options, mut observer) = (on(OnNonFinite::Skip, RunOptions::default()), Stop::default());
    let error = run(&data, &settings, &options, &mut observer, 1).expect_err("too many");
    let TrainError::NonFinite { batch, checkpoint: None } = error else { panic!("{error}") };
    assert_eq!((batch.iteration, batch.batch), (101, 100));
    let told = |action: &str| observer.events.iter().filter(|event| event.contains(action)).count();
    assert_eq!((told("\"action\":\"skip\""), told("\"action\":\"stop\"")), (100, 1));
}

#[test]
fn what_cannot_be_evaluated_is_counted_or_ends_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    // Among the lines held out.
    let data = Dataset::open(spoilt(folder.path(), 610..611)).expect("data");
    let options = RunOptions::default();
    let error = run(&data, &settings(), &options, &mut Stop::default(), 1).expect_err("NaN");
    let TrainError::Predictions { part: Part::Test, non_finite: 1, lines: 50 } = error else { panic!("{error}") };
    let options = on(OnNonFinite::Skip, options);
    let outcome = run(&data, &settings(), &options, &mut Stop::default(), 1).expect("a run");
    assert_eq!((outcome.test.non_finite, outcome.test.lines, outcome.skipped_batches), (1, 50, 0));
    assert_eq!(outcome.validation.non_finite, 0);
    assert!(outcome.test.log_loss.is_finite() && outcome.test.auc.is_some_and(f64::is_finite));
}

#[test]
fn a_model_that_diverges_stops_in_either_way_and_no_checkpoint_has_it() {
    let data = lines();
    for lr in [1e8, 1e20, 1e38] {
        for way in [OnNonFinite::Stop, OnNonFinite::Skip] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut settings = TrainSettings { epochs: 20, ..settings() };
            settings.lr = dlrm::train::LrPolicy::constant(lr);
            let options = on(way, kept(folder.path(), 1, false));
            let error = run(&data, &settings, &options, &mut Stop::default(), 1).expect_err("diverged");
            let checkpoint = match &error {
                TrainError::NonFinite { checkpoint, .. } | TrainError::Diverged { checkpoint, .. } => checkpoint,
                TrainError::Predictions { .. } => &None,
                other => panic!("{other}"),
            };
            assert!(checkpoint.as_ref().is_none_or(|path| path.exists()), "{error}");
            assert!(!folder.path().join("final.safetensors").exists(), "{error}");
            for entry in fs::read_dir(folder.path()).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.extension().is_none_or(|extension| extension != "safetensors") {
                    continue;
                }
                let bytes = fs::read(&path).expect("a checkpoint");
                for (name, tensor) in safetensors::SafeTensors::deserialize(&bytes).expect("tensors").iter() {
                    if tensor.dtype() == safetensors::Dtype::F32 {
                        let mut numbers = tensor.data().as_chunks().0.iter().map(|&x| f32::from_le_bytes(x));
                        assert!(numbers.all(f32::is_finite), "{}: {name}", path.display());
                    }
                }
            }
        }
    }
}

#[test]
fn a_model_that_is_not_finite_is_neither_written_nor_given_metrics() {
    let (folder, data) = (tempfile::tempdir().expect("a folder"), lines());
    let mut queue = Threads::one();
    let settings = settings().resolve(data.table_rows(), data.split().train.len()).expect("settings");
    let backend = Cpu::<f32>::new().expect("a backend");
    let mut trainer = Trainer::new(backend, &mut queue, &data, DataIdentity::of(&data), settings).expect("a trainer");
    let kept = dlrm::checkpoint::Folder::open(folder.path(), 2).expect("a folder");
    trainer.save(&mut queue, &kept.final_target()).expect("saved");
    let before = final_bytes(folder.path());
    let mut rows = trainer.model().tables().parameters(&mut queue, 5).expect("numbers");
    rows.iter_mut().for_each(|x| *x = f32::INFINITY);
    trainer.model().tables().set_parameters(&mut queue, 5, &rows).expect("numbers");
    let error = trainer.save(&mut queue, &kept.final_target()).expect_err("refused");
    assert!(matches!(&error.kind, CheckpointErrorKind::NonFinite { tensor } if tensor == "tables.5.rows"), "{error}");
    assert!(final_bytes(folder.path()) == before && !folder.path().join(".writing.tmp").exists());
    let test = trainer.evaluate(&mut queue, Part::Test, &mut ()).expect("an evaluation").expect("an end");
    assert_eq!((test.lines, test.non_finite, test.auc), (50, 50, None));
    assert!(test.accuracy.is_nan() && test.log_loss.is_nan());
}

#[test]
fn the_command_says_what_and_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (spoilt(folder.path(), ROW..ROW + 1), folder.path().join("log"));
    let (data, log) = (data.to_str().expect("UTF-8"), log.to_str().expect("UTF-8"));
    let args = ["train", "--bottom", "13-16-4", "--top", "8-1", "--batch-size", "32", "--json", "--data", data];
    let stopped = output(&args);
    assert_eq!(stopped.status.code(), Some(1), "{}", stderr(&stopped));
    for words in
        [&format!("(row {ROW})"), "output of layer 0 of the bottom MLP is inf", "--on-non-finite skip", "no checkpoint"]
    {
        assert!(stderr(&stopped).contains(words), "no {words:?} in {}", stderr(&stopped));
    }
    let skipped = output(&[&args[..], &["--on-non-finite", "skip", "--log", log]].concat());
    assert!(skipped.status.success(), "{}", stderr(&skipped));
    assert!(stderr(&skipped).contains("warning: skipping the batch of iteration"), "{}", stderr(&skipped));
    let outcome: serde_json::Value = serde_json::from_str(stdout(&skipped)).expect("JSON");
    assert_eq!(outcome["skipped_batches"], 1);
    let told = fs::read_to_string(log).expect("a log");
    let told: Vec<&str> = told.lines().filter(|line| line.contains("\"kind\":\"non_finite\"")).collect();
    assert_eq!(told.len(), 1);
    let told: serde_json::Value = serde_json::from_str(told[0]).expect("JSON");
    assert_eq!((&told["row"], &told["action"], &told["skipped"]), (&ROW.into(), &"skip".into(), &1.into()));
}
