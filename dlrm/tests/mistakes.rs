//! What people get wrong, and what they are told.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

fn dlrm(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlrm")).args(args).output().expect("the binary runs")
}

fn works(args: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = dlrm(args);
    let (out, error) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{args:?}: {error}");
    (out, error)
}

fn fails(args: &[&str], words: &[&str]) {
    let output = dlrm(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{args:?}: no {word:?} in: {error}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn line(number: usize) -> String {
    let categories: Vec<String> = (0..26).map(|c| format!("{:08x}", (c + number) * 7919)).collect();
    format!("{}\t{}\t{}\n", number % 2, vec!["3"; 13].join("\t"), categories.join("\t"))
}

fn lines(count: usize) -> String {
    (0..count).map(line).collect()
}

const SMALL: [&str; 4] = ["--preset-rows=false", "--batch-size", "2", "--tt-min-ratio=0"];

#[test]
fn nothing_held_out_is_said_and_is_never_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("few.tsv"), folder.path().join("run"));
    fs::write(&data, lines(6)).unwrap();
    let train = [&["train", "--data", text(&data), "--checkpoint-dir", text(&run)][..], &SMALL].concat();
    let (summary, said) = works(&train);
    assert!(summary.contains("Nothing was held out") && said.contains("no lines were held out"), "{summary}{said}");
    for wrong in ["NaN", "best", "predicting \"no\""] {
        assert!(!summary.contains(wrong) && !said.contains(wrong), "{wrong}: {summary}{said}");
    }
    let (outcome, _) = works(&[&["train", "--data", text(&data), "--json"][..], &SMALL].concat());
    let outcome: Value = serde_json::from_str(&outcome).unwrap();
    assert_eq!((&outcome["best"], &outcome["auc"], &outcome["test"]["lines"]), (&Value::Null, &Value::Null, &0.into()));
    let checkpoint = run.join("final.safetensors");
    let eval = ["eval", "--checkpoint", text(&checkpoint), "--data", text(&data)];
    fails(&eval, &["there are no test lines", "--split all"]);
    works(&[&eval[..], &["--split", "all"]].concat());
    // One line is held out for testing, none to validate.
    fs::write(&data, lines(8)).unwrap();
    let (summary, _) = works(&[&["train", "--data", text(&data)][..], &SMALL].concat());
    assert!(
        summary.contains("validation    none") && summary.contains("best test") && !summary.contains("NaN"),
        "{summary}"
    );
}

#[test]
fn a_model_that_is_not_kept_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("lines.tsv");
    fs::write(&data, lines(20)).unwrap();
    let train = [&["train", "--data", text(&data)][..], &SMALL].concat();
    let (summary, said) = works(&train);
    assert!(summary.contains("was not kept: --checkpoint-dir") && !said.contains("not kept"), "{summary}{said}");
    // Before a long run it is said at once.
    let mut long = Command::new(env!("CARGO_BIN_EXE_dlrm"))
        .args([&train[..], &["--epochs", "1000000"]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(long.stderr.take().unwrap()).lines().map(Result::unwrap).take(3);
    assert!(said.into_iter().any(|line| line.contains("not kept; --checkpoint-dir")));
    long.kill().unwrap();
    long.wait().unwrap();
}

#[test]
fn a_file_that_is_no_log_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (data, run) = (path("lines.tsv"), path("run"));
    fs::write(&data, lines(20)).unwrap();
    let train = [&["train", "--data", text(&data)][..], &SMALL].concat();
    works(&[&train[..], &["--checkpoint-dir", text(&run)]].concat());
    let checkpoint = fs::read(run.join("final.safetensors")).unwrap();
    let toml = path("tables.toml");
    fs::write(&toml, "[[table]]\nnumber = 1\n").unwrap();
    for file in [&data, &run.join("vocabulary.bin"), &run.join("final.safetensors"), &toml] {
        let before = fs::read(file).unwrap();
        fails(&[&train[..], &["--log", text(file)]].concat(), &[text(file)]);
        assert_eq!(fs::read(file).unwrap(), before);
    }
    assert_eq!(fs::read(run.join("final.safetensors")).unwrap(), checkpoint);
    for content in ["{\"kind\":3}\n", "{\"time\":1.0}\n", "[]\n", "\n", "x"] {
        fs::write(path("other"), content).unwrap();
        fails(&[&train[..], &["--log", text(&path("other"))]].concat(), &["neither empty nor a log"]);
        assert_eq!(fs::read_to_string(path("other")).unwrap(), content);
    }
    // A log goes on, also one whose only line was cut off, and an empty file.
    for content in ["", "{\"kind\":\"start\",\"ver"] {
        fs::write(path("log"), content).unwrap();
        works(&[&train[..], &["--log", text(&path("log"))]].concat());
    }
    works(&[&train[..], &["--log", text(&run.join("log.jsonl"))]].concat());
    works(&[&train[..], &["--log", text(&run.join("log.jsonl"))]].concat());
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    assert_eq!(log.matches("\"kind\":\"start\"").count(), 2);
    fails(&["plot", text(&run.join("log.jsonl")), "-o", text(&run.join("log.jsonl"))], &["is read"]);
    assert_eq!(fs::read_to_string(run.join("log.jsonl")).unwrap(), log);
}

#[test]
fn files_that_are_not_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = vec![0; 512];
    tar[..9].copy_from_slice(b"train.txt");
    tar[257..262].copy_from_slice(b"ustar");
    tar.extend(lines(3).bytes());
    let cases: [(&[u8], &str); 8] = [
        (b"PK\x03\x04\x14\0\0\0", "zip archive"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz -dc"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (&tar, "a tar archive"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"\x10\0\0\0\0\0\0\0{\"__metadata__\":{}}", "safetensors"),
    ];
    let file = folder.path().join("data");
    let directory = folder.path().join("prepared");
    for (content, what) in cases {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(content).unwrap();
        for bytes in [content.to_vec(), packed.finish().unwrap()] {
            fs::write(&file, bytes).unwrap();
            for command in
                [&["prepare", text(&file), "-o", text(&directory), "--skip-bad"][..], &["train", "--data", text(&file)]]
            {
                fails(command, &[text(&file), what]);
            }
            assert!(!directory.join("header.bin").exists());
        }
    }
}

#[test]
fn the_order_of_files_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["day_1", "day_2", "day_10"] {
        fs::write(path(name), lines(10)).unwrap();
    }
    let directory = path("prepared");
    let prepare = |names: &[&str], options: &[&str]| {
        let files: Vec<_> = names.iter().map(|name| path(name)).collect();
        let files: Vec<&str> = files.iter().map(|file| text(file)).collect();
        works(&[&["prepare", "--force", "-o", text(&directory)], &files[..], options].concat())
    };
    let (summary, said) = prepare(&["day_1", "day_10", "day_2"], &[]);
    assert!(said.contains("day_2 comes after") && said.contains("day_10") && said.contains("is held out"), "{said}");
    assert!(summary.contains("held out, to test and to validate") && summary.contains("day_2"), "{summary}");
    let (summary, said) = prepare(&["day_1", "day_2", "day_10"], &["--json"]);
    assert!(!said.contains("warning"), "{said}");
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["held_out_file"], text(&path("day_10")));
    let (summary, _) = prepare(&["day_1"], &["--json"]);
    assert_eq!(serde_json::from_str::<Value>(&summary).unwrap()["held_out_file"], Value::Null);
    let again = folder.path().join(".").join("day_1");
    fails(&["prepare", text(&path("day_1")), text(&again), "-o", text(&path("new"))], &["day_1", "more than once"]);
}

#[test]
fn negative_numbers_are_values() {
    let train = |option: &'static str| ["train", "--lines", "100", option, "-1"];
    for (option, words) in [
        ("--lr", &["learning rate", "not negative"][..]),
        ("--eps", &["eps"]),
        ("--tt-lr-multiplier", &["multiplier"]),
        ("--cache-fraction", &["cache"]),
        ("--cache-warmup", &["warm"]),
        ("--own-rows-share", &["share"]),
        ("--tt-min-ratio", &["ratio"]),
        ("--epochs", &["'-1'", "--epochs"]),
        ("--seed", &["'-1'", "--seed"]),
        ("--tt-rank", &["'-1'", "--tt-rank"]),
        ("--batch-size", &["'-1'", "--batch-size"]),
        ("--threads", &["'-1'", "--threads"]),
        ("--table-bytes", &["'-1'", "--table-bytes"]),
    ] {
        let args = train(option);
        let adagrad = ["--optimizer", "adagrad", "--max-iterations", "1"];
        fails(&[&args[..], &adagrad].concat(), words);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    fs::write(&file, lines(5)).unwrap();
    let prepare = ["prepare", text(&file), "-o", text(folder.path())];
    fails(&[&prepare[..], &["--sub-sample", "-1"]].concat(), &["-1 is not a share of the negatives to drop"]);
    fails(&[&prepare[..], &["--min-count", "-1"]].concat(), &["'-1'", "--min-count"]);
}

#[test]
fn lines_that_others_write_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let directory = folder.path().join("prepared");
    let prepare = ["prepare", "-o", text(&directory), text(&file)];
    let first = line(0);
    let fields: Vec<&str> = first.trim_end().split('\t').collect();
    let with = |at: usize, value: &str| {
        let mut fields = fields.clone();
        fields[at] = value;
        fields.join("\t")
    };
    for (bad, words) in [
        (with(1, "3.0"), &["(I1)", "pandas"][..]),
        (with(20, "3.0"), &["(C7)", "pandas"]),
        (with(0, "1.0"), &["(label)", "pandas"]),
        (fields[..20].join("\t"), &["20 tab-separated fields, want 40", "cut off"]),
        (fields[..39].join("\t"), &["39 tab-separated", "cut off"]),
        (fields[1..].join("\t"), &["39 tab-separated", "dlrm predict"]),
        (fields.join(","), &["commas"]),
        (fields.join(" "), &["spaces"]),
        (String::new(), &["a blank line"]),
    ] {
        // In the middle: at the end a blank line is none.
        fs::write(&file, format!("{first}{bad}\n{first}")).unwrap();
        fails(&prepare, &[&["lines:2: "], words].concat());
    }
    let mut names = vec!["label".to_owned()];
    names.extend((1..=39).map(|i| format!("f{i}")));
    for header in [names.join("\t"), "label\tcount".to_owned()] {
        fs::write(&file, format!("{header}\n{first}")).unwrap();
        fails(&prepare, &["lines:1: ", "names of the columns"]);
    }
    // Whatever is wrong with a value elsewhere has no such hint.
    fs::write(&file, format!("{first}{}\n", with(0, "label"))).unwrap();
    let output = dlrm(&prepare);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("names of the columns"));
    // Blank lines at the end are no lines.
    let mut out = File::create(&file).unwrap();
    out.write_all(lines(9).as_bytes()).unwrap();
    out.write_all(b"\n\r\n\n").unwrap();
    drop(out);
    let (summary, _) = works(&[&prepare[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&summary).unwrap()["lines"], 9);
}

#[test]
fn ranks_that_cannot_be_meant_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables.toml");
    let train = ["train", "--lines", "200", "--max-iterations", "1", "--preset-rows=false", "--tables", text(&tables)];
    let with = |ranks: &str| fs::write(&tables, format!("[2]\nkind = \"tt\"\n{ranks}\n")).unwrap();
    with("ranks = [1, 8, 8, 1]");
    fails(&train, &["table 2, key `ranks`", "both ends are left out", "[8, 8]"]);
    for ranks in ["rank = 1000000", "rank = 4000000000000000000", "ranks = [2, 100000]"] {
        with(ranks);
        fails(&train, &["embedding table 2: rank ", "the largest that a table of its factors can use"]);
    }
    with("ranks = [2, 3]");
    let (summary, _) = works(&train);
    assert!(summary.contains("table 2 ") && summary.contains("ranks 2,3"), "{summary}");
    // One rank for all tables is named where there is no memory for it.
    let all = ["train", "--lines", "200", "--max-iterations", "1", "--tt-min-ratio", "0", "--tt-rank"];
    fails(&[&all[..], &["1000000"]].concat(), &["rank 1000000 is above"]);
}
