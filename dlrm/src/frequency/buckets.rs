//! Predictions in buckets, by how often rows occur in training.

use serde::Serialize;

use crate::data::{Batch, Counts};
use crate::metrics;

/// The least occurrences of each bucket; the next begins where one ends.
const FROM: [u32; 5] = [0, 1, 10, 100, 1000];

/// Log loss by how often rows occur in the training lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByFrequency {
    /// The tables whose rows are meant, numbered from 0, the largest first.
    #[serde(rename = "frequency_tables")]
    pub tables: Vec<usize>,
    /// Training lines, in which occurrences are counted.
    pub training_lines: usize,
    /// Each lookup of one of the tables counts in the bucket of its row, with the loss of its line.
    pub by_frequency: Vec<Bucket>,
    /// Each line counts once, in the bucket of the rarest of its rows of these tables.
    pub by_rarest_row: Vec<Bucket>,
}

/// Predictions where a row occurs so often in training. Lines without a finite prediction are left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// The least occurrences.
    pub from: u32,
    /// The most; none for any number.
    pub to: Option<u32>,
    /// How many there are.
    #[serde(flatten)]
    pub count: Count,
    /// Their share among those of all buckets; 0 if there are none at all.
    pub share: f64,
    /// Mean binary cross entropy, natural logarithm; none of none.
    pub log_loss: Option<f64>,
    /// Mean of the labels: the share that is positive.
    pub mean_label: Option<f64>,
    /// Mean of the predictions.
    pub mean_prediction: Option<f64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// Lookups: each line has one of each table.
    Lookups(u64),
    /// Lines.
    Lines(u64),
}

impl Count {
    /// How many.
    pub fn get(self) -> u64 {
        match self {
            Self::Lookups(count) | Self::Lines(count) => count,
        }
    }
}

/// Sums over what fell in a bucket so far.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: u64,
    loss: f64,
    labels: f64,
    predictions: f64,
}

/// The buckets while they are filled.
#[derive(Default)]
pub(super) struct Buckets {
    lookups: [Sums; FROM.len()],
    lines: [Sums; FROM.len()],
}

impl Buckets {
    /// Adds the lines of a batch, in order, so that sums have the same bits however predictions were computed.
    pub(super) fn add(&mut self, counts: &Counts, batch: &Batch, predictions: &[f64]) {
        for (line, (&prediction, &label)) in predictions.iter().zip(&batch.labels).enumerate() {
            if !prediction.is_finite() {
                continue;
            }
            let one = Sums {
                count: 1,
                loss: metrics::log_loss_of(prediction, label),
                labels: label.into(),
                predictions: prediction,
            };
            for count in counts.of_line(batch, line) {
                self.lookups[bucket(count)].add(&one);
            }
            if let Some(rarest) = counts.of_line(batch, line).min() {
                self.lines[bucket(rarest)].add(&one);
            }
        }
    }

    /// What came out.
    pub(super) fn summary(&self, counts: &Counts) -> ByFrequency {
        ByFrequency {
            tables: counts.tables(),
            training_lines: counts.lines(),
            by_frequency: summary(&self.lookups, Count::Lookups),
            by_rarest_row: summary(&self.lines, Count::Lines),
        }
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.loss += other.loss;
        self.labels += other.labels;
        self.predictions += other.predictions;
    }
}

fn bucket(count: u32) -> usize {
    FROM.iter().rposition(|&from| from <= count).unwrap_or(0)
}

fn summary(sums: &[Sums; FROM.len()], count: fn(u64) -> Count) -> Vec<Bucket> {
    let all: u64 = sums.iter().map(|sums| sums.count).sum();
    let bucket = |(bucket, sums): (usize, &Sums)| {
        let mean = |sum: f64| (sums.count > 0).then(|| sum / sums.count as f64);
        Bucket {
            from: FROM[bucket],
            to: FROM.get(bucket + 1).map(|next| next - 1),
            count: count(sums.count),
            share: sums.count as f64 / all.max(1) as f64,
            log_loss: mean(sums.loss),
            mean_label: mean(sums.labels),
            mean_prediction: mean(sums.predictions),
        }
    };
    sums.iter().enumerate().map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    /// Lines with these first two categories, and the label 1 where the first is 1.
    fn data(categories: impl Iterator<Item = [u32; 2]>) -> Dataset {
        let line = |[first, second]: [u32; 2]| {
            format!("{}{}\t{first:x}\t{second:x}{}\n", u8::from(first == 1), "\t".repeat(13), "\t".repeat(24))
        };
        Dataset::from_reader(categories.map(line).collect::<String>().as_bytes(), "lines").unwrap()
    }

    fn filled(data: &Dataset, tables: Vec<usize>, train: usize, predictions: &[f64]) -> ByFrequency {
        let counts = Counts::new(data, tables, 0..train, |_| true).unwrap().unwrap();
        let (mut buckets, mut batch) = (Buckets::default(), Batch::default());
        data.fill_batch(train..data.len(), &mut batch).unwrap();
        buckets.add(&counts, &batch, predictions);
        buckets.summary(&counts)
    }

    #[test]
    fn counts_fall_in_their_buckets() {
        let buckets = [0, 1, 9, 10, 99, 100, 999, 1000, u32::MAX].map(bucket);
        assert_eq!(buckets, [0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn buckets_by_hand() {
        // In 12 lines, the first category is 10 times 1 and twice 2, the second always another.
        let train = (0..12).map(|line| [1 + line / 10, 20 + line]);
        // Then one of each kind; the second one is new in two of them.
        let data = data(train.chain([[1, 20], [1, 99], [2, 98], [2, 21]]));
        let by = filled(&data, vec![1, 0], 12, &[0.5, 0.75, 0.25, f64::NAN]);
        assert_eq!((by.tables, by.training_lines), (vec![1, 0], 12));
        let (half, quarter) = (2f64.ln(), -(0.75f64.ln()));
        let want = |from, to, count, share, means: Option<(f64, f64, f64)>| Bucket {
            from,
            to,
            count,
            share,
            log_loss: means.map(|means| means.0),
            mean_label: means.map(|means| means.1),
            mean_prediction: means.map(|means| means.2),
        };
        let lookups = [
            want(0, Some(0), Count::Lookups(2), 2.0 / 6.0, Some((quarter, 0.5, 0.5))),
            want(1, Some(9), Count::Lookups(2), 2.0 / 6.0, Some(((half + quarter) / 2.0, 0.5, 0.375))),
            want(10, Some(99), Count::Lookups(2), 2.0 / 6.0, Some(((half + quarter) / 2.0, 1.0, 0.625))),
            want(100, Some(999), Count::Lookups(0), 0.0, None),
            want(1000, None, Count::Lookups(0), 0.0, None),
        ];
        let lines = [
            want(0, Some(0), Count::Lines(2), 2.0 / 3.0, Some((quarter, 0.5, 0.5))),
            want(1, Some(9), Count::Lines(1), 1.0 / 3.0, Some((half, 1.0, 0.5))),
            want(10, Some(99), Count::Lines(0), 0.0, None),
            want(100, Some(999), Count::Lines(0), 0.0, None),
            want(1000, None, Count::Lines(0), 0.0, None),
        ];
        for (found, want) in by.by_frequency.iter().chain(&by.by_rarest_row).zip(lookups.iter().chain(&lines)) {
            let near = |one: Option<f64>, other: Option<f64>| match (one, other) {
                (Some(one), Some(other)) => (one - other).abs() < 1e-15,
                (one, other) => one == other,
            };
            assert!(near(found.log_loss, want.log_loss), "{found:?} {want:?}");
            assert_eq!(Bucket { log_loss: None, ..*found }, Bucket { log_loss: None, ..*want });
        }
        let json = serde_json::to_value(want(1, Some(9), Count::Lookups(2), 0.5, None)).unwrap();
        let object =
            r#"{"from":1,"to":9,"lookups":2,"share":0.5,"log_loss":null,"mean_label":null,"mean_prediction":null}"#;
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(object).unwrap());
    }

    #[test]
    fn of_no_tables_and_of_no_lines() {
        let data = data([[1, 20], [1, 21]].into_iter());
        for by in [filled(&data, vec![], 1, &[0.5]), filled(&data, vec![0], 2, &[])] {
            let buckets = by.by_frequency.iter().chain(&by.by_rarest_row);
            assert!(buckets.clone().all(|bucket| bucket.count.get() == 0 && bucket.share == 0.0));
            assert_eq!(buckets.filter_map(|bucket| bucket.log_loss).count(), 0);
        }
    }
}
