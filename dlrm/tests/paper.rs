//! `dlrm paper` and `dlrm plot` as a person or a program sees them, on runs as small as they can be.

mod common;

use std::fs;
use std::path::Path;

use common::{output, stderr, stdout};
use serde_json::Value;
use tempfile::tempdir;

/// Runs items of the smallest budget.
fn paper(folder: &Path, more: &[&str]) -> Value {
    let folder = folder.to_str().expect("UTF-8");
    let args = [&["paper", "--budget", "tiny", "-o", folder, "--json"], more].concat();
    let output = output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).expect("JSON")
}

fn lines(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("runs.jsonl")).expect("runs").lines().map(str::to_owned).collect()
}

#[test]
fn finished_runs_are_used_again_and_items_share_them() {
    let folder = tempdir().expect("a folder");
    let folder = folder.path();
    let first = paper(folder, &["fig10b"]);
    // Without a cache, and four sizes.
    let runs = lines(folder);
    assert_eq!(runs.len(), 5);
    assert_eq!(first["claims"][0]["name"], "fig10b-enough");
    assert_eq!(paper(folder, &["fig10b"]), first);
    assert_eq!(lines(folder), runs, "nothing ran again");
    // The warm-ups of 20% to 50% are new.
    paper(folder, &["fig10a"]);
    assert_eq!(lines(folder).len(), 5 + 4);
    let page = fs::read_to_string(folder.join("index.html")).expect("a page");
    assert!(page.contains("Figure 10a") && page.contains("Figure 10b"), "the page has all there is");

    // A line that was cut off is run again, and nothing else.
    let text = fs::read_to_string(folder.join("runs.jsonl")).expect("runs");
    fs::write(folder.join("runs.jsonl"), &text[..text.len() - 20]).expect("written");
    paper(folder, &["fig10a"]);
    let again = lines(folder);
    assert_eq!(again.len(), 10, "what was cut off stays, and is not used");
    let result = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["outcome"]["auc"].clone();
    let last = text.lines().next_back().expect("a line");
    assert_eq!(result(&again[9]), result(last), "the same bits");
}

#[test]
fn every_item_has_a_page_that_needs_nothing_else() {
    let folder = tempdir().expect("a folder");
    let folder = folder.path();
    let report = paper(folder, &["fig3", "table2", "fig5", "fig9", "fig6a", "rivals"]);
    let verdicts = report["claims"].as_array().expect("claims");
    let verdict = |name: &str| verdicts.iter().find(|claim| claim["name"] == name).expect("a claim")["verdict"].clone();
    for exact in ["table2-parameters", "fig5-kaggle", "fig5-terabyte"] {
        assert_eq!(verdict(exact), "reproduced");
    }
    assert_eq!(verdict("fig9-kaggle"), "not testable here");
    let page = fs::read_to_string(folder.join("index.html")).expect("a page");
    for file in ["fig3.svg", "fig5.svg", "fig9.svg", "fig6a.svg", "rivals_scalars.svg", "rivals_vectors.svg"] {
        let svg = fs::read_to_string(folder.join(file)).expect("a figure");
        assert!(page.contains(&svg), "{file} is in the page");
    }
    for link in ["src=", "href=\"http", "url("] {
        assert!(!page.contains(link), "{link} asks for something else");
    }
    let csv = fs::read_to_string(folder.join("table2.csv")).expect("numbers");
    assert_eq!(csv.lines().count(), 8);
    assert!(csv.contains("495360 (495360)"));
}

#[test]
fn what_there_is_not_is_said() {
    let output = output(&["paper", "fig99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("fig99") && stderr(&output).contains("fig6a"));
    let list = common::output(&["paper", "--list"]);
    assert_eq!(stdout(&list).lines().count(), 16);
    let missing = common::output(&["paper", "fig6a", "--data", "/nowhere"]);
    assert!(stderr(&missing).contains("/nowhere"), "{}", stderr(&missing));
}

#[test]
fn curves_of_runs_and_event_files() {
    let folder = tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (log, svg, events) = (at("run.jsonl"), at("loss.svg"), at("events"));
    let train = [
        "train",
        "--lines",
        "2100",
        "--preset-rows=false",
        "--tt-tables",
        "0",
        "--eval-every",
        "5",
        "--log",
        &log,
        "--tensorboard",
        &events,
        "--json",
    ];
    let trained = output(&train);
    assert!(trained.status.success(), "{}", stderr(&trained));
    for what in ["loss", "auc", "log-loss", "accuracy", "rate"] {
        let drawn = output(&["plot", &log, &log, "--name", "one <run>", "--what", what, "-o", &svg]);
        assert!(drawn.status.success(), "{what}: {}", stderr(&drawn));
        assert!(fs::read_to_string(&svg).expect("a picture").contains("one &lt;run&gt;"));
    }
    let none = output(&["plot", &log, "--what", "hit-rate", "-o", &svg]);
    assert!(stderr(&none).contains("nothing to show"), "{}", stderr(&none));
    fs::write(at("other.txt"), "hello\n").expect("written");
    let foreign = output(&["plot", &at("other.txt"), "-o", &svg]);
    assert!(stderr(&foreign).contains("other.txt, line 1: "), "{}", stderr(&foreign));
    let files: Vec<_> = fs::read_dir(&events).expect("a folder").collect();
    assert_eq!(files.len(), 1);
    let bytes = fs::read(files[0].as_ref().expect("a file").path()).expect("events");
    for tag in ["train/loss", "test/auc", "validation/log_loss"] {
        assert!(bytes.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
    }
}
