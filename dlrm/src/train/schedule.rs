//! How the learning rate changes in a run.

use serde::{Deserialize, Serialize};

/// The lowest rate of a decay, unless the base is lower still.
const LOWEST: f64 = 1e-7;

/// A learning rate with linear warm-up and quadratic decay, as `LRPolicyScheduler` of the reference model.
///
/// Iteration `t`, from 1, with base rate `lr`:
///
/// | `t` | rate |
/// |---|---|
/// | `t < warmup_steps` | `lr t / warmup_steps` |
/// | up to the decay | `lr` |
/// | `decay_start <= t < decay_start + decay_steps` | `lr ((decay_start + decay_steps - t) / decay_steps)^2`, at least `1e-7` |
/// | then | the last of these |
///
/// The reference differs in one point: with a decay, it holds the *last rate of the warm-up*,
/// `lr (warmup_steps - 1) / warmup_steps`, until the decay starts, and without one the base rate. Here both hold the
/// base rate: the difference comes from what its code last wrote down, not from intent.
///
/// ```
/// use dlrm::train::LrPolicy;
///
/// let policy = LrPolicy { base: 1.0, warmup_steps: 4, decay_start: 6, decay_steps: 2 };
/// assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(|t| policy.at(t)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.25, 0.25]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LrPolicy {
    /// The base rate.
    pub base: f64,
    /// Iterations of the warm-up; 0 for none.
    pub warmup_steps: u64,
    /// The first iteration of the decay.
    pub decay_start: u64,
    /// Iterations of the decay; 0 for none.
    pub decay_steps: u64,
}

impl LrPolicy {
    /// The same rate for every iteration.
    pub fn constant(lr: f64) -> Self {
        Self { base: lr, warmup_steps: 0, decay_start: 0, decay_steps: 0 }
    }

    /// The rate of iteration `t`, from 1.
    pub fn at(&self, t: u64) -> f64 {
        if t < self.warmup_steps {
            return self.base * (t as f64 / self.warmup_steps as f64);
        }
        if self.decay_steps == 0 || t < self.decay_start {
            return self.base;
        }
        let decayed = (t - self.decay_start).min(self.decay_steps - 1);
        let left = (self.decay_steps - decayed) as f64 / self.decay_steps as f64;
        (self.base * left * left).max(LOWEST.min(self.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate() {
        assert!([1, 2, 1 << 40].iter().all(|&t| LrPolicy::constant(0.1).at(t) == 0.1));
    }

    #[test]
    fn warm_up_alone_ends_in_the_base_rate() {
        let policy = LrPolicy { warmup_steps: 8, ..LrPolicy::constant(0.1) };
        assert_eq!([1, 4, 7].map(|t| policy.at(t)), [0.1 / 8.0, 0.1 / 2.0, 0.1 * 0.875]);
        assert_eq!([8, 9, 1000].map(|t| policy.at(t)), [0.1; 3]);
    }

    #[test]
    fn decay_is_quadratic_and_then_frozen() {
        let policy = LrPolicy { base: 24.0, warmup_steps: 2, decay_start: 5, decay_steps: 4 };
        let got: Vec<f64> = (1..=12).map(|t| policy.at(t)).collect();
        assert_eq!(got, [12.0, 24.0, 24.0, 24.0, 24.0, 13.5, 6.0, 1.5, 1.5, 1.5, 1.5, 1.5]);
    }

    #[test]
    fn decay_has_a_floor_below_the_base() {
        let policy = |base| LrPolicy { base, warmup_steps: 0, decay_start: 1, decay_steps: 10_000 };
        assert_eq!(policy(0.1).at(10_000), 1e-7);
        assert_eq!(policy(0.0).at(10_000), 0.0);
        assert_eq!(policy(1e-9).at(10_000), 1e-9);
    }
}
