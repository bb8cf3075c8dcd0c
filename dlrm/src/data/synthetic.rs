//! Lines in the Criteo format drawn from a planted model, for runs and tests without the real file.
//!
//! Counts are log-normal, categories Zipf-skewed, both with about the missing rates of the real file. A line's score is
//! the sum of a hidden effect of every category and a smooth function of some counts; the label is drawn with the
//! probability `sigmoid(a score + b)`. The constants a and b are set by a pilot sample so that every seed gives about a
//! quarter of clicks and the same difficulty. Everything comes from the seed: same settings, same bytes.

use std::fmt;
use std::io::{self, BufRead, BufWriter, Read, Write};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, Zipf};
use serde::{Deserialize, Serialize};

use super::{CATEGORICAL, DENSE, mix, uniform};
use crate::metrics::auc;
use crate::presets::Preset;

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
const SIGNED: usize = 1;

/// Share of clicks.
const POSITIVES: f64 = 0.25;

/// Standard deviation of the logit; this much makes the best possible AUC about 0.83.
const SIGNAL: f64 = 1.6;

/// Lines of the pilot sample, and the generator's streams: the pilot must not use up the lines' draws.
const PILOT: usize = 4096;
const PILOT_STREAM: u64 = 1;

/// Settings of a synthetic file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// Number of lines.
    pub lines: u64,
    /// Decides everything else: model, values and labels.
    pub seed: u64,
    /// Most distinct values (missing included) of each categorical feature, 1 to 2^32 - 1; a short file shows fewer.
    pub cardinalities: [u64; CATEGORICAL],
    /// Exponent of the categories' popularity, at least 0 (uniform).
    pub zipf: f64,
}

impl Default for Synthetic {
    /// 20,000 lines with the Kaggle table sizes cut to 100,000 rows, exponent 1.05.
    fn default() -> Self {
        let cardinalities = Preset::Kaggle.table_rows().map(|rows| rows.min(100_000));
        Self { lines: 20_000, seed: 1, cardinalities, zipf: 1.05 }
    }
}

/// A setting outside its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SyntheticError {
    /// A feature cannot have this many values.
    Cardinality {
        /// Position in [`Synthetic::cardinalities`], from 0.
        feature: usize,
        /// The number asked for.
        value: u64,
    },
    /// Not a finite exponent of at least 0.
    Zipf(f64),
}

impl fmt::Display for SyntheticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cardinality { feature, value } => {
                write!(f, "cardinality {value} of feature C{} is outside 1..={}", feature + 1, u32::MAX)
            }
            Self::Zipf(value) => write!(f, "Zipf exponent {value} is not a finite number of at least 0"),
        }
    }
}

impl std::error::Error for SyntheticError {}

impl From<SyntheticError> for io::Error {
    fn from(error: SyntheticError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

impl Synthetic {
    /// Writes all lines.
    ///
    /// # Errors
    ///
    /// From `out`; of kind `InvalidInput` with a [`SyntheticError`] inside for invalid settings.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut reader = self.reader()?;
        let mut out = BufWriter::with_capacity(1 << 16, out);
        loop {
            let line = reader.fill_buf()?;
            if line.is_empty() {
                return out.flush();
            }
            out.write_all(line)?;
            let read = line.len();
            reader.consume(read);
        }
    }

    /// The same text as [`Synthetic::write`], made while it is read and never held as a whole.
    ///
    /// # Errors
    ///
    /// If a setting is outside its range.
    pub fn reader(&self) -> Result<SyntheticReader, SyntheticError> {
        Ok(SyntheticReader { source: Source::new(self)?, left: self.lines, line: Vec::with_capacity(512), read: 0 })
    }

    /// The true click probability and the drawn label of every line, in order: what no model can beat.
    ///
    /// # Errors
    ///
    /// If a setting is outside its range.
    pub fn truth(&self) -> Result<(Vec<f64>, Vec<f32>), SyntheticError> {
        let mut source = Source::new(self)?;
        Ok((0..self.lines).map(|_| source.advance()).map(|(p, click)| (p, f32::from(u8::from(click)))).unzip())
    }

    /// Area under the curve of the true probabilities over all lines; `None` if only one class was drawn.
    ///
    /// # Errors
    ///
    /// If a setting is outside its range.
    pub fn bayes_auc(&self) -> Result<Option<f64>, SyntheticError> {
        let (probabilities, labels) = self.truth()?;
        Ok(auc(&probabilities, &labels))
    }
}

/// A reader that generates one line at a time.
#[derive(Clone, Debug)]
pub struct SyntheticReader {
    source: Source,
    left: u64,
    line: Vec<u8>,
    read: usize,
}

impl BufRead for SyntheticReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.line.len() && self.left > 0 {
            self.left -= 1;
            self.read = 0;
            let (_, click) = self.source.advance();
            self.source.print(click, &mut self.line)?;
        }
        Ok(&self.line[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read = self.line.len().min(self.read + amount);
    }
}

impl Read for SyntheticReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

/// One categorical feature: how its values are drawn and what they mean.
#[derive(Clone, Copy, Debug)]
struct Feature {
    missing: f64,
    ranks: Zipf<f64>,
    most: u32,
    scatter: u32,
    effect_key: u64,
    effect_size: f64,
}

impl Feature {
    fn new(feature: usize, settings: &Synthetic) -> Result<Self, SyntheticError> {
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
        Ok(Self {
            missing,
            ranks,
            most,
            // Fixed, not seeded: a feature's most popular value is the same in every file.
            scatter: mix(number) as u32 | 1,
            effect_key: mix(settings.seed ^ mix(number << 32)),
            // Features matter to different degrees, in a fixed order unrelated to the tables' sizes.
            effect_size: 0.2 + 0.4 * ((feature * 7) % CATEGORICAL) as f64 / CATEGORICAL as f64,
        })
    }

    /// A raw category value; 0 is missing.
    fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        if self.missing > 0.0 && uniform(rng) < self.missing {
            return 0;
        }
        // A float to integer cast saturates, so the bound also covers rounding beyond the last rank.
        let rank = (self.ranks.sample(rng) as u32).clamp(1, self.most);
        // Odd multiplication and shifted exclusive-or are bijections and keep 0: ranks never collide or mean missing.
        let mut value = rank.wrapping_mul(self.scatter);
        value = (value ^ (value >> 16)).wrapping_mul(0x85eb_ca6b);
        value = (value ^ (value >> 13)).wrapping_mul(0xc2b2_ae35);
        value ^ (value >> 16)
    }

    /// About N(0, effect_size^2): the sum of four uniform 16-bit lanes of a hash of seed, feature and value.
    fn effect(&self, value: u32) -> f64 {
        let hash = mix(self.effect_key ^ u64::from(value));
        let sum: u64 = (0..4).map(|lane| (hash >> (16 * lane)) & 0xffff).sum();
        let deviation = 65536.0 / 3f64.sqrt();
        self.effect_size * (sum as f64 - 2.0 * 65535.0) / deviation
    }
}

/// The endless sequence of lines of one seed.
#[derive(Clone, Debug)]
struct Source {
    rng: ChaCha8Rng,
    features: Vec<Feature>,
    scale: f64,
    bias: f64,
    counts: [Option<i64>; DENSE],
    categories: [u32; CATEGORICAL],
}

impl Source {
    fn new(settings: &Synthetic) -> Result<Self, SyntheticError> {
        let features = (0..CATEGORICAL).map(|feature| Feature::new(feature, settings)).collect::<Result<_, _>>()?;
        let rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let mut source =
            Self { rng, features, scale: 1.0, bias: 0.0, counts: [None; DENSE], categories: [0; CATEGORICAL] };
        let mut pilot = source.clone();
        pilot.rng.set_stream(PILOT_STREAM);
        (source.scale, source.bias) = calibrate(&(0..PILOT).map(|_| pilot.draw()).collect::<Vec<_>>());
        Ok(source)
    }

    /// Draws the next line; gives its click probability and label.
    fn advance(&mut self) -> (f64, bool) {
        let p = sigmoid(self.scale * self.draw() + self.bias);
        (p, uniform(&mut self.rng) < p)
    }

    /// Draws the next values and gives their score.
    fn draw(&mut self) -> f64 {
        let mut bent = [0.0; DENSE];
        for (i, &(missing, mean, deviation)) in COUNTS.iter().enumerate() {
            self.counts[i] = (uniform(&mut self.rng) >= missing).then(|| count(i, mean, deviation, &mut self.rng));
            // From the value as a model sees it, so that all of the signal can be learnt.
            let log = (self.counts[i].unwrap_or(0).max(0) as f64).ln_1p();
            bent[i] = ((log - mean) / deviation).clamp(-2.0, 2.0);
        }
        let mut score = 0.4 * bent[0] - 0.4 * bent[4] - 0.3 * bent[5] + 0.4 * bent[6] + 0.5 * bent[10];
        // A bump and a product, which no linear model of the counts represents.
        score += 0.6 / (1.0 + bent[12] * bent[12]) + 0.3 * bent[1] * bent[8];
        for (value, feature) in self.categories.iter_mut().zip(&self.features) {
            *value = feature.draw(&mut self.rng);
            score += feature.effect(*value);
        }
        score
    }

    /// Replaces `line` by the text of the values last drawn.
    fn print(&self, click: bool, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        line.push(if click { b'1' } else { b'0' });
        for count in self.counts {
            line.push(b'\t');
            if let Some(count) = count {
                write!(line, "{count}")?;
            }
        }
        for value in self.categories {
            line.push(b'\t');
            if value != 0 {
                // By hand, not through the formatting machinery: these 26 fields are most of the line.
                line.extend((0..8).rev().map(|digit| b"0123456789abcdef"[(value >> (4 * digit)) as usize & 15]));
            }
        }
        line.push(b'\n');
        Ok(())
    }
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

/// Slope and offset that give the scores the wanted spread and share of clicks.
fn calibrate(scores: &[f64]) -> (f64, f64) {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / n;
    let scale = SIGNAL / variance.sqrt().max(f64::MIN_POSITIVE);
    let (mut low, mut high) = (-20.0, 20.0);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        let positives = scores.iter().map(|score| sigmoid(scale * (score - mean) + middle)).sum::<f64>() / n;
        if positives < POSITIVES { low = middle } else { high = middle }
    }
    (scale, 0.5 * (low + high) - scale * mean)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::super::Dataset;
    use super::*;

    fn text(settings: &Synthetic) -> String {
        let mut out = Vec::new();
        settings.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn same_seed_same_bytes() {
        let settings = Synthetic { lines: 500, ..Synthetic::default() };
        let once = text(&settings);
        assert_eq!(once, text(&settings));
        assert_ne!(once, text(&Synthetic { seed: 2, ..settings.clone() }));
        // More lines continue the file; they do not change it.
        assert!(text(&Synthetic { lines: 501, ..settings.clone() }).starts_with(&once));
        let mut read = String::new();
        settings.reader().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(once, read);
        // Pinned: results published for a seed must stay reproducible.
        assert_eq!(fnv(once.as_bytes()), 4550700401848245494, "{}", once.lines().next().unwrap());
    }

    #[test]
    fn signal_is_the_same_for_every_seed() {
        for seed in 0..6 {
            let settings = Synthetic { seed, ..Synthetic::default() };
            let (probabilities, labels) = settings.truth().unwrap();
            let positives = labels.iter().sum::<f32>() / labels.len() as f32;
            assert!((0.235..0.265).contains(&positives), "{positives}");
            let area = auc(&probabilities, &labels).unwrap();
            assert!((0.80..0.85).contains(&area), "{area}");
            assert_eq!(settings.bayes_auc(), Ok(Some(area)));
        }
    }

    #[test]
    fn goes_through_the_parser() {
        let settings = Synthetic::default();
        let data = Dataset::synthetic(&settings).unwrap();
        assert_eq!(data.len(), 20_000);
        let read = Dataset::from_reader(text(&settings).as_bytes(), "text").unwrap();
        assert_eq!(data.header(), read.header());
        assert_eq!(data.labels(0..data.len()).collect::<Vec<_>>(), settings.truth().unwrap().1);
        assert!(!data.split().validation.is_empty());
        for (rows, most) in data.table_rows().into_iter().zip(settings.cardinalities) {
            assert!(rows <= most && (rows == most || most > 25), "{rows} {most}");
        }
        // A large table is skewed but not exhausted: the first 100,000-row feature.
        assert!((3_000..15_000).contains(&data.table_rows()[2]), "{}", data.table_rows()[2]);
    }

    #[test]
    fn looks_like_the_real_file() {
        let once = text(&Synthetic { lines: 5_000, ..Synthetic::default() });
        let fields: Vec<&str> = once.lines().flat_map(|line| line.split('\t')).collect();
        assert_eq!(fields.len(), 5_000 * 40);
        let missing = fields.iter().filter(|field| field.is_empty()).count() as f64 / fields.len() as f64;
        assert!((0.08..0.20).contains(&missing), "{missing}");
        let second: Vec<&str> = fields.iter().skip(1 + SIGNED).step_by(40).copied().collect();
        assert!(second.contains(&"-1") && second.contains(&"-2"));
        let first = fields.iter().skip(1).step_by(40);
        assert!(first.filter(|value| !value.is_empty()).all(|value| value.parse::<i64>().unwrap() >= 0));
        assert!(fields.chunks(40).all(|line| line[14..].iter().all(|value| [0, 8].contains(&value.len()))));
    }

    #[test]
    fn ranks_become_distinct_values_that_are_not_zero() {
        let settings = Synthetic { cardinalities: [50; CATEGORICAL], zipf: 0.0, lines: 3_000, ..Synthetic::default() };
        assert_eq!(Dataset::synthetic(&settings).unwrap().table_rows(), [50; CATEGORICAL]);
        let single = Synthetic { cardinalities: [1; CATEGORICAL], lines: 50, ..settings };
        assert_eq!(Dataset::synthetic(&single).unwrap().table_rows(), [1; CATEGORICAL]);
        let largest = Synthetic { cardinalities: [u64::from(u32::MAX); CATEGORICAL], ..single };
        assert_eq!(Dataset::synthetic(&largest).unwrap().len(), 50);
    }

    #[test]
    fn effects_are_standardised() {
        let feature = Feature::new(0, &Synthetic::default()).unwrap();
        let n = 100_000;
        let squares: f64 = (0..n).map(|value| (feature.effect(value) / feature.effect_size).powi(2)).sum();
        assert!((squares / f64::from(n) - 1.0).abs() < 0.02);
    }

    #[test]
    fn settings_are_checked() {
        let mut settings = Synthetic::default();
        for zipf in [-0.5, f64::NAN, f64::INFINITY] {
            settings.zipf = zipf;
            assert!(matches!(settings.bayes_auc(), Err(SyntheticError::Zipf(_))));
        }
        settings.zipf = 1.0;
        for value in [0, 1 << 32] {
            settings.cardinalities[2] = value;
            let error = settings.write(io::sink()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), format!("cardinality {value} of feature C3 is outside 1..=4294967295"));
        }
    }
}
