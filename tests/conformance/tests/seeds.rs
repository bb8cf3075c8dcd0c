//! Seeds that failed are kept where the tests run, and tried first the next time.

use std::env;
use std::fs;
use std::process::Command;

use proptest::prelude::any;
use ttcore_conformance::runner::check;

/// Fails for half of all numbers.
#[test]
#[ignore = "it fails: the test below runs it"]
fn small() {
    check(any::<u32>(), |number| assert!(number < 1 << 31, "large"));
}

#[test]
fn are_kept_in_the_package_whose_tests_run() {
    let package = tempfile::tempdir().expect("a folder");
    let seeds = package.path().join("proptest-regressions/seeds.txt");
    let run = |cases: &str| {
        let output = Command::new(env::current_exe().expect("this program"))
            .args(["small", "--exact", "--ignored"])
            .env("CARGO_MANIFEST_DIR", package.path())
            .env("PROPTEST_CASES", cases)
            .output();
        let output = output.expect("this program runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"))
    };

    assert!(run("0").0, "no cases, nothing fails");
    let (passed, text) = run("64");
    assert!(!passed && text.contains("for 2147483648"), "{text}");
    let kept = fs::read_to_string(&seeds).expect("seeds in the package");
    assert_eq!(kept.lines().filter(|line| line.contains("# shrinks to 2147483648")).count(), 1, "{kept}");

    // From then on it fails without new cases.
    let (passed, text) = run("0");
    assert!(!passed && text.contains("for 2147483648"), "{text}");
}
