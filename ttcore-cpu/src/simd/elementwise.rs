//! Loops over one or two slices, the optimiser's among them, and the transpose.

#![allow(clippy::needless_range_loop, reason = "loops with constant bounds over registers")]

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::cell::Cell;

use ttcore::{Real, Rule, Update};

use super::bounds;
use super::vector::Vector;

/// [`Kernels::axpy`](super::Kernels::axpy).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn axpy<V: Vector>(a: V::Real, x: &[V::Real], y: &mut [V::Real]) {
    bounds::same("y", x.len(), y.len());
    let (n, x, y) = (x.len(), x.as_ptr(), y.as_mut_ptr());
    // SAFETY: vectors and the tail end at n, the length of both slices.
    unsafe {
        let a = V::splat(a);
        let mut i = 0;
        while i + V::LANES <= n {
            V::load(y.add(i)).fma(a, V::load(x.add(i))).store(y.add(i));
            i += V::LANES;
        }
        if i < n {
            let first = V::first(n - i);
            V::load_first(y.add(i), first).fma(a, V::load_first(x.add(i), first)).store_first(y.add(i), first);
        }
    }
}

/// [`Kernels::dot`](super::Kernels::dot).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn dot<V: Vector>(x: &[V::Real], y: &[V::Real]) -> V::Real {
    bounds::same("y", x.len(), y.len());
    let (n, x, y) = (x.len(), x.as_ptr(), y.as_ptr());
    // SAFETY: vectors and the tail end at n, the length of both slices.
    unsafe {
        let mut sums = [V::splat(V::Real::of(0.0)); 4];
        let mut i = 0;
        while i + 4 * V::LANES <= n {
            for v in 0..4 {
                let at = i + v * V::LANES;
                sums[v] = sums[v].fma(V::load(x.add(at)), V::load(y.add(at)));
            }
            i += 4 * V::LANES;
        }
        while i + V::LANES <= n {
            sums[0] = sums[0].fma(V::load(x.add(i)), V::load(y.add(i)));
            i += V::LANES;
        }
        if i < n {
            let first = V::first(n - i);
            sums[1] = sums[1].fma(V::load_first(x.add(i), first), V::load_first(y.add(i), first));
        }
        sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum()
    }
}

/// [`Kernels::transpose`](super::Kernels::transpose).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn transpose<V: Vector>(rows: usize, cols: usize, from: &[V::Real], to: &mut [V::Real]) {
    bounds::dense(rows, cols, from.len(), to.len());
    if from.is_empty() {
        return;
    }
    let [height, width] = V::BLOCK;
    if rows < height || cols < width {
        for i in 0..rows {
            for j in 0..cols {
                to[j * rows + i] = from[i * cols + j];
            }
        }
        return;
    }
    // The last blocks overlap with those before them, where they would go beyond the end.
    for i in (0..rows).step_by(height) {
        let i = i.min(rows - height);
        for j in (0..cols).step_by(width) {
            let j = j.min(cols - width);
            // SAFETY: the block at (i, j) ends at row `rows` and column `cols` of `from` at most, and so does its
            // transpose in `to`.
            unsafe { V::transpose(from.as_ptr().add(i * cols + j), cols, to.as_mut_ptr().add(j * rows + i), rows) }
        }
    }
}

/// [`Kernels::update`](super::Kernels::update).
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn update<V: Vector>(
    update: &Update,
    lr: f64,
    params: &mut [V::Real],
    grads: &[V::Real],
    state: [&mut [V::Real]; 2],
) {
    bounds::same("the gradient", params.len(), grads.len());
    for plane in &state[..update.rule.state_per_parameter()] {
        bounds::same("the state", params.len(), plane.len());
    }
    if !matches!(update.rule, Rule::Sgd | Rule::Adagrad { .. } | Rule::Adam { .. }) {
        // A rule that there is no loop for yet.
        return update.apply(lr, params, grads, state);
    }
    let n = params.len();
    let (w, g, [first, second]) = (params.as_mut_ptr(), grads.as_ptr(), state.map(|plane| plane.as_mut_ptr()));
    let num = V::Real::of;
    // SAFETY: the parameters, the gradients and the planes that the rule has are n long; no others are used.
    unsafe {
        match update.rule {
            Rule::Sgd => each::<V, 1>(n, [w], g, Sgd { rate: V::splat(num(lr)) }),
            Rule::Adagrad { eps } => {
                each::<V, 2>(n, [w, first], g, Adagrad { rate: V::splat(num(lr)), eps: V::splat(num(eps)) });
            }
            Rule::Adam { beta1, beta2, eps } => {
                let [mean, square] = adam_corrections([beta1, beta2, update.step.max(1) as f64]);
                let one = V::splat(num(1.0));
                let (b1, b2) = (V::splat(num(beta1)), V::splat(num(beta2)));
                let rule = Adam {
                    rate: V::splat(num(lr / mean)),
                    root: V::splat(num(square.sqrt())),
                    eps: V::splat(num(eps)),
                    betas: [b1, b2],
                    rests: [one.sub(b1), one.sub(b2)],
                };
                each::<V, 3>(n, [w, first, second], g, rule);
            }
            _ => unreachable!("left to the definition above"),
        }
    }
}

/// `1 - beta1^step` and `1 - beta2^step`, as [`Update::apply`] computes them.
///
/// A table is updated in many small calls with the same numbers, and the powers take longer than 64 parameters: each
/// thread remembers its last ones.
fn adam_corrections(of: [f64; 3]) -> [f64; 2] {
    /// The power of `ttcore`, which has no `std`.
    fn power<F: Real>(x: F, y: F) -> F {
        x.powf(y)
    }

    thread_local! {
        static LAST: Cell<([f64; 3], [f64; 2])> = const { Cell::new(([f64::NAN; 3], [0.0; 2])) };
    }

    let (last, corrections) = LAST.get();
    if last == of {
        return corrections;
    }
    let [beta1, beta2, step] = of;
    let corrections = [beta1, beta2].map(|beta| 1.0 - power(beta, step));
    LAST.set((of, corrections));
    corrections
}

/// An update rule on a vector of the parameter and its `P - 1` state numbers.
trait Step<V: Vector, const P: usize>: Copy {
    /// The new numbers for the gradient `g`.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`.
    unsafe fn step(self, numbers: [V; P], g: V) -> [V; P];
}

#[derive(Clone, Copy)]
struct Sgd<V> {
    rate: V,
}

#[derive(Clone, Copy)]
struct Adagrad<V> {
    rate: V,
    eps: V,
}

#[derive(Clone, Copy)]
struct Adam<V> {
    rate: V,
    root: V,
    eps: V,
    betas: [V; 2],
    rests: [V; 2],
}

impl<V: Vector> Step<V, 1> for Sgd<V> {
    #[inline(always)]
    unsafe fn step(self, [w]: [V; 1], g: V) -> [V; 1] {
        // SAFETY: handed down.
        unsafe { [w.fnma(self.rate, g)] }
    }
}

impl<V: Vector> Step<V, 2> for Adagrad<V> {
    #[inline(always)]
    unsafe fn step(self, [w, sum]: [V; 2], g: V) -> [V; 2] {
        // SAFETY: handed down.
        unsafe {
            let sum = sum.fma(g, g);
            let root = sum.sqrt().add(self.eps);
            let moved = w.sub(self.rate.mul(g).div(root));
            // A root of zero, where the square underflows and eps is zero too, is no step.
            [moved.where_nonzero(g, w).where_nonzero(root, w), sum]
        }
    }
}

impl<V: Vector> Step<V, 3> for Adam<V> {
    #[inline(always)]
    unsafe fn step(self, [w, mean, square]: [V; 3], g: V) -> [V; 3] {
        // SAFETY: handed down.
        unsafe {
            let mean = self.rests[0].mul(g).fma(self.betas[0], mean);
            let square = self.rests[1].mul(g).mul(g).fma(self.betas[1], square);
            let root = square.sqrt().div(self.root).add(self.eps);
            let moved = w.sub(self.rate.mul(mean).div(root));
            [moved.where_nonzero(root, w), mean, square]
        }
    }
}

/// Applies a rule to `n` parameters with their planes of state.
///
/// # Safety
///
/// The machine has the instruction set of `V`; all pointers are valid for n numbers, and only `g` may be read through
/// another pointer meanwhile.
#[inline(always)]
unsafe fn each<V: Vector, const P: usize>(
    n: usize,
    planes: [*mut V::Real; P],
    g: *const V::Real,
    rule: impl Step<V, P>,
) {
    // SAFETY: vectors and the tail end at n.
    unsafe {
        let mut numbers = [V::splat(V::Real::of(0.0)); P];
        let mut i = 0;
        while i + V::LANES <= n {
            for q in 0..P {
                numbers[q] = V::load(planes[q].add(i));
            }
            numbers = rule.step(numbers, V::load(g.add(i)));
            for q in 0..P {
                numbers[q].store(planes[q].add(i));
            }
            i += V::LANES;
        }
        if i < n {
            let first = V::first(n - i);
            for q in 0..P {
                numbers[q] = V::load_first(planes[q].add(i), first);
            }
            numbers = rule.step(numbers, V::load_first(g.add(i), first));
            for q in 0..P {
                numbers[q].store_first(planes[q].add(i), first);
            }
        }
    }
}

/// [`Kernels::prefetch`](super::Kernels::prefetch).
#[inline(always)]
pub(super) fn prefetch<F>(numbers: *const [F]) {
    /// Bytes of a cache line, and most lines to fetch.
    const LINE: usize = 64;
    const MOST: usize = 8;
    let begin = numbers.cast::<i8>();
    for offset in (0..(numbers.len() * size_of::<F>()).min(MOST * LINE)).step_by(LINE) {
        // SAFETY: SSE is part of x86-64, and a prefetch of any address has no effect but on caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(offset)) }
    }
}
