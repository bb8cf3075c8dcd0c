//! `dlrm bench` as a person or a program sees it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// A table that takes no time.
const SMALL: [&str; 8] = ["bench", "embedding", "--rows", "1000", "--dim", "8", "--rank", "4"];

/// Lookups to draw for it.
const LOOKUPS: [&str; 6] = ["--bags", "16", "--pooling", "3", "--batches", "2"];

fn dlrm(args: &[&[&str]]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlrm")).args(args.concat()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn json(args: &[&[&str]]) -> Value {
    let output = dlrm(&[args, &[&["--json"]]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Runs a command that must fail, and gives the line that says why.
fn refused(args: &[&[&str]]) -> String {
    let output = dlrm(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    assert!(output.stdout.is_empty(), "nothing half-done");
    let message = text(&output.stderr);
    assert!(message.starts_with("error: ") && message.trim_end().lines().count() == 1, "{message}");
    message.to_string()
}

fn i64s(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// Writes tensors of 8-byte numbers.
fn write(path: &Path, tensors: &[(&str, Dtype, &[usize], &[i64])]) {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|tensor| i64s(tensor.3)).collect();
    let views = tensors.iter().zip(&bytes).map(|(&(name, dtype, shape, _), bytes)| {
        (name, TensorView::new(dtype, shape.to_vec(), bytes).expect("shape and numbers agree"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("serialised")).expect("written");
}

#[test]
fn one_object_with_every_figure() {
    every_figure(&json(&[&SMALL, &LOOKUPS, &["--backend", "reference"]]), "reference", 1);
    every_figure(&json(&[&SMALL, &LOOKUPS, &["--threads", "2"]]), "cpu", 2);
}

fn every_figure(report: &Value, backend: &str, threads: u32) {
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} is missing in {report}"));
    for key in [
        "forward_ns_per_lookup",
        "step_ns_per_lookup",
        "sgd_step_ns_per_lookup",
        "dense_forward_ns_per_lookup",
        "dense_step_ns_per_lookup",
        "group_ns_per_lookup",
        "validate_ns_per_lookup",
        "validate_share",
        "flops_per_step",
        "gflops",
        "machine_gflops",
        "gflops_share",
        "workspace_bytes",
        "table_bytes",
    ] {
        assert!(number(key) > 0.0, "{key} in {report}");
    }
    let expected = [
        ("rows", 1000.0),
        ("dim", 8.0),
        ("rank", 4.0),
        ("bags", 16.0),
        ("pooling", 3.0),
        ("lookups", 48.0),
        ("batches", 2.0),
        ("zipf", 1.05),
        ("seed", 0.0),
        ("threads", f64::from(threads)),
        ("dense_table_bytes", 32_000.0),
    ];
    for (key, want) in expected {
        assert_eq!(number(key), want, "{key}");
    }
    for (key, want) in [("order", "scattered"), ("backend", backend)] {
        assert_eq!(report[key], want);
    }
    assert!(!report["isa"].as_str().unwrap_or_default().is_empty());
    for key in ["row_factors", "col_factors"] {
        assert_eq!(report[key].as_array().map(Vec::len), Some(3), "{key}");
    }
    let (rows, pairs) = (number("unique_rows"), number("unique_pairs"));
    assert!(1.0 <= pairs && pairs <= rows && rows <= 48.0, "{report}");
    assert!(number("group_ns_per_lookup") < number("step_ns_per_lookup"));
    let gflops = number("flops_per_step") / (number("step_ns_per_lookup") * 48.0);
    assert!((gflops / number("gflops") - 1.0).abs() < 1e-9);
}

#[test]
fn a_saved_workload_is_the_same_lookups() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lookups.safetensors");
    let path = path.to_str().expect("UTF-8");
    let two_cores = ["--row-factors", "25,40", "--col-factors", "2,4", "--no-dense"];
    let drawn = json(&[&SMALL, &LOOKUPS, &two_cores, &["--order", "sorted", "--save-workload", path]]);
    let read = json(&[&SMALL, &two_cores, &["--workload", path]]);
    for key in ["unique_rows", "unique_pairs", "bags", "pooling", "lookups", "batches", "zipf", "order"] {
        assert!(!drawn[key].is_null());
        assert_eq!(drawn[key], read[key], "{key}");
    }
    for key in ["flops_per_step", "gflops", "gflops_share", "dense_forward_ns_per_lookup", "dense_step_ns_per_lookup"] {
        assert_eq!(read.get(key), Some(&Value::Null), "{key}: two cores, and no dense table");
    }
    assert!(refused(&[&SMALL[..2], &["--rows", "10", "--dim", "8", "--workload", path]]).contains("with 10 rows"));
    let both = dlrm(&[&SMALL, &["--workload", path, "--bags", "4"]]);
    assert_eq!(both.status.code(), Some(2), "a file has its own bags");
}

#[test]
fn a_table_for_people() {
    let output = dlrm(&[&SMALL, &LOOKUPS]);
    assert!(output.status.success());
    for expected in ["tensor train", "dense", "Nanoseconds", "step", "% of a step", "GFLOP/s", "1000 rows of 8"] {
        assert!(text(&output.stdout).contains(expected), "no {expected:?} in {}", text(&output.stdout));
    }
    assert!(text(&output.stderr).contains("measuring"), "progress goes to standard error");
}

#[test]
fn files_that_are_no_workload() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.safetensors");
    let name = path.to_str().expect("UTF-8");
    let refused = || refused(&[&SMALL, &["--workload", name]]);
    assert!(refused().contains("wrong.safetensors: No such file"));
    fs::write(&path, "not tensors").expect("written");
    assert!(refused().contains("not a safetensors file"));

    let offsets: (_, _, &[usize], &[i64]) = ("offsets", Dtype::I64, &[3], &[0, 1, 4]);
    let indices = |numbers: &'static [i64]| ("indices", Dtype::I64, &[2usize, 4][..], numbers);
    let good = indices(&[0, 1, 2, 3, 4, 5, 6, 999]);
    write(&path, &[good, offsets]);
    assert_eq!(json(&[&SMALL, &["--workload", name]])["zipf"], Value::Null, "drawn elsewhere");

    for (tensors, expected) in [
        (vec![offsets], "no tensor \"indices\""),
        (vec![good], "no tensor \"offsets\""),
        (vec![("indices", Dtype::F64, good.2, good.3), offsets], "tensor \"indices\" holds F64, not I64"),
        (vec![("indices", Dtype::I64, &[8], good.3), offsets], "shape [8], not [batches][lookups]"),
        (
            vec![("indices", Dtype::I64, &[2, 0], &[]), offsets],
            "shape [2, 0], not [batches][lookups] with at least one",
        ),
        (vec![good, ("offsets", Dtype::I64, &[1, 3], &[0, 1, 4])], "shape [1, 3], not [bags + 1]"),
        (vec![good, ("offsets", Dtype::I64, &[2], &[0, 3])], "batch 0: "),
        (vec![good, ("offsets", Dtype::I64, &[0], &[])], "batch 0: "),
        (vec![indices(&[0, 1, 2, 3, 4, 5, -6, 7]), offsets], "batch 1: index -6 at position 2"),
        (vec![indices(&[0, 1, 2, 3, 4, 5, 6, 1000]), offsets], "batch 1: index 1000 at position 3"),
    ] {
        write(&path, &tensors);
        let message = refused();
        assert!(message.contains(expected), "no {expected:?} in {message}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for (args, expected) in [
        (&["--bags", "0"][..], "number of bags"),
        (&["--pooling", "0"], "pooling"),
        (&["--batches", "0"], "number of batches"),
        (&["--zipf=-1"], "Zipf exponent"),
        (&["--zipf", "nan"], "Zipf exponent"),
        (&["--bags", "18446744073709551615"], "memory"),
        (&["--row-factors", "9,10,11", "--col-factors", "2,2,2"], "990, fewer than"),
        (&["--row-factors", "10,10,10", "--col-factors", "2,2,4"], "column factors 2,2,4 make rows of 16, not 8"),
        (&["--save-workload", "/"], "/: "),
    ] {
        let message = refused(&[&SMALL, args]);
        assert!(message.contains(expected), "no {expected:?} in {message}");
    }
    assert!(refused(&[&SMALL[..6], &["--rank", "0"]]).contains("rank 1 is zero"));
    for args in [["--threads", "0"], ["--row-factors", "10,10,10"]] {
        assert_eq!(dlrm(&[&SMALL, &args]).status.code(), Some(2), "{args:?}");
    }
}
