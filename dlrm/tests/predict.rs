//! A model on lines it has never seen: trained, exported, moved, and applied by the vocabulary it was trained with.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use dlrm::checkpoint::{Checkpoint, MODEL};
use dlrm::data::{CATEGORICAL, Dataset, ReadSettings, Synthetic, Vocabulary};
use dlrm::predict::Predictor;
use dlrm::train::{DataIdentity, Observer, Part, Trainer};
use serde_json::Value;
use tempfile::TempDir;
use ttcore::Reference;
use ttcore_cpu::{Cpu, Threads};

fn dlrm(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlrm")).args(args).output().expect("the binary runs")
}

fn run(args: &[&str]) -> Output {
    let output = dlrm(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn failure(args: &[&str]) -> String {
    let output = dlrm(args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_slice(&run(&[args, &["--json"]].concat()).stdout).expect("JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn lines(seed: u64, count: u64) -> Vec<String> {
    let mut text = String::new();
    Synthetic { lines: count, seed, ..Synthetic::default() }.reader().unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// A model trained on `train.tsv` of a folder, with checkpoints in `run`.
fn trained(folder: &TempDir, options: &[&str]) {
    let (data, run_folder) = (folder.path().join("train.tsv"), folder.path().join("run"));
    write(&data, &lines(1, 1400));
    let args = ["train", "--data", text(&data), "--checkpoint-dir", text(&run_folder), "--preset-rows=false"];
    run(&[&args[..], &["--tt-tables", "4", "--tt-rank", "4", "--tt-min-ratio", "0"], options].concat());
}

struct Silent;

impl Observer for Silent {}

/// What an evaluation of a checkpoint predicts for lines.
fn evaluated(checkpoint: &Path, lines: &Path, threads: usize) -> Vec<u64> {
    let mut checkpoint = Checkpoint::open(checkpoint).unwrap();
    let vocabulary = Vocabulary::open(checkpoint.path().parent().unwrap()).unwrap();
    let settings = ReadSettings { vocabulary: Some(vocabulary.into()), ..ReadSettings::default() };
    let data = Dataset::read(&[lines], &settings).unwrap();
    let mut queue = Threads::new(threads).unwrap();
    let settings = checkpoint.description().settings.clone();
    let mut trainer =
        Trainer::new(Cpu::<f32>::new().unwrap(), &mut queue, &data, DataIdentity::of(&data), settings).unwrap();
    trainer.restore(&mut queue, &mut checkpoint).unwrap();
    let mut all = Vec::new();
    let mut each = |_: &dlrm::data::Batch, predictions: &[f64]| all.extend(predictions.iter().map(|p| p.to_bits()));
    trainer.evaluate_each(&mut queue, Part::All, &mut Silent, &mut each).unwrap().unwrap();
    all
}

fn predicted(model: &Path, lines: &Path, options: &[&str]) -> Vec<u64> {
    let output = run(&[&["predict", "--model", text(model), text(lines)], options].concat());
    let numbers = String::from_utf8(output.stdout).unwrap();
    numbers.lines().map(|number| f64::from(number.parse::<f32>().unwrap()).to_bits()).collect()
}

#[test]
fn predictions_are_those_of_eval_for_lines_in_another_order_with_unseen_values() {
    for options in [&[][..], &["--table-method", "hybrid"], &["--table-method", "head"]] {
        let folder = tempfile::tempdir().unwrap();
        trained(&folder, options);
        let checkpoint = folder.path().join("run/final.safetensors");
        let (exported, moved) = (folder.path().join("model"), folder.path().join("elsewhere"));
        run(&["export", "--checkpoint", text(&checkpoint), "-o", text(&exported)]);
        fs::rename(&exported, &moved).unwrap();
        // Lines of training in another order, and lines of another seed, some of whose values were never seen.
        let mut other = lines(1, 300);
        other.reverse();
        other.extend(lines(9, 200));
        let labelled = folder.path().join("other.tsv");
        write(&labelled, &other);
        let unlabelled = folder.path().join("unlabelled.tsv");
        write(&unlabelled, &other.iter().map(|line| line[2..].to_owned()).collect::<Vec<_>>());

        let want = evaluated(&checkpoint, &labelled, 2);
        assert_eq!(want.len(), 500);
        assert_eq!(evaluated(&checkpoint, &labelled, 1), want);
        for options in [&[][..], &["--batch-size", "1"], &["--batch-size", "7", "--threads", "3"]] {
            assert_eq!(predicted(&moved, &labelled, options), want, "{options:?}");
            assert_eq!(predicted(&moved, &unlabelled, options), want, "{options:?}");
        }
        assert_eq!(predicted(&checkpoint, &unlabelled, &[]), want, "a checkpoint with its vocabulary beside it");
        // Each line by itself, as a library.
        let mut queue = Threads::new(1).unwrap();
        let mut predictor = Predictor::open(Cpu::<f32>::new().unwrap(), &mut queue, &moved, 1).unwrap();
        for (line, want) in other.iter().zip(&want) {
            let record = dlrm::data::criteo::parse_line(line.as_bytes(), 1).unwrap();
            let probability = predictor.predict(&mut queue, [&record]).unwrap()[0];
            assert_eq!(f64::from(probability).to_bits(), *want);
        }
        let unseen =
            json(&["prepare", text(&labelled), "-o", text(&folder.path().join("p")), "--vocabulary", text(&moved)]);
        let unseen =
            unseen["vocabulary"]["unseen"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
        assert!(unseen > 100, "{unseen}");
    }
}

#[test]
fn what_is_unseen_has_a_zero_embedding() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder, &[]);
    let mut all = lines(1, 2);
    // A value of the first category that no line of training has.
    let mut fields: Vec<&str> = all[0].split('\t').collect();
    fields[14] = "fedcba98";
    let line = fields.join("\t");
    all[1] = line;
    let path = folder.path().join("two.tsv");
    write(&path, &all);
    let both = predicted(&folder.path().join("run/final.safetensors"), &path, &[]);
    assert_ne!(both[0], both[1]);
    // The reference backend's definition of an empty bag: a sum of nothing.
    let checkpoint = folder.path().join("run/final.safetensors");
    let mut predictor = Predictor::open(Reference::<f32>::new(), &mut (), &checkpoint, 2).unwrap();
    let records: Vec<_> = all.iter().map(|line| dlrm::data::criteo::parse_line(line.as_bytes(), 1).unwrap()).collect();
    let by_reference = predictor.predict(&mut (), &records).unwrap().to_vec();
    for (one, other) in by_reference.iter().zip(&both) {
        assert!((f64::from(*one) - f64::from_bits(*other)).abs() < 1e-5);
    }
}

#[test]
fn rare_values_share_a_row_with_those_never_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (data, prepared) = (folder.path().join("train.tsv"), folder.path().join("prepared"));
    write(&data, &lines(1, 1400));
    let summary = json(&["prepare", text(&data), "-o", text(&prepared), "--min-count", "3"]);
    let all = json(&["prepare", text(&data), "-o", text(&folder.path().join("all"))]);
    let rows = |summary: &Value, table: usize| summary["table_rows"][table].as_u64().unwrap();
    assert!((0..CATEGORICAL).any(|table| rows(&summary, table) < rows(&all, table)));
    let run_folder = folder.path().join("run");
    run(&["train", "--data", text(&prepared), "--checkpoint-dir", text(&run_folder), "--preset-rows=false"]);
    let model = folder.path().join("model");
    run(&["export", "--checkpoint", text(&run_folder.join("final.safetensors")), "-o", text(&model)]);
    let vocabulary = Vocabulary::open(&model).unwrap();
    let (table, row) =
        vocabulary.unseen_rows().into_iter().enumerate().find_map(|(table, row)| Some((table, row?))).unwrap();
    assert_eq!(u64::from(row), rows(&summary, table) - 1);
    // A value of one training line, and one of none, are alike.
    let mut counts = std::collections::HashMap::new();
    let all = lines(1, 1400);
    for line in &all[..1200] {
        *counts.entry(line.split('\t').nth(14 + table).unwrap()).or_insert(0) += 1;
    }
    let rare = all[..1200].iter().find(|line| counts[line.split('\t').nth(14 + table).unwrap()] == 1).unwrap();
    let mut fields: Vec<&str> = rare.split('\t').collect();
    fields[14 + table] = "fedcba98";
    let path = folder.path().join("two.tsv");
    write(&path, &[rare.clone(), fields.join("\t")]);
    let both = predicted(&model, &path, &[]);
    assert_eq!(both[0], both[1]);
}

#[test]
fn the_vocabulary_is_part_of_the_identity_of_data() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder, &[]);
    let checkpoint = folder.path().join("run/final.safetensors");
    let train = folder.path().join("train.tsv");
    let same = json(&["eval", "--checkpoint", text(&checkpoint), "--data", text(&train), "--split", "all"]);
    assert_eq!(same["same_data"], true);
    // Every category renamed: the same numbers in the same order, and another meaning.
    let renamed: Vec<String> = lines(1, 1400)
        .iter()
        .map(|line| {
            let fields = line.split('\t').enumerate();
            let fields = fields.map(|(at, field)| match u32::from_str_radix(field, 16) {
                Ok(value) if at >= 14 => format!("{:08x}", value ^ 0xa5a5_a5a5),
                _ => field.to_owned(),
            });
            fields.collect::<Vec<_>>().join("\t")
        })
        .collect();
    let other = folder.path().join("renamed.tsv");
    write(&other, &renamed);
    let evaluated = json(&["eval", "--checkpoint", text(&checkpoint), "--data", text(&other), "--split", "all"]);
    assert_eq!(evaluated["same_data"], false);
    assert!(evaluated["auc"].as_f64() < same["auc"].as_f64(), "nothing of it is known");
    let run_folder = folder.path().join("run");
    let options = ["--preset-rows=false", "--tt-tables", "4", "--tt-rank", "4", "--tt-min-ratio", "0", "--epochs", "2"];
    let resume = ["train", "--data", text(&other), "--checkpoint-dir", text(&run_folder), "--resume"];
    let error = failure(&[&resume[..], &options].concat());
    assert!(error.contains("other data (vocabulary "), "{error}");
    // In another order, lines mean the same.
    let mut reversed = lines(1, 1400);
    reversed.reverse();
    write(&other, &reversed);
    let evaluated = json(&["eval", "--checkpoint", text(&checkpoint), "--data", text(&other), "--split", "all"]);
    assert_eq!(evaluated["same_data"], false);
    for metric in ["auc", "accuracy", "positives"] {
        assert_eq!(evaluated[metric], same[metric], "{metric}");
    }
    // Prepared by itself it has other numbers, which is said; by the vocabulary it has the same.
    let prepared = folder.path().join("prepared");
    run(&["prepare", text(&other), "-o", text(&prepared)]);
    let eval = ["eval", "--checkpoint", text(&checkpoint), "--split", "all", "--data", text(&prepared)];
    let error = failure(&eval);
    assert!(error.contains("--vocabulary"), "{error}");
    run(&["prepare", text(&other), "-o", text(&prepared), "--force", "--vocabulary", text(&run_folder)]);
    assert_eq!(json(&eval)["auc"], same["auc"]);
    run(&["prepare", "--verify", text(&prepared)]);
    // Without the vocabulary, lines of the run's own file are still known, and no others.
    let own = ["eval", "--checkpoint", text(&checkpoint), "--split", "all", "--data"];
    fs::remove_file(run_folder.join(Vocabulary::FILE)).unwrap();
    assert_eq!(json(&[&own[..], &[text(&train)]].concat())["same_data"], true);
    let error = failure(&[&own[..], &[text(&other)]].concat());
    assert!(error.contains("does not have their vocabulary.bin"), "{error}");
    let error = failure(&["predict", "--model", text(&checkpoint), text(&train)]);
    assert!(error.contains("vocabulary.bin"), "{error}");
}

#[test]
fn lines_that_are_no_records_are_named_or_keep_their_place() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder, &[]);
    let checkpoint = folder.path().join("run/final.safetensors");
    let mut all = lines(3, 5);
    let good = folder.path().join("good.tsv");
    write(&good, &all);
    let want = run(&["predict", "--model", text(&checkpoint), text(&good)]).stdout;
    let want: Vec<&str> = std::str::from_utf8(&want).unwrap().lines().collect();
    all.insert(0, "1\tno".to_owned());
    all.insert(3, "nothing".to_owned());
    all.push("0\t".to_owned());
    let bad = folder.path().join("bad.tsv");
    write(&bad, &all);
    let out = folder.path().join("out.txt");
    let error = failure(&["predict", "--model", text(&checkpoint), text(&bad), "-o", text(&out)]);
    assert!(error.contains("bad.tsv:1: "), "{error}");
    assert!(!out.exists() && fs::read_dir(folder.path()).unwrap().count() == 4, "nothing is left of it");
    run(&["predict", "--model", text(&checkpoint), text(&bad), "-o", text(&out), "--skip-bad"]);
    let got = fs::read_to_string(&out).unwrap();
    let got: Vec<&str> = got.lines().collect();
    assert_eq!(got, ["", want[0], want[1], "", want[2], want[3], want[4], ""]);
    let error = failure(&["predict", "--model", text(&checkpoint), text(&bad), "-o", text(&bad)]);
    assert!(error.contains("is read"), "{error}");
    let empty = folder.path().join("empty.tsv");
    fs::write(&empty, "").unwrap();
    let error = failure(&["predict", "--model", text(&checkpoint), text(&good), text(&empty)]);
    assert!(error.contains("empty.tsv: no lines"), "{error}");
}

#[test]
fn models_that_cannot_predict_say_why() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder, &[]);
    let (run_folder, model) = (folder.path().join("run"), folder.path().join("model"));
    let checkpoint = run_folder.join("final.safetensors");
    run(&["export", "--checkpoint", text(&checkpoint), "-o", text(&model)]);
    let train = folder.path().join("train.tsv");
    // An exported model is none to go on from.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(model.join(MODEL), other.join("checkpoint-000000000001.safetensors")).unwrap();
    let options = ["--preset-rows=false", "--tt-tables", "4", "--tt-rank", "4", "--tt-min-ratio", "0"];
    let resume = ["train", "--data", text(&train), "--checkpoint-dir", text(&other), "--resume"];
    let error = failure(&[&resume[..], &options].concat());
    assert!(error.contains("a model for predictions"), "{error}");
    // Damage of either file.
    for file in [MODEL, Vocabulary::FILE] {
        let path = model.join(file);
        let whole = fs::read(&path).unwrap();
        for at in [whole.len() / 3, whole.len() - 20, 9] {
            let mut damaged = whole.clone();
            damaged[at] ^= 16;
            fs::write(&path, &damaged).unwrap();
            let error = failure(&["predict", "--model", text(&model), text(&train)]);
            assert!(error.contains(file), "{file} {at}: {error}");
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let error = failure(&["predict", "--model", text(&model), text(&train)]);
        assert!(error.contains(file), "{file}: {error}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(predicted(&model, &train, &[]).len(), 1400);
    let error = failure(&["predict", "--model", text(folder.path()), text(&train)]);
    assert!(error.contains(MODEL), "{error}");
}
