//! A run that is stopped and goes on is the run that was never stopped, bit for bit.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Stop, final_bytes, kept, lines, run, settings};
use dlrm::checkpoint::{Checkpoint, CheckpointErrorKind, Folder};
use dlrm::data::{Dataset, Synthetic};
use dlrm::train::{Optimizer, RunOptions, TrainError, TrainSettings};
use safetensors::SafeTensors;
use tempfile::{TempDir, tempdir};

fn folder() -> TempDir {
    tempdir().expect("a folder")
}

/// Checkpoints in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.retain(|name| name.ends_with(".safetensors"));
    names.sort();
    names
}

/// Where the checkpoint after some iterations is.
fn path(folder: &Path, iteration: u64) -> PathBuf {
    folder.join(format!("checkpoint-{iteration:012}.safetensors"))
}

fn never_stopped(data: &Dataset, settings: &TrainSettings) -> Vec<u8> {
    let folder = folder();
    run(data, settings, &kept(folder.path(), 0, false), &mut Stop::default(), 1).expect("a run");
    final_bytes(folder.path())
}

/// Why a run was refused.
#[track_caller]
fn refused(result: Result<dlrm::train::Outcome, TrainError>) -> CheckpointErrorKind {
    match result {
        Err(TrainError::Checkpoint(error)) => error.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn stopped_anywhere_is_never_stopped() {
    let data = lines();
    for optimizer in [Optimizer::Sgd, Optimizer::Adagrad { eps: 1e-8 }] {
        let settings = TrainSettings { optimizer, ..settings() };
        let want = never_stopped(&data, &settings);
        // The first refresh comes after 8 iterations and then every 5, evaluations every 7, the second epoch after 19.
        for stops in [vec![1], vec![7], vec![8], vec![13, 14], vec![18, 19, 20], vec![28], vec![37], vec![38]] {
            let folder = folder();
            for &after in &stops {
                let error = run(&data, &settings, &kept(folder.path(), 0, true), &mut Stop::after(after), 1);
                let Err(TrainError::Interrupted { iteration, checkpoint: Some(file) }) = error else {
                    panic!("{error:?}")
                };
                assert_eq!(iteration, after);
                assert!(file.exists());
            }
            let mut last = Stop::default();
            run(&data, &settings, &kept(folder.path(), 0, true), &mut last, 2).expect("the rest");
            assert!(final_bytes(folder.path()) == want, "{optimizer:?}, stopped after {stops:?}");
            assert!(
                last.events[0].contains(&format!("\"iteration\":{},", stops[stops.len() - 1])),
                "{:?}",
                last.events
            );
        }
    }
}

#[test]
fn the_result_is_that_of_the_uninterrupted_run_too() {
    let (data, settings) = (lines(), settings());
    let (whole, parts) = (folder(), folder());
    let mut want = run(&data, &settings, &kept(whole.path(), 0, false), &mut Stop::default(), 1).expect("a run");
    run(&data, &settings, &kept(parts.path(), 0, false), &mut Stop::after(15), 1).expect_err("stopped");
    let mut got = run(&data, &settings, &kept(parts.path(), 0, true), &mut Stop::default(), 1).expect("a run");
    assert_eq!((got.resumed_at.take(), want.resumed_at), (Some(15), None));
    for outcome in [&mut got, &mut want] {
        (outcome.seconds, outcome.samples_per_second, outcome.model) = (0.0, 0.0, None);
    }
    assert_eq!(got, want);
}

#[test]
fn how_a_run_is_followed_changes_nothing_that_is_learned() {
    let (data, settings) = (lines(), settings());
    let tensors = |options: fn(&Path) -> RunOptions, threads| {
        let folder = folder();
        run(&data, &settings, &options(folder.path()), &mut Stop::default(), threads).expect("a run");
        final_bytes(folder.path())
    };
    let want = tensors(|folder| kept(folder, 0, false), 1);
    let often = |folder: &Path| RunOptions { log_every: Some(1), ..kept(folder, 1, false) };
    assert!(tensors(often, 3) == want);
}

#[test]
fn a_longer_run_goes_on_from_a_shorter_one() {
    let data = lines();
    let two = TrainSettings { max_iterations: None, ..settings() };
    let want = never_stopped(&data, &two);
    let folder = folder();
    let short = TrainSettings { max_iterations: Some(21), ..settings() };
    let outcome = run(&data, &short, &kept(folder.path(), 0, false), &mut Stop::default(), 1).expect("a run");
    assert_eq!((outcome.iterations, names(folder.path())), (21, vec!["final.safetensors".to_owned()]));
    run(&data, &two, &kept(folder.path(), 0, true), &mut Stop::default(), 1).expect("the rest");
    assert!(final_bytes(folder.path()) == want);
    // There is nothing left to do.
    let outcome = run(&data, &two, &kept(folder.path(), 0, true), &mut Stop::default(), 1).expect("no more");
    assert_eq!((outcome.iterations, outcome.resumed_at, outcome.samples_per_second), (38, Some(38), 0.0));
    assert!(final_bytes(folder.path()) == want);
}

#[test]
fn the_newest_are_kept() {
    let (data, settings, folder) = (lines(), settings(), folder());
    run(&data, &settings, &kept(folder.path(), 9, false), &mut Stop::default(), 1).expect("a run");
    assert_eq!(
        names(folder.path()),
        ["checkpoint-000000000027.safetensors", "checkpoint-000000000036.safetensors", "final.safetensors"]
    );
    let mut options = kept(folder.path(), 9, false);
    let occupied = refused(run(&data, &settings, &options, &mut Stop::default(), 1));
    assert!(matches!(occupied, CheckpointErrorKind::Occupied));
    // Those of the earlier run are among those that are kept.
    if let Some(checkpoints) = &mut options.checkpoints {
        (checkpoints.resume, checkpoints.keep) = (true, 1);
    }
    let longer = TrainSettings {
        epochs: 3,
        cache: dlrm::train::CacheSettings { warmup: 8.0 / 57.0, ..settings.cache },
        ..settings
    };
    run(&data, &longer, &options, &mut Stop::default(), 1).expect("the third epoch");
    assert_eq!(names(folder.path()), ["checkpoint-000000000054.safetensors", "final.safetensors"]);
}

#[test]
fn a_checkpoint_that_somebody_removed_ends_no_run() {
    let folder = folder();
    let mut kept = Folder::open(folder.path(), 1).expect("a folder");
    for iteration in 1..4 {
        kept.keep(path(folder.path(), iteration)).expect("nothing to remove");
    }
}

#[test]
fn damaged_checkpoints_are_skipped_and_named() {
    let (data, settings) = (lines(), settings());
    let want = never_stopped(&data, &settings);
    let whole = folder();
    run(&data, &settings, &kept(whole.path(), 6, false), &mut Stop::after(20), 1).expect_err("stopped");
    let good = fs::read(path(whole.path(), 20)).expect("a checkpoint");
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let damages: [(&str, Vec<u8>); 8] = [
        ("header too small", Vec::new()),
        ("header length", good[..100].to_vec()),
        ("incomplete", good[..good.len() - 1].to_vec()),
        ("incomplete", [&good[..], &[0]].concat()),
        ("JSON", flipped(8)),
        ("header length", flipped(6)),
        ("damaged", flipped(good.len() / 2)),
        ("damaged", flipped(good.len() - 1)),
    ];
    for (reason, bytes) in damages {
        let folder = folder();
        fs::copy(path(whole.path(), 18), path(folder.path(), 18)).expect("a copy");
        fs::write(path(folder.path(), 20), bytes).expect("written");
        let mut observer = Stop::default();
        run(&data, &settings, &kept(folder.path(), 0, true), &mut observer, 1).expect("a run");
        let skipped = &observer.events[0];
        assert!(skipped.contains("skipped") && skipped.contains("checkpoint-000000000020"), "{skipped}");
        assert!(skipped.contains(reason), "{reason}: {skipped}");
        assert!(observer.events[1].contains("\"iteration\":18,"), "{:?}", observer.events[1]);
        assert!(final_bytes(folder.path()) == want, "{reason}");
        assert!(path(folder.path(), 20).exists(), "nothing is removed that is not understood");
    }
    // Without one that is whole, a run starts anew.
    let alone = folder();
    fs::write(path(alone.path(), 20), &good[..good.len() / 2]).expect("written");
    let mut observer = Stop::default();
    run(&data, &settings, &kept(alone.path(), 0, true), &mut observer, 1).expect("a run");
    assert!(observer.events[0].contains("skipped") && observer.events[1].contains("\"iteration\":0,"));
    assert!(final_bytes(alone.path()) == want);
}

#[test]
fn other_settings_and_other_data_are_refused_by_name() {
    let (data, settings, folder) = (lines(), settings(), folder());
    run(&data, &settings, &kept(folder.path(), 0, false), &mut Stop::after(5), 1).expect_err("stopped");
    let resume = kept(folder.path(), 0, true);
    type Change = fn(&mut TrainSettings);
    let changes: [(&str, Change); 8] = [
        ("lr.base", |settings| settings.lr.base = 0.5),
        ("lr.decay_steps", |settings| settings.lr.decay_steps += 1),
        ("seed", |settings| settings.seed += 1),
        ("batch_size", |settings| settings.batch_size = 31),
        ("optimizer", |settings| settings.optimizer = Optimizer::Adagrad { eps: 0.0 }),
        ("top[0]", |settings| settings.top = Some(vec![9, 1])),
        ("ranks[1]", |settings| settings.tt.rank = 3),
        ("cache.every", |settings| settings.cache.refresh = 6),
    ];
    for (name, change) in changes {
        let mut changed = settings.clone();
        change(&mut changed);
        match refused(run(&data, &changed, &resume, &mut Stop::default(), 1)) {
            CheckpointErrorKind::Setting(difference) => {
                assert!(difference.setting.ends_with(name), "{name}: {difference:?}");
                assert_ne!(difference.first, difference.second);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    for (what, other) in [("lines", 701), ("fingerprint", 700)] {
        let other = Dataset::synthetic(&Synthetic { lines: other, seed: 4, ..Synthetic::default() }).expect("lines");
        match refused(run(&other, &settings, &resume, &mut Stop::default(), 1)) {
            CheckpointErrorKind::Data { what: got, .. } => assert_eq!(got, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_folder_belongs_to_one_run() {
    let (data, folder) = (lines(), folder());
    let held = dlrm::checkpoint::Folder::open(folder.path(), 2).expect("a folder");
    let busy = refused(run(&data, &settings(), &kept(folder.path(), 0, true), &mut Stop::default(), 1));
    assert!(matches!(busy, CheckpointErrorKind::Busy));
    drop(held);
    run(&data, &settings(), &kept(folder.path(), 0, true), &mut Stop::after(1), 1).expect_err("stopped");
}

#[test]
fn other_files_are_no_checkpoints() {
    let folder = folder();
    let file = folder.path().join("other.safetensors");
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![2], &[1, 2]).expect("a tensor");
    let write = |metadata: Option<(&str, &str)>| {
        let metadata = metadata.map(|(key, value)| [(key.to_owned(), value.to_owned())].into());
        fs::write(&file, safetensors::serialize([("x", &tensor)], metadata).expect("a file")).expect("written");
        Checkpoint::open(&file).map(|_| ()).expect_err("no checkpoint")
    };
    assert!(write(None).to_string().contains("no metadata entry `dlrm`"));
    assert!(write(Some(("dlrm", "{}"))).to_string().contains("missing field `format`"));
    let version = write(Some(("dlrm", "{\"format\":99}")));
    assert!(matches!(version.kind, CheckpointErrorKind::Version { got: 99, want: 1 }));
    assert!(!version.is_damage(), "a checkpoint of a later program must not be passed over");
}

#[test]
fn tensors_have_the_shapes_of_the_field() {
    let (data, folder) = (lines(), folder());
    let settings = TrainSettings { optimizer: Optimizer::Adagrad { eps: 1e-8 }, ..settings() };
    run(&data, &settings, &kept(folder.path(), 0, false), &mut Stop::default(), 1).expect("a run");
    let bytes = final_bytes(folder.path());
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let shapes: BTreeMap<String, Vec<usize>> =
        file.iter().map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec())).collect();
    assert_eq!(shapes["bottom.0.weight"], [16, 13]);
    assert_eq!(shapes["top.1.bias"], [1]);
    assert_eq!(shapes["top.1.state"], [1, 9]);
    let checkpoint = Checkpoint::open(&folder.path().join("final.safetensors")).expect("a checkpoint");
    let description = checkpoint.description();
    assert_eq!((description.state.iteration, description.state.position.epoch), (38, 2));
    let (mut tt, mut dense) = (0, 0);
    for (number, table) in description.settings.tables.iter().enumerate() {
        match table {
            dlrm::train::TableSettings::Dense { rows, .. } => {
                dense += 1;
                assert_eq!(shapes[&format!("tables.{number}.rows")], [*rows as usize, 4]);
                assert_eq!(shapes[&format!("tables.{number}.rows.state.0")], [*rows as usize, 4]);
            }
            dlrm::train::TableSettings::Shared { .. } => unreachable!("no table is"),
            dlrm::train::TableSettings::Tt { row_factors, col_factors, ranks, cached_rows, .. } => {
                tt += 1;
                for k in 0..3 {
                    let shape = [row_factors[k], ranks[k], col_factors[k], ranks[k + 1]];
                    assert_eq!(shapes[&format!("tables.{number}.core.{k}")], shape);
                    assert_eq!(shapes[&format!("tables.{number}.core.{k}.state.0")], [row_factors[k]]);
                }
                assert_eq!(shapes[&format!("tables.{number}.cache.values")], [*cached_rows, 4]);
                assert_eq!(shapes[&format!("tables.{number}.cache.values.state.0")], [*cached_rows]);
                assert_eq!(shapes[&format!("tables.{number}.cache.slots")], [*cached_rows]);
                let counted = &shapes[&format!("tables.{number}.cache.counted")];
                assert_eq!(counted, &shapes[&format!("tables.{number}.cache.counts")]);
                assert!((1..=1024).contains(&counted[0]), "counts are bounded");
            }
        }
    }
    assert_eq!((tt, dense), (3, 23));
}
