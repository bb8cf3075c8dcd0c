//! How each embedding table is held and trained.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use ttcore::init::{CoreInit, Entries, Scale};
use ttcore::{CoreRule, Rule, TableConfig, TtShape};

/// The distribution of the entries of new cores, by the name that the command line and files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum InitName {
    /// The tails of a Gaussian: the paper's Algorithm 3.
    #[default]
    SampledGaussian,
    /// A Gaussian.
    Gaussian,
    /// Uniform around zero.
    Uniform,
    /// Plus or minus one number.
    Signs,
}

/// The scale of new cores, by the name that the command line and files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleName {
    /// So that the table has the variance of a dense one, and a first step moves a row as far as one of a dense table.
    #[default]
    Isometric,
    /// So that the table has the variance of a dense one, all entries alike.
    Calibrated,
    /// As in the published code: far too wide, for comparison.
    Paper,
}

/// The update rule of cores, by the name that the command line and files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CoreRuleName {
    /// AdaGrad-Norm: the step of a slice is divided by the root of all squares of its gradients so far.
    AdagradNorm,
    /// The rule of all other parameters, element by element.
    ElementWise,
}

impl CoreRuleName {
    /// What runs had before there was a choice: for their checkpoints.
    fn before_there_was_a_choice() -> Self {
        Self::ElementWise
    }

    /// The rule.
    pub fn core_rule(self) -> CoreRule {
        match self {
            Self::AdagradNorm => CoreRule::ADAGRAD_NORM,
            Self::ElementWise => CoreRule::ElementWise,
        }
    }
}

/// One table of a run, with everything decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TableSettings {
    /// Held as it is.
    Dense {
        /// Rows, `M`.
        rows: u64,
        /// Not trained.
        frozen: bool,
    },
    /// Held as a tensor train.
    Tt {
        /// Rows, `M`.
        rows: u64,
        /// `m_1 .. m_d`.
        row_factors: Vec<usize>,
        /// `n_1 .. n_d`.
        col_factors: Vec<usize>,
        /// `R_0 .. R_d`.
        ranks: Vec<usize>,
        /// Distribution of the entries of new cores.
        init: InitName,
        /// Their scale.
        scale: ScaleName,
        /// The update rule of the cores.
        #[serde(default = "CoreRuleName::before_there_was_a_choice")]
        rule: CoreRuleName,
        /// What the learning rate is multiplied by for the cores.
        lr_multiplier: f64,
        /// Rows that are held uncompressed; 0 for no cache.
        cached_rows: usize,
        /// Not trained.
        frozen: bool,
    },
}

impl TableSettings {
    /// Rows, `M`.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Dense { rows, .. } | Self::Tt { rows, .. } => *rows,
        }
    }

    /// The largest rank; none for a dense table.
    pub fn rank(&self) -> Option<usize> {
        match self {
            Self::Dense { .. } => None,
            Self::Tt { ranks, .. } => ranks.iter().copied().max(),
        }
    }

    /// What the learning rate of its rows is multiplied by; 1 for a dense table.
    pub fn lr_multiplier(&self) -> f64 {
        match self {
            Self::Dense { .. } => 1.0,
            Self::Tt { lr_multiplier, .. } => *lr_multiplier,
        }
    }

    /// Whether its parameters are trained element by element.
    pub fn is_element_wise(&self) -> bool {
        !matches!(self, Self::Tt { rule: CoreRuleName::AdagradNorm, .. })
    }

    /// Whether some of its rows are cached.
    pub fn has_cache(&self) -> bool {
        matches!(self, Self::Tt { cached_rows: 1.., .. })
    }

    /// The table of embedding dimension `dim`, trained by a rule.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error`] for a table that cannot be made.
    pub fn config(&self, dim: usize, rule: Rule) -> Result<TableConfig, ttcore::Error> {
        let (config, frozen) = match self {
            Self::Dense { rows, frozen } => (TableConfig::dense(*rows, dim)?, *frozen),
            Self::Tt {
                rows, row_factors, col_factors, ranks, init, scale, lr_multiplier, cached_rows, frozen, ..
            } => {
                let shape = TtShape::new(*rows, row_factors, col_factors, ranks)?;
                let init = CoreInit::default().with_entries((*init).into()).with_scale((*scale).into());
                let config = TableConfig::tt(shape).with_init(init).with_core_lr_multiplier(*lr_multiplier);
                (config.with_cache(*cached_rows)?, *frozen)
            }
        };
        let config = match self {
            Self::Tt { rule: CoreRuleName::AdagradNorm, .. } => {
                let eps = if let Rule::Adagrad { eps } = rule { eps } else { 1e-10 };
                config.with_rule(rule).with_core_rule(CoreRule::AdagradNorm { eps })
            }
            _ => config.with_rule(rule),
        };
        Ok(if frozen { config.frozen() } else { config })
    }
}

impl From<InitName> for Entries {
    fn from(name: InitName) -> Self {
        match name {
            InitName::SampledGaussian => Self::SampledGaussian,
            InitName::Gaussian => Self::Gaussian,
            InitName::Uniform => Self::Uniform,
            InitName::Signs => Self::Signs,
        }
    }
}

impl From<ScaleName> for Scale {
    fn from(name: ScaleName) -> Self {
        match name {
            ScaleName::Isometric => Self::Isometric,
            ScaleName::Calibrated => Self::Calibrated,
            ScaleName::Paper => Self::Paper,
        }
    }
}
