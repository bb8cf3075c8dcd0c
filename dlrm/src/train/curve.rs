//! The losses of a run in bounded memory.

/// Buckets kept at most; an even number.
const BUCKETS: usize = 128;

/// Sums of the losses of equally many iterations each; when there are too many, neighbours are joined.
///
/// So its memory does not grow with the run, and it does not depend on how long the run will be. Sums are `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct LossCurve {
    /// Iterations of a bucket.
    width: u64,
    /// Sum of each bucket's losses; the last may be of fewer iterations.
    sums: Vec<f64>,
    /// Iterations of the last bucket.
    last: u64,
}

impl LossCurve {
    /// Without losses.
    pub fn new() -> Self {
        // The last bucket counts as full, so that the first loss begins one.
        Self { width: 1, sums: Vec::with_capacity(BUCKETS), last: 1 }
    }

    /// Adds the loss of the next iteration.
    pub fn push(&mut self, loss: f64) {
        if self.last == self.width {
            if self.sums.len() >= BUCKETS {
                self.join();
            }
            self.sums.push(0.0);
            self.last = 0;
        }
        if let Some(sum) = self.sums.last_mut() {
            *sum += loss;
            self.last += 1;
        }
    }

    /// As numbers, for a checkpoint: iterations of a bucket and of the last one, then the sums. Exact, also where a
    /// diverged model has lost its numbers.
    pub fn to_numbers(&self) -> Vec<f64> {
        [self.width as f64, self.last as f64].into_iter().chain(self.sums.iter().copied()).collect()
    }

    /// From [`LossCurve::to_numbers`]; none if they are not from there.
    pub fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let [width, last, sums @ ..] = numbers else { return None };
        let whole = |x: f64| (1.0..=2f64.powi(52)).contains(&x) && x.fract() == 0.0;
        if !(whole(*width) && whole(*last) && last <= width && sums.len() <= BUCKETS) {
            return None;
        }
        let mut curve = Self { width: *width as u64, last: *last as u64, ..Self::new() };
        // Buckets double from 1, when there are too many. The first loss begins one.
        if !curve.width.is_power_of_two() || (sums.is_empty() && curve != Self::new()) {
            return None;
        }
        curve.sums.extend_from_slice(sums);
        Some(curve)
    }

    /// How many losses there are.
    pub fn iterations(&self) -> u64 {
        // Without any, the last bucket counts as full.
        (self.sums.len() as u64 * self.width).saturating_sub(self.width - self.last)
    }

    /// Called with full buckets, an even number of them.
    fn join(&mut self) {
        let half = self.sums.len() / 2;
        for i in 0..half {
            self.sums[i] = self.sums[2 * i] + self.sums[2 * i + 1];
        }
        self.sums.truncate(half);
        self.width *= 2;
        self.last = self.width;
    }

    /// Mean loss over the first tenth of the buckets, rounded up; `NaN` without losses.
    pub fn first(&self) -> f64 {
        self.mean(0, self.tenth())
    }

    /// Mean loss over the last tenth of the buckets, rounded up; `NaN` without losses.
    pub fn last(&self) -> f64 {
        self.mean(self.sums.len() - self.tenth(), self.sums.len())
    }

    fn tenth(&self) -> usize {
        self.sums.len().div_ceil(10)
    }

    fn mean(&self, from: usize, to: usize) -> f64 {
        let missing = if to == self.sums.len() { self.width - self.last } else { 0 };
        let iterations = (to - from) as u64 * self.width - missing;
        self.sums[from..to].iter().sum::<f64>() / iterations as f64
    }
}

impl Default for LossCurve {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_are_exact() {
        let mut curve = LossCurve::new();
        assert!(curve.first().is_nan() && curve.last().is_nan());
        (0..30).for_each(|i| curve.push(f64::from(i)));
        assert_eq!((curve.first(), curve.last()), (1.0, 28.0));
    }

    #[test]
    fn long_runs_stay_small_and_close() {
        for n in [127u32, 128, 129, 1000, 5003, 100_000] {
            let mut curve = LossCurve::new();
            (0..n).for_each(|i| curve.push(f64::from(i)));
            assert_eq!(curve.iterations(), u64::from(n));
            assert_eq!(curve.sums.iter().sum::<f64>(), f64::from(n) * f64::from(n - 1) / 2.0);
            assert!(curve.sums.len() <= BUCKETS && curve.sums.capacity() == BUCKETS);
            // The tenth is rounded up to whole buckets of at most a 64th.
            let n = f64::from(n);
            assert!((curve.first() - n / 20.0).abs() < n / 64.0, "{n} {}", curve.first());
            assert!((curve.last() - n * 0.95).abs() < n / 64.0, "{n} {}", curve.last());
        }
    }

    #[test]
    fn continues_from_its_numbers() {
        assert_eq!(LossCurve::from_numbers(&LossCurve::new().to_numbers()), Some(LossCurve::new()));
        for bad in [&[][..], &[1.0], &[0.0, 0.0], &[2.0, 3.0, 0.0], &[1.5, 1.0, 0.0], &[f64::NAN, 1.0]] {
            assert_eq!(LossCurve::from_numbers(bad), None, "{bad:?}");
        }
        for (bad, why) in [
            (&[4.0, 1.0][..], "no bucket is three losses short"),
            (&[4.0, 4.0], "no loss, no joined buckets"),
            (&[3.0, 3.0, 0.5], "a bucket of three"),
        ] {
            assert_eq!(LossCurve::from_numbers(bad), None, "{why}");
        }
        assert_eq!(LossCurve::new().iterations(), 0);
        let mut curve = LossCurve::new();
        (0..777).for_each(|i| curve.push(1.0 / f64::from(i + 1)));
        let mut again = LossCurve::from_numbers(&curve.to_numbers()).unwrap();
        for c in [&mut curve, &mut again] {
            (0..555).for_each(|i| c.push(0.1 * f64::from(i)));
        }
        assert_eq!(curve, again);
    }
}
