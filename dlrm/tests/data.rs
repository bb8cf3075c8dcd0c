//! `dlrm synth` and `dlrm prepare` as a person or a program sees them, and training on what they make.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run commands in.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &str) -> Output {
        let args = args.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_dlrm")).args(args).current_dir(&self.0).output().expect("the binary runs")
    }

    fn text(&self, args: &str) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args}: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.text(&format!("{args} --json"))).expect("JSON")
    }

    /// What a command that fails says; nothing goes to standard output.
    fn error(&self, args: &str) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args}");
        stderr(&output).to_string()
    }
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

fn lines(path: &Path) -> u64 {
    fs::read_to_string(path).expect("text").lines().count() as u64
}

const SMALL: &str = "--cardinalities kaggle --scale 0.001";

#[test]
fn from_synthetic_days_to_a_trained_model() {
    let folder = Folder::new();
    let day_0 = folder.json(&format!("synth -o day_0 --lines 6000 {SMALL}"));
    let day_1 = folder.json(&format!("synth -o day_1.gz --lines 1001 --first-line 6000 {SMALL}"));
    assert_eq!(lines(&folder.path("day_0")), 6000);
    for day in [&day_0, &day_1] {
        let number = |key: &str| day[key].as_f64().unwrap_or_else(|| panic!("{key} is missing in {day}"));
        assert!((0.77..0.88).contains(&number("bayes_auc")));
        assert!(number("bayes_auc") - number("bayes_auc_without_largest") > 0.04);
        assert_eq!(day["largest"].as_array().map(Vec::len), Some(7));
    }
    let prepared = folder.json("prepare day_0 day_1.gz -o days");
    assert_eq!((&prepared["lines"], &prepared["rows"], &prepared["files"]), (&7001.into(), &7001.into(), &2.into()));
    assert_eq!(prepared["split"]["test"], serde_json::json!({"start": 6000, "end": 6501}));
    let positives = |value: &Value| value["positives"].as_u64().expect("a number");
    assert_eq!(positives(&prepared), positives(&day_0) + positives(&day_1));
    // 10,131 is the largest of the cardinalities.
    assert!(prepared["table_rows"].as_array().expect("a list").iter().all(|rows| rows.as_u64() <= Some(10_132)));
    assert!(prepared["megabytes_per_second"].as_f64() > Some(0.0));

    let verified = folder.json("prepare --verify days");
    assert_eq!(verified["fingerprint"], prepared["fingerprint"]);
    let trained = folder.json("train --data days --batch-size 64");
    assert_eq!((&trained["test"]["lines"], &trained["validation"]["lines"]), (&501.into(), &500.into()));
    assert!(trained["auc"].as_f64() > Some(0.6), "{trained}");
}

#[test]
fn training_on_a_file_and_on_its_directory_is_the_same() {
    let folder = Folder::new();
    folder.text(&format!("synth -o lines.tsv --lines 1500 {SMALL}"));
    folder.text("prepare lines.tsv -o prepared");
    let train = |path: &str| {
        let mut outcome = folder.json(&format!("train --data {path}"));
        let fields = outcome.as_object_mut().expect("an object");
        fields.remove("seconds");
        fields.remove("samples_per_second");
        outcome
    };
    assert_eq!(train("lines.tsv"), train("prepared"));
}

#[test]
fn synthetic_files_depend_on_their_settings_alone() {
    let folder = Folder::new();
    let write = |name: &str, options: &str| {
        folder.text(&format!("synth -o {name} --lines 5000 {SMALL} {options}"));
        fs::read(folder.path(name)).expect("a file")
    };
    let one = write("one", "--threads 1");
    assert!(one == write("three", "--threads 3"));
    assert!(one != write("seed", "--seed 2"));
    assert!(one == write("scalars", "--effects scalars"));
    let vectors = write("vectors", "--effects vectors --threads 1");
    assert!(vectors != one && vectors == write("vectors_three", "--effects vectors --threads 3"));
    let error = folder.error("synth -o one --lines 5");
    assert!(error.contains("one: is there already") && error.contains("--force"), "{error}");
    assert!(one == fs::read(folder.path("one")).expect("a file"));
    folder.text("synth -o one --lines 5 --force");
    assert_eq!(lines(&folder.path("one")), 5);
    assert!(!folder.path("one.tmp").exists());
    let ones = vec!["7"; 26].join(",");
    folder.text(&format!("synth -o list --lines 300 --cardinalities {ones} --zipf 0"));
    assert_eq!(folder.json("prepare list -o list_prepared")["table_rows"], serde_json::json!(vec![7; 26]));
}

#[test]
fn settings_of_synthetic_files_are_checked() {
    let folder = Folder::new();
    for (options, expected) in [
        ("--scale 0", "--scale"),
        ("--scale 1e9", "cardinality"),
        ("--zipf nan", "Zipf"),
        ("--largest-share 2", "share"),
        ("--signal inf", "signal"),
        ("--effects vectors --largest 1", "pairs of the largest tables"),
    ] {
        let error = folder.error(&format!("synth -o file {options}"));
        assert!(error.contains(expected), "no {expected:?} in {error}");
    }
    for list in ["1,2,3", "many"] {
        assert_eq!(folder.run(&format!("synth -o file --cardinalities {list}")).status.code(), Some(2));
    }
    assert!(!folder.path("file").exists() && !folder.path("file.tmp").exists());
}

#[test]
fn settings_of_the_reference_are_kept() {
    let folder = Folder::new();
    folder.text(&format!("synth -o lines --lines 4000 {SMALL}"));
    let prepared = folder.json("prepare lines -o prepared --max-ind-range 100 --sub-sample 0.875 --seed 4 --threads 2");
    let number = |key: &str| prepared[key].as_u64().unwrap_or_else(|| panic!("{key} is missing"));
    assert_eq!(number("rows") + number("dropped"), 4000);
    assert!((2400..2850).contains(&number("dropped")), "{prepared}");
    assert_eq!((number("max_ind_range"), number("seed"), number("skipped")), (100, 4, 0));
    assert!(prepared["table_rows"].as_array().expect("a list").iter().all(|rows| rows.as_u64() <= Some(100)));
    let text = folder.text("prepare lines -o again --sub-sample 0.875 --seed 4");
    for expected in ["read", "4,000", "dropped", "% positive", "26 embedding tables", "C26", "dlrm train --data again"]
    {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

#[test]
fn malformed_lines_stop_or_are_counted() {
    let folder = Folder::new();
    folder.text(&format!("synth -o lines --lines 50 {SMALL}"));
    let text = fs::read_to_string(folder.path("lines")).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    let mut fields: Vec<&str> = lines[7].split('\t').collect();
    fields[3] = "three";
    let worse = fields.join("\t");
    lines[7] = &worse;
    lines.insert(20, "no line");
    fs::write(folder.path("bad"), lines.join("\n")).expect("written");
    let error = folder.error("prepare bad -o prepared");
    assert!(error.contains(r#"bad:8: field 4 (I3): "three" is not an integer"#), "{error}");
    assert!(folder.error("train --data prepared").contains("not a prepared data set"));
    assert!(folder.error("prepare --verify prepared").contains("not a prepared data set"));
    let output = folder.run("prepare bad -o prepared --skip-bad --json");
    assert!(stderr(&output).contains("skipped bad:21: got 1 tab-separated fields"), "{}", stderr(&output));
    let prepared: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&prepared["lines"], &prepared["skipped"], &prepared["rows"]), (&51.into(), &2.into(), &49.into()));
    assert_eq!(prepared["skipped_lines"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_prepared_is_not_overwritten_by_accident() {
    let folder = Folder::new();
    folder.text(&format!("synth -o lines --lines 50 {SMALL}"));
    folder.text("prepare lines -o prepared");
    assert!(folder.error("prepare lines -o prepared").contains("--force"));
    folder.text("prepare lines -o prepared --force");
    assert!(folder.error("prepare missing -o prepared --force").contains("missing: "));
    assert!(folder.error("prepare lines -o other --sub-sample 1").contains("share of the negatives"));
    let rows = folder.path("prepared/rows.bin");
    let mut bytes = fs::read(&rows).expect("rows");
    bytes[10] ^= 1;
    fs::write(&rows, bytes).expect("written");
    assert!(folder.error("prepare --verify prepared").contains("damaged"));
    for usage in
        ["prepare -o prepared", "prepare lines", "prepare lines -o x --max-ind-range 0", "prepare lines --verify x"]
    {
        assert_eq!(folder.run(usage).status.code(), Some(2), "{usage}");
    }
}

#[test]
fn help_has_examples() {
    for command in ["prepare", "synth"] {
        assert!(Folder::new().text(&format!("{command} --help")).contains("Examples:"), "{command}");
    }
}
