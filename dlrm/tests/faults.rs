//! What machines do to a run: files that cannot grow, pipes instead of files. The scripts in `tests/faults` go further.

#![cfg(unix)]

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use common::{dlrm, output, stderr, stdout};
use serde_json::Value;

/// Options of a small model, 19 iterations.
const SMALL: &str = "train --lines 700 --preset-rows=false --bottom 13-16-4 --top 8-1 --tt-tables 3 --tt-rank 2 \
     --batch-size 32 --seed 3 --json";

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.split_whitespace().chain(more.iter().copied()).collect()
}

/// The command, where no file may grow beyond so many bytes, a multiple of 512.
fn limited(bytes: u64, args: &[&str]) -> Output {
    // Without the signal, writing fails as on a full disk.
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
    Command::new("sh").args(["-c", &limit, env!("CARGO_BIN_EXE_dlrm")]).args(args).output().expect("a shell")
}

/// That it fails with these words.
#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    for word in words {
        assert!(stderr(output).contains(word), "no {word:?} in {}", stderr(output));
    }
}

#[track_caller]
fn works(args: &[&str]) {
    let output = output(args);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

const FULL: &str = "File too large";

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_nothing_and_what_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let kept = |folder| ["--checkpoint-every", "5", "--checkpoint-keep", "9", "--checkpoint-dir", folder];
    works(&small(&kept(text(&whole))));
    works(&[&small(&kept(text(&run)))[..], &["--max-iterations", "7"]].concat());
    let before = names(&run);
    assert_eq!(before, [".lock", "checkpoint-000000000005.safetensors", "final.safetensors", "vocabulary.bin"]);
    let resume = [&small(&kept(text(&run)))[..], &["--resume"]].concat();
    fails(&limited(8192, &resume), &[FULL, text(&run), "checkpoint-000000000010.safetensors"]);
    assert_eq!(names(&run), before, "no temporary file");
    let bytes = |folder: &Path, name: &str| fs::read(folder.join(name)).expect("a file");
    assert!(bytes(&run, &before[1]) == bytes(&whole, &before[1]));
    works(&resume);
    assert!(bytes(&run, "final.safetensors") == bytes(&whole, "final.safetensors"));
}

#[test]
fn an_unfinished_checkpoint_is_removed_by_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let unfinished = folder.path().join(".writing.tmp");
    fs::write(&unfinished, [0; 1000]).expect("written");
    dlrm::checkpoint::Folder::open(folder.path(), 2).expect("a folder");
    assert!(!unfinished.exists());
}

#[test]
fn data_that_cannot_be_written_leaves_nothing_and_what_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (few, many, data) = (path("few"), path("many"), path("data"));
    fails(&limited(65536, &["synth", "-o", text(&many), "--lines", "2000"]), &[FULL, text(&many)]);
    assert!(names(folder.path()).is_empty());
    for (file, lines) in [(&few, "50"), (&many, "2000")] {
        works(&["synth", "-o", text(file), "--lines", lines]);
    }
    fails(&limited(65536, &["prepare", text(&many), "-o", text(&data)]), &[FULL, "rows.bin.tmp"]);
    assert!(names(&data).is_empty());
    works(&["prepare", text(&few), "-o", text(&data)]);
    let before = fs::read(data.join("rows.bin")).expect("rows");
    fails(&limited(65536, &["prepare", text(&many), "-o", text(&data), "--force"]), &[FULL, "rows.bin.tmp"]);
    assert_eq!(names(&data), ["header.bin", "rows.bin", "vocabulary.bin"]);
    assert!(fs::read(data.join("rows.bin")).expect("rows") == before);
    works(&["prepare", "--verify", text(&data)]);
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("run.jsonl");
    fails(&limited(1024, &small(&["--log", text(&log)])), &["the log", text(&log), FULL]);
    if Path::new("/dev/full").exists() {
        fails(&output(&small(&["--log", "/dev/full"])), &["the log", "/dev/full", "No space left"]);
    }
}

#[test]
fn a_log_may_be_a_pipe() {
    let kinds = |lines: &str| -> Vec<String> {
        let lines = lines.lines().map_while(|line| serde_json::from_str::<Value>(line).ok());
        lines.map(|line| line["kind"].as_str().expect("a kind").to_owned()).collect()
    };
    let told =
        |kinds: &[String]| kinds.first().is_some_and(|kind| kind == "start") && kinds.contains(&"end".to_owned());
    let run = output(&small(&["--log", "/dev/stdout"]));
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(told(&kinds(stdout(&run))), "{}", stdout(&run));

    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).expect("lines")
    });
    works(&small(&["--log", text(&pipe)]));
    assert!(told(&kinds(&reader.join().expect("a reader"))));
}

#[test]
fn a_log_whose_reader_has_gone_ends_the_run_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = dlrm()
        .args(small(&["--log", "/dev/stdout", "--log-every", "1", "--epochs", "1000", "--checkpoint-dir"]))
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a run");
    let mut some = [0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut some).expect("the first line");
    fails(&child.wait_with_output().expect("an end"), &["the log", "/dev/stdout", "Broken pipe"]);
}

/// With all other threads of the machine idle, which the global pool would use.
#[cfg(target_os = "linux")]
#[test]
fn lines_are_read_on_the_threads_that_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&data).status().expect("mkfifo").success());
    let args = ["train", "--threads", "1", "--bottom", "13-4", "--top", "1", "--json", "--data", text(&data)];
    let child = dlrm().args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("a run");
    let mut lines = Vec::new();
    let synthetic = dlrm::data::Synthetic { lines: 40_000, seed: 8, ..Default::default() };
    synthetic.reader().expect("lines").read_to_end(&mut lines).expect("lines");
    let mut pipe = fs::OpenOptions::new().write(true).open(&data).expect("a pipe");
    // More than a block, of which the first is worked on while the last lines are still to come.
    let (most, rest) = lines.split_at(lines.len() - 1000);
    std::io::Write::write_all(&mut pipe, most).expect("written");
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).expect("threads").count();
    std::io::Write::write_all(&mut pipe, rest).expect("written");
    drop(pipe);
    assert!(child.wait().expect("an end").success());
    // Itself, the spinner's, the reader, and one that works.
    assert!((3..=4).contains(&threads), "{threads} threads");
}
