//! The commands as a person or a program sees them.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn dlrm(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlrm")).args(args).output().expect("the binary runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

fn json(args: &[&str]) -> Value {
    let output = dlrm(args);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).expect("JSON")
}

/// One line of a Criteo file, with this third integer.
fn line(label: u8, third: &str) -> String {
    let integers = format!("1\t-2\t{third}\t\t5\t6\t7\t8\t9\t10\t11\t12\t13");
    let categories: Vec<String> = (0..26).map(|c| format!("{:08x}", c * 7919 + label as u32)).collect();
    format!("{label}\t{integers}\t{}\n", categories.join("\t"))
}

#[test]
fn training_learns_and_says_so() {
    let args = [
        "train",
        "--lines",
        "3000",
        "--preset-rows=false",
        "--epochs",
        "3",
        "--batch-size",
        "32",
        "--tt-tables",
        "5",
        "--tt-rank",
        "8",
        "--seed",
        "3",
    ];
    let outcome = json(&[&args[..], &["--json"]].concat());
    let number = |key: &str| outcome[key].as_f64().unwrap_or_else(|| panic!("{key} is missing"));
    assert!(number("loss_last") < number("loss_first"), "{outcome}");
    assert!(number("auc") > 0.55, "{outcome}");
    assert!(number("compressed_bytes") < number("dense_bytes"));
    assert_eq!(number("ratio"), number("dense_bytes") / number("compressed_bytes"));
    assert!((0.0..=1.0).contains(&number("accuracy")) && number("log_loss") > 0.0);
    assert_eq!(outcome["tt_tables"], 5);

    let output = dlrm(&args);
    assert!(output.status.success());
    for expected in ["uncompressed", "times smaller", "log loss", "AUC"] {
        assert!(stdout(&output).contains(expected), "no {expected:?} in {}", stdout(&output));
    }
    assert!(stderr(&output).contains("iteration"), "progress goes to standard error");
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let run = |seed: &str| {
        let mut outcome = json(&["train", "--lines", "700", "--preset-rows=false", "--json", "--seed", seed]);
        let fields = outcome.as_object_mut().expect("an object");
        fields.remove("seconds");
        fields.remove("samples_per_second");
        outcome
    };
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1")["loss_last"], run("2")["loss_last"]);
}

#[test]
fn a_bad_line_is_named_and_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.tsv");
    fs::write(&path, [line(0, "3"), line(1, "4"), line(0, "three")].concat()).expect("written");
    let output = dlrm(&["train", "--data", path.to_str().expect("UTF-8"), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).is_empty(), "no half of an object");
    for expected in ["bad.tsv:3:", "field 4", "I3", "three", "integer"] {
        assert!(stderr(&output).contains(expected), "no {expected:?} in {}", stderr(&output));
    }
}

#[test]
fn files_that_cannot_be_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_string()
    };
    let missing = folder.path().join("missing.tsv").to_str().expect("UTF-8").to_string();
    for (path, expected) in [
        (missing, "missing.tsv"),
        (file("empty.tsv", ""), "no lines"),
        (file("short.tsv", "1\t2\n"), "40"),
        (file("one.tsv", &line(1, "3")), ""),
    ] {
        let output = dlrm(&["train", "--data", &path]);
        if expected.is_empty() {
            assert!(output.status.success(), "{}", stderr(&output));
        } else {
            assert_eq!(output.status.code(), Some(1), "{path}");
            assert!(stderr(&output).contains(expected), "no {expected:?} in {}", stderr(&output));
        }
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for (args, expected) in [
        (["--batch-size", "0"], "batch size"),
        (["--epochs", "0"], "epochs"),
        (["--tt-rank", "0"], "TT-rank"),
        (["--lr", "nan"], "learning rate"),
        (["--lines", "0"], "no lines"),
    ] {
        let output = dlrm(&[&["train", "--lines", "20"][..1], &args[..]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains(expected), "no {expected:?} in {}", stderr(&output));
    }
    assert_eq!(dlrm(&["train", "--tt-tables", "many"]).status.code(), Some(2));
}

#[test]
fn table_2_of_the_paper() {
    let shapes = json(&["shapes", "--json"]);
    let shapes = shapes.as_array().expect("a list");
    assert_eq!(shapes.len(), 7 * 3);
    let first: Vec<(u64, f64)> = shapes[..3]
        .iter()
        .map(|s| (s["parameters"].as_u64().expect("a number"), s["ratio"].as_f64().expect("a number").round()))
        .collect();
    assert_eq!(first, [(135_040, 1200.0), (495_360, 327.0), (1_891_840, 86.0)]);
    let factors: Vec<&Value> = shapes.iter().step_by(3).map(|shape| &shape["row_factors"]).collect();
    let expected = serde_json::json!([
        [200, 220, 250],
        [200, 200, 209],
        [200, 200, 200],
        [166, 175, 188],
        [125, 130, 136],
        [53, 72, 75],
        [50, 52, 55]
    ]);
    assert_eq!(serde_json::json!(factors), expected);
}

#[test]
fn one_table_of_any_size() {
    let shapes = json(&["shapes", "--rows", "1000000000000", "--dim", "64", "--rank", "16", "--json"]);
    assert_eq!(shapes[0]["rows"], 1_000_000_000_000u64);
    let output = dlrm(&["shapes", "--rows", "0", "--dim", "64"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("at least one row"), "{}", stderr(&output));
}

#[test]
fn memory_of_every_preset() {
    for (preset, gigabytes) in [("kaggle", "2.1608"), ("terabyte", "12.5763"), ("mlperf", "96.1369")] {
        let models = json(&["memory", "--preset", preset, "--json"]);
        let models = models.as_array().expect("a list");
        assert_eq!(models.len(), 12);
        for model in models {
            let bytes = |key: &str| model[key].as_u64().expect("a number") as f64;
            assert_eq!(format!("{:.4}", bytes("dense_bytes") / 1e9), gigabytes);
            assert_eq!(model["ratio"].as_f64(), Some(bytes("dense_bytes") / bytes("compressed_bytes")));
        }
    }
}

#[test]
fn help_has_examples() {
    for command in ["train", "shapes", "memory"] {
        let output = dlrm(&[command, "--help"]);
        assert!(output.status.success() && stdout(&output).contains("Examples:"), "{command}");
    }
}
