//! Rows that count more, less, or not at all.

mod common;

use common::{compress, distance, noise, norm, planted};
use ttcore::TtShape;
use ttcore_decompose::{Compress, Error, Round, SliceRows, Target, Weights};

const M: [usize; 3] = [5, 4, 6];
const N: [usize; 3] = [2, 2, 3];
const ROWS: usize = 5 * 4 * 6;

fn weights() -> Weights {
    let digit = |m: usize, seed| noise(m, seed).iter().map(|x| (x + 1.1) * 3.0).collect();
    Weights::new(vec![digit(5, 1), digit(4, 2), digit(6, 3)]).unwrap()
}

fn weight(weights: &Weights, row: usize) -> f64 {
    let digits = weights.digits();
    digits[0][row / 24] * digits[1][row / 6 % 4] * digits[2][row % 6]
}

fn weighted(weights: &Weights, a: &[f64], b: &[f64]) -> f64 {
    let rows = a.chunks(12).zip(b.chunks(12)).enumerate();
    rows.map(|(row, (a, b))| weight(weights, row) * distance(a, b).powi(2)).sum::<f64>().sqrt()
}

fn run(table: &[f64], compress: &Compress) -> ttcore_decompose::Decomposition<f64> {
    compress.run(&mut SliceRows::new(table, 12).unwrap()).unwrap()
}

#[test]
fn weights_are_an_explicit_scaling() {
    let table = noise(ROWS * 12, 9);
    let weights = weights();
    let out = run(&table, &Compress::new(&M, &N, Target::Rank(3)).weights(weights.clone()));
    let plain = run(&table, &Compress::new(&M, &N, Target::Rank(3)));
    let expanded = out.cores.expand().unwrap();
    let error = weighted(&weights, &expanded, &table);
    assert!((out.report.error / error - 1.0).abs() < 1e-10);
    assert!(error < weighted(&weights, &plain.cores.expand().unwrap(), &table));
    assert!(norm(&plain.cores.expand().unwrap()) > 0.0);

    let scaled: Vec<f64> = table.iter().enumerate().map(|(at, x)| x * weight(&weights, at / 12).sqrt()).collect();
    let same = run(&scaled, &Compress::new(&M, &N, Target::Rank(3)));
    let unscaled: Vec<f64> =
        same.cores.expand().unwrap().iter().enumerate().map(|(at, x)| x / weight(&weights, at / 12).sqrt()).collect();
    assert!(distance(&unscaled, &expanded) < 1e-10 * norm(&expanded));
    assert!((same.report.error / out.report.error - 1.0).abs() < 1e-10);

    // Rounding is weighted alike.
    let train = planted::<f64>(TtShape::with_rank(ROWS as u64, &M, &N, 5).unwrap(), 4);
    let rounded = Round::new(Target::Rank(2)).weights(weights.clone()).run(&train).unwrap();
    let error = weighted(&weights, &rounded.cores.expand().unwrap(), &train.expand().unwrap());
    assert!((rounded.report.error / error - 1.0).abs() < 1e-9);
    let plain = Round::new(Target::Rank(2)).run(&train).unwrap();
    assert!(error < weighted(&weights, &plain.cores.expand().unwrap(), &train.expand().unwrap()));
}

#[test]
fn rows_without_weight_do_not_count() {
    let mut digits = weights().digits().to_vec();
    digits[0][3] = 0.0;
    digits[2][5] = 0.0;
    let weights = Weights::new(digits).unwrap();
    let table = noise(ROWS * 12, 9);
    let mut other = table.clone();
    for row in (0..ROWS).filter(|&row| weight(&weights, row) == 0.0) {
        other[row * 12..][..12].fill(1e6);
    }
    let [a, b] = [&table, &other].map(|t| run(t, &Compress::new(&M, &N, Target::Rank(3)).weights(weights.clone())));
    assert_eq!(a.cores, b.cores);
    let expanded = a.cores.expand().unwrap();
    assert!((0..ROWS).filter(|&row| weight(&weights, row) == 0.0).all(|row| norm(&expanded[row * 12..][..12]) < 1e-12));
    assert!((a.report.error / weighted(&weights, &expanded, &table) - 1.0).abs() < 1e-10);
}

#[test]
fn counts_become_marginals() {
    let counts = [6.0, 0.0, 2.0, 1.0, 0.0, 3.0];
    let weights = Weights::of_counts(&[2, 3], counts).unwrap();
    assert_eq!(weights.digits(), [vec![8.0 / 6.0, 4.0 / 6.0], vec![7.0 / 4.0, 0.0, 5.0 / 4.0]]);
    assert!(matches!(Weights::of_counts(&[2, 3], [1.0, -1.0]), Err(Error::Weight { digit: 1, .. })));
    assert!(matches!(Weights::of_counts(&[2, 3], []), Err(Error::NoWeight { core: 0 })));
    assert!(Weights::of_counts(&[2, 2], [1.0; 9]).is_ok());
}

#[test]
fn padding_and_rows_kept_are_taken_off_the_error() {
    let table = noise(101 * 12, 9);
    let kept = [100, 0, 57, 57];
    let out = run(&table, &Compress::new(&M, &N, Target::Rank(3)).rows_kept(&kept));
    let counted = |row: usize| !kept.contains(&(row as u64));
    let of_counted = |numbers: &[f64]| -> Vec<f64> {
        numbers.chunks(12).enumerate().filter(|(row, _)| counted(*row)).flat_map(|(_, x)| x.to_vec()).collect()
    };
    let expanded = out.cores.expand().unwrap();
    let error = distance(&of_counted(&expanded), &of_counted(&table));
    assert!((out.report.error / error - 1.0).abs() < 1e-10);
    assert!((out.report.norm / norm(&of_counted(&table)) - 1.0).abs() < 1e-12);
    assert!(out.report.padded_error > out.report.error);

    // The rows kept may as well be anything.
    let mut other = table.clone();
    kept.iter().for_each(|&row| other[row as usize * 12..][..12].fill(1e3));
    assert_eq!(run(&other, &Compress::new(&M, &N, Target::Rank(3)).rows_kept(&kept)).cores, out.cores);

    // Zeros in their place, and padding, are the same.
    let mut padded = table;
    padded.resize(ROWS * 12, 0.0);
    kept.iter().for_each(|&row| padded[row as usize * 12..][..12].fill(0.0));
    let same = run(&padded, &Compress::new(&M, &N, Target::Rank(3)));
    assert!((same.report.error / out.report.padded_error - 1.0).abs() < 1e-12);
    assert_eq!(same.cores.as_slice(), out.cores.as_slice());

    // Filled in, the error falls, and is still known.
    let mut last = out.report.error;
    for times in [1, 2, 5, 20] {
        let out = run(&other, &Compress::new(&M, &N, Target::Rank(3)).rows_kept(&kept).refills(times));
        let error = distance(&of_counted(&out.cores.expand().unwrap()), &of_counted(&other));
        assert!((out.report.error / error - 1.0).abs() < 1e-9, "{} is {error}", out.report.error);
        assert!(error < last);
        last = error;
    }
}

#[test]
fn refills_find_a_train_behind_rows_that_are_missing() {
    let train = planted::<f64>(TtShape::with_rank(101, &M, &N, 2).unwrap(), 4);
    let table = train.expand().unwrap();
    let kept: Vec<u64> = (0..10).map(|x| x * 9).collect();
    let plain = run(&table, &Compress::new(&M, &N, Target::Rank(2)).rows_kept(&kept));
    let out = run(&table, &Compress::new(&M, &N, Target::Rank(2)).rows_kept(&kept).refills(200));
    assert!(
        plain.report.relative_error() > 0.1 && out.report.relative_error() < 1e-3,
        "{}",
        out.report.relative_error()
    );
}

#[test]
fn weights_apply_to_padding_and_refills_too() {
    let table = noise(101 * 12, 9);
    let weights = weights();
    let setting = Compress::new(&M, &N, Target::Rank(3)).weights(weights.clone()).rows_kept(&[3]);
    let mut last = f64::INFINITY;
    for times in [0, 1, 4] {
        let out = run(&table, &setting.clone().refills(times));
        let mut expanded = out.cores.expand().unwrap();
        expanded[36..48].copy_from_slice(&table[36..48]);
        let error = weighted(&weights, &expanded, &table);
        assert!((out.report.error / error - 1.0).abs() < 1e-9);
        assert!(error < last);
        last = error;
    }
    assert_ne!(last, compress(&table, &M, &N, Target::Rank(3)).report.error);
}
