//! What holds for any shape and table.

mod common;

use common::{distance, noise, norm, product};
use proptest::prelude::*;
use ttcore::Real;
use ttcore_decompose::{Compress, Round, SliceRows, Target, Weights, inner, sum};

#[derive(Clone, Debug)]
struct Case {
    m: Vec<usize>,
    n: Vec<usize>,
    rows: usize,
    rank: usize,
    seed: u64,
    kept: Vec<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    (2usize..=4)
        .prop_flat_map(|d| (prop::collection::vec(1usize..6, d), prop::collection::vec(1usize..4, d)))
        .prop_flat_map(|(m, n)| {
            let rows = 1..=product(&m);
            (Just(m), Just(n), rows, 1usize..8, any::<u64>(), prop::collection::vec(any::<prop::sample::Index>(), 0..4))
        })
        .prop_map(|(m, n, rows, rank, seed, kept)| {
            let kept = kept.iter().map(|index| index.index(rows) as u64).collect();
            Case { m, n, rows, rank, seed, kept }
        })
}

/// A table with some structure, so that ranks matter.
fn table<F: Real>(case: &Case) -> Vec<F> {
    let dim = product(&case.n);
    let numbers = noise(case.rows * dim, case.seed);
    let structure = |at: usize| ((at / dim) as f64 * 0.3).sin() * ((at % dim) as f64 - 1.0);
    numbers.iter().enumerate().map(|(at, x)| F::of(0.3 * x + structure(at))).collect()
}

fn weights(case: &Case) -> Weights {
    let digits =
        case.m.iter().enumerate().map(|(k, &m)| noise(m, case.seed ^ k as u64).iter().map(|x| x + 1.01).collect());
    Weights::new(digits.collect()).unwrap()
}

fn weighted_error<F: Real>(case: &Case, weights: &Weights, a: &[F], b: &[F]) -> f64 {
    let dim = product(&case.n);
    let mut squares = 0.0;
    for (row, (a, b)) in a.chunks(dim).zip(b.chunks(dim)).enumerate() {
        if case.kept.contains(&(row as u64)) {
            continue;
        }
        let (mut left, mut weight) = (row, 1.0);
        for digits in weights.digits().iter().rev() {
            weight *= digits[left % digits.len()];
            left /= digits.len();
        }
        squares += weight * distance(a, b).powi(2);
    }
    squares.sqrt()
}

fn holds<F: Real>(case: &Case, precision: f64) -> Result<(), TestCaseError> {
    let (table, weights) = (table::<F>(case), weights(case));
    let dim = product(&case.n);
    let setting = |target| Compress::new(&case.m, &case.n, target).weights(weights.clone()).rows_kept(&case.kept);
    let mut source = SliceRows::new(&table, dim).unwrap();
    for target in [Target::Rank(case.rank), Target::Error(0.2), Target::Bytes(F::BYTES * 150)] {
        let out = setting(target.clone()).run(&mut source).unwrap();
        let (report, expanded) = (&out.report, out.cores.expand().unwrap());
        let error = weighted_error(case, &weights, &expanded, &table);
        // Squares are known to the rounding of squares.
        let floor = (precision * report.norm).max(3e-7 * report.norm.max(report.padded_error));
        prop_assert!(
            (report.error - error).abs() <= floor,
            "{target:?}: {} is {error}, of {}",
            report.error,
            report.norm
        );
        prop_assert!(report.error <= report.padded_error);
        match target {
            Target::Error(bound) => prop_assert!(report.relative_error() <= bound * (1.0 + 1e-12)),
            Target::Bytes(bytes) => prop_assert!(out.cores.shape().bytes::<F>() <= bytes),
            _ => prop_assert!(out.cores.shape().ranks().iter().all(|&rank| rank <= case.rank.max(1))),
        }

        // Rounding what it is to what it is changes nothing, and to less has an error that adds up.
        let same = Round::new(Target::Error(1e-6)).run(&out.cores).unwrap();
        let scale = norm(&expanded).max(1e-300);
        prop_assert!(distance(&same.cores.expand().unwrap(), &expanded) <= (precision + 2e-6) * scale);
        let one = Round::new(Target::Rank(1)).weights(weights.clone()).run(&out.cores).unwrap();
        let all = Case { kept: vec![], ..case.clone() };
        let error = weighted_error(&all, &weights, &one.cores.expand().unwrap(), &expanded);
        let padded = one.report.norm.max(one.report.padded_error).max(1e-300);
        prop_assert!(
            (one.report.error - error).abs() <= (precision + 1e-6) * 10.0 * padded,
            "{} is {error}",
            one.report.error
        );

        let twice = sum(&out.cores, &out.cores).unwrap();
        let (a, b) = (inner(&twice, &out.cores).unwrap(), 2.0 * norm(&expanded).powi(2));
        prop_assert!((a - b).abs() <= (10.0 * precision + 1e-12) * b.max(1e-300));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn errors_are_known_f64(case in case()) {
        holds::<f64>(&case, 1e-12)?;
    }

    #[test]
    fn errors_are_known_f32(case in case()) {
        holds::<f32>(&case, 1e-6)?;
    }
}
