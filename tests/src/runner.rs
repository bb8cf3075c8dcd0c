//! Runs a property over many random cases.

use std::panic::Location;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestError, TestRunner};

/// Cases of a property where the environment variable `PROPTEST_CASES` does not say how many.
const CASES: u32 = 64;

/// Attempts to make a failing case smaller.
const SHRINKS: u32 = 4096;

/// Checks that a property, which panics where it does not hold, holds for values of a strategy.
///
/// A failure is reduced to a small one, and the seed that found it is kept under `proptest-regressions`, in a file
/// named after the property's source file: from then on it is among the first cases of every backend.
///
/// # Panics
///
/// If the property does not hold: with the smallest value found.
#[track_caller]
pub fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value)) {
    let source_file = Some(Location::caller().file());
    let mut config = Config { source_file, max_shrink_iters: SHRINKS, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
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
