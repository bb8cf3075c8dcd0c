//! Initialisation: the variance of the table that the cores stand for, and values that must not change by accident.

use ttcore::init::{CoreInit, Entries, Scale, fill_dense, table_seed};
use ttcore::{TtCores, TtShape};

const ENTRIES: [Entries; 4] = [Entries::SampledGaussian, Entries::Gaussian, Entries::Uniform, Entries::Signs];

/// The first and last entry of both cores of a small table, for seed 1. A change of them is a change of the library's
/// results: it belongs in the changelog under *Numerics*.
const PINNED: [(Entries, [f64; 4]); 4] = [
    (Entries::SampledGaussian, [0.2677552275050438, 0.3195410103584566, -0.30843595520398986, 0.3478517021444609]),
    (Entries::Gaussian, [-0.06779450623782639, -0.09372939221984493, 0.14492582809512278, -0.4210794826291502]),
    (Entries::Uniform, [-0.09751433633515194, -0.10811667270385326, 0.1620600634234862, -0.414054729594146]),
    (Entries::Signs, [-0.28867513459481287, -0.28867513459481287, 0.28867513459481287, 0.28867513459481287]),
];
const PINNED_DENSE: [f64; 2] = [-0.11259985666589536, -0.48453115721148554];
const PINNED_SEEDS: [u64; 3] = [2397341692173596309, 431827713386212948, 6853516297784866404];

/// Mean and standard error of a figure over seeds.
fn over_seeds(seeds: u64, figure: impl Fn(u64) -> f64) -> (f64, f64) {
    let figures: Vec<f64> = (0..seeds).map(figure).collect();
    let mean = figures.iter().sum::<f64>() / seeds as f64;
    let variance = figures.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / (seeds - 1) as f64;
    (mean, (variance / seeds as f64).sqrt())
}

fn mean_square(values: &[f64]) -> f64 {
    values.iter().map(|w| w * w).sum::<f64>() / values.len() as f64
}

/// Those that give a table the variance of a dense one.
const SCALES: [Scale; 2] = [Scale::Isometric, Scale::Calibrated];

#[test]
fn the_table_has_the_variance_of_a_dense_one() {
    let shapes = [
        TtShape::new(90, &[9, 10], &[4, 4], &[1, 2, 1]),
        TtShape::new(380, &[20, 20], &[2, 4], &[1, 16, 1]),
        TtShape::new(500, &[8, 8, 8], &[2, 2, 4], &[1, 1, 1, 1]),
        TtShape::new(500, &[8, 8, 8], &[2, 2, 4], &[1, 4, 9, 1]),
        TtShape::new(1000, &[10, 10, 10], &[2, 2, 4], &[1, 16, 16, 1]),
        TtShape::new(600, &[5, 5, 5, 5], &[2, 2, 2, 2], &[1, 3, 5, 2, 1]),
    ];
    for shape in shapes.map(|shape| shape.expect("a shape")) {
        for (entries, scale) in ENTRIES.into_iter().flat_map(|entries| SCALES.map(|scale| (entries, scale))) {
            let init = CoreInit::default().with_entries(entries).with_scale(scale);
            let target = 1.0 / (3.0 * shape.rows() as f64);
            let (variance, error) = over_seeds(96, |seed| {
                mean_square(&TtCores::<f64>::init(shape.clone(), &init, seed).expand().expect("a table"))
            });
            assert!(error < 0.06 * target, "{shape:?} {init:?}: too uncertain to say, {error:e} of {target:e}");
            assert!(
                (variance - target).abs() < 4.5 * error.max(1e-12 * target),
                "{shape:?} {init:?}: {variance:e} {target:e}"
            );
            let std = init.report(&shape).std_table;
            assert!((std * std / target - 1.0).abs() < 1e-12, "the report says the same");
        }
    }
}

#[test]
fn the_published_scale_is_too_wide_by_the_factors_it_leaves_out() {
    let shape = TtShape::new(1000, &[10, 10, 10], &[2, 2, 4], &[1, 8, 8, 1]).expect("a shape");
    for entries in ENTRIES {
        let init = CoreInit::default().with_entries(entries).with_scale(Scale::Paper);
        let want = entries.variance().powi(3) * 64.0 / 3000.0;
        let (variance, error) = over_seeds(96, |seed| {
            mean_square(&TtCores::<f64>::init(shape.clone(), &init, seed).expand().expect("a table"))
        });
        assert!(error < 0.06 * want && (variance - want).abs() < 4.5 * error, "{entries:?}: {variance:e} {want:e}");
        let std = init.report(&shape).std_table;
        assert!((std * std / want - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_step_size_is_the_squared_norm_of_the_gradient() {
    // K = sum over the cores of |dW/dG_k|^2, for one entry of the table.
    let shape = TtShape::new(60, &[4, 4, 4], &[2, 2, 2], &[1, 3, 4, 1]).expect("a shape");
    for (entries, scale) in ENTRIES.into_iter().flat_map(|entries| SCALES.map(|scale| (entries, scale))) {
        let init = CoreInit::default().with_entries(entries).with_scale(scale);
        let (step, error) = over_seeds(400, |seed| {
            let cores = TtCores::<f64>::init(shape.clone(), &init, seed);
            let (mut grads, mut scratch) = (vec![0.0; shape.parameters()], vec![0.0; 1000]);
            let mut grad_row = [0.0; 8];
            grad_row[5] = 1.0;
            ttcore::algebra::row_backward(&shape, cores.as_slice(), 37, &grad_row, &mut grads, &mut scratch);
            grads.iter().map(|g| g * g).sum()
        });
        let want = init.report(&shape).step;
        assert!(error < 0.08 * want && (step - want).abs() < 4.5 * error, "{init:?}: {step:e} {want:e} +- {error:e}");
    }
}

#[test]
fn isometric_slices_keep_lengths() {
    // E[G G^T] = 1 before the core of the largest slices, E[G^T G] = 1 behind it.
    let shape = TtShape::new(500, &[40, 5, 40], &[2, 2, 4], &[1, 8, 9, 1]).expect("a shape");
    let init = CoreInit::default();
    let squares = |k: usize| {
        over_seeds(200, |seed| {
            let cores = TtCores::<f64>::init(shape.clone(), &init, seed);
            let slice = cores.core(k);
            slice.iter().map(|w| w * w).sum::<f64>() / shape.row_factors()[k] as f64
        })
    };
    for (k, want) in [(0, 2.0), (2, 4.0)] {
        let (square, error) = squares(k);
        assert!((square - want).abs() < 4.5 * error && error < 0.05, "core {k}: {square} {want} +- {error}");
    }
    let (square, error) = squares(1);
    let want = shape.slice_len(1) as f64 / 1500.0;
    assert!((square - want).abs() < 4.5 * error && error < 0.05 * want, "core 1: {square} {want} +- {error}");
}

#[test]
fn dense_tables_are_uniform() {
    let (rows, dim) = (5000, 8);
    let mut table = vec![0.0f64; rows * dim];
    fill_dense(rows as u64, 3, &mut table);
    let bound = (1.0 / rows as f64).sqrt();
    assert!(table.iter().all(|w| w.abs() <= bound));
    // Standard errors for n uniform draws: bound / sqrt(3 n) of the mean, bound^2 sqrt(4/45 / n) of the mean square.
    let n = table.len() as f64;
    let mean = table.iter().sum::<f64>() / n;
    assert!(mean.abs() < 5.0 * bound / (3.0 * n).sqrt(), "{mean:e}");
    let square = mean_square(&table);
    assert!((square - bound * bound / 3.0).abs() < 5.0 * bound * bound * (4.0 / 45.0 / n).sqrt(), "{square:e}");
    // Beyond 4,096 numbers another stream begins.
    assert_ne!(table[..4096], table[4096..8192]);
}

#[test]
fn values_of_a_seed_do_not_change() {
    let shape = TtShape::new(24, &[4, 6], &[2, 2], &[1, 2, 1]).expect("a shape");
    for (entries, want) in PINNED {
        let init = CoreInit::default().with_entries(entries).with_scale(Scale::Calibrated);
        let cores = TtCores::<f64>::init(shape.clone(), &init, 1);
        let got = [cores.core(0)[0], cores.core(0)[15], cores.core(1)[0], cores.core(1)[23]];
        for (got, want) in got.into_iter().zip(want) {
            assert!((got - want).abs() < 1e-12 * want.abs(), "{entries:?}: {got:?} {want:?}");
        }
        let single = TtCores::<f32>::init(shape.clone(), &init, 1);
        assert!(single.as_slice().iter().zip(cores.as_slice()).all(|(&s, &d)| s == d as f32), "rounded once");
        assert_ne!(TtCores::<f64>::init(shape.clone(), &init, 2), cores);
    }
    let mut dense = [0.0f64; 2];
    fill_dense(3, 1, &mut dense);
    for (got, want) in dense.into_iter().zip(PINNED_DENSE) {
        assert!((got - want).abs() < 1e-12 * want.abs(), "{got:?} {want:?}");
    }
    assert_eq!([table_seed(0, 0), table_seed(0, 1), table_seed(1, 0)], PINNED_SEEDS);
}
