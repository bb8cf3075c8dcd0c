//! Runs a property over many random cases.

use std::env;
use std::panic::Location;
use std::path::{Path, PathBuf};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestError, TestRunner};

/// Cases of a property where the environment variable `PROPTEST_CASES` does not say how many.
const CASES: u32 = 64;

/// Attempts to make a failing case smaller.
const SHRINKS: u32 = 4096;

/// Checks that a property, which panics where it does not hold, holds for values of a strategy.
///
/// A failure is reduced to a small one, and the seed that found it is kept in the package whose tests run, in
/// `proptest-regressions`, in a file named after the property's source file: from then on it is among the first cases of
/// every backend that is tested there.
///
/// # Panics
///
/// If the property does not hold: with the smallest value found.
#[track_caller]
pub fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value)) {
    let seeds = seeds(Path::new(Location::caller().file()));
    // The runner keeps no text of its own; a program has a few hundred properties.
    let persistence = seeds
        .to_str()
        .map_or(FileFailurePersistence::Off, |path| FileFailurePersistence::Direct(String::leak(path.to_owned())));
    let mut config =
        Config { failure_persistence: Some(Box::new(persistence)), max_shrink_iters: SHRINKS, ..Config::default() };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let result = TestRunner::new(config).run(&strategy, |value| {
        property(value);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => panic!("{reason}\nfor {value:?}"),
        Err(abort) => panic!("{abort}"),
    }
}

/// Where the seeds of the properties in a source file are kept. Cargo says when it runs tests of which package they are:
/// the source may lie in another, where nobody should write.
fn seeds(source: &Path) -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let name = source.file_stem().unwrap_or_default();
    package.join("proptest-regressions").join(name).with_extension("txt")
}
