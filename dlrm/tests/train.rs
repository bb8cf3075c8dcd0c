//! `dlrm train` and `dlrm eval` as a person or a program sees them.

mod common;

use std::fs;
use std::path::Path;

use common::{output, stderr, stdout};
use safetensors::SafeTensors;
use serde_json::Value;

/// Options of a small model: 600 lines to train on, 19 iterations an epoch.
const SMALL: &str = "--lines 700 --preset-rows=false --bottom 13-16-4 --arch-mlp-top 8-1 --tt-tables 3 --tt-rank 2 --batch-size 32 --seed 3";

fn args<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    text.split_whitespace().chain(more.iter().copied()).collect()
}

fn train<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [vec!["train"], args(SMALL, &[]), args(text, more)].concat()
}

/// The object that a command ends with.
#[track_caller]
fn json(args: &[&str]) -> Value {
    let output = output(args);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).expect("JSON")
}

/// That a command fails with this code and says these words.
#[track_caller]
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = output(args);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    assert!(stdout(&output).is_empty());
    for word in words {
        assert!(stderr(&output).contains(word), "no {word:?} in {}", stderr(&output));
    }
}

/// The tables that are compressed unless a file says otherwise.
fn largest() -> [usize; 3] {
    let plain = json(&train("--json", &[]));
    let tables = plain["tables"].as_array().expect("a list").iter().enumerate();
    let largest: Vec<usize> = tables.filter(|(_, table)| !table["ranks"].is_null()).map(|(number, _)| number).collect();
    largest.try_into().expect("three tables")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_model_evaluates_to_what_its_training_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, kept) = (folder.path().join("lines.tsv"), folder.path().join("kept"));
    let mut lines = Vec::new();
    let synthetic = dlrm::data::Synthetic { lines: 900, seed: 8, ..Default::default() };
    std::io::Read::read_to_end(&mut synthetic.reader().expect("lines"), &mut lines).expect("lines");
    fs::write(&data, lines).expect("written");
    let model = kept.join("final.safetensors");
    for source in [&["--data", text(&data)][..], &[]] {
        let options =
            [&["--bottom", "13-16-4", "--top", "8-1", "--json", "--checkpoint-dir", text(&kept)], source].concat();
        let options = if source.is_empty() { [&options[..], &["--lines", "800"]].concat() } else { options };
        let trained = json(&[&["train", "--cache-fraction", "0.01", "--cache-warmup", "0"], &options[..]].concat());
        assert_eq!(trained["model"], text(&model));
        for split in ["test", "validation"] {
            let eval = ["eval", "--checkpoint", text(&model), "--split", split, "--json"];
            let evaluated = json(&[&eval, source].concat());
            for key in ["lines", "positives", "log_loss", "accuracy", "auc"] {
                assert_eq!(evaluated[key], trained[split][key], "{split} {key}");
            }
            assert_eq!(
                (&evaluated["iteration"], &evaluated["same_data"]),
                (&trained["iterations"], &Value::Bool(true))
            );
        }
        let all = json(&[&["eval", "--checkpoint", text(&model), "--split", "all", "--json"], source].concat());
        assert_eq!(all["lines"], if source.is_empty() { 800 } else { 900 });
        let said = output(&[&["eval", "--checkpoint", text(&model)], source].concat());
        assert!(stdout(&said).contains("log loss") && stdout(&said).contains("AUC"), "{}", stdout(&said));
        fs::remove_dir_all(&kept).expect("removed");
    }
    fails(&["eval", "--checkpoint", text(&data)], 1, &["lines.tsv", "not a whole safetensors file"]);
}

#[test]
fn other_data_is_numbered_as_the_models_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, lines| {
        let path = folder.path().join(name);
        let mut content = Vec::new();
        let synthetic = dlrm::data::Synthetic { lines, seed: 8, ..Default::default() };
        std::io::Read::read_to_end(&mut synthetic.reader().expect("lines"), &mut content).expect("lines");
        fs::write(&path, content).expect("written");
        path
    };
    let (data, fewer, more) = (write("data", 900), write("fewer", 880), write("more", 2000));
    let kept = folder.path().join("kept");
    json(&[
        "train",
        "--data",
        text(&data),
        "--bottom",
        "13-4",
        "--top",
        "1",
        "--checkpoint-dir",
        text(&kept),
        "--json",
    ]);
    let model = kept.join("final.safetensors");
    for other in [&fewer, &more] {
        let evaluated = json(&["eval", "--checkpoint", text(&model), "--data", text(other), "--json"]);
        assert!(evaluated["same_data"] == false && evaluated["auc"].is_number(), "{evaluated}");
    }
    assert_eq!(json(&["eval", "--checkpoint", text(&model), "--data", text(&data), "--json"])["same_data"], true);
    fails(&["eval", "--checkpoint", text(&model)], 1, &["--data"]);
}

#[test]
fn the_log_tells_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, kept) = (folder.path().join("run.jsonl"), folder.path().join("kept"));
    let options = "--epochs 2 --tt-min-ratio 0 --cache-fraction 0.02 --cache-warmup 0.2 --cache-refresh 5 --log-every 4 --eval-every 10 \
         --checkpoint-every 15 --lr-warmup-steps 8 --lr-decay-start 20 --lr-decay-steps 10 --json";
    let outcome = json(&train(options, &["--log", text(&log), "--checkpoint-dir", text(&kept)]));
    let lines: Vec<Value> = fs::read_to_string(&log)
        .expect("a log")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let iterations =
        |kind: &str| of(kind).iter().map(|line| line["iteration"].as_u64().expect("a number")).collect::<Vec<_>>();
    assert_eq!(lines[0]["kind"], "start");
    assert_eq!(lines[0]["settings"]["cache"], serde_json::json!({"warmup": 8, "every": 5}));
    assert_eq!(lines[0]["settings"]["tables"].as_array().expect("a list").len(), 26);
    assert_eq!((&lines[0]["iterations"], &lines[0]["data"]["lines"]), (&38.into(), &700.into()));
    assert_eq!(iterations("train"), [4, 8, 12, 16, 20, 24, 28, 32, 36, 38]);
    assert_eq!(iterations("refresh"), [8, 13, 18, 23, 28, 33]);
    assert_eq!(iterations("eval"), [10, 20, 30, 38, 38]);
    assert_eq!(iterations("checkpoint"), [15, 30, 38]);
    assert_eq!(iterations("end"), [38]);
    assert!(lines.iter().all(|line| line["time"].as_f64().is_some_and(|time| time > 1.7e9)));

    let rates: Vec<f64> = of("train").iter().map(|line| line["lr"].as_f64().expect("a number")).collect();
    let decayed = |left: f64| 0.1 * left * left;
    let want =
        [0.05, 0.1, 0.1, 0.1, decayed(1.0), decayed(0.6), decayed(0.2), decayed(0.1), decayed(0.1), decayed(0.1)];
    assert!(rates.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-15), "{rates:?}");
    let told = of("train");
    assert_eq!(told[1]["hit_rate"], 0.0, "nothing is cached before the warm-up ends");
    assert!(told[4]["hit_rate"].as_f64().is_some_and(|rate| rate > 0.0));
    assert!(told.iter().all(|line| line["loss"].is_f64() && line["samples_per_second"].is_f64()));
    // Each mean is over the iterations since the last line; together they are those of the whole run.
    let sum: u64 = told.iter().map(|line| line["iterations"].as_u64().expect("a number")).sum();
    assert_eq!((sum, told[9]["epoch"].as_f64()), (38, Some(2.0)));

    let evals = of("eval");
    let end = &lines[lines.len() - 1];
    for (key, eval) in [("test", evals[3]), ("validation", evals[4])] {
        assert_eq!(eval["split"], key);
        for metric in ["lines", "positives", "log_loss", "accuracy", "auc"] {
            assert_eq!(outcome[key][metric], eval[metric]);
            assert_eq!(end[key][metric], eval[metric]);
        }
    }
    let accuracy = |line: &Value| line["accuracy"].as_f64().expect("a number");
    let best = evals[..4].iter().map(|line| accuracy(line)).fold(0.0, f64::max);
    assert_eq!(outcome["best"]["test"]["accuracy"], best);
    let first = evals.iter().find(|line| accuracy(line) == best).expect("one of them");
    assert_eq!(outcome["best"]["iteration"], first["iteration"]);
    assert!(outcome["cache"]["hit_rate"].as_f64().is_some_and(|rate| rate > 0.0 && rate < 1.0));
    assert!(outcome["cache"]["counter_bytes"].as_u64() > outcome["cache"]["bytes"].as_u64());

    // A run that goes on adds to the log, after a line that was cut off too.
    fs::write(&log, "{\"kind\":\"tr").expect("written");
    let again =
        train(&options[..options.len() - 7], &["--resume", "--log", text(&log), "--checkpoint-dir", text(&kept)]);
    assert!(output(&again).status.success());
    let added = fs::read_to_string(&log).expect("a log");
    let start: Value = serde_json::from_str(added.lines().nth(1).expect("a line")).expect("JSON");
    assert_eq!((&start["kind"], &start["iteration"]), (&"start".into(), &38.into()));
}

#[test]
fn single_tables_are_set_by_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, kept) = (folder.path().join("tables.toml"), folder.path().join("kept"));
    let [large, larger, _] = largest();
    // Table 5 has few rows, so it is none of the largest.
    let tables = format!(
        "[{large}]\nkind = \"dense\"\n\
         [{larger}]\nkind = \"tt\"\nrank = 5\ncache-fraction = 0.1\nfrozen = true\n\
         [5]\nkind = \"tt\"\nranks = [2, 3]\nrow-factors = [8, 9, 10]\nlr-multiplier = 4\n"
    );
    fs::write(&file, tables).expect("written");
    let trained = json(&train("--json", &["--tables", text(&file), "--checkpoint-dir", text(&kept)]));
    let table = |number: usize| &trained["tables"][number];
    assert_eq!(table(large)["ranks"], Value::Null, "one of the largest, but the file says dense");
    assert_eq!(table(larger)["ranks"], serde_json::json!([1, 5, 5, 1]));
    assert_eq!(table(5)["ranks"], serde_json::json!([1, 2, 3, 1]));
    assert_eq!(table(5)["row_factors"], serde_json::json!([8, 9, 10]));
    assert_eq!((&trained["tt_tables"], &trained["tt_rank"]), (&3.into(), &5.into()));
    let bytes = fs::read(kept.join("final.safetensors")).expect("a model");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert_eq!(file.tensor("tables.5.core.1").expect("a core").shape(), [9, 2, 2, 3]);
    assert!(file.tensor(&format!("tables.{large}.rows")).is_ok());
    assert!(file.tensor(&format!("tables.{larger}.cache.values")).is_ok());

    for (content, words) in [
        ("[2]\nkind = \"tt\"\nrow-factors = [2, 2]", &["table 2", "row factors"][..]),
        ("[2]\nkind = \"tt\"\nrank = 0", &["table 2", "rank"]),
        ("[2]\nkind = \"tt\"\nranks = [2, 3, 4]\nrow-factors = [90, 90]", &["table 2", "ranks"]),
        ("[2]\nkind = \"tt\"\nrnk = 3", &["tables.toml", "table 2", "`rnk`"]),
        ("[26]\nkind = \"dense\"", &["table 26", "26 tables"]),
        ("[2", &["tables.toml", "line 1"]),
    ] {
        let path = folder.path().join("tables.toml");
        fs::write(&path, content).expect("written");
        fails(&train("", &["--tables", text(&path)]), 1, words);
    }
    let missing = folder.path().join("missing.toml");
    fails(&train("", &["--tables", text(&missing)]), 1, &["missing.toml"]);
}

#[test]
fn frozen_tables_stay_as_they_are_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = |name: &str, options: &str| {
        let kept = folder.path().join(name);
        json(&train(options, &["--json", "--checkpoint-dir", text(&kept)]));
        fs::read(kept.join("final.safetensors")).expect("a model")
    };
    let tensor = |bytes: &[u8], name: &str| {
        SafeTensors::deserialize(bytes).expect("a file").tensor(name).expect("a tensor").data().to_vec()
    };
    let [table, ..] = largest();
    let core = format!("tables.{table}.core.0");
    let (short, long) = (model("short", "--freeze-tt --max-iterations 1"), model("long", "--freeze-tt"));
    assert_eq!(tensor(&short, &core), tensor(&long, &core));
    assert_ne!(tensor(&model("trained", ""), &core), tensor(&long, &core));
    assert_ne!(tensor(&short, "tables.5.rows"), tensor(&long, "tables.5.rows"));
}

#[test]
fn a_batch_may_be_larger_than_all_lines() {
    let options = SMALL.replace("--batch-size 32", "--batch-size 18446744073709551615");
    let all = json(&args("train --json", &args(&options, &[])));
    assert_eq!(all["iterations"], 1);
    assert_eq!((&all["test"]["lines"], &all["validation"]["lines"]), (&50.into(), &50.into()));
}

#[cfg(unix)]
#[test]
fn more_checkpoints_than_files_can_be_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let run = train("--json --max-iterations 2 --checkpoint-dir", &[text(&kept)]);
    json(&run);
    for copy in 0..60 {
        fs::copy(kept.join("final.safetensors"), kept.join(format!("checkpoint-{copy}.safetensors"))).expect("a copy");
    }
    let limited = "ulimit -n 40; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_dlrm")]).args(&run).arg("--resume");
    let output = command.output().expect("a shell");
    assert!(output.status.success() && !stderr(&output).contains("skipping"), "{}", stderr(&output));
}

#[test]
fn no_more_threads_are_started_than_a_machine_bears() {
    for command in ["train", "eval --checkpoint none", "prepare none -o none", "synth -o none"] {
        for threads in ["0", "1025", "18446744073709551615", "-1", "many"] {
            fails(&args(command, &[&format!("--threads={threads}")]), 2, &["threads from 1 to 1024"]);
        }
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for (options, code, words) in [
        ("--eps 1e-8", 2, "--optimizer adagrad"),
        ("--cross-rank 4", 2, "--interaction dcn"),
        ("--preset dcnv2 --interaction dot --cross-layers 2", 2, "--interaction dcn"),
        ("--interaction dcn --cross-layers 0", 1, "from 1 to 64 layers"),
        ("--interaction dcn --cross-layers 1000000000000", 1, "not 1000000000000 layers of rank 512"),
        ("--interaction dcn --cross-rank 1000000000000", 1, "of rank 1000000000000"),
        ("--resume", 2, "--checkpoint-dir"),
        ("--checkpoint-every 5", 2, "--checkpoint-dir"),
        ("--lr-decay-start 5", 2, "--lr-decay-steps"),
        ("--bottom 13-x-4", 2, "not a size"),
        ("--optimizer lamb", 2, "adagrad"),
        ("--bottom 12-4", 1, "the data has 13 dense features, the model 12"),
        ("--bottom 13", 1, "bottom MLP"),
        ("--top 8-2", 1, "top MLP"),
        ("--cache-fraction 1.5", 1, "cache fraction"),
        ("--cache-warmup -1", 1, "cache warm-up must be from 0 to 1"),
        ("--lr-warmup-steps 10 --lr-decay-start 5 --lr-decay-steps 5", 1, "decay"),
        ("--optimizer adagrad --eps nan", 1, "eps"),
        ("--log no/such/folder/run.jsonl", 1, "no/such/folder/run.jsonl"),
        ("--checkpoint-dir /dev/null/folder", 1, "/dev/null/folder"),
    ] {
        let small = SMALL.replace("--bottom 13-16-4", "").replace("--arch-mlp-top 8-1", "");
        let all = [vec!["train"], args(&small, &[]), args(options, &[])].concat();
        fails(&all, code, &[words]);
    }
}

#[test]
fn a_run_that_goes_on_must_be_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = text(folder.path());
    json(&train("--max-iterations 5 --json", &["--checkpoint-dir", kept]));
    fails(&train("", &["--checkpoint-dir", kept]), 1, &["--resume"]);
    let changed = train("--lr 0.3 --resume", &["--checkpoint-dir", kept]);
    fails(&changed, 1, &["final.safetensors", "lr.base = 0.1", "0.3"]);
    let rest = output(&train("--resume --threads 1", &["--checkpoint-dir", kept]));
    assert!(rest.status.success() && stderr(&rest).contains("after iteration 5 of 19"), "{}", stderr(&rest));
    for words in ["those after iteration 5", "The model is in", "best test"] {
        assert!(stdout(&rest).contains(words), "no {words:?} in {}", stdout(&rest));
    }
}

#[test]
fn help_has_examples_of_everything() {
    let help = |args: &[&str]| stdout(&output(args)).to_owned();
    assert!(help(&["eval", "--help"]).contains("Examples:"));
    assert!(help(&["train", "-h"]).contains("--resume") && help(&["train", "-h"]).contains("Examples:"));
    let long = help(&["train", "--help"]);
    let example: Vec<&str> = long.lines().skip_while(|line| line.trim() != "[2]").collect();
    let example: Vec<&str> = example.into_iter().take_while(|line| !line.trim().is_empty()).collect();
    assert!(example.len() > 5, "{long}");
    dlrm::train::parse_tables(&example.join("\n")).expect("the example is a file that is understood");
}
