//! The inputs in `corpus` and `regressions`, through the targets, without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use ttcore_fuzz::TARGETS;

/// The inputs of a target in a folder, in order of their names.
fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn replay(folder: &str) {
    for (target, run) in TARGETS {
        for file in inputs(folder, target) {
            // Printed if it fails.
            println!("{}", file.display());
            run(&fs::read(&file).expect("an input"));
        }
    }
}

#[test]
fn corpora() {
    for (target, _) in TARGETS {
        assert!(!inputs("corpus", target).is_empty(), "{target} has no corpus");
    }
    replay("corpus");
}

#[test]
fn regressions() {
    replay("regressions");
}

#[test]
fn short_inputs() {
    for (_, run) in TARGETS {
        run(&[]);
        (0..=255).for_each(|byte| run(&[byte]));
    }
}
