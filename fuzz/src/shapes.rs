//! Shapes of tensor trains and the rules that choose factors.

use arbitrary::Arbitrary;
use ttcore::factor::{column_factors, paper_row_factors, smallest_row_factors};
use ttcore::{ShapeError, TtShape};

use crate::numbers::{Int, decode, sizes};

#[derive(Arbitrary, Debug)]
enum Input {
    New { rows: Int, row_factors: Vec<Int>, col_factors: Vec<Int>, ranks: Vec<Int>, probes: Vec<Int> },
    // Of the right lengths, so that it is accepted more often.
    Cores { rows: Int, cores: Vec<(Int, Int, Int)>, probes: Vec<Int> },
    WithRank { rows: Int, row_factors: Vec<Int>, col_factors: Vec<Int>, rank: Int, probes: Vec<Int> },
    Paper { rows: Int, dim: Int, cores: Int, rank: Int, probes: Vec<Int> },
    Smallest { rows: Int, col_factors: Vec<Int>, ranks: Vec<Int>, max_padding: f64 },
}

/// Makes a shape and checks it, or that it is refused for a reason.
pub fn run(data: &[u8]) {
    match decode(data) {
        Some(Input::New { rows, row_factors, col_factors, ranks, probes }) => {
            let (m, n, ranks) = (sizes(&row_factors), sizes(&col_factors), sizes(&ranks));
            exactly_if_valid(rows.u64(), &m, &n, &ranks, &probes);
        }
        Some(Input::Cores { rows, cores, probes }) => {
            let (m, n) = (cores.iter().map(|c| c.0.size()).collect::<Vec<_>>(), cores.iter().map(|c| c.1.size()));
            let mut ranks: Vec<usize> = std::iter::once(1).chain(cores.iter().map(|c| c.2.size())).collect();
            ranks[cores.len()] = 1;
            exactly_if_valid(rows.u64(), &m, &n.collect::<Vec<_>>(), &ranks, &probes);
        }
        Some(Input::WithRank { rows, row_factors, col_factors, rank, probes }) => {
            let (m, n) = (sizes(&row_factors), sizes(&col_factors));
            if let Ok(shape) = TtShape::with_rank(rows.u64(), &m, &n, rank.size()) {
                assert!(shape.ranks()[1..m.len()].iter().all(|&r| r == rank.size()));
                consistent(&shape, &probes);
            }
        }
        Some(Input::Paper { rows, dim, cores, rank, probes }) => {
            rules(rows.u64(), dim.size(), cores.size());
            match TtShape::paper(rows.u64(), dim.size(), cores.size(), rank.size()) {
                Ok(shape) => consistent(&shape, &probes),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        Some(Input::Smallest { rows, col_factors, ranks, max_padding }) => {
            smallest(rows.u64(), &sizes(&col_factors), &sizes(&ranks), max_padding);
        }
        None => {}
    }
}

fn exactly_if_valid(rows: u64, m: &[usize], n: &[usize], ranks: &[usize], probes: &[Int]) {
    match TtShape::new(rows, m, n, ranks) {
        Ok(shape) => {
            assert!(is_valid(rows, m, n, ranks), "{shape:?}");
            assert_eq!((shape.rows(), shape.row_factors(), shape.col_factors(), shape.ranks()), (rows, m, n, ranks));
            consistent(&shape, probes);
        }
        Err(error) => assert!(!is_valid(rows, m, n, ranks), "{error}: {rows} {m:?} {n:?} {ranks:?}"),
    }
}

/// The rules of a shape, in numbers that do not overflow.
fn is_valid(rows: u64, m: &[usize], n: &[usize], ranks: &[usize]) -> bool {
    let d = m.len();
    let product = |factors: &[usize]| factors.iter().try_fold(1u128, |product, &f| product.checked_mul(f as u128));
    let most = isize::MAX as u128 / 16;
    let fits = |number: Option<u128>| number.is_some_and(|number| number <= most);
    let structure = rows > 0 && d >= 2 && n.len() == d && ranks.len() == d + 1;
    structure
        && ranks[0] == 1
        && ranks[d] == 1
        && !m.iter().chain(n).chain(ranks).any(|&f| f == 0)
        && product(m).is_some_and(|padded| (u128::from(rows)..=u128::from(u64::MAX)).contains(&padded))
        && fits(product(n))
        && fits((0..d).try_fold(0u128, |sum, k| sum.checked_add(product(&[m[k], ranks[k], n[k], ranks[k + 1]])?)))
        && fits((|| product(n)?.checked_mul(*ranks.iter().max()? as u128)?.checked_mul(d as u128 + 2))())
}

/// That sizes, places and digits agree.
fn consistent(shape: &TtShape, probes: &[Int]) {
    let (m, n, ranks, d) = (shape.row_factors(), shape.col_factors(), shape.ranks(), shape.cores());
    assert_eq!(m.iter().map(|&m| m as u64).product::<u64>(), shape.padded_rows());
    assert_eq!(n.iter().product::<usize>(), shape.dim());
    assert!(shape.padded_rows() >= shape.rows() && shape.padding() >= 0.0 && shape.compression() > 0.0);
    let mut end = 0;
    for k in 0..d {
        let core = shape.core_range(k);
        assert_eq!((core.start, core.len()), (end, m[k] * shape.slice_len(k)));
        assert_eq!(shape.slice_len(k), ranks[k] * n[k] * ranks[k + 1]);
        assert_eq!(shape.slice_range(k, 0).start, core.start);
        assert_eq!(shape.slice_range(k, m[k] - 1).end, core.end);
        end = core.end;
    }
    assert_eq!(shape.parameters(), end);
    assert_eq!((shape.prefix_len(0), shape.prefix_len(d)), (1, shape.dim()));

    let ends = [0, shape.rows() - 1, shape.rows(), shape.padded_rows() - 1, shape.padded_rows()];
    for row in probes.iter().map(|probe| probe.u64()).chain(ends) {
        let Some(digits) = shape.digits(row) else {
            assert!(row >= shape.rows());
            continue;
        };
        assert!(row < shape.rows() && digits.iter().zip(m).all(|(i, m)| i < m));
        let value = digits.iter().zip(m).fold(0u128, |value, (&i, &m)| value * m as u128 + i as u128);
        assert_eq!(value, u128::from(row));
        assert_eq!(shape.row(&digits), Some(row));
    }
    let digits = sizes(&probes[..d.min(probes.len())]);
    if let Some(row) = shape.row(&digits) {
        assert_eq!(shape.digits(row), Some(digits));
    }
}

/// The factors that the rules choose.
fn rules(rows: u64, dim: usize, cores: usize) {
    let possible = (2..=64).contains(&cores);
    match paper_row_factors(rows, cores) {
        Ok(factors) => {
            assert!(possible && rows > 0 && factors.len() == cores && factors.is_sorted());
            let product = factors.iter().map(|&f| f as u128).product::<u128>();
            // Rounded up to a multiple of less than ten times the rows.
            assert!((u128::from(rows)..10 * u128::from(rows)).contains(&product), "{rows}: {factors:?}");
        }
        Err(error) => assert!(!possible || rows == 0, "{error}"),
    }
    match column_factors(dim, cores) {
        Ok(factors) => {
            assert!(possible && factors.len() == cores && factors.is_sorted());
            assert_eq!(factors.iter().product::<usize>(), dim);
        }
        Err(error) => assert!(!possible || dim == 0, "{error}"),
    }
}

fn smallest(rows: u64, n: &[usize], ranks: &[usize], max_padding: f64) {
    match smallest_row_factors(rows, n, ranks, max_padding) {
        Ok(factors) => {
            assert_eq!(factors.len(), n.len());
            let product = factors.iter().map(|&f| f as f64).product::<f64>();
            let rows = rows as f64;
            // The bound is computed in `f64`.
            assert!(product >= rows * (1.0 - 1e-9), "{factors:?}");
            assert!(product <= rows * (1.0 + max_padding.max(0.0)) * (1.0 + 1e-9), "{factors:?}");
        }
        Err(ShapeError::NoFactorisation { .. }) => assert!(rows > 0 && n.len() >= 2),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
