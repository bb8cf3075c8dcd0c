//! Files that no run wrote: checkpoints with a right checksum and numbers that no run comes to, and damaged rows.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Stop, kept, lines, run, settings};
use dlrm::checkpoint::{Checkpoint, CheckpointErrorKind, Folder};
use dlrm::data::{Dataset, ReadSettings, Synthetic, prepare};
use dlrm::train::{DataIdentity, Optimizer, TrainError, TrainSettings, Trainer};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use ttcore::Reference;
use twox_hash::XxHash3_64;

/// Where the checkpoint after some iterations is.
fn path(folder: &TempDir, iteration: u64) -> PathBuf {
    folder.path().join(format!("checkpoint-{iteration:012}.safetensors"))
}

/// A checkpoint after 10 iterations, of Adagrad with caches.
fn genuine() -> Vec<u8> {
    let folder = tempdir().expect("a folder");
    let settings = TrainSettings { optimizer: Optimizer::Adagrad { eps: 1e-8 }, ..settings() };
    run(&lines(), &settings, &kept(folder.path(), 0, false), &mut Stop::after(10), 1).expect_err("stopped");
    fs::read(path(&folder, 10)).expect("a checkpoint")
}

/// The description, for a change, and the file with it and a right checksum.
fn forged(genuine: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (length, rest) = genuine.split_first_chunk().expect("a length");
    let (header, content) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Value = serde_json::from_slice(header).expect("JSON");
    let text = header["__metadata__"]["dlrm"].as_str().expect("a description");
    let mut description: Value = serde_json::from_str(text).expect("JSON");
    change(&mut description);
    header["__metadata__"]["dlrm"] = Value::from(description.to_string());
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = [&(text.len() as u64).to_le_bytes(), &text[..], content].concat();
    let (content, checksum) = file.split_last_chunk_mut().expect("a checksum");
    *checksum = XxHash3_64::oneshot(content).to_le_bytes();
    file
}

/// Why the file cannot be gone on from, if so: as `dlrm eval` and `dlrm train --resume` read it.
fn go_on(file: &Path) -> Result<(), TrainError> {
    let mut checkpoint = Checkpoint::open(file)?;
    checkpoint.verify()?;
    let data = lines();
    let (identity, settings) = (DataIdentity::of(&data), checkpoint.description().settings.clone());
    let mut trainer = Trainer::new(Reference::<f32>::new(), &mut (), &data, identity, settings)?;
    trainer.restore(&mut (), &mut checkpoint)?;
    trainer.step(&mut ()).map(|_| ())
}

#[test]
fn numbers_that_no_run_comes_to_are_refused_by_name() {
    let genuine = genuine();
    let folder = tempdir().expect("a folder");
    let file = path(&folder, 10);
    fs::write(&file, forged(&genuine, |_| ())).expect("written");
    go_on(&file).expect("nothing is changed");
    let huge = json!(1u64 << 40);
    let description = Checkpoint::open(&file).expect("a checkpoint").description().clone();
    let tt = description.settings.tables.iter().position(|table| table.has_cache()).expect("a compressed table");
    let dense = description.settings.tables.iter().position(|table| !table.has_cache()).expect("a dense table");
    for (pointer, value, reason) in [
        ("/settings/batch_size", json!(0), "the batch size must be at least 1"),
        ("/settings/tables", json!([]), "the number of tables must be at least 1"),
        ("/settings/lr/base", json!(-1.0), "the learning rate must be"),
        ("/settings/bottom/0", json!(12), "tensor `bottom.0.weight` has shape [16, 13], not [16, 12]"),
        ("/settings/bottom/1", huge.clone(), "tensor `bottom.0.weight` has shape [16, 13], not [1099511627776, 13]"),
        ("/settings/top/0", json!(u64::MAX), "tensor `top.0.weight` has shape"),
        ("/settings/tables/DENSE/rows", huge.clone(), "tensor `tables.DENSE.rows` has shape"),
        ("/settings/tables/DENSE/rows", json!(u64::MAX), "embedding table DENSE: the dense table would not fit"),
        ("/settings/tables/TT/cached_rows", huge, "tensor `tables.TT.cache.values` has shape"),
        ("/settings/tables/TT/ranks/1", json!(1 << 30), "tensor `tables.TT.core.0` has shape"),
        ("/settings/cross", json!({"layers": 3, "rank": u64::MAX}), "a rank from 1 to 65536"),
        ("/settings/cross", json!({"layers": u64::MAX, "rank": 8}), "from 1 to 64 layers"),
        ("/settings/cross", json!({"layers": 64, "rank": 65536}), "tensor `top.0.weight` has shape"),
        ("/settings/optimizer", json!({"name": "sgd"}), ""),
        ("/state/iteration", json!(u64::MAX), "18446744073709551615 iterations are more than can be done"),
        ("/state/iteration", json!(11), "it is at Position { epoch: 0, line: 320 } after 11 iterations"),
        ("/state/position/line", json!(321), "it is at Position { epoch: 0, line: 321 } after 10 iterations"),
        ("/state/position/epoch", json!(11), "it is in epoch 11 after 10 iterations"),
        ("/state/hits", json!(u64::MAX), "18446744073709551615 of "),
    ] {
        let [pointer, reason] =
            [pointer, reason].map(|text| text.replace("DENSE", &dense.to_string()).replace("TT", &tt.to_string()));
        // A cross network is not written where there is none.
        let change = |description: &mut Value| match &pointer[..] {
            "/settings/cross" => description["settings"]["cross"] = value.clone(),
            _ => *description.pointer_mut(&pointer).expect("a setting") = value.clone(),
        };
        fs::write(&file, forged(&genuine, change)).expect("written");
        match (go_on(&file), &reason[..]) {
            // State of a rule that keeps none is of no use, and does no harm.
            (Ok(()), "") => {}
            (Err(TrainError::Checkpoint(error)), _) => {
                assert!(error.path == file && error.is_damage(), "{pointer}: {error}");
                assert!(!reason.is_empty() && error.to_string().contains(&reason), "{pointer}: {error}");
            }
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

#[test]
fn losses_of_another_number_of_iterations_are_refused() {
    let genuine = genuine();
    let folder = tempdir().expect("a folder");
    let file = path(&folder, 10);
    // The losses are the first tensor: iterations of a bucket, of the last one, then sums.
    let start = 8 + u64::from_le_bytes(*genuine.first_chunk().expect("a length")) as usize;
    for losses in [[2.0f64, 1.0], [1.0, 0.0], [3.0, 3.0], [f64::NAN, 1.0]] {
        let mut bytes = genuine.clone();
        for (place, number) in bytes[start..].chunks_exact_mut(8).zip(losses) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        fs::write(&file, forged(&bytes, |_| ())).expect("written");
        let error = go_on(&file).expect_err("no such curve").to_string();
        assert!(error.contains("`training.losses` is no curve of 10 losses"), "{error}");
    }
}

/// What `--resume` finds: the newest that is whole, and how many were skipped.
fn newest(folder: &TempDir) -> Result<(Option<u64>, usize), CheckpointErrorKind> {
    let newest = Folder::open(folder.path(), 2).expect("a folder").newest();
    newest.map(|(newest, skipped)| (newest.map(|it| it.iteration()), skipped.len())).map_err(|error| error.kind)
}

#[test]
fn another_version_is_in_the_way_only_if_it_is_newer() {
    let genuine = genuine();
    let later = forged(&genuine, |description| description["format"] = json!(99));
    let folder = tempdir().expect("a folder");
    fs::write(path(&folder, 10), &genuine).expect("written");
    for (name, refused) in [
        ("checkpoint-000000000009.safetensors", false),
        ("checkpoint-000000000011.safetensors", true),
        ("final.safetensors", true),
        ("mine.safetensors", true),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, &later).expect("written");
        match newest(&folder) {
            Ok(found) => assert!(found == (Some(10), 0) && !refused, "{name}: {found:?}"),
            Err(kind) => assert!(matches!(kind, CheckpointErrorKind::Version { got: 99, .. }) && refused, "{name}"),
        }
        fs::remove_file(file).expect("it is there");
    }
    // Alone it is in the way, too: to begin anew is not what was asked for.
    fs::write(path(&folder, 10), &later).expect("written");
    assert!(matches!(newest(&folder), Err(CheckpointErrorKind::Version { .. })));
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_not_passed_over() {
    let folder = tempdir().expect("a folder");
    fs::write(path(&folder, 10), genuine()).expect("written");
    assert_eq!(newest(&folder).expect("a checkpoint"), (Some(10), 0));
    fs::write(path(&folder, 11), b"cut short").expect("written");
    assert_eq!(newest(&folder).expect("a checkpoint"), (Some(10), 1));
    // Any failure of the system will do: this one does not depend on who runs the test.
    fs::create_dir(path(&folder, 12)).expect("a folder");
    assert!(matches!(newest(&folder), Err(CheckpointErrorKind::Io(_))));
}

#[test]
fn a_damaged_row_ends_a_run_by_its_number() {
    let folder = tempdir().expect("a folder");
    let (text, directory) = (folder.path().join("lines"), folder.path().join("prepared"));
    let synthetic = Synthetic { lines: 700, seed: 3, ..Synthetic::default() };
    synthetic.write(fs::File::create(&text).expect("a file"), false, |_| ()).expect("lines");
    prepare(&[&text], &directory, &ReadSettings::default(), false, |_| ()).expect("lines");
    let rows = directory.join("rows.bin");
    let mut bytes = fs::read(&rows).expect("rows");
    // Of the first row, indices have a byte each, and counts follow.
    bytes[26..30].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&rows, bytes).expect("written");
    let data = Dataset::open(&directory).expect("the length is right");
    let checkpoints = folder.path().join("checkpoints");
    let error = run(&data, &settings(), &kept(&checkpoints, 1, false), &mut Stop::default(), 1).expect_err("row 0");
    assert!(matches!(&error, TrainError::Row(error) if error.row == 0 && error.name == "I1"), "{error}");
    // What was learned before stays: the order of an epoch is random, and row 0 is not in its first batches.
    let (last, skipped) = Folder::open(&checkpoints, 2).expect("a folder").newest().expect("checkpoints");
    assert!(last.is_some_and(|last| last.iteration() > 0) && skipped.is_empty());
}
