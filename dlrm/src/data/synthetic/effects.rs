//! What the categories of the largest tables mean: a number each, or a vector each.
//!
//! With scalars, one number of a row is enough to know all of its effect. With vectors it is not: a row's effect depends
//! on the row it comes with, by the inner product of hidden factors, so a model must place rows in several dimensions. The
//! largest tables' features are paired in a ring, each with the next, so that all of them matter.
//!
//! The factors of popular values do not average to nothing, so a number a row still explains a part of what the largest
//! tables add: 5 to 25% of its variance with the tables of Criteo Kaggle, by seed, less the more values have an effect.

use serde::{Deserialize, Serialize};

use super::super::mix;
use super::SyntheticError;

/// Hidden factors of a value: its effect with another has this rank.
const FACTORS: usize = 4;

/// How the values of the largest tables' features add to the logit; those of the others add a number each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Effects {
    /// Each value has an effect of its own: one number
    #[default]
    Scalars,
    /// Each value has four hidden factors, and two values add their inner product
    Vectors,
}

impl Effects {
    /// Which of the largest tables' features have effects together: each with the next, the last with the first.
    ///
    /// # Errors
    ///
    /// If there is none to be paired with.
    pub(super) fn pairs(self, largest: &[usize]) -> Result<Vec<(usize, usize)>, SyntheticError> {
        match (self, largest) {
            (Self::Scalars, _) => Ok(Vec::new()),
            (Self::Vectors, [] | [_]) => Err(SyntheticError::Pairs { largest: largest.len() }),
            // A ring of two would be one pair twice.
            (Self::Vectors, &[one, other]) => Ok(vec![(one, other)]),
            (Self::Vectors, _) => Ok(largest.iter().copied().zip(largest.iter().copied().cycle().skip(1)).collect()),
        }
    }
}

/// The effect of a rank, of mean 0 and variance 1; `key` is the feature's.
pub(super) fn effect(key: u64, rank: u32) -> f64 {
    normal(key ^ u64::from(rank))
}

/// The hidden factors of a rank, so small that their squares sum to about 1; `key` is the feature's.
///
/// Made from the key whenever they are needed, which takes less time than the rest of a line and no memory.
pub(super) fn factors(key: u64, rank: u32) -> [f64; FACTORS] {
    // Behind the 32 bits of a rank, and not 0, where its effect is.
    let factor = |number: usize| normal(key ^ u64::from(rank) ^ ((number as u64 + 1) << 32));
    std::array::from_fn(|number| factor(number) / (FACTORS as f64).sqrt())
}

/// What two values add.
pub(super) fn product(one: &[f64; FACTORS], other: &[f64; FACTORS]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// About N(0, 1): the sum of four uniform 16-bit lanes of a hash.
fn normal(key: u64) -> f64 {
    let hash = mix(key);
    let sum: u64 = (0..4).map(|lane| (hash >> (16 * lane)) & 0xffff).sum();
    (sum as f64 - 2.0 * 65535.0) / (65536.0 / 3f64.sqrt())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::super::{BLOCK, Planted, Synthetic};
    use super::*;
    use crate::data::CATEGORICAL;

    fn vectors() -> Synthetic {
        Synthetic { effects: Effects::Vectors, ..Synthetic::default() }
    }

    fn written(settings: &Synthetic) -> (Vec<u8>, Planted) {
        let mut out = Vec::new();
        let planted = settings.write(&mut out, false, |_| ()).unwrap();
        (out, planted)
    }

    fn areas(settings: &Synthetic) -> (f64, f64) {
        let planted = settings.write(io::sink(), false, |_| ()).unwrap();
        (planted.bayes_auc.unwrap(), planted.bayes_auc_without_largest.unwrap())
    }

    #[test]
    fn effects_are_standardised() {
        let n = 100_000;
        let (sum, squares) = (0..n).map(normal).fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
        assert!((squares / n as f64 - 1.0).abs() < 0.02 && (sum / n as f64).abs() < 0.01);
    }

    #[test]
    fn factors_are_of_length_1_and_unlike_each_other() {
        let n = 50_000;
        let all: Vec<_> = (0..n).map(|rank| factors(7, rank)).collect();
        let mean = |of: &dyn Fn(&[f64; FACTORS]) -> f64| all.iter().map(of).sum::<f64>() / f64::from(n);
        for one in 0..FACTORS {
            for other in 0..FACTORS {
                let want = if one == other { 1.0 / FACTORS as f64 } else { 0.0 };
                assert!((mean(&|x| x[one] * x[other]) - want).abs() < 0.01, "{one} {other}");
            }
        }
        let others = all.iter().zip(&all[1..]).map(|(one, other)| product(one, other)).sum::<f64>();
        assert!((others / f64::from(n)).abs() < 0.01);
    }

    #[test]
    fn every_feature_is_in_a_pair() {
        let pairs = |largest: &[usize]| Effects::Vectors.pairs(largest);
        assert_eq!(pairs(&[2, 11, 3]).unwrap(), [(2, 11), (11, 3), (3, 2)]);
        assert_eq!(pairs(&[2, 11]).unwrap(), [(2, 11)]);
        assert_eq!(Effects::Scalars.pairs(&[2]).unwrap(), []);
        for largest in [0, 1] {
            let error = Synthetic { largest, ..vectors() }.write(io::sink(), false, |_| ()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&format!("not {largest}")), "{error}");
        }
        // As many as there are, if more are asked for.
        written(&Synthetic { largest: 99, lines: 5, ..vectors() });
    }

    #[test]
    fn the_same_bytes_in_any_way_they_are_made() {
        let settings = Synthetic { lines: BLOCK + 700, ..vectors() };
        let write = |threads, settings: &Synthetic| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| written(settings))
        };
        let all = write(1, &settings);
        assert!(all == write(3, &settings));
        let first = Synthetic { lines: 3000, ..settings.clone() };
        let second = Synthetic { first_line: 3000, lines: BLOCK - 2300, ..settings.clone() };
        assert!([written(&first).0, written(&second).0].concat() == all.0);
        let mut read = Vec::new();
        settings.reader().unwrap().read_to_end(&mut read).unwrap();
        assert!(read == all.0);
        // Pinned: results published for a seed must stay reproducible.
        let hash = twox_hash::XxHash3_64::oneshot(&all.0);
        assert_eq!(hash, 15877057006743030717);
    }

    /// Labels differ, values do not: what is compared is the kind of effect alone.
    #[test]
    fn lines_have_the_values_they_have_with_scalars() {
        let values = |settings: &Synthetic| -> Vec<String> {
            String::from_utf8(written(settings).0).unwrap().lines().map(|line| line[1..].to_owned()).collect()
        };
        let lines = Synthetic { lines: 300, ..vectors() };
        assert_eq!(values(&lines), values(&Synthetic { effects: Effects::Scalars, ..lines.clone() }));
    }

    #[test]
    fn the_best_model_needs_the_largest_tables() {
        for seed in 0..6 {
            let (with, without) = areas(&Synthetic { seed, ..vectors() });
            assert!((0.79..0.85).contains(&with), "{with}");
            assert!((0.03..0.15).contains(&(with - without)), "{with} {without}");
        }
        let all = areas(&Synthetic { largest_share: 1.0, ..vectors() });
        assert!((all.1 - 0.5).abs() < 0.02, "{all:?}");
        // One value each, so there is nothing to learn from any table.
        let none = areas(&Synthetic { cardinalities: [1; CATEGORICAL], ..vectors() });
        assert_eq!(none.0, none.1);
    }
}
