//! Trains: rounding, sums, inner products, balance.

mod common;

use common::{compress, distance, noise, norm, planted};
use ttcore::{Real, TtCores, TtShape, init::CoreInit};
use ttcore_decompose::{Error, Round, Target, balance, inner, step_size, sum};

fn shape(rows: u64, ranks: &[usize]) -> TtShape {
    TtShape::new(rows, &[5, 4, 6], &[2, 2, 3], ranks).unwrap()
}

fn dot<F: Real>(a: &[F], b: &[F]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.as_f64() * b.as_f64()).sum()
}

#[test]
fn inner_products_and_norms_are_those_of_the_tables() {
    for rows in [120, 119, 101, 25, 24, 1] {
        let (a, b) = (planted::<f64>(shape(rows, &[1, 3, 4, 1]), 1), planted::<f64>(shape(rows, &[1, 2, 5, 1]), 2));
        let (x, y) = (a.expand().unwrap(), b.expand().unwrap());
        let scale = norm(&x) * norm(&y);
        assert!((inner(&a, &b).unwrap() - dot(&x, &y)).abs() < 1e-12 * scale, "{rows}");
        assert!((ttcore_decompose::norm(&a).unwrap() / norm(&x) - 1.0).abs() < 1e-12, "{rows}");
        let both = sum(&a, &b).unwrap();
        assert_eq!(both.shape().ranks(), [1, 5, 9, 1]);
        let added: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        assert!(distance(&both.expand().unwrap(), &added) < 1e-13 * norm(&added));
    }
    let (a, b) = (planted::<f64>(shape(120, &[1, 3, 4, 1]), 1), planted::<f64>(shape(119, &[1, 3, 4, 1]), 1));
    assert!(matches!(inner(&a, &b), Err(Error::Different)));
    assert!(matches!(sum(&a, &b), Err(Error::Different)));
}

#[test]
fn two_cores_are_enough() {
    let shape = TtShape::new(23, &[6, 4], &[3, 2], &[1, 4, 1]).unwrap();
    let (a, b) = (planted::<f64>(shape.clone(), 1), planted::<f64>(shape, 2));
    let (x, y) = (a.expand().unwrap(), b.expand().unwrap());
    assert!((inner(&a, &b).unwrap() - dot(&x, &y)).abs() < 1e-12 * norm(&x) * norm(&y));
    let rounded = Round::new(Target::Rank(4)).run(&sum(&a, &a).unwrap()).unwrap();
    let twice: Vec<f64> = x.iter().map(|x| 2.0 * x).collect();
    assert!(distance(&rounded.cores.expand().unwrap(), &twice) < 1e-12 * norm(&twice));
}

#[test]
fn a_train_twice_has_its_own_ranks() {
    let ranks = [1, 3, 4, 1];
    let train = planted::<f64>(shape(120, &ranks), 1);
    let twice = sum(&train, &train).unwrap();
    let wanted: Vec<f64> = train.expand().unwrap().iter().map(|x| 2.0 * x).collect();
    for target in [Target::Error(1e-10), Target::Error(0.0), Target::Rank(100), Target::Bytes(1 << 20)] {
        let rounded = Round::new(target.clone()).run(&twice).unwrap();
        assert_eq!(rounded.cores.shape().ranks(), ranks, "{target:?}");
        assert!(distance(&rounded.cores.expand().unwrap(), &wanted) < 1e-12 * norm(&wanted));
    }
    assert_eq!(balance(&twice).unwrap().shape().ranks(), ranks);
}

#[test]
fn rounding_knows_its_error() {
    for rows in [120, 101] {
        let train = planted::<f64>(shape(rows, &[1, 8, 9, 1]), 1);
        let table = train.expand().unwrap();
        for target in [Target::Rank(1), Target::Ranks(vec![1, 5, 3, 1]), Target::Error(0.4), Target::Bytes(8 * 300)] {
            let out = Round::new(target.clone()).run(&train).unwrap();
            let error = distance(&out.cores.expand().unwrap(), &table);
            assert!((out.report.error / error - 1.0).abs() < 1e-9, "{target:?}: {} is {error}", out.report.error);
            assert!((out.report.norm / norm(&table) - 1.0).abs() < 1e-12);
            match target {
                Target::Error(bound) => assert!(error <= bound * norm(&table)),
                Target::Bytes(bytes) => assert!(out.cores.shape().bytes::<f64>() <= bytes),
                _ => {}
            }
        }
    }
}

#[test]
fn the_gauge_does_not_matter() {
    let train = planted::<f64>(shape(120, &[1, 4, 5, 1]), 1);
    let mut other = train.clone();
    // A bond's sides by 1000 and 1/1000, a rank by 10 and 1/10, and two ranks mixed.
    other.core_mut(0).iter_mut().for_each(|x| *x *= 1e3);
    other.core_mut(1).iter_mut().for_each(|x| *x *= 1e-3);
    other.core_mut(1).chunks_mut(5).for_each(|row| {
        row[2] *= 10.0;
        row[0] += 0.5 * row[1];
    });
    for slice in other.core_mut(2).chunks_mut(5 * 3) {
        for j in 0..3 {
            slice[2 * 3 + j] *= 0.1;
            slice[3 + j] -= 0.5 * slice[j];
        }
    }
    let table = train.expand().unwrap();
    assert!(distance(&other.expand().unwrap(), &table) < 1e-12 * norm(&table), "the same table");
    let [a, b] = [&train, &other].map(|train| Round::new(Target::Rank(2)).run(train).unwrap());
    assert!((a.report.error / b.report.error - 1.0).abs() < 1e-10);
    assert!(distance(&a.cores.expand().unwrap(), &b.cores.expand().unwrap()) < 1e-9 * norm(&table));
    for (a, b) in a.report.bonds.iter().zip(&b.report.bonds) {
        assert!((a.dropped / b.dropped - 1.0).abs() < 1e-9);
    }
}

/// Gram matrices of both sides of a bond, by expansion.
fn grams(train: &TtCores<f64>, k: usize) -> [Vec<f64>; 2] {
    let shape = train.shape();
    let rank = shape.ranks()[k];
    let outer = |rows: Vec<Vec<f64>>| {
        let mut gram = vec![0.0; rank * rank];
        for row in rows {
            (0..rank * rank).for_each(|at| gram[at] += row[at / rank] * row[at % rank]);
        }
        gram
    };
    let mut left = vec![vec![1.0]];
    for core in 0..k {
        let (r0, n, r1) = (shape.ranks()[core], shape.col_factors()[core], shape.ranks()[core + 1]);
        let slices = (0..shape.row_factors()[core]).flat_map(|i| (0..n).map(move |j| (i, j)));
        left = slices
            .flat_map(|(i, j)| {
                let slice = train.slice(core, i);
                let entry = move |a: usize, b: usize| slice[(a * n + j) * r1 + b];
                left.iter()
                    .map(|row| (0..r1).map(|b| (0..r0).map(|a| row[a] * entry(a, b)).sum()).collect())
                    .collect::<Vec<Vec<f64>>>()
            })
            .collect();
    }
    let mut right = vec![vec![1.0]];
    for core in (k..shape.cores()).rev() {
        let (r0, n, r1) = (shape.ranks()[core], shape.col_factors()[core], shape.ranks()[core + 1]);
        let slices = (0..shape.row_factors()[core]).flat_map(|i| (0..n).map(move |j| (i, j)));
        right = slices
            .flat_map(|(i, j)| {
                let slice = train.slice(core, i);
                let entry = move |a: usize, b: usize| slice[(a * n + j) * r1 + b];
                right
                    .iter()
                    .map(|row| (0..r0).map(|a| (0..r1).map(|b| row[b] * entry(a, b)).sum()).collect())
                    .collect::<Vec<Vec<f64>>>()
            })
            .collect();
    }
    [outer(left), outer(right)]
}

#[test]
fn cores_are_balanced() {
    let table = noise(120 * 12, 3);
    let compressed = compress(&table, &[5, 4, 6], &[2, 2, 3], Target::Rank(4)).cores;
    let balanced = balance(&planted::<f64>(shape(101, &[1, 3, 4, 1]), 1)).unwrap();
    for train in [compressed, balanced] {
        for k in [1, 2] {
            let [left, right] = grams(&train, k);
            let rank = train.shape().ranks()[k];
            for at in 0..rank * rank {
                assert!((left[at] - right[at]).abs() < 1e-12 * left[0], "bond {k}: {left:?} {right:?}");
                assert!(at / rank == at % rank || left[at].abs() < 1e-12 * left[0], "diagonal");
            }
        }
    }
}

#[test]
fn steps_are_those_of_new_cores_in_expectation() {
    let shape = TtShape::with_rank(20 * 22 * 25, &[20, 22, 25], &[2, 2, 4], 8).unwrap();
    let init = CoreInit::default();
    let step = step_size(&TtCores::<f32>::init(shape.clone(), &init, 5)).unwrap();
    let expected = init.report(&shape).step;
    assert!((step / expected - 1.0).abs() < 0.1, "{step} is not about {expected}");

    // By its definition: the squares of all derivatives, of one small train.
    let train = planted::<f64>(TtShape::new(12, &[3, 4], &[2, 2], &[1, 2, 1]).unwrap(), 1);
    let (mut total, mut changed) = (0.0, train.clone());
    let table = train.expand().unwrap();
    for at in 0..train.as_slice().len() {
        let before = changed.as_slice()[at];
        changed.as_mut_slice()[at] += 1.0;
        total += distance(&changed.expand().unwrap(), &table).powi(2);
        changed.as_mut_slice()[at] = before;
    }
    assert!((step_size(&train).unwrap() / (total / 48.0) - 1.0).abs() < 1e-12);
}
