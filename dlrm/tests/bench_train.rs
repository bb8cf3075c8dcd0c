//! `dlrm bench train` as a person or a program sees it.

use std::process::{Command, Output};

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::Value;

/// An iteration that takes no time.
const SMALL: [&str; 8] = ["bench", "train", "--batch", "9", "--iterations", "2", "--tt-rank", "2"];

fn dlrm(args: &[&[&str]]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlrm")).args(args.concat()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn json(args: &[&[&str]]) -> Value {
    let output = dlrm(&[&SMALL, &args.concat(), &["--json"]]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn one_object_with_every_figure() {
    let reports = [
        json(&[&["--threads", "2", "--cache-fraction", "0.0001"]]),
        json(&[&["--backend", "reference", "--order", "sorted"]]),
    ];
    for (report, backend) in reports.iter().zip(["cpu", "reference"]) {
        let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} is missing in {report}"));
        for (key, want) in [
            ("batch", 9.0),
            ("iterations", 2.0),
            ("tt_tables", 7.0),
            ("tt_rank", 2.0),
            ("zipf", 1.05),
            ("seed", 0.0),
            ("mlp_flops", 2_832_896.0),
            ("dense_table_bytes", 2_160_804_928.0),
        ] {
            assert_eq!(number(key), want, "{key}");
        }
        for (key, want) in [("preset", "kaggle"), ("backend", backend)] {
            assert_eq!(report[key], want);
        }
        assert_eq!(report["tt_table_numbers"], serde_json::json!([2, 11, 20, 15, 3, 23, 25]));
        for key in ["table_bytes", "workspace_bytes", "workload_bytes", "machine_gflops", "mlp_floor_ms", "loss"] {
            assert!(number(key) > 0.0, "{key} in {report}");
        }
        let milliseconds = number("ms_per_iteration");
        assert!((9.0 / milliseconds * 1e3 / number("samples_per_second") - 1.0).abs() < 1e-9);
        let phases = report["phases"].as_object().expect("phases");
        assert_eq!(phases.len(), 10);
        let sum: f64 = phases.values().map(|time| time.as_f64().expect("a time")).sum();
        // The median of two is their mean: nothing but the checks is left out.
        assert!(phases.values().all(|time| time.as_f64() > Some(0.0)) && sum <= milliseconds, "{report}");
        if cfg!(target_os = "linux") {
            assert!(number("peak_rss_bytes") > number("table_bytes"));
        }
    }
    let rate = reports[0]["hit_rate"].as_f64().expect("a hit rate");
    assert!(0.1 < rate && rate < 1.0, "{rate}");
    assert_eq!((&reports[1]["hit_rate"], &reports[1]["order"]), (&Value::Null, &Value::from("sorted")));
    let losses = reports.each_ref().map(|report| report["loss"].as_f64().expect("a loss"));
    assert!(losses.iter().all(|loss| (0.0..3.0).contains(loss)), "{losses:?}");
}

#[test]
fn a_table_for_people() {
    let output = dlrm(&[&SMALL]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for expected in [
        "tensor trains of rank 2: tables 2,11,20,15,3,23,25",
        "2 of 9 samples",
        "samples a second",
        "top backward",
        "GFLOP/s",
        "Working memory",
    ] {
        assert!(text(&output.stdout).contains(expected), "no {expected:?} in {}", text(&output.stdout));
    }
    assert!(text(&output.stderr).contains("measuring"), "progress goes to standard error");
}

#[test]
fn a_workload_for_other_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("batches.safetensors");
    json(&[&["--save-workload", path.to_str().expect("UTF-8")]]);
    let bytes = std::fs::read(&path).expect("the file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    for (name, dtype, shape) in [
        ("dense", Dtype::F32, &[5, 9, 13][..]),
        ("labels", Dtype::F32, &[5, 9]),
        ("indices", Dtype::I64, &[5, 26, 9]),
        ("table_rows", Dtype::I64, &[26]),
    ] {
        let tensor = file.tensor(name).expect("a tensor");
        assert_eq!((tensor.dtype(), tensor.shape()), (dtype, shape), "{name}");
    }
    let numbers = |name: &str| {
        let tensor = file.tensor(name).expect("a tensor");
        tensor.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect::<Vec<_>>()
    };
    let rows = numbers("table_rows");
    let indices = numbers("indices");
    let mut lists = indices.chunks(9).zip(rows.iter().cycle());
    assert!(lists.all(|(indices, rows)| indices.iter().all(|row| (0..*rows).contains(row))));
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let remarks = header.metadata().as_ref().expect("remarks");
    for (key, want) in [("preset", "kaggle"), ("dim", "16"), ("bottom", "13,512,256,64,16"), ("top", "367,512,256,1")] {
        assert_eq!(remarks[key], want);
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for (args, expected) in [
        (&["--batch", "0"][..], "batch size"),
        (&["--iterations", "0"], "number of iterations"),
        (&["--cache-fraction", "1.5"], "fraction of cached rows must be between 0 and 1"),
        (&["--cache-fraction", "nan"], "fraction of cached rows"),
        (&["--tt-rank", "0"], "embedding table 2: "),
        (&["--zipf=-1"], "Zipf exponent"),
        (&["--save-workload", "/"], "/: "),
    ] {
        let output = dlrm(&[&["bench", "train"], args]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
        assert!(output.stdout.is_empty() && message.starts_with("error: "), "{message}");
        assert!(message.contains(expected), "no {expected:?} in {message}");
    }
    assert_eq!(dlrm(&[&["bench", "train", "--preset", "kagle"]]).status.code(), Some(2));
}
