//! How each embedding table is held and trained.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use ttcore::init::{CoreInit, DenseInit, Entries, Scale};
use ttcore::{CoreRule, Rule, TableConfig, TtShape};

use crate::model::{Feature, Lookup};

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

/// The distribution of the entries of new rows.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase", deny_unknown_fields)]
pub enum RowInit {
    /// As in the reference model: uniform, within `1/sqrt(n)` of 0 for a table of `n` rows.
    #[default]
    Reference,
    /// Uniform between two numbers.
    Uniform {
        /// The lower one.
        low: f64,
        /// The upper one.
        high: f64,
    },
    /// A Gaussian of mean zero.
    Gaussian {
        /// Its standard deviation.
        std: f64,
    },
}

impl RowInit {
    fn is_reference(&self) -> bool {
        *self == Self::Reference
    }
}

impl From<RowInit> for DenseInit {
    fn from(init: RowInit) -> Self {
        match init {
            RowInit::Reference => Self::Reference,
            RowInit::Uniform { low, high } => Self::Uniform { low, high },
            RowInit::Gaussian { std } => Self::Gaussian { std },
        }
    }
}

fn is_zero(rows: &u64) -> bool {
    *rows == 0
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
        /// Distribution of new rows.
        #[serde(default, skip_serializing_if = "RowInit::is_reference")]
        init: RowInit,
    },
    /// Held in fewer rows, which categories share.
    Shared {
        /// Categories, `n`.
        rows: u64,
        /// Where the rows of a category lie.
        lookup: Lookup,
        /// Distribution of new rows.
        init: RowInit,
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
        /// Rows of the lowest numbers that are held as they are, instead of by the cores.
        #[serde(default, skip_serializing_if = "is_zero")]
        own_rows: u64,
        /// Not trained.
        frozen: bool,
    },
}

impl TableSettings {
    /// Rows, `M`.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Dense { rows, .. } | Self::Shared { rows, .. } | Self::Tt { rows, .. } => *rows,
        }
    }

    /// The largest rank; none for a dense table.
    pub fn rank(&self) -> Option<usize> {
        match self {
            Self::Dense { .. } | Self::Shared { .. } => None,
            Self::Tt { ranks, .. } => ranks.iter().copied().max(),
        }
    }

    /// The first rank that is above the largest useful one of the table's factors, and that one.
    pub fn excessive_rank(&self) -> Option<(usize, usize)> {
        let Self::Tt { rows, row_factors, col_factors, ranks, .. } = self else { return None };
        // Ranks of 1, since those asked for may be more than can be counted.
        let shape = TtShape::new(*rows, row_factors, col_factors, &vec![1; ranks.len()]).ok()?;
        let useful = |k: usize| shape.largest_useful_rank(k);
        ranks.iter().enumerate().find(|&(k, &rank)| rank > useful(k)).map(|(k, &rank)| (rank, useful(k)))
    }

    /// What the learning rate of its rows is multiplied by; 1 for a dense table.
    pub fn lr_multiplier(&self) -> f64 {
        match self {
            Self::Dense { .. } | Self::Shared { .. } => 1.0,
            Self::Tt { lr_multiplier, .. } => *lr_multiplier,
        }
    }

    /// Whether its parameters are trained element by element.
    pub fn is_element_wise(&self) -> bool {
        !matches!(self, Self::Tt { rule: CoreRuleName::AdagradNorm, .. })
    }

    /// Whether some of its rows are cached.
    pub fn has_cache(&self) -> bool {
        matches!(self, Self::Tt { cached_rows: 1.., own_rows: 0, .. })
    }

    /// How its categories are looked up.
    pub fn feature(&self) -> Feature {
        let categories = self.rows();
        let lookup = match *self {
            Self::Tt { rows, own_rows: own @ 1.., .. } => Lookup::Own { own, others: rows.saturating_sub(own) },
            Self::Shared { lookup, .. } => lookup,
            Self::Dense { .. } | Self::Tt { .. } => Lookup::Direct,
        };
        Feature { categories, lookup, longest: 1 }
    }

    /// The table of embedding dimension `dim`, trained by a rule.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error`] for a table that cannot be made.
    pub fn config(&self, dim: usize, rule: Rule) -> Result<TableConfig, ttcore::Error> {
        let (config, frozen) = match self {
            Self::Dense { rows, frozen, init } => {
                (TableConfig::dense(*rows, dim)?.with_dense_init((*init).into()), *frozen)
            }
            Self::Shared { rows, lookup, init, frozen } => {
                let dim = lookup.columns(dim).unwrap_or(dim);
                let config = TableConfig::dense(lookup.rows(*rows), dim)?;
                (config.with_dense_init((*init).into()), *frozen)
            }
            Self::Tt {
                rows,
                row_factors,
                col_factors,
                ranks,
                init,
                scale,
                lr_multiplier,
                cached_rows,
                own_rows,
                frozen,
                ..
            } => {
                let shape = TtShape::new(rows.saturating_sub(*own_rows), row_factors, col_factors, ranks)?;
                let init = CoreInit::default().with_entries((*init).into()).with_scale((*scale).into());
                let config = TableConfig::tt(shape).with_init(init).with_core_lr_multiplier(*lr_multiplier);
                let config = match own_rows {
                    0 => config.with_cache(*cached_rows)?,
                    // As many as a table has rows, which are counted in 32 bits.
                    &own => config.with_dense_rows(own as usize)?,
                };
                (config, *frozen)
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
