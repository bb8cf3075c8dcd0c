//! The planted model: how values are drawn and what they mean.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, Zipf};

use super::super::{CATEGORICAL, DENSE, mix, uniform};
use super::effects::{self, Effects};
use super::{Synthetic, SyntheticError};
use crate::memory::largest_tables;

/// Share missing, mean and standard deviation of ln(1 + x) of each count: round numbers near the real ones.
const COUNTS: [(f64, f64, f64); DENSE] = [
    (0.45, 0.8, 1.0),
    (0.00, 2.2, 2.2),
    (0.22, 2.2, 1.3),
    (0.22, 1.7, 1.0),
    (0.03, 7.3, 2.8),
    (0.23, 3.7, 1.8),
    (0.04, 1.6, 1.3),
    (0.01, 2.1, 1.2),
    (0.04, 3.7, 1.7),
    (0.45, 0.4, 0.4),
    (0.04, 0.8, 0.7),
    (0.77, 0.4, 0.7),
    (0.22, 1.9, 1.1),
];

/// Share of lines without a value, of each categorical feature.
const MISSING: [f64; CATEGORICAL] = [
    0.0, 0.0, 0.04, 0.04, 0.0, 0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.04, 0.0, 0.0, 0.0, 0.04, 0.0, 0.0, 0.45, 0.45, 0.04,
    0.75, 0.0, 0.04, 0.45, 0.45,
];

/// The second count is the one that goes below zero.
pub(super) const SIGNED: usize = 1;

/// Share of clicks.
const POSITIVES: f64 = 0.25;

/// Lines of the pilot sample. Their numbers are counted back from the largest, out of the way of the others.
const PILOT: u64 = 4096;

/// A smaller deviation of the scores is none: the features have one value each.
const NO_DEVIATION: f64 = 1e-9;

/// What a line was drawn with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    /// Probability that it is positive.
    pub(super) probability: f64,
    /// A probability that ranks lines as the largest tables' features are unknown.
    pub(super) probability_without_largest: f64,
    pub(super) positive: bool,
}

/// One categorical feature.
#[derive(Clone, Debug)]
struct Feature {
    missing: f64,
    ranks: Zipf<f64>,
    most: u32,
    scatter: u32,
    /// Of a missing value and of the most popular ranks; others have none. Empty where factors are instead.
    effects: Vec<f64>,
    /// What factors are made from.
    key: u64,
    /// The last rank with factors.
    head: u32,
    largest: bool,
}

impl Feature {
    fn new(feature: usize, settings: &Synthetic, largest: bool) -> Result<Self, SyntheticError> {
        let value = settings.cardinalities[feature];
        let out_of_range = SyntheticError::Cardinality { feature, value };
        let most = u32::try_from(value).ok().filter(|&most| most > 0).ok_or(out_of_range)?;
        // Missing is itself one of the values.
        let missing = if most == 1 { 0.0 } else { MISSING[feature] };
        let most = if missing > 0.0 { most - 1 } else { most };
        if !settings.zipf.is_finite() {
            return Err(SyntheticError::Zipf(settings.zipf));
        }
        let ranks = Zipf::new(f64::from(most), settings.zipf).map_err(|_| SyntheticError::Zipf(settings.zipf))?;
        let number = feature as u64 + 1;
        let key = mix(settings.seed ^ mix(number << 32));
        let head = settings.head.min(most);
        // Features matter to different degrees, in a fixed order unrelated to the tables' sizes.
        let size = 0.2 + 0.4 * ((feature * 7) % CATEGORICAL) as f64 / CATEGORICAL as f64;
        Ok(Self {
            missing,
            ranks,
            most,
            // Fixed, not seeded: a feature's most popular value is the same in every file.
            scatter: mix(number) as u32 | 1,
            effects: match (settings.effects, largest) {
                (Effects::Vectors, true) => Vec::new(),
                _ => (0..=head).map(|rank| size * effects::effect(key, rank)).collect(),
            },
            key,
            head,
            largest,
        })
    }

    /// A popularity rank from 1; 0 is missing.
    fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        if self.missing > 0.0 && uniform(rng) < self.missing {
            return 0;
        }
        // A float to integer cast saturates, so the bound also covers rounding beyond the last rank.
        (self.ranks.sample(rng) as u32).clamp(1, self.most)
    }

    fn effect(&self, rank: u32) -> f64 {
        self.effects.get(rank as usize).copied().unwrap_or(0.0)
    }

    /// What two values mean together.
    fn joint_effect(&self, rank: u32, other: &Self, other_rank: u32) -> f64 {
        if rank > self.head || other_rank > other.head {
            return 0.0;
        }
        effects::product(&effects::factors(self.key, rank), &effects::factors(other.key, other_rank))
    }

    /// The rank of a value that comes with one of this rank in a list: of equal ranks the same.
    fn companion(&self, rank: u32, at: u32) -> u32 {
        let hash = mix(u64::from(self.scatter) ^ mix(u64::from(rank) << 32 | u64::from(at)));
        // From 1 to the last, as even as a remainder.
        ((u128::from(hash) * u128::from(self.most)) >> 64) as u32 + 1
    }

    /// The raw category value of a rank.
    fn value(&self, rank: u32) -> u32 {
        // Odd multiplication and shifted exclusive-or are bijections and keep 0: ranks never collide or mean missing.
        let mut value = rank.wrapping_mul(self.scatter);
        value = (value ^ (value >> 16)).wrapping_mul(0x85eb_ca6b);
        value = (value ^ (value >> 13)).wrapping_mul(0xc2b2_ae35);
        value ^ (value >> 16)
    }
}

/// The scores of a line, before they are scaled.
#[derive(Clone, Copy, Debug, Default)]
struct Scores {
    /// Of the counts and the smaller tables.
    other: f64,
    /// Of the largest tables.
    largest: f64,
}

/// The lines of one seed.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// At the begin of its stream.
    rng: ChaCha8Rng,
    features: Vec<Feature>,
    largest: Vec<usize>,
    /// Features whose values have effects together.
    pairs: Vec<(usize, usize)>,
    /// What the scores are multiplied by.
    scales: Scores,
    bias: f64,
    /// Values of each feature in a line of columns.
    multi_hot: Option<[u32; CATEGORICAL]>,
}

impl Model {
    pub(super) fn new(settings: &Synthetic) -> Result<Self, SyntheticError> {
        if !(settings.signal.is_finite() && settings.signal >= 0.0) {
            return Err(SyntheticError::Signal(settings.signal));
        }
        if !(0.0..=1.0).contains(&settings.largest_share) {
            return Err(SyntheticError::LargestShare(settings.largest_share));
        }
        if let Some(feature) = settings.multi_hot.and_then(|values| values.iter().position(|&values| values == 0)) {
            return Err(SyntheticError::MultiHot { feature });
        }
        settings.first_line.checked_add(settings.lines).ok_or(SyntheticError::Lines)?;
        let largest = largest_tables(&settings.cardinalities, settings.largest);
        let pairs = settings.effects.pairs(&largest)?;
        let feature = |feature| Feature::new(feature, settings, largest.contains(&feature));
        let features = (0..CATEGORICAL).map(feature).collect::<Result<_, _>>()?;
        let rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let mut model =
            Self { rng, features, largest, pairs, scales: Scores::default(), bias: 0.0, multi_hot: settings.multi_hot };
        model.calibrate(settings.signal, settings.largest_share);
        Ok(model)
    }

    /// The largest tables, numbered from 0.
    pub(super) fn largest(&self) -> &[usize] {
        &self.largest
    }

    /// Draws a line and appends its text.
    pub(super) fn line(&self, number: u64, text: &mut Vec<u8>) -> Drawn {
        let mut rng = self.rng(number);
        let Values { counts, ranks } = self.values(&mut rng);
        let scores = self.scores(&counts, &ranks);
        let other = self.scales.other * scores.other + self.bias;
        let probability = sigmoid(other + self.scales.largest * scores.largest);
        let positive = uniform(&mut rng) < probability;
        text.push(if positive { b'1' } else { b'0' });
        let delimiter = if self.multi_hot.is_some() { b',' } else { b'\t' };
        for count in counts {
            text.push(delimiter);
            if let Some(count) = count {
                decimal(count, text);
            }
        }
        for (number, (&rank, feature)) in ranks.iter().zip(&self.features).enumerate() {
            text.push(delimiter);
            if rank != 0 {
                hexadecimal(feature.value(rank), text);
                let more = self.multi_hot.map_or(0, |values| values[number] - 1);
                for at in 1..=more {
                    text.push(b'|');
                    hexadecimal(feature.value(feature.companion(rank, at)), text);
                }
            }
        }
        text.push(b'\n');
        Drawn { probability, probability_without_largest: sigmoid(other), positive }
    }

    /// A stream for each line, so that lines can be made in any order.
    fn rng(&self, number: u64) -> ChaCha8Rng {
        let mut rng = self.rng.clone();
        rng.set_stream(number);
        rng
    }

    fn values(&self, rng: &mut ChaCha8Rng) -> Values {
        let counts = std::array::from_fn(|i| {
            let (missing, mean, deviation) = COUNTS[i];
            (uniform(rng) >= missing).then(|| count(i, mean, deviation, rng))
        });
        Values { counts, ranks: std::array::from_fn(|feature| self.features[feature].draw(rng)) }
    }

    fn scores(&self, counts: &[Option<i64>; DENSE], ranks: &[u32; CATEGORICAL]) -> Scores {
        let bent: [f64; DENSE] = std::array::from_fn(|i| {
            let (_, mean, deviation) = COUNTS[i];
            // From the value as a model sees it, so that all of the signal can be learnt.
            let log = (counts[i].unwrap_or(0).max(0) as f64).ln_1p();
            ((log - mean) / deviation).clamp(-2.0, 2.0)
        });
        let linear = 0.4 * bent[0] - 0.4 * bent[4] - 0.3 * bent[5] + 0.4 * bent[6] + 0.5 * bent[10];
        // A bump and a product, which no linear model of the counts represents.
        let curved = 0.6 / (1.0 + bent[12] * bent[12]) + 0.3 * bent[1] * bent[8];
        let mut scores = Scores { other: linear + curved, largest: 0.0 };
        for (&rank, feature) in ranks.iter().zip(&self.features) {
            let score = if feature.largest { &mut scores.largest } else { &mut scores.other };
            *score += feature.effect(rank);
        }
        for &(one, other) in &self.pairs {
            let (feature, with) = (&self.features[one], &self.features[other]);
            scores.largest += feature.joint_effect(ranks[one], with, ranks[other]);
        }
        scores
    }

    /// Sets scales and bias so that the logits of a pilot sample have the wanted deviation, share of the largest tables and
    /// share of clicks.
    fn calibrate(&mut self, signal: f64, largest_share: f64) {
        let pilot: Vec<Scores> = (0..PILOT)
            .map(|line| self.values(&mut self.rng(u64::MAX - line)))
            .map(|values| self.scores(&values.counts, &values.ranks))
            .collect();
        let moments = |of: fn(&Scores) -> f64| {
            let mean = pilot.iter().map(of).sum::<f64>() / PILOT as f64;
            let variance = pilot.iter().map(|scores| (of(scores) - mean).powi(2)).sum::<f64>() / PILOT as f64;
            (mean, variance.sqrt())
        };
        let (other, largest) = (moments(|scores| scores.other), moments(|scores| scores.largest));
        let share = if largest.1 > NO_DEVIATION { largest_share } else { 0.0 };
        self.scales = Scores {
            other: signal * (1.0 - share).sqrt() / other.1,
            largest: if share > 0.0 { signal * share.sqrt() / largest.1 } else { 0.0 },
        };
        let offset = self.scales.other * other.0 + self.scales.largest * largest.0;
        let (mut low, mut high) = (-20.0, 20.0);
        for _ in 0..50 {
            self.bias = 0.5 * (low + high) - offset;
            let logit = |s: &Scores| self.scales.other * s.other + self.scales.largest * s.largest + self.bias;
            let positives = pilot.iter().map(|scores| sigmoid(logit(scores))).sum::<f64>() / PILOT as f64;
            let middle = self.bias + offset;
            if positives < POSITIVES { low = middle } else { high = middle }
        }
    }
}

/// The values of a line.
struct Values {
    counts: [Option<i64>; DENSE],
    ranks: [u32; CATEGORICAL],
}

fn count(index: usize, mean: f64, deviation: f64, rng: &mut ChaCha8Rng) -> i64 {
    if index == SIGNED {
        let u = uniform(rng);
        if u < 0.11 {
            return if u < 0.01 { -2 } else { -1 };
        }
    }
    let normal: f64 = StandardNormal.sample(rng);
    // 1 + x is log-normal; rounding to the nearest makes the many zeros that real counts have.
    ((mean + deviation * normal).exp() - 0.5).floor().clamp(0.0, 2e6) as i64
}

fn hexadecimal(value: u32, text: &mut Vec<u8>) {
    // By hand, not through the formatting machinery: these 26 fields are most of the line.
    text.extend((0..8).rev().map(|digit| b"0123456789abcdef"[(value >> (4 * digit)) as usize & 15]));
}

fn decimal(value: i64, text: &mut Vec<u8>) {
    if value < 0 {
        text.push(b'-');
    }
    let (mut rest, mut digits, mut first) = (value.unsigned_abs(), [0; 20], 20);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[first..]);
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_popular_values_have_an_effect() {
        let feature = Feature::new(2, &Synthetic { head: 10, ..Synthetic::default() }, true).unwrap();
        assert!((0..=10).all(|rank| feature.effect(rank) != 0.0));
        assert!((11..1000).all(|rank| feature.effect(rank) == 0.0));
        let vectors = Synthetic { head: 10, effects: Effects::Vectors, ..Synthetic::default() };
        let [one, other] = [2, 3].map(|number| Feature::new(number, &vectors, true).unwrap());
        assert!((0..=10).all(|rank| one.effect(rank) == 0.0 && one.joint_effect(rank, &other, 10 - rank) != 0.0));
        assert!((0..=10).all(|rank| one.joint_effect(rank, &other, 11) == 0.0));
        assert!((0..=10).all(|rank| one.joint_effect(11, &other, rank) == 0.0));
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for value in [0, 1, -1, -2, 9, 10, 1999, 2_000_000, i64::MIN, i64::MAX] {
            let mut text = Vec::new();
            decimal(value, &mut text);
            assert_eq!(text, value.to_string().as_bytes());
        }
    }
}
