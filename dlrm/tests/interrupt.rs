//! Runs that are stopped from outside, at any moment.

#![cfg(unix)]

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{dlrm, final_bytes};

/// A small model on a few thousand lines, with a cache.
const SETTINGS: &str = "train --lines 4000 --preset-rows=false --bottom 13-16-4 --top 8-1 --tt-tables 3 --tt-rank 2 --batch-size 8 --seed 5 \
     --cache-fraction 0.01 --cache-refresh 20 --optimizer adagrad --lr 0.01 --eval-every 200 --json";

fn run(folder: &Path, more: &[&str]) -> Command {
    let mut command = dlrm();
    command.args(SETTINGS.split_whitespace()).arg("--checkpoint-dir").arg(folder).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Sends a signal, as a shell does.
fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Everything a program that has ended said, and its exit code.
fn end(mut child: Child) -> (String, Option<i32>) {
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    (said, child.wait().expect("an end").code())
}

#[test]
fn killed_at_any_moment_a_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    assert!(run(&whole, &[]).status().expect("a run").success());
    let mut kills = 0;
    // Each time a little later after the first checkpoint, or the next, of this attempt was written.
    for attempt in 0u64.. {
        let newest = |folder: &Path| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with("checkpoint")).max()
        };
        let before = newest(&killed);
        let mut child = run(&killed, &["--checkpoint-every", "1", "--resume"]).spawn().expect("a run");
        let mut ended = None;
        wait_for("a checkpoint", || {
            ended = child.try_wait().expect("a child");
            ended.is_some() || newest(&killed) > before
        });
        thread::sleep(Duration::from_micros(attempt * 7919 % 40_000));
        if ended.is_none() {
            ended = child.try_wait().expect("a child");
        }
        if ended.is_some() {
            let (said, code) = end(child);
            assert_eq!(code, Some(0), "{said}");
            break;
        }
        child.kill().expect("killed");
        let (said, _) = end(child);
        assert!(!said.contains("skipping"), "a checkpoint was torn: {said}");
        kills += 1;
        if kills == 8 {
            // The rest at once.
            assert!(run(&killed, &["--resume"]).status().expect("a run").success());
            break;
        }
    }
    assert!(kills >= 3, "killed {kills} times");
    assert!(final_bytes(&killed) == final_bytes(&whole));
}

#[test]
fn ctrl_c_keeps_the_state_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stopped, log) = (folder.path().join("stopped"), folder.path().join("log"));
    let log_path = log.to_str().expect("UTF-8");
    for name in ["INT", "TERM"] {
        let logged = || fs::read_to_string(&log).unwrap_or_default();
        let before = logged().matches("\"train\"").count();
        // Many epochs, so that it cannot come to its end before it is stopped.
        let more = ["--epochs", "1000", "--log", log_path, "--log-every", "1", "--resume"];
        let child = run(&stopped, &more).spawn().expect("a run");
        wait_for("an iteration", || logged().matches("\"train\"").count() > before);
        signal(&child, name);
        let (said, code) = end(child);
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("error: interrupted after iteration") && said.contains("--resume"), "{said}");
        let last = logged();
        let last = last.lines().last().expect("a line");
        assert!(last.contains("\"kind\":\"end\"") && last.contains("\"interrupted\":true"), "{last}");
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    // One iteration takes long: all lines in one batch, by plain loops.
    let args = "train --lines 60000 --batch-size 60000 --tt-rank 64 --backend reference --epochs 100";
    let mut child = dlrm()
        .args(args.split_whitespace())
        .arg("--log")
        .arg(&log)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a run");
    wait_for("the start", || fs::read_to_string(&log).unwrap_or_default().contains("\"start\""));
    signal(&child, "INT");
    thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().expect("a child").is_none(), "the first finishes the iteration");
    signal(&child, "INT");
    let (said, code) = end(child);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("once more stops at once") && !said.contains("error"), "{said}");
}

#[test]
fn without_a_folder_nothing_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let args: Vec<&str> = SETTINGS.split_whitespace().collect();
    let mut command = dlrm();
    command.args(args).args(["--epochs", "1000", "--log-every", "1", "--log"]).arg(&log);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a run");
    wait_for("an iteration", || fs::read_to_string(&log).unwrap_or_default().contains("\"train\""));
    signal(&child, "INT");
    let (said, code) = end(child);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("nothing is kept, since no --checkpoint-dir was given"), "{said}");
}
