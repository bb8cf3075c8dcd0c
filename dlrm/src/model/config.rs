//! What a model is made of.

use std::fmt;

use ttcore::{Rule, TableConfig};

use super::cross::CrossSize;
use super::interaction;
use super::lookup::Lookup;

/// The parts of a DLRM, checked to fit together.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    dim: usize,
    bottom: Vec<usize>,
    top: Vec<usize>,
    tables: Vec<TableConfig>,
    features: Vec<Feature>,
    cross: Option<CrossSize>,
    rule: Rule,
}

/// A categorical feature: how its categories are looked up in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Categories, `n`; each is below.
    pub categories: u64,
    /// Where their rows lie.
    pub lookup: Lookup,
    /// The most categories of one sample: 1 where each has exactly one.
    pub longest: u32,
}

/// Parts of a model that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An MLP with less than two sizes, or a size of zero.
    Sizes {
        /// `"bottom"` or `"top"`.
        mlp: &'static str,
    },
    /// The bottom MLP does not end in the embedding dimension.
    BottomOutput {
        /// Its last size.
        got: usize,
        /// The embedding dimension.
        dim: usize,
    },
    /// The top MLP does not begin with the width of the interaction.
    TopInput {
        /// Its first size.
        got: usize,
        /// The width of the interaction.
        want: usize,
    },
    /// The top MLP does not end in one logit.
    TopOutput {
        /// Its last size.
        got: usize,
    },
    /// There is not one feature for each table.
    Features {
        /// How many there are.
        got: usize,
        /// How many tables.
        tables: usize,
    },
    /// A table does not have the rows that its lookups need.
    TableRows {
        /// Which table.
        table: usize,
        /// Its rows.
        got: u64,
        /// The rows needed.
        want: u64,
    },
    /// A product of two rows for samples of several categories: the product of two sums is not the sum of products.
    ProductOfBags {
        /// Which table.
        table: usize,
    },
    /// A cross network without layers, or of rank 0, or with too many or of one that is too large.
    Cross {
        /// Its size.
        size: CrossSize,
    },
    /// A table has another embedding dimension.
    TableDim {
        /// Which table.
        table: usize,
        /// Its dimension.
        got: usize,
        /// The embedding dimension.
        dim: usize,
    },
}

impl ModelConfig {
    /// A model of embedding dimension `dim`, the bottom MLP's sizes from the dense features to `dim`, the top MLP's from
    /// the interaction to 1, and one table for each categorical feature, with a row for each category.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the parts do not fit together.
    pub fn new(dim: usize, bottom: Vec<usize>, top: Vec<usize>, tables: Vec<TableConfig>) -> Result<Self, ConfigError> {
        let direct = |table: &TableConfig| Feature { categories: table.rows(), lookup: Lookup::Direct, longest: 1 };
        let features = tables.iter().map(direct).collect();
        Self::with_features(dim, bottom, top, tables, features)
    }

    /// As [`ModelConfig::new`], with features whose categories are looked up in another way; one for each table.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the parts do not fit together.
    pub fn with_features(
        dim: usize,
        bottom: Vec<usize>,
        top: Vec<usize>,
        tables: Vec<TableConfig>,
        features: Vec<Feature>,
    ) -> Result<Self, ConfigError> {
        Self::with_interaction(dim, (bottom, top), tables, features, None)
    }

    /// As [`ModelConfig::with_features`], with a cross network in the place of the dot products if there is one; `mlps` are the
    /// sizes of the bottom and of the top MLP.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the parts do not fit together.
    pub fn with_interaction(
        dim: usize,
        (bottom, top): (Vec<usize>, Vec<usize>),
        tables: Vec<TableConfig>,
        features: Vec<Feature>,
        cross: Option<CrossSize>,
    ) -> Result<Self, ConfigError> {
        for (mlp, sizes) in [("bottom", &bottom), ("top", &top)] {
            if sizes.len() < 2 || sizes.contains(&0) {
                return Err(ConfigError::Sizes { mlp });
            }
        }
        let (bottom_output, top_output) = (bottom[bottom.len() - 1], top[top.len() - 1]);
        if bottom_output != dim {
            return Err(ConfigError::BottomOutput { got: bottom_output, dim });
        }
        cross.map_or(Ok(()), CrossSize::check)?;
        let want = width(dim, tables.len(), cross);
        if top[0] != want {
            return Err(ConfigError::TopInput { got: top[0], want });
        }
        if top_output != 1 {
            return Err(ConfigError::TopOutput { got: top_output });
        }
        if features.len() != tables.len() {
            return Err(ConfigError::Features { got: features.len(), tables: tables.len() });
        }
        for (table, (config, feature)) in tables.iter().zip(&features).enumerate() {
            let (got, columns) = (config.table().dim(), feature.lookup.columns(dim));
            if columns != Some(got) {
                return Err(ConfigError::TableDim { table, got, dim });
            }
            if feature.longest != 1 && matches!(feature.lookup, Lookup::Product { .. }) {
                return Err(ConfigError::ProductOfBags { table });
            }
            let (got, want) = (config.rows(), feature.lookup.rows(feature.categories));
            if got != want || !feature.lookup.fits(config) {
                return Err(ConfigError::TableRows { table, got, want });
            }
        }
        Ok(Self { dim, bottom, top, tables, features, cross, rule: Rule::Sgd })
    }

    /// Another update rule of the MLPs than SGD. Tables have their own.
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// The update rule of the MLPs.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Embedding dimension, `N`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Sizes of the bottom MLP.
    pub fn bottom(&self) -> &[usize] {
        &self.bottom
    }

    /// Sizes of the top MLP.
    pub fn top(&self) -> &[usize] {
        &self.top
    }

    /// The embedding tables.
    pub fn tables(&self) -> &[TableConfig] {
        &self.tables
    }

    /// How the categories of each table's feature are looked up.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Numbers in the interaction: what the top MLP begins with.
    pub fn interaction_width(&self) -> usize {
        width(self.dim, self.tables.len(), self.cross)
    }

    /// The cross network in the place of the dot products, if there is one.
    pub fn cross(&self) -> Option<CrossSize> {
        self.cross
    }
}

/// Numbers that the top MLP begins with.
pub fn width(dim: usize, tables: usize, cross: Option<CrossSize>) -> usize {
    match cross {
        Some(_) => dim.saturating_mul(tables + 1),
        None => interaction::width(dim, tables),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sizes { mlp } => write!(f, "the {mlp} MLP needs at least two sizes, none of them zero"),
            Self::BottomOutput { got, dim } => {
                write!(f, "the bottom MLP ends in {got} numbers, not in the embedding dimension {dim}")
            }
            Self::TopInput { got, want } => {
                write!(f, "the top MLP begins with {got} numbers, not with the {want} of the interaction")
            }
            Self::TopOutput { got } => write!(f, "the top MLP ends in {got} numbers, not in 1"),
            Self::Features { got, tables } => write!(f, "there are {got} features for {tables} tables"),
            Self::TableRows { table, got, want } => {
                write!(f, "table {table} has {got} rows, where its lookups need {want}")
            }
            Self::Cross { size: CrossSize { layers, rank } } => write!(
                f,
                "a cross network has from 1 to {} layers and a rank from 1 to {}, not {layers} layers of rank {rank}",
                CrossSize::MOST_LAYERS,
                CrossSize::LARGEST_RANK
            ),
            Self::ProductOfBags { table } => {
                write!(
                    f,
                    "table {table} multiplies two rows, which lists of categories cannot be summed of: use another method"
                )
            }
            Self::TableDim { table, got, dim } => {
                write!(f, "table {table} has rows of {got} numbers, which do not make embeddings of {dim}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let new = |dim, bottom: &[usize], top: &[usize]| {
            let tables = vec![TableConfig::dense(5, 4).unwrap(); 2];
            ModelConfig::new(dim, bottom.to_vec(), top.to_vec(), tables).map(|config| config.interaction_width())
        };
        assert_eq!(new(4, &[13, 4], &[7, 1]), Ok(7));
        assert_eq!(new(4, &[13], &[7, 1]), Err(ConfigError::Sizes { mlp: "bottom" }));
        assert_eq!(new(4, &[13, 5], &[7, 1]), Err(ConfigError::BottomOutput { got: 5, dim: 4 }));
        assert_eq!(new(4, &[13, 4], &[8, 1]), Err(ConfigError::TopInput { got: 8, want: 7 }));
        assert_eq!(new(4, &[13, 4], &[7, 2]), Err(ConfigError::TopOutput { got: 2 }));
        assert_eq!(new(3, &[13, 3], &[6, 1]), Err(ConfigError::TableDim { table: 0, got: 4, dim: 3 }));
    }
}
