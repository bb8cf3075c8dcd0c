//! Tables and settings at the edges and beyond.

mod common;

use common::{compress, distance, noise, norm, planted};
use ttcore::{Real, ShapeError, TtCores, TtShape};
use ttcore_decompose::{Compress, Error, Round, Rows, SliceRows, SourceError, Target, Weights, balance};

fn fails<F: Real>(setting: Compress, table: &[F], dim: usize) -> Error {
    setting.run(&mut SliceRows::new(table, dim).unwrap()).unwrap_err()
}

fn edges<F: Real>(tolerance: f64) {
    let table: Vec<F> = noise(120, 1).into_iter().map(F::of).collect();
    // One row, one column, both; more padding than rows; factors of 1.
    for (rows, m, n) in [
        (1, vec![1, 1], vec![2, 3]),
        (1, vec![4, 5, 6], vec![2, 3, 2]),
        (24, vec![2, 3, 4], vec![1, 1, 1]),
        (1, vec![1, 1, 1], vec![1, 1, 1]),
        (1, vec![3, 3], vec![1, 1]),
        (10, vec![1, 10, 1], vec![1, 12, 1]),
        (10, vec![10, 1], vec![1, 12]),
        (7, vec![20, 30], vec![4, 3]),
        (9, vec![3, 1, 3, 1], vec![1, 4, 1, 3]),
    ] {
        let dim = common::product(&n);
        let table = &table[..rows * dim];
        for target in [Target::Rank(1000), Target::Error(0.0), Target::Bytes(1 << 20)] {
            let out = compress(table, &m, &n, target.clone());
            let expanded = out.cores.expand().unwrap();
            assert!(distance(&expanded, table) <= tolerance * norm(table), "{m:?} {n:?} {target:?}");
            assert!(out.report.relative_error() < 1e-7);
            let shape = out.cores.shape();
            assert!((1..m.len()).all(|k| shape.ranks()[k] <= shape.largest_useful_rank(k)), "{m:?} {n:?}");
        }
        let one = compress(table, &m, &n, Target::Rank(1));
        let error = distance(&one.cores.expand().unwrap(), table);
        assert!((one.report.error - error).abs() <= 1e-6 * norm(table), "{m:?} {n:?}: {} is {error}", one.report.error);
    }
}

#[test]
fn edges_f64() {
    edges::<f64>(1e-12);
}

#[test]
fn edges_f32() {
    edges::<f32>(1e-6);
}

#[test]
fn a_table_of_zeros_is_zeros() {
    for target in [Target::Rank(3), Target::Error(0.1), Target::Error(0.0), Target::Bytes(10_000)] {
        let out = compress(&[0f32; 300], &[3, 4, 5], &[1, 5, 1], target);
        assert_eq!(out.cores.shape().ranks(), [1, 1, 1, 1]);
        assert!(out.cores.as_slice().iter().all(|&x| x == 0.0));
        let report = &out.report;
        assert_eq!((report.norm, report.error, report.relative_error(), report.step), (0.0, 0.0, 0.0, 0.0));
        let rounded = Round::new(Target::Rank(3)).run(&out.cores).unwrap();
        assert_eq!((rounded.cores, rounded.report.norm), (out.cores, 0.0));
    }
}

#[test]
fn deficient_ranks_shrink() {
    // All rows alike: rank 1 everywhere.
    let table: Vec<f64> = (0..60 * 4).map(|at| (at % 4) as f64 + 1.0).collect();
    let out = compress(&table, &[3, 4, 5], &[2, 1, 2], Target::Rank(4));
    assert_eq!(out.cores.shape().ranks()[2], 2, "columns are of rank 2");
    assert!(distance(&out.cores.expand().unwrap(), &table) < 1e-13 * norm(&table));
    // One row that is not zero.
    let mut table = vec![0f32; 60 * 4];
    table[17 * 4 + 2] = 3.0;
    let out = compress(&table, &[3, 4, 5], &[2, 1, 2], Target::Rank(4));
    assert_eq!(out.cores.shape().ranks(), [1, 1, 1, 1]);
    assert!(distance(&out.cores.expand().unwrap(), &table) < 1e-6);
}

#[test]
fn what_is_not_finite_is_named() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut table = vec![1f32; 60 * 4];
        table[33 * 4 + 3] = value;
        table[58 * 4 + 1] = value;
        for setting in [Target::Rank(2), Target::Error(0.1), Target::Bytes(4000)] {
            let setting = Compress::new(&[3, 4, 5], &[2, 1, 2], setting).rows_kept(&[33]);
            match fails(setting, &table, 4) {
                Error::NotFinite { row: 33, column: 3, value: found } => {
                    assert_eq!(found.to_bits(), f64::from(value).to_bits())
                }
                other => panic!("{other}"),
            }
        }
        let mut train = planted::<f32>(TtShape::with_rank(60, &[3, 4, 5], &[2, 1, 2], 2).unwrap(), 1);
        train.core_mut(1)[7] = value;
        let error = Round::new(Target::Rank(1)).run(&train).unwrap_err();
        assert!(matches!(error, Error::CoreNotFinite { core: 1, position: 7, .. }));
        assert!(balance(&train).is_err() && ttcore_decompose::norm(&train).is_err());
    }
}

#[test]
fn squares_that_overflow_or_vanish_are_refused() {
    for value in [1e200f64, 1e-130, 1e-250] {
        let table = [value; 24];
        let setting = Compress::new(&[3, 4], &[2, 1], Target::Rank(1));
        assert!(matches!(fails(setting, &table, 2), Error::Range { .. }));
        let mut train = TtCores::<f64>::zeros(TtShape::with_rank(12, &[3, 4], &[2, 1], 1).unwrap());
        // Their products, which is what a train has: beyond what f64 has at all they are zeros, and infinite.
        train.as_mut_slice().fill(if value < 1e-140 { value.sqrt() } else { value });
        assert!(matches!(Round::new(Target::Rank(1)).run(&train), Err(Error::Range { .. })));
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let table = noise(60 * 4, 1);
    let new = |m: &[usize], n: &[usize], target| fails(Compress::new(m, n, target), &table, 4);
    let rank = || Target::Rank(2);
    assert!(matches!(new(&[3, 4, 4], &[2, 1, 2], rank()), Error::Shape(ShapeError::TooFewRows { .. })));
    assert!(matches!(new(&[60], &[4], rank()), Error::Shape(ShapeError::TooFewCores { .. })));
    assert!(matches!(new(&[], &[], rank()), Error::Shape(ShapeError::TooFewCores { .. })));
    assert!(matches!(new(&[12, 5], &[1, 2], rank()), Error::Columns { product: 2, columns: 4 }));
    assert!(matches!(new(&[12, 5], &[1, 2, 2], rank()), Error::Shape(ShapeError::LengthMismatch { .. })));
    assert!(matches!(new(&[12, 5], &[2, 2], Target::Rank(0)), Error::Shape(ShapeError::Zero { .. })));
    let ranks = Target::Ranks(vec![2, 2, 1]);
    assert!(matches!(new(&[12, 5], &[2, 2], ranks), Error::Shape(ShapeError::OuterRank { .. })));
    assert!(matches!(new(&[12, 5], &[2, 2], Target::Ranks(vec![])), Error::Shape(_)));
    for value in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(new(&[12, 5], &[2, 2], Target::Error(value)), Error::Bound { .. }));
    }
    assert!(matches!(new(&[12, 5], &[2, 2], Target::Bytes(0)), Error::Bytes { given: 0, least: 272 }));

    let setting = || Compress::new(&[12, 5], &[2, 2], rank());
    assert!(matches!(fails(setting().rows_kept(&[1, 60]), &table, 4), Error::Row { row: 60, rows: 60 }));
    assert!(matches!(fails(setting().memory(100), &table, 4), Error::Memory { allowed: 100, .. }));
    let weighted = |digits| fails(setting().weights(Weights::new(digits).unwrap()), &table, 4);
    assert!(matches!(weighted(vec![]), Error::WeightsCores { given: 0, wanted: 2 }));
    assert!(matches!(weighted(vec![vec![1.0; 12], vec![]]), Error::WeightsLength { core: 1, given: 0, wanted: 5 }));
    assert!(matches!(Weights::new(vec![vec![1.0, -1.0]]), Err(Error::Weight { core: 0, digit: 1, .. })));
    assert!(matches!(Weights::new(vec![vec![1.0], vec![f64::NAN]]), Err(Error::Weight { core: 1, digit: 0, .. })));
    assert!(matches!(Weights::new(vec![vec![0.0; 3]]), Err(Error::NoWeight { core: 0 })));

    // A last mode that no Gram matrix could be of is refused before anything is allocated.
    let huge = fails(Compress::new(&[1, 1 << 40], &[2, 2], rank()), &table, 4);
    assert!(matches!(huge, Error::Memory { .. }), "{huge}");
    assert!(huge.to_string().contains("Gram matrix"));
}

#[test]
fn rows_that_are_all_kept_leave_nothing() {
    let table = noise(60 * 4, 1);
    let all: Vec<u64> = (0..60).collect();
    let setting = Compress::new(&[12, 5], &[2, 2], Target::Rank(2)).rows_kept(&all);
    let out = setting.run(&mut SliceRows::new(&table, 4).unwrap()).unwrap();
    assert_eq!((out.report.norm, out.report.error), (0.0, 0.0));
}

/// Says it has rows, but has none, or says it read more than it was asked for.
struct Liar(usize);

impl Rows<f32> for Liar {
    fn rows(&self) -> u64 {
        60
    }

    fn dim(&self) -> usize {
        4
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn read(&mut self, _: &mut [f32]) -> Result<usize, SourceError> {
        Ok(self.0)
    }
}

#[test]
fn sources_that_lie_are_refused() {
    for read in [0, 61, usize::MAX] {
        let out = Compress::new(&[12, 5], &[2, 2], Target::Rank(2)).run(&mut Liar(read));
        assert!(matches!(out, Err(Error::Source(_))), "{read}");
    }
}
