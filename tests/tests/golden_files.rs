//! Golden directories that are not what they should be fail, and say where.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;
use ttcore_conformance::golden::{FILES, KINDS, cases_in};
use ttcore_tests::dlrm_golden;

/// A fresh directory with these files.
fn directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    for (file, text) in files {
        fs::write(path.join(file), text).unwrap();
    }
    path
}

/// What reading the cases of bags in a directory panics with.
fn complaint(path: PathBuf) -> String {
    let panic = catch_unwind(|| cases_in::<Value>(&path, KINDS[0])).expect_err("this directory is not fit");
    panic.downcast_ref::<String>().expect("a message").clone()
}

/// The files of a kind beside the source are those that were compiled in.
#[test]
fn golden_vectors_of_both_kinds_are_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, kind, ours) in [("conformance/golden", KINDS[0], FILES), ("golden", KINDS[1], &dlrm_golden::FILES)] {
        let found: Vec<String> = (cases_in::<IgnoredAny>(&root.join(folder), kind).into_iter())
            .map(|(path, _)| path.file_name().expect("a file").to_string_lossy().into_owned())
            .collect();
        let ours: Vec<&str> = ours.iter().map(|&(name, _)| name).collect();
        assert_eq!(found, ours);
    }
}

#[test]
fn golden_directory_that_does_not_exist() {
    let path = directory("missing", &[]).join("nowhere");
    assert!(complaint(path).contains("nowhere"));
}

#[test]
fn golden_directory_without_cases() {
    let message = complaint(directory("empty", &[("readme.json", "{}"), ("tt_notes.txt", "")]));
    assert!(message.contains("empty") && message.contains("tt_*.json") && message.contains("dlrm_*.json"), "{message}");
}

#[test]
fn golden_file_that_is_no_json() {
    let message = complaint(directory("malformed", &[("tt_a.json", "{}"), ("tt_b.json", "{")]));
    assert!(message.contains("tt_b.json") && message.contains("line 1"), "{message}");
}

#[test]
fn golden_directory_with_one_kind_is_enough() {
    let path = directory("one_kind", &[("dlrm_b.json", "2"), ("dlrm_a.json", "1")]);
    assert_eq!(cases_in::<Value>(&path, "tt_"), []);
    let found = cases_in::<Value>(&path, "dlrm_");
    assert_eq!(found, [(path.join("dlrm_a.json"), Value::from(1)), (path.join("dlrm_b.json"), Value::from(2))]);
}
