//! Lines in the Criteo format drawn from a planted model, for runs and tests without the real files.
//!
//! Counts are log-normal, categories Zipf-skewed, both with about the missing rates of the real file. A line's logit is
//! the sum of hidden effects of its categories and a smooth function of some counts; the label is drawn with its
//! sigmoid. A pilot sample sets the scales, so that every seed gives about a quarter of clicks and the same difficulty.
//!
//! A given share of the logit's variance comes from the largest tables, and within a table from its most popular
//! values alone: rows that occur often enough to be learned. So a model that cannot learn the largest tables loses, and by
//! how much is known: [`Planted`] has the best possible AUC with them and without. With [`Effects::Vectors`] their rows
//! matter as vectors: what a row means depends on the row it comes with.
//!
//! Everything comes from the seed and the line's number: the same settings give the same bytes for any number of threads,
//! and a file continues another if its first line is the line behind the other's last.

mod bayes;
mod effects;
mod model;

use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::bayes::Ranking;
pub use self::effects::Effects;
use self::model::{Drawn, Model};
use super::columns::{Categorical, Dense, ListPooling, Schema, Transform};
use super::criteo::NAMES;
use super::{CATEGORICAL, DENSE};
use crate::presets::Preset;

/// Lines made at a time by one task, about a megabyte; in a compressed file, lines of one gzip member.
const BLOCK: u64 = 4096;

/// Settings of a synthetic file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// Number of lines.
    pub lines: u64,
    /// Number of the first line, from 0: files of one seed continue each other.
    pub first_line: u64,
    /// Decides, with the settings below, everything else: model, values and labels.
    pub seed: u64,
    /// Most distinct values (missing included) of each categorical feature, 1 to 2^32 - 1; a short file shows fewer.
    pub cardinalities: [u64; CATEGORICAL],
    /// Exponent of the categories' popularity, at least 0 (uniform).
    pub zipf: f64,
    /// Standard deviation of the logit, at least 0.
    pub signal: f64,
    /// How many of the tables count as the largest.
    pub largest: usize,
    /// Share of the logit's variance that comes from the largest tables, 0 to 1.
    pub largest_share: f64,
    /// How many of the most popular values of a feature have an effect.
    pub head: u32,
    /// How the largest tables' features have theirs.
    pub effects: Effects,
    /// Values of each feature in a line, at least 1, in the form of [columns](super::columns); none for Criteo's lines. The first is
    /// that of the line, others follow from it: it is it that has an effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_hot: Option<[u32; CATEGORICAL]>,
}

impl Default for Synthetic {
    /// 20,000 lines with the Kaggle table sizes cut to 100,000 rows, exponent 1.05, a signal that makes the best possible
    /// AUC about 0.83, half of it in the 100 most popular values of each of the seven largest tables.
    fn default() -> Self {
        let cardinalities = Preset::Kaggle.table_rows().map(|rows| rows.min(100_000));
        Self {
            lines: 20_000,
            first_line: 0,
            seed: 1,
            cardinalities,
            zipf: 1.05,
            signal: 1.6,
            largest: 7,
            largest_share: 0.5,
            head: 100,
            effects: Effects::Scalars,
            multi_hot: None,
        }
    }
}

/// A setting of a synthetic file outside its range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
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
    /// Not a finite standard deviation of at least 0.
    Signal(f64),
    /// Not a share of the variance.
    LargestShare(f64),
    /// So few tables count as the largest that there is no pair of them.
    Pairs {
        /// How many do.
        largest: usize,
    },
    /// The number of the last line does not fit 64 bits.
    Lines,
    /// No value of a feature.
    MultiHot {
        /// Which, from 0.
        feature: usize,
    },
}

impl fmt::Display for SyntheticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cardinality { feature, value } => {
                write!(f, "cardinality {value} of feature C{} is outside 1..={}", feature + 1, u32::MAX)
            }
            Self::Zipf(value) => write!(f, "Zipf exponent {value} is not a finite number of at least 0"),
            Self::Signal(value) => write!(f, "signal {value} is not a finite number of at least 0"),
            Self::LargestShare(value) => write!(f, "{value} is not a share of the signal: from 0 to 1"),
            Self::Pairs { largest } => {
                write!(
                    f,
                    "effects of vectors are of pairs of the largest tables: at least 2 must count as such, not {largest}"
                )
            }
            Self::MultiHot { feature } => write!(f, "feature C{} has no value in a line: at least 1", feature + 1),
            Self::Lines => f.write_str("the last line's number is larger than 64 bits hold"),
        }
    }
}

impl std::error::Error for SyntheticError {}

impl From<SyntheticError> for io::Error {
    fn from(error: SyntheticError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// What is known of the lines written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planted {
    /// Number of lines.
    pub lines: u64,
    /// Positive lines.
    pub positives: u64,
    /// Bytes of the lines, uncompressed.
    pub text_bytes: u64,
    /// Area under the curve of the true probabilities against the labels drawn: what no model beats but by chance. None
    /// if only one class was drawn.
    pub bayes_auc: Option<f64>,
    /// The same of the best model that knows nothing of the largest tables' features.
    pub bayes_auc_without_largest: Option<f64>,
    /// The largest tables, numbered from 0.
    pub largest: Vec<usize>,
}

impl Synthetic {
    /// Writes all lines, as text or as gzip, made on the threads of the current rayon pool; calls `progress` with the
    /// number of lines now and then.
    ///
    /// # Errors
    ///
    /// From `out`; of kind `InvalidInput` with a [`SyntheticError`] inside for invalid settings.
    pub fn write(&self, mut out: impl Write, gzip: bool, mut progress: impl FnMut(u64)) -> io::Result<Planted> {
        let model = Model::new(self)?;
        let mut ranking = Ranking::default();
        let header = self.header();
        let text_bytes = header.len();
        match gzip && !header.is_empty() {
            true => {
                let mut encoder = GzEncoder::new(&mut out, Compression::fast());
                encoder.write_all(header.as_bytes())?;
                encoder.finish()?;
            }
            false => out.write_all(header.as_bytes())?,
        }
        let mut text_bytes = text_bytes as u64;
        let count = self.lines.div_ceil(BLOCK);
        let together = 4 * rayon::current_num_threads() as u64;
        for first in (0..count).step_by(together as usize) {
            let blocks = first..count.min(first + together);
            let blocks: Vec<_> = blocks.into_par_iter().map(|block| self.block(&model, block, gzip)).collect();
            for block in blocks {
                let Block { text, bytes, drawn } = block?;
                text_bytes += text as u64;
                out.write_all(&bytes)?;
                drawn.iter().for_each(|line| ranking.add(line));
            }
            progress(ranking.lines());
        }
        out.flush()?;
        Ok(Planted {
            lines: self.lines,
            positives: ranking.positives(),
            text_bytes,
            bayes_auc: ranking.auc(),
            bayes_auc_without_largest: ranking.auc_without_largest(),
            largest: model.largest().to_vec(),
        })
    }

    fn block(&self, model: &Model, block: u64, gzip: bool) -> io::Result<Block> {
        let first = block * BLOCK;
        let lines = first..self.lines.min(first + BLOCK);
        let mut bytes = Vec::with_capacity(lines.clone().count() * 256);
        let drawn = lines.map(|line| model.line(self.first_line + line, &mut bytes)).collect();
        let text = bytes.len();
        if gzip {
            let mut encoder = GzEncoder::new(Vec::with_capacity(text / 2), Compression::fast());
            encoder.write_all(&bytes)?;
            bytes = encoder.finish()?;
        }
        Ok(Block { text, bytes, drawn })
    }

    /// The same text as [`Synthetic::write`], made while it is read and never held as a whole.
    ///
    /// # Errors
    ///
    /// If a setting is outside its range.
    pub fn reader(&self) -> Result<SyntheticReader, SyntheticError> {
        let model = Model::new(self)?;
        let lines = self.first_line..self.first_line + self.lines;
        Ok(SyntheticReader { model, lines, text: self.header().into_bytes(), read: 0 })
    }

    /// The names of the columns, where there are any.
    fn header(&self) -> String {
        let Some(_) = self.multi_hot else { return String::new() };
        NAMES.join(",") + "\n"
    }

    /// What the columns of the lines are; none of Criteo's lines.
    pub fn schema(&self) -> Option<Schema> {
        let values = self.multi_hot?;
        let dense = |name: &&str| Dense { name: (*name).to_owned(), transform: Transform::Log, missing: 0.0 };
        let categorical = |(name, values): (&&str, u32)| Categorical {
            pooling: (values > 1).then_some(ListPooling::Sum),
            ..Categorical::one(*name)
        };
        Some(Schema {
            label: NAMES[0].to_owned(),
            split: None,
            delimiter: ',',
            dense: NAMES[1..=DENSE].iter().map(dense).collect(),
            categorical: NAMES[1 + DENSE..].iter().zip(values).map(categorical).collect(),
        })
    }
}

/// Consecutive lines.
struct Block {
    /// Bytes of the text.
    text: usize,
    /// The text, maybe compressed.
    bytes: Vec<u8>,
    drawn: Vec<Drawn>,
}

/// A reader that generates lines.
#[derive(Clone, Debug)]
pub struct SyntheticReader {
    model: Model,
    lines: std::ops::Range<u64>,
    text: Vec<u8>,
    read: usize,
}

impl Read for SyntheticReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() {
            self.read = 0;
            self.text.clear();
            if let Some(line) = self.lines.next() {
                self.model.line(line, &mut self.text);
            }
        }
        let read = (&self.text[self.read..]).read(out)?;
        self.read += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dataset;
    use super::*;
    use crate::metrics::auc;

    fn text(settings: &Synthetic) -> String {
        let mut out = Vec::new();
        settings.write(&mut out, false, |_| ()).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn planted(settings: &Synthetic) -> Planted {
        settings.write(io::sink(), false, |_| ()).unwrap()
    }

    #[test]
    fn same_seed_same_bytes() {
        let settings = Synthetic { lines: 500, ..Synthetic::default() };
        let once = text(&settings);
        assert_eq!(once, text(&settings));
        assert_ne!(once, text(&Synthetic { seed: 2, ..settings.clone() }));
        let mut read = String::new();
        settings.reader().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(once, read);
        // Pinned: results published for a seed must stay reproducible.
        let hash = twox_hash::XxHash3_64::oneshot(once.as_bytes());
        assert_eq!(hash, 5410902330851787969, "{}", once.lines().next().unwrap());
    }

    #[test]
    fn files_continue_each_other() {
        let all = Synthetic { lines: BLOCK + 700, ..Synthetic::default() };
        let first = Synthetic { lines: BLOCK - 3, ..all.clone() };
        let second = Synthetic { first_line: BLOCK - 3, lines: 703, ..all.clone() };
        assert_eq!(text(&first) + &text(&second), text(&all));
        let mut read = String::new();
        second.reader().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, text(&second));
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let settings = Synthetic { lines: 10 * BLOCK + 5, cardinalities: [9; CATEGORICAL], ..Synthetic::default() };
        for gzip in [false, true] {
            let write = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = Vec::new();
                let planted = pool.install(|| settings.write(&mut out, gzip, |_| ())).unwrap();
                (out, planted)
            };
            assert!(write(1) == write(3));
        }
    }

    #[test]
    fn compressed_is_the_same_text() {
        let settings = Synthetic { lines: BLOCK + 1, ..Synthetic::default() };
        let mut out = Vec::new();
        let planted = settings.write(&mut out, true, |_| ()).unwrap();
        let mut read = String::new();
        flate2::read::MultiGzDecoder::new(&out[..]).read_to_string(&mut read).unwrap();
        assert!(read == text(&settings));
        assert_eq!(planted.text_bytes, read.len() as u64);
    }

    #[test]
    fn signal_is_the_same_for_every_seed() {
        for seed in 0..6 {
            let planted = planted(&Synthetic { seed, ..Synthetic::default() });
            let positives = planted.positives as f64 / planted.lines as f64;
            assert!((0.235..0.265).contains(&positives), "{positives}");
            let (with, without) = (planted.bayes_auc.unwrap(), planted.bayes_auc_without_largest.unwrap());
            assert!((0.80..0.85).contains(&with), "{with}");
            assert!((0.04..0.15).contains(&(with - without)), "{with} {without}");
        }
    }

    #[test]
    fn areas_are_those_of_the_true_probabilities() {
        let settings = Synthetic { lines: 5000, ..Synthetic::default() };
        let model = Model::new(&settings).unwrap();
        let lines: Vec<Drawn> = (0..settings.lines).map(|line| model.line(line, &mut Vec::new())).collect();
        let labels: Vec<f32> = lines.iter().map(|line| f32::from(u8::from(line.positive))).collect();
        let area = |p: fn(&Drawn) -> f64| auc(&lines.iter().map(p).collect::<Vec<_>>(), &labels).unwrap();
        let planted = planted(&settings);
        assert!((planted.bayes_auc.unwrap() - area(|line| line.probability)).abs() < 1e-4);
        let without = area(|line| line.probability_without_largest);
        assert!((planted.bayes_auc_without_largest.unwrap() - without).abs() < 1e-4);
        assert_eq!(planted.positives, labels.iter().sum::<f32>() as u64);
    }

    #[test]
    fn the_largest_tables_carry_what_they_should() {
        let with = |largest_share| {
            let planted = planted(&Synthetic { largest_share, ..Synthetic::default() });
            (planted.bayes_auc.unwrap(), planted.bayes_auc_without_largest.unwrap())
        };
        let (all, none) = (with(1.0), with(0.0));
        // All: whoever does not know them guesses. None: they are not missed.
        assert!((all.1 - 0.5).abs() < 0.02, "{all:?}");
        assert_eq!(none.0, none.1);
        let settings = Synthetic { cardinalities: *Preset::Kaggle.table_rows(), lines: 1, ..Synthetic::default() };
        let mut largest = planted(&settings).largest;
        largest.sort_unstable();
        assert_eq!(largest, [2, 3, 11, 15, 20, 23, 25]);
    }

    #[test]
    fn goes_through_the_parser() {
        let settings = Synthetic::default();
        let data = Dataset::synthetic(&settings).unwrap();
        assert_eq!(data.len(), 20_000);
        let read = Dataset::from_reader(text(&settings).as_bytes(), "text").unwrap();
        assert_eq!(data.header(), read.header());
        assert_eq!(data.header().positives, planted(&settings).positives);
        assert!(!data.split().validation.is_empty());
        for (&rows, most) in data.table_rows().iter().zip(settings.cardinalities) {
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
        let second: Vec<&str> = fields.iter().skip(1 + model::SIGNED).step_by(40).copied().collect();
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
    fn settings_are_checked() {
        let error = |settings: &Synthetic| {
            let error = settings.write(io::sink(), false, |_| ()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), settings.reader().unwrap_err().to_string());
            error.to_string()
        };
        for bad in [-0.5, f64::NAN, f64::INFINITY] {
            assert!(error(&Synthetic { zipf: bad, ..Synthetic::default() }).starts_with("Zipf exponent"));
            assert!(error(&Synthetic { signal: bad, ..Synthetic::default() }).starts_with("signal"));
            assert!(error(&Synthetic { largest_share: bad, ..Synthetic::default() }).contains("share"));
        }
        let lines = Synthetic { first_line: u64::MAX - 5, lines: 6, ..Synthetic::default() };
        assert!(error(&lines).contains("64 bits"));
        for value in [0, 1 << 32] {
            let mut settings = Synthetic::default();
            settings.cardinalities[2] = value;
            assert_eq!(error(&settings), format!("cardinality {value} of feature C3 is outside 1..=4294967295"));
        }
    }
}
