//! Every kernel of every available instruction set and both types, against plain loops in `f64`.

use ttcore::{Rule, Update};

use super::{Element, Isa, Kernels, Numbers, Work};

const SIZES: [usize; 17] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 64, 71];

/// Runs `work` with all instruction sets and types.
fn everywhere<W: Work<f32, Output = ()> + Work<f64, Output = ()> + Copy>(work: W) {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        f32::dispatch(isa, work);
        f64::dispatch(isa, work);
    }
}

/// Numbers between -1 and 1 that look random.
fn numbers<F: Element>(n: usize, seed: u64) -> Vec<F> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        F::of((state >> 40) as f64 / (1u64 << 23) as f64 - 1.0)
    };
    next();
    (0..n).map(|_| next()).collect()
}

/// Panics unless `x` is `y` up to the rounding of `terms` terms of size 1.
fn close<F: Element>(x: F, y: f64, terms: usize, what: &str) {
    let bound = (terms + 2) as f64 * F::epsilon().as_f64() * (1.0 + y.abs());
    assert!((x.as_f64() - y).abs() <= bound, "{what}: {x} instead of {y}");
}

/// A product to compute, with everything between its rows.
struct Case<F> {
    size: [usize; 3],
    a: Vec<F>,
    strides: (usize, usize),
    b: Vec<F>,
    b_strides: (usize, usize),
    c: Vec<F>,
    ldc: usize,
    add: bool,
}

impl<F: Element> Case<F> {
    /// `A` row-major or not and `B` row-major or not, all with `gap` numbers between the rows.
    fn new(size: [usize; 3], a_rows: bool, b_rows: bool, gap: usize, add: bool) -> Self {
        let [m, n, k] = size;
        let strides = |rows: usize, cols: usize, major: bool| if major { (cols + gap, 1) } else { (1, rows + gap) };
        let (strides, b_strides, ldc) = (strides(m, k, a_rows), strides(k, n, b_rows), n + gap);
        // Exactly as long as needed.
        let length = |rows: usize, row: usize, cols: usize, col: usize| match rows.min(cols) {
            0 => 0,
            _ => (rows - 1) * row + (cols - 1) * col + 1,
        };
        let a = numbers(length(m, strides.0, k, strides.1), 1);
        let b = numbers(length(k, b_strides.0, n, b_strides.1), 2);
        let c = numbers(length(m, ldc, n, 1), 3);
        Self { size, a, strides, b, b_strides, c, ldc, add }
    }

    fn compute<K: Kernels<F>>(&self, kernels: K) -> Vec<F> {
        let mut c = self.c.clone();
        if self.b_strides.1 == 1 {
            kernels.gemm(self.size, &self.a, self.strides, &self.b, self.b_strides.0, &mut c, self.ldc, self.add);
        } else {
            let (lda, ldb) = (self.strides.0, self.b_strides.1);
            kernels.gemm_bt(self.size, &self.a, lda, &self.b, ldb, &mut c, self.ldc, self.add);
        }
        c
    }

    fn check<K: Kernels<F>>(&self, kernels: K) {
        let found = self.compute(kernels);
        let [m, n, k] = self.size;
        let mut untouched = self.c.clone();
        for i in 0..m {
            for j in 0..n {
                let at = |numbers: &[F], index: usize| numbers[index].as_f64();
                let term = |p: usize| {
                    at(&self.a, i * self.strides.0 + p * self.strides.1)
                        * at(&self.b, p * self.b_strides.0 + j * self.b_strides.1)
                };
                let c = i * self.ldc + j;
                let sum = (0..k).map(term).sum::<f64>() + if self.add { at(&self.c, c) } else { 0.0 };
                close(found[c], sum, k, &format!("element ({i}, {j}) of {:?}", self.size));
                untouched[c] = found[c];
            }
        }
        assert_eq!(untouched, found, "numbers between the rows of {:?}", self.size);
    }
}

#[derive(Clone, Copy)]
struct Products;

impl<F: Element> Work<F> for Products {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        for m in SIZES {
            for n in SIZES {
                for k in [0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 32, 35] {
                    let add = (m + n + k).is_multiple_of(2);
                    let gap = (m + 2 * n + k) % 3;
                    Case::<F>::new([m, n, k], true, true, gap, add).check(kernels);
                    Case::<F>::new([m, n, k], false, true, gap, !add).check(kernels);
                    Case::<F>::new([m, n, k], true, false, gap, add).check(kernels);
                }
            }
        }
        for add in [false, true] {
            for (m, n, k) in [(200, 64, 32), (32, 64, 200), (4, 32, 4), (4, 4, 32), (13, 130, 64)] {
                for (a_rows, b_rows) in [(true, true), (false, true), (true, false)] {
                    Case::<F>::new([m, n, k], a_rows, b_rows, 0, add).check(kernels);
                }
            }
        }
    }
}

#[test]
fn products() {
    everywhere(Products);
}

/// The bits of an element of a product are a function of its row, its column and the length of the sum.
#[derive(Clone, Copy)]
struct Independence;

impl<F: Element> Work<F> for Independence {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        for (n, k) in [(64, 32), (40, 33), (7, 5), (1, 100)] {
            let (a, b) = (numbers::<F>(50 * k, 1), numbers::<F>(n * k, 2));
            for add in [false, true] {
                let before = numbers::<F>(50 * n, 3);
                let product = |bt: bool, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>| {
                    let mut c = before.clone();
                    let size = [rows.len(), cols.len(), k];
                    let a = &a[rows.start * k..];
                    let to = &mut c[rows.start * n + cols.start..];
                    if bt {
                        kernels.gemm_bt(size, a, k, &b[cols.start * k..], k, to, n, add);
                    } else {
                        kernels.gemm(size, a, (k, 1), &b[cols.start..], n, to, n, add);
                    }
                    rows.flat_map(|i| cols.clone().map(move |j| (i, j))).map(|(i, j)| c[i * n + j]).collect::<Vec<F>>()
                };
                for bt in [false, true] {
                    let all = product(bt, 0..50, 0..n);
                    for m in 1..=50 {
                        assert_eq!(product(bt, 0..m, 0..n), all[..m * n], "{m} rows");
                    }
                    for i in [0, 1, 49] {
                        for j in 0..n {
                            assert_eq!(product(bt, i..i + 1, j..j + 1), [all[i * n + j]], "element ({i}, {j})");
                        }
                    }
                }
            }
            // A sum in two calls is the same sum.
            let (mut at_once, mut in_two) = (numbers::<F>(50 * n, 4), numbers::<F>(50 * n, 4));
            let half = k / 2;
            kernels.gemm([50, n, k], &a, (k, 1), &b, n, &mut at_once, n, true);
            kernels.gemm([50, n, half], &a, (k, 1), &b, n, &mut in_two, n, true);
            kernels.gemm([50, n, k - half], &a[half..], (k, 1), &b[half * n..], n, &mut in_two, n, true);
            assert_eq!(at_once, in_two);
        }
    }
}

#[test]
fn elements_do_not_depend_on_their_neighbours() {
    everywhere(Independence);
}

#[derive(Clone, Copy)]
struct NotFinite;

impl<F: Element> Work<F> for NotFinite {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let [m, n, k] = [7, 19, 11];
        for (bad, bt) in [F::nan(), F::infinity()].into_iter().flat_map(|bad| [(bad, false), (bad, true)]) {
            for p in 0..k {
                let (mut a, b) = (vec![F::one(); m * k], vec![F::one(); k * n]);
                a[3 * k + p] = bad;
                // What was there before does not matter without `add`.
                let mut c = vec![F::nan(); m * n];
                if bt {
                    kernels.gemm_bt([m, n, k], &a, k, &b, k, &mut c, n, false);
                } else {
                    kernels.gemm([m, n, k], &a, (k, 1), &b, n, &mut c, n, false);
                }
                for (i, row) in c.chunks(n).enumerate() {
                    assert!(row.iter().all(|c| c.is_finite() == (i != 3) && c.is_nan() == (i == 3 && bad.is_nan())));
                }
            }
            let mut y = vec![F::one(); 21];
            let mut x = vec![F::one(); 21];
            x[18] = bad;
            assert!(!kernels.dot(&x, &y).is_finite());
            kernels.axpy(F::one(), &x, &mut y);
            assert!(y.iter().enumerate().all(|(i, y)| y.is_finite() == (i != 18)));
            kernels.weighted_rows(&[F::one(); 2], Numbers::Short(&[0, 1]), &[x.clone(), x].concat(), 21, &mut y);
            assert!(y.iter().enumerate().all(|(i, y)| y.is_finite() == (i != 18)));
        }
    }
}

#[test]
fn what_is_not_finite_spreads_as_far_as_it_must() {
    everywhere(NotFinite);
}

#[derive(Clone, Copy)]
struct Slices;

impl<F: Element> Work<F> for Slices {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let a = F::of(0.75);
        for n in (0..100).chain([127, 128, 129, 1000]) {
            let (x, y) = (numbers::<F>(n, 1), numbers::<F>(n, 2));
            let mut sum = y.clone();
            kernels.axpy(a, &x, &mut sum);
            for i in 0..n {
                close(sum[i], 0.75 * x[i].as_f64() + y[i].as_f64(), 1, "axpy");
            }
            let product = x.iter().zip(&y).map(|(x, y)| x.as_f64() * y.as_f64()).sum::<f64>();
            close(kernels.dot(&x, &y), product, n, "dot");
            kernels.prefetch(&x[..]);
        }
    }
}

#[test]
fn slices() {
    everywhere(Slices);
}

#[derive(Clone, Copy)]
struct WeightedRows;

impl<F: Element> Work<F> for WeightedRows {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        for n in (0..40).chain([63, 64, 65, 128, 130]) {
            for (count, following) in [(0, 0), (0, 3), (1, 0), (1, 30), (2, 5), (7, 0), (40, 40)] {
                let (rows, stride) = (9, n + 3);
                // Exactly as long as needed.
                let matrix = numbers::<F>((rows - 1) * stride + n, 1);
                let factors = numbers::<F>(count, 2);
                let chosen: Vec<u32> = (0..count + following).map(|i| (i * 5 % rows) as u32).collect();
                let long: Vec<u64> = chosen.iter().map(|&row| row.into()).collect();
                let (mut short_sum, mut long_sum) = (numbers::<F>(n, 3), numbers::<F>(n, 4));
                kernels.weighted_rows(&factors, Numbers::Short(&chosen), &matrix, stride, &mut short_sum);
                kernels.weighted_rows(&factors, Numbers::Long(&long), &matrix, stride, &mut long_sum);
                assert_eq!(short_sum, long_sum);
                for (c, &sum) in short_sum.iter().enumerate() {
                    let term = |(a, &row): (&F, &u32)| a.as_f64() * matrix[row as usize * stride + c].as_f64();
                    close(sum, factors.iter().zip(&chosen).map(term).sum(), count, "weighted rows");
                }
            }
        }
    }
}

#[test]
fn weighted_rows() {
    everywhere(WeightedRows);
}

#[derive(Clone, Copy)]
struct Transposes;

impl<F: Element> Work<F> for Transposes {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        for rows in SIZES {
            for cols in SIZES {
                let from = numbers::<F>(rows * cols, 1);
                let mut to = numbers::<F>(rows * cols, 2);
                kernels.transpose(rows, cols, &from, &mut to);
                for i in 0..rows {
                    for j in 0..cols {
                        assert_eq!(to[j * rows + i], from[i * cols + j], "({i}, {j}) of {rows} x {cols}");
                    }
                }
            }
        }
    }
}

#[test]
fn transposes() {
    everywhere(Transposes);
}

#[derive(Clone, Copy)]
struct Updates;

impl<F: Element> Work<F> for Updates {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let adam = Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let adam_alone = Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 0.0 };
        // Its square is zero.
        let tiny = F::min_positive_value();
        for rule in [Rule::Sgd, Rule::Adagrad { eps: 1e-10 }, Rule::Adagrad { eps: 0.0 }, adam, adam_alone] {
            for n in (0..40).chain([64, 128, 131]) {
                let update = Update { rule, step: 1 + n as u64 / 2 % 3, ..Update::sgd(0.1) };
                let planes = rule.state_per_parameter();
                let state = |plane: usize| -> Vec<F> {
                    let positive = numbers::<F>(n, 5).into_iter().map(|x| x * x);
                    if plane < planes { positive.collect() } else { Vec::new() }
                };
                let (params, mut grads) = (numbers::<F>(n, 6), numbers::<F>(n, 7));
                let mut first = state(0);
                for i in (0..n).step_by(3) {
                    grads[i] = F::zero();
                    // Zero by zero, if eps is zero too.
                    if i.is_multiple_of(2) && planes == 1 {
                        first[i] = F::zero();
                        if let Some(next) = grads.get_mut(i + 1) {
                            (*next, first[i + 1]) = (tiny, F::zero());
                        }
                    }
                }
                let (mut expected, mut found) =
                    ((params.clone(), first.clone(), state(1)), (params.clone(), first.clone(), state(1)));
                update.apply(0.2, &mut expected.0, &grads, [&mut expected.1, &mut expected.2]);
                kernels.update(&update, 0.2, &mut found.0, &grads, [&mut found.1, &mut found.2]);
                let pairs = [(&found.0, &expected.0), (&found.1, &expected.1), (&found.2, &expected.2)];
                for (found, expected) in pairs {
                    assert_eq!(found.len(), expected.len());
                    for (&found, expected) in found.iter().zip(expected) {
                        close(found, expected.as_f64(), 8, &format!("{rule:?} of {n}"));
                    }
                }
                if rule.keeps_untouched() {
                    for i in (0..n).step_by(3) {
                        assert_eq!(found.0[i], params[i]);
                        assert!(planes == 0 || found.1[i] == first[i]);
                    }
                }
                // A gradient that is not a number shows.
                if let Some(last) = grads.last_mut() {
                    *last = F::nan();
                    kernels.update(&update, 0.2, &mut found.0, &grads, [&mut found.1, &mut found.2]);
                    assert!(found.0.iter().rev().enumerate().all(|(i, w)| w.is_nan() == (i == 0)));
                }
            }
        }
    }
}

#[test]
fn updates() {
    everywhere(Updates);
}

#[derive(Clone, Copy)]
struct TooShort(usize);

impl<F: Element> Work<F> for TooShort {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let [a, b, mut c, mut d] = [31, 41, 77, 6].map(|n| numbers::<F>(n, 1));
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match self.0 {
            0 => kernels.gemm([4, 5, 8], &a, (8, 1), &b, 5, &mut c, 5, false),
            1 => kernels.gemm([3, 5, 9], &a, (9, 1), &b, 5, &mut c, 5, false),
            2 => kernels.gemm([3, 5, 8], &a, (8, 1), &b, 5, &mut d, 5, false),
            3 => kernels.gemm([2, 5, 8], &a, (8, 1), &b, 5, &mut c, 4, false),
            4 => kernels.gemm_bt([4, 5, 8], &a, 8, &b, 8, &mut c, 5, false),
            5 => kernels.gemm_bt([3, 5, 8], &a, 8, &b[1..], 8, &mut d, 5, false),
            6 => kernels.transpose(3, 2, &a, &mut d),
            7 => kernels.axpy(F::one(), &a, &mut d),
            8 => kernels.weighted_rows(&a[..1], Numbers::Short(&[5]), &a, 6, &mut d),
            10 => kernels.weighted_rows(&a[..2], Numbers::Long(&[0]), &a, 6, &mut d),
            11 => kernels.weighted_rows(&a[..1], Numbers::Long(&[0]), &a[..5], 6, &mut d),
            9 => kernels.update(&Update::sgd(0.1), 0.1, &mut c, &a, [&mut [], &mut []]),
            _ => assert!(kernels.dot(&a, &b).is_nan()),
        }));
        assert!(refused.is_err(), "case {}", self.0);
    }
}

#[test]
fn slices_that_are_too_short_are_refused() {
    (0..13).for_each(|case| everywhere(TooShort(case)));
}
