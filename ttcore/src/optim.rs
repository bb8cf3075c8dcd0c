//! The update rules, as plain data.
//!
//! Closed enums, so that a loop on the CPU and a kernel on a GPU can mirror them. What is updated is updated once in a step,
//! by its gradient summed over the whole batch, from the value it had before.
//!
//! # Rules of elements
//!
//! A [`Rule`] is element-wise: a parameter `w` with gradient `g`.
//!
//! | rule | update | state numbers a parameter |
//! |---|---|---|
//! | SGD | `w -= lr g` | 0 |
//! | Adagrad | `h += g^2`; `w -= lr g / (sqrt(h) + eps)` | 1: `h`, from 0 |
//! | Adam | `m = b1 m + (1-b1) g`; `v = b2 v + (1-b2) g^2`; `w -= lr m^ / (sqrt(v^) + eps)` | 2: `m`, `v`, from 0 |
//!
//! with `m^ = m / (1 - b1^t)` and `v^ = v / (1 - b2^t)` in step `t` from 1, as `torch.optim.Adam`. A zero gradient
//! changes nothing under SGD and Adagrad, so only touched slices and rows need a visit; Adam decays every element of the
//! table in every step. Where what is divided by is 0, since `eps` is 0 and the square of a gradient is too small for the type
//! of numbers, there is no step.
//!
//! # A rule of blocks
//!
//! A table with cores may have a rule of its own: [`CoreRule`]. Its blocks are the slices of the cores and the rows that are
//! held beside them. How far a step of SGD on the cores moves a row grows with the fourth
//! power of their entries (three cores; see [`crate::init`]), by a factor of 10^4 and more in a training, and a slice that
//! hundreds of rows share is moved by all of them. So no learning rate fits SGD on cores from begin to end. AdaGrad-Norm [^1]
//! divides the step of a slice by the root of all squares of its gradients so far:
//!
//! ```text
//! h += |g|^2;  G_k[i] -= lr g / (sqrt(h) + eps)       g = dL/dG_k[i], |g| over all its numbers; h from 0
//! ```
//!
//! A first step moves a slice by `lr` whatever the scale of the loss, the batch or the other cores, later ones by less:
//! at the rate of SGD for dense tables, nothing is left to tune for a table. A cached row learns alike: `w` for `G_k[i]`. The
//! state is one number a block, for slices less than a hundredth of that of Adagrad. Multiplying a core by a number and its neighbour by the inverse changes gradients by the inverse too,
//! but not steps: cores should begin with slices of about the same size, as those of
//! [`Scale::Isometric`](crate::init::Scale::Isometric) do, all but the largest, which may be smaller.
//!
//! [^1]: Rachel Ward, Xiaoxia Wu, Leon Bottou (2019). *AdaGrad Stepsizes: Sharp Convergence Over Nonconvex Landscapes*. ICML.

use crate::real::Real;
use crate::state::StateLayout;
use crate::table::Table;

/// An update rule without its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum Rule {
    /// Stochastic gradient descent.
    #[default]
    Sgd,
    /// Adagrad, element-wise.
    Adagrad {
        /// Added to the root, against division by zero. PyTorch's default is `1e-10`.
        eps: f64,
    },
    /// Adam, as `torch.optim.Adam` without weight decay.
    Adam {
        /// Decay of the mean. Usually 0.9.
        beta1: f64,
        /// Decay of the mean square. Usually 0.999.
        beta2: f64,
        /// Added to the root, against division by zero. Usually `1e-8`.
        eps: f64,
    },
}

impl Rule {
    /// State numbers for each parameter: 0, 1 or 2. State of a table is `[state_per_parameter][parameters]`.
    pub fn state_per_parameter(&self) -> usize {
        match self {
            Self::Sgd => 0,
            Self::Adagrad { .. } => 1,
            Self::Adam { .. } => 2,
        }
    }

    /// Whether a parameter with zero gradient stays as it is, so that untouched ones need no visit.
    pub fn keeps_untouched(&self) -> bool {
        !matches!(self, Self::Adam { .. })
    }
}

/// The rule of a table with cores, without its learning rate. A table without cores has none but its [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum CoreRule {
    /// The [`Rule`] of the table, element by element.
    #[default]
    ElementWise,
    /// AdaGrad-Norm, block by block, for slices and dense rows: see the [module](self).
    AdagradNorm {
        /// Added to the root, against division by zero.
        eps: f64,
    },
}

impl CoreRule {
    /// AdaGrad-Norm with an `eps` of `1e-10`: what [`TableConfig::tt`](crate::TableConfig::tt) trains with.
    pub const ADAGRAD_NORM: Self = Self::AdagradNorm { eps: 1e-10 };

    /// AdaGrad-Norm's step of a block: the block `[n]`, its gradient `[n]`, and its number of state, from 0. The definition;
    /// accumulates in `F`. A gradient whose square is 0 in `F` changes nothing.
    ///
    /// # Panics
    ///
    /// If the gradient is longer than the block.
    pub fn adagrad_norm<F: Real>(eps: f64, lr: f64, block: &mut [F], grads: &[F], state: &mut F) {
        let square: F = grads.iter().map(|&g| g * g).sum();
        if square == F::zero() {
            return;
        }
        *state += square;
        let rate = F::of(lr) / (state.sqrt() + F::of(eps));
        for (i, &g) in grads.iter().enumerate() {
            block[i] -= rate * g;
        }
    }
}

/// One step of a rule: with which learning rate, and which step it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// The rule.
    pub rule: Rule,
    /// The rule of a table with cores.
    pub core_rule: CoreRule,
    /// Learning rate of dense rows, cached rows included where they are trained element by element.
    pub lr: f64,
    /// What the learning rate is multiplied by for TT cores, and for all blocks of a rule of blocks.
    ///
    /// Element by element, a step on the cores moves a row by about `lr K g`, with `K` maybe far from 1: see [`crate::init`].
    pub core_lr_multiplier: f64,
    /// The number of this step, from 1. Only Adam uses it.
    pub step: u64,
}

impl Update {
    /// Plain SGD with the same learning rate for cores and rows, element by element.
    pub fn sgd(lr: f64) -> Self {
        Self { rule: Rule::Sgd, core_rule: CoreRule::ElementWise, lr, core_lr_multiplier: 1.0, step: 1 }
    }

    /// The learning rate of the cores, and of all blocks of a rule of blocks.
    pub fn core_lr(&self) -> f64 {
        self.lr * self.core_lr_multiplier
    }

    /// Where the state of a table lies that is trained by these rules.
    pub fn state_layout(&self, table: &Table) -> StateLayout {
        StateLayout::new(table, self.rule, self.core_rule)
    }

    /// Applies the rule to parameters `[n]` with gradients `[n]` and the first and second state planes `[n]` each, empty
    /// where the rule has none. The definition: element by element, in `F`.
    ///
    /// # Panics
    ///
    /// If a plane that the rule needs is shorter than the parameters.
    pub fn apply<F: Real>(&self, lr: f64, params: &mut [F], grads: &[F], state: [&mut [F]; 2]) {
        let [first, second] = state;
        let rate = F::of(lr);
        match self.rule {
            Rule::Sgd => {
                for (w, &g) in params.iter_mut().zip(grads) {
                    *w -= rate * g;
                }
            }
            Rule::Adagrad { eps } => {
                let eps = F::of(eps);
                for (i, (w, &g)) in params.iter_mut().zip(grads).enumerate() {
                    if g != F::zero() {
                        first[i] += g * g;
                        let root = first[i].sqrt() + eps;
                        // The square underflows, and eps is zero too.
                        if root != F::zero() {
                            *w -= rate * g / root;
                        }
                    }
                }
            }
            Rule::Adam { beta1, beta2, eps } => {
                let corrections = self.adam_corrections(beta1, beta2);
                let rate = F::of(lr / corrections[0]);
                let root = F::of(num_traits::Float::sqrt(corrections[1]));
                let (b1, b2, eps) = (F::of(beta1), F::of(beta2), F::of(eps));
                for (i, (w, &g)) in params.iter_mut().zip(grads).enumerate() {
                    first[i] = b1 * first[i] + (F::one() - b1) * g;
                    second[i] = b2 * second[i] + (F::one() - b2) * g * g;
                    let root = second[i].sqrt() / root + eps;
                    if root != F::zero() {
                        *w -= rate * first[i] / root;
                    }
                }
            }
        }
    }

    /// `1 - b1^t` and `1 - b2^t`.
    fn adam_corrections(&self, beta1: f64, beta2: f64) -> [f64; 2] {
        [beta1, beta2].map(|beta| 1.0 - num_traits::Float::powf(beta, self.step.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_by_hand() {
        let rule = Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let (mut w, mut m, mut v) = ([1.0f64], [0.0], [0.0]);
        for (step, g) in [(1, 0.5), (2, -0.25)] {
            let update = Update { rule, step, ..Update::sgd(0.1) };
            update.apply(update.lr, &mut w, &[g], [&mut m, &mut v]);
        }
        // m = 0.9 * 0.05 - 0.025, v = 0.999 * 0.00025 + 0.0000625; after step 1, w = 1 - 0.1 * 0.5 / (0.5 + 1e-8).
        let (m2, v2) = (0.02f64, 0.000_312_25f64);
        let first = 1.0 - 0.1 * 0.5 / (0.5 + 1e-8);
        let second = first - 0.1 * (m2 / 0.19) / ((v2 / 0.001_999).sqrt() + 1e-8);
        assert!((w[0] - second).abs() < 1e-13, "{} {second}", w[0]);
    }

    #[test]
    fn a_zero_gradient_leaves_sgd_and_adagrad_alone() {
        for rule in [Rule::Sgd, Rule::Adagrad { eps: 1e-10 }, Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }] {
            let update = Update { rule, step: 3, ..Update::sgd(0.1) };
            let (mut w, mut first, mut second) = ([1.0f32], [0.5f32], [0.5f32]);
            update.apply(update.lr, &mut w, &[0.0], [&mut first, &mut second]);
            assert_eq!(w == [1.0] && first == [0.5], rule.keeps_untouched());
        }
    }

    #[test]
    fn adagrad_norm_by_hand() {
        let (mut slice, mut h) = ([1.0f64, 2.0], 0.0);
        CoreRule::adagrad_norm(1e-10, 0.1, &mut slice, &[3.0, -4.0], &mut h);
        assert!((slice[0] - 0.94).abs() < 1e-11 && (slice[1] - 2.08).abs() < 1e-11 && h == 25.0, "{slice:?} {h}");
        CoreRule::adagrad_norm(1e-10, 0.1, &mut slice, &[0.0, 12.0], &mut h);
        assert!((slice[1] - (2.08 - 0.1 * 12.0 / 13.0)).abs() < 1e-11 && h == 169.0, "{slice:?} {h}");
        // Neither a gradient of zeros nor one whose square underflows is divided by.
        let (mut slice, mut h) = ([1.0f32], 0.0);
        for g in [0.0, 1e-30] {
            CoreRule::adagrad_norm(0.0, 0.1, &mut slice, &[g], &mut h);
        }
        assert_eq!((slice, h), ([1.0], 0.0));
    }
}
