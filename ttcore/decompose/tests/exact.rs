//! The error is what it must be.

mod common;

use common::{best, compress, distance, noise, norm, planted, product, tensor, textbook};
use ttcore::{Real, TtShape};
use ttcore_decompose::{Compress, SliceRows, Target};

/// Noise whose unfoldings have singular values of different sizes, so that it matters which are dropped.
fn uneven(m: &[usize], n: &[usize], seed: u64) -> Vec<f64> {
    let (rows, dim) = (product(m), product(n));
    let mut table = noise(rows * dim, seed);
    for (at, x) in table.iter_mut().enumerate() {
        let (row, column) = (at / dim, at % dim);
        *x *= (-(row as f64) / rows as f64 * 3.0).exp() * (1.0 + (column % 3) as f64 + (row % m[m.len() - 1]) as f64);
    }
    table
}

fn planted_rank_is_recovered<F: Real>(tolerance: f64) {
    let (m, n) = ([6, 7, 8], [2, 3, 2]);
    for ranks in [[1, 3, 4, 1], [1, 1, 1, 1], [1, 5, 2, 1]] {
        let shape = TtShape::new(6 * 7 * 8, &m, &n, &ranks).unwrap();
        let table = planted::<F>(shape, 3).expand().unwrap();
        for target in [Target::Rank(6), Target::Ranks(ranks.to_vec()), Target::Error(1e-5)] {
            let out = compress(&table, &m, &n, target.clone());
            let expanded = out.cores.expand().unwrap();
            assert!(distance(&expanded, &table) <= tolerance * norm(&table), "{target:?}");
            if tolerance < 1e-8 || target != Target::Rank(6) {
                assert_eq!(out.cores.shape().ranks(), ranks, "{target:?}");
            }
        }
    }
}

#[test]
fn planted_rank_is_recovered_f64() {
    planted_rank_is_recovered::<f64>(1e-10);
}

#[test]
fn planted_rank_is_recovered_f32() {
    planted_rank_is_recovered::<f32>(2e-6);
}

#[test]
fn the_error_is_the_sum_of_what_was_dropped() {
    for (m, n) in [
        (vec![5, 9], vec![4, 2]),
        (vec![8, 10, 12], vec![1, 1, 1]),
        (vec![6, 5, 7], vec![2, 3, 2]),
        (vec![3, 4, 3, 5], vec![2, 1, 2, 2]),
        (vec![2, 3, 2, 2, 3], vec![2, 1, 2, 1, 2]),
    ] {
        let d = m.len();
        let table = uneven(&m, &n, 11);
        let modes: Vec<usize> = m.iter().zip(&n).map(|(m, n)| m * n).collect();
        let full = tensor(&table, &m, &n);
        for rank in [1, 2, 4] {
            let out = compress(&table, &m, &n, Target::Rank(rank));
            let error = distance(&out.cores.expand().unwrap(), &table);
            let report = &out.report;
            assert!((report.norm / norm(&table) - 1.0).abs() < 1e-13);
            assert!((report.error / error - 1.0).abs() < 1e-10, "{m:?} {rank}: {} is {error}", report.error);
            assert_eq!(report.error, report.padded_error, "there is no padding");
            let dropped: f64 = report.bonds.iter().map(|bond| bond.dropped).sum();
            assert!((dropped.sqrt() / error - 1.0).abs() < 1e-10);

            let ranks = out.cores.shape().ranks();
            let least = (1..d).map(|k| best(&full, &modes, k, ranks[k])).fold(0.0, f64::max);
            assert!(error >= least * (1.0 - 1e-12) && error <= least * ((d - 1) as f64).sqrt() * (1.0 + 1e-12));
        }
    }
}

#[test]
fn singular_values_are_carried_on() {
    // With them in the finished core, the second truncation would not know what matters.
    let (m, n) = ([8, 10, 12], [1, 1, 1]);
    let table = uneven(&m, &n, 5);
    let full = tensor(&table, &m, &n);
    let (right, wrong) = (textbook(&full, &m, &[1, 3, 4, 1], true), textbook(&full, &m, &[1, 3, 4, 1], false));
    let out = compress(&table, &m, &n, Target::Ranks(vec![1, 3, 4, 1]));
    assert!(wrong > right * 1.02, "this table tells them apart: {wrong} and {right}");
    assert!((out.report.error / right - 1.0).abs() < 0.01, "{} is not about {right}", out.report.error);

    // Two cores are one SVD, whose error is the best there is.
    let flat = tensor(&table, &[80, 12], &[1, 1]);
    let out = compress(&table, &[80, 12], &[1, 1], Target::Rank(4));
    assert!((out.report.error / best(&flat, &[80, 12], 1, 4) - 1.0).abs() < 1e-11);
}

#[test]
fn bounds_of_the_error_are_kept_and_used() {
    let (m, n) = ([6, 5, 7], [2, 3, 2]);
    let table = uneven(&m, &n, 2);
    let mut last = usize::MAX;
    for bound in [0.0, 1e-3, 0.01, 0.1, 0.3, 0.7, 1.0, 10.0] {
        let out = compress(&table, &m, &n, Target::Error(bound));
        let error = distance(&out.cores.expand().unwrap(), &table) / norm(&table);
        assert!(error <= bound + 1e-12, "{error} above {bound}");
        assert!((out.report.relative_error() - error).abs() < 1e-7);
        let parameters = out.cores.shape().parameters();
        assert!(parameters <= last);
        last = parameters;
    }
    assert_eq!(last, 12 + 15 + 14, "ranks of 1");
}

#[test]
fn budgets_are_kept_and_used() {
    let (m, n) = ([6, 5, 7], [2, 3, 2]);
    let table: Vec<f32> = uneven(&m, &n, 2).iter().map(|&x| x as f32).collect();
    let mut last = f64::INFINITY;
    for bytes in [4 * 41, 4 * 100, 4 * 200, 4 * 500, 4 * 1500, usize::MAX / 64] {
        let out = compress(&table, &m, &n, Target::Bytes(bytes));
        assert!(out.cores.shape().bytes::<f32>() <= bytes);
        let error = distance(&out.cores.expand().unwrap(), &table);
        assert!((out.report.error - error).abs() <= 1e-6 * norm(&table), "{} is {error}", out.report.error);
        assert!(error <= last + 1e-6 * norm(&table));
        last = error;
    }
    assert!(last < 1e-5 * norm(&table));
    let given = Compress::new(&m, &n, Target::Bytes(163)).run(&mut SliceRows::new(&table, 12).unwrap());
    assert!(matches!(given, Err(ttcore_decompose::Error::Bytes { given: 163, least: 164 })));
}
