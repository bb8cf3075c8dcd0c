//! The published settings: table sizes, layer sizes and training constants of the usual DLRM models.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::CATEGORICAL;

/// A published model, by the data set it was made for.
///
/// ```
/// let preset: dlrm::presets::Preset = "kaggle".parse()?;
/// assert_eq!(preset.embedding_dim(), 16);
/// # Ok::<(), dlrm::presets::ParsePresetError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Criteo Kaggle, seven days.
    Kaggle,
    /// Criteo Terabyte with indices capped at 10 million, the paper's second data set.
    Terabyte,
    /// Criteo Terabyte with indices capped at 40 million, the MLPerf training benchmark v0.7.
    Mlperf,
    /// The same tables under a cross network, as in MLPerf's DLRM-DCNv2, whose lines have [several values](DCNV2_VALUES) of a
    /// feature. (Its own tables have more rows, 204 million, counted after the cap; its batches are larger.)
    Dcnv2,
}

const KAGGLE_ROWS: [u64; CATEGORICAL] = [
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
    2173, 4, 7046547, 18, 15, 286181, 105, 142572,
];

const TERABYTE_ROWS: [u64; CATEGORICAL] = [
    9980333, 36084, 17217, 7378, 20134, 3, 7112, 1442, 61, 9758201, 1333352, 313829, 10, 2208, 11156, 122, 4, 970, 14,
    9994222, 7267859, 9946608, 415421, 12420, 101, 36,
];

const MLPERF_ROWS: [u64; CATEGORICAL] = [
    39884406, 39043, 17289, 7420, 20263, 3, 7120, 1543, 63, 38532951, 2953546, 403346, 10, 2208, 11938, 155, 4, 976,
    14, 39979771, 25641295, 39664984, 585935, 12972, 108, 36,
];

/// Values that a line of DLRM-DCNv2's data has of each feature: 214 in all.
pub const DCNV2_VALUES: [u32; CATEGORICAL] =
    [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1];

/// Layers and rank of DLRM-DCNv2's cross network.
pub const DCNV2_CROSS: (usize, usize) = (3, 512);

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [Self::Kaggle, Self::Terabyte, Self::Mlperf, Self::Dcnv2];

    /// The name that [`FromStr`] and the configuration files read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kaggle => "kaggle",
            Self::Terabyte => "terabyte",
            Self::Mlperf => "mlperf",
            Self::Dcnv2 => "dcnv2",
        }
    }

    /// Rows of each embedding table, in feature order.
    pub const fn table_rows(self) -> &'static [u64; CATEGORICAL] {
        match self {
            Self::Kaggle => &KAGGLE_ROWS,
            Self::Terabyte => &TERABYTE_ROWS,
            Self::Mlperf | Self::Dcnv2 => &MLPERF_ROWS,
        }
    }

    /// Columns of every embedding table.
    pub const fn embedding_dim(self) -> usize {
        match self {
            Self::Kaggle => 16,
            Self::Terabyte => 64,
            Self::Mlperf | Self::Dcnv2 => 128,
        }
    }

    /// Layer sizes of the bottom network, from the 13 counts to the embedding dimension.
    pub const fn bottom(self) -> &'static [usize] {
        match self {
            Self::Kaggle => &[13, 512, 256, 64, 16],
            Self::Terabyte => &[13, 512, 256, 64],
            Self::Mlperf | Self::Dcnv2 => &[13, 512, 256, 128],
        }
    }

    /// Layer sizes of the top network, from the interaction's output to the one logit.
    pub const fn top(self) -> &'static [usize] {
        match self {
            Self::Kaggle => &[367, 512, 256, 1],
            Self::Terabyte => &[415, 512, 512, 256, 1],
            Self::Mlperf => &[479, 1024, 1024, 512, 256, 1],
            Self::Dcnv2 => &[3456, 1024, 1024, 512, 256, 1],
        }
    }

    /// Samples of a training batch.
    pub const fn batch_size(self) -> usize {
        match self {
            Self::Kaggle => 128,
            Self::Terabyte | Self::Mlperf | Self::Dcnv2 => 2048,
        }
    }

    /// Layers and rank of the cross network, if there is one in the place of the dot products.
    pub const fn cross(self) -> Option<(usize, usize)> {
        match self {
            Self::Kaggle | Self::Terabyte | Self::Mlperf => None,
            Self::Dcnv2 => Some(DCNV2_CROSS),
        }
    }

    /// What is added to the root of Adagrad, if that is the update rule; else it is plain SGD.
    pub const fn adagrad_eps(self) -> Option<f64> {
        match self {
            Self::Kaggle | Self::Terabyte | Self::Mlperf => None,
            Self::Dcnv2 => Some(1e-8),
        }
    }

    /// Learning rate of its update rule.
    pub const fn learning_rate(self) -> f64 {
        match self {
            Self::Kaggle | Self::Terabyte => 0.1,
            Self::Mlperf => 1.0,
            Self::Dcnv2 => 0.005,
        }
    }

    /// Numbers in all embedding tables when none is compressed.
    pub fn dense_parameters(self) -> u64 {
        self.table_rows().iter().sum::<u64>() * self.embedding_dim() as u64
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no preset's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePresetError {
    /// The name given.
    pub given: String,
}

impl fmt::Display for ParsePresetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown preset {:?}: want kaggle, terabyte, mlperf or dcnv2", self.given)
    }
}

impl std::error::Error for ParsePresetError {}

impl FromStr for Preset {
    type Err = ParsePresetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| ParsePresetError { given: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DENSE;

    #[test]
    fn layers_fit_together() {
        for preset in Preset::ALL {
            let (dim, bottom, top) = (preset.embedding_dim(), preset.bottom(), preset.top());
            assert_eq!(preset.table_rows().len(), 26);
            assert_eq!((bottom[0], bottom[bottom.len() - 1]), (DENSE, dim));
            let width = if preset.cross().is_some() { 27 * dim } else { dim + 27 * 26 / 2 };
            assert_eq!((top[0], top[top.len() - 1]), (width, 1));
        }
    }

    #[test]
    fn dense_sizes_are_the_published_ones() {
        assert_eq!(KAGGLE_ROWS.iter().sum::<u64>(), 33_762_577);
        assert_eq!(Preset::Kaggle.dense_parameters() * 4, 33_762_577 * 16 * 4);
        let gigabytes = Preset::ALL.map(|preset| preset.dense_parameters() as f64 * 4e-9);
        for (got, (want, digits)) in
            gigabytes.into_iter().zip([(2.1608, 5e-5), (12.576, 5e-4), (96.14, 5e-3), (96.14, 5e-3)])
        {
            assert!((got - want).abs() <= digits, "{got} {want}");
        }
    }

    #[test]
    fn rows_obey_the_caps() {
        assert!(TERABYTE_ROWS.iter().all(|&rows| rows <= 10_000_000));
        assert!(MLPERF_ROWS.iter().all(|&rows| rows <= 40_000_000));
    }

    #[test]
    fn names_round_trip() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
        }
        let error = "Kagle".parse::<Preset>().unwrap_err();
        assert_eq!(error.to_string(), "unknown preset \"Kagle\": want kaggle, terabyte, mlperf or dcnv2");
    }
}
