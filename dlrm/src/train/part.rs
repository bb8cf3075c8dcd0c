//! Which lines of a data set are trained or evaluated on.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::data::Split;

/// Which lines of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Those that are trained on: of one file the first six sevenths, of several all but the last.
    Train,
    /// The first half of those held out: of one file the last seventh, of several the last.
    Test,
    /// The second half of those held out.
    Validation,
    /// All lines.
    All,
}

impl Part {
    /// The lines.
    pub fn lines(self, split: &Split) -> Range<usize> {
        match self {
            Self::Train => split.train.clone(),
            Self::Test => split.test.clone(),
            Self::Validation => split.validation.clone(),
            Self::All => split.train.start..split.validation.end,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::Validation => "validation",
            Self::All => "all",
        })
    }
}
