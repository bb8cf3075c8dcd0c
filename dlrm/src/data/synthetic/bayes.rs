//! The best possible AUC, in memory that does not grow with the lines.

use super::model::Drawn;

/// Classes of equal probabilities: lines of one class count as ties, an error of about 1e-5 of the area.
const CLASSES: usize = 1 << 16;

/// Counts of negative and positive lines by their probability.
#[derive(Clone, Debug)]
struct Histogram(Vec<[u64; 2]>);

impl Histogram {
    fn add(&mut self, probability: f64, positive: bool) {
        let class = (probability * CLASSES as f64) as usize;
        self.0[class.min(CLASSES - 1)][usize::from(positive)] += 1;
    }

    fn auc(&self) -> Option<f64> {
        // Twice the number of ordered pairs, so that half a tie is an integer.
        let (mut twice, mut negatives, mut positives) = (0u128, 0u128, 0u128);
        for [below, above] in self.0.iter().map(|counts| counts.map(u128::from)) {
            twice += above * (2 * negatives + below);
            (negatives, positives) = (negatives + below, positives + above);
        }
        let pairs = negatives * positives;
        (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
    }
}

/// How well the true probabilities rank the labels.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    all: Histogram,
    without_largest: Histogram,
}

impl Default for Ranking {
    fn default() -> Self {
        let empty = Histogram(vec![[0; 2]; CLASSES]);
        Self { all: empty.clone(), without_largest: empty }
    }
}

impl Ranking {
    pub(super) fn add(&mut self, line: &Drawn) {
        self.all.add(line.probability, line.positive);
        self.without_largest.add(line.probability_without_largest, line.positive);
    }

    pub(super) fn lines(&self) -> u64 {
        self.all.0.iter().flatten().sum()
    }

    pub(super) fn positives(&self) -> u64 {
        self.all.0.iter().map(|[_, positives]| positives).sum()
    }

    pub(super) fn auc(&self) -> Option<f64> {
        self.all.auc()
    }

    /// The features are independent of each other, so the best ranking without some of them is by the sum of the others'
    /// effects: the expected probability grows with it. That holds for any effects of the features left out.
    pub(super) fn auc_without_largest(&self) -> Option<f64> {
        self.without_largest.auc()
    }
}
