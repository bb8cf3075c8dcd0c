//! What the columns of a file are.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::error::{DataError, DataErrorKind};

/// The most dense and the most categorical features.
const MOST: usize = 1 << 16;

/// What the columns of a file are, as `dlrm inspect` guesses and writes it in TOML. Columns that are not named are not read.
///
/// ```
/// let schema: dlrm::data::Schema = r#"
///     label = "click"
///     split = "part"                 # train, test or validation; without: the last seventh is held out
///     [[dense]]
///     name = "price"
///     transform = "none"             # or "log": ln(max(x, 0) + 1), as for Criteo's counts
///     missing = 0.0                  # instead of a value that is not there
///     [[categorical]]
///     name = "user"                  # one value a row; a missing one is a category of its own
///     [[categorical]]
///     name = "genres"
///     pooling = "mean"               # a list in each row, of which the rows are summed, or their mean taken
///     separator = "|"                # between the values of a list, in CSV
///     weights = "genre_weights"      # what each row is multiplied by
///     max-values = 20                # of a longer list the first so many are taken
/// "#.parse()?;
/// assert_eq!(schema.categorical[1].name, "genres");
/// # Ok::<(), dlrm::data::SchemaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schema {
    /// The column of labels: 0 or 1, or false or true.
    pub label: String,
    /// The column that says what a row is for: `train`, `test` or `validation` (or `valid`, `val`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// What separates the columns of CSV.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Columns of numbers.
    #[serde(default)]
    pub dense: Vec<Dense>,
    /// Columns of categories, one for each embedding table.
    #[serde(default)]
    pub categorical: Vec<Categorical>,
}

fn comma() -> char {
    ','
}

/// A column of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dense {
    /// Its name.
    pub name: String,
    /// What is done to each number.
    #[serde(default)]
    pub transform: Transform,
    /// The number that a row has where there is none, or one that is not a number.
    #[serde(default)]
    pub missing: f32,
}

/// What is done to a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// `ln(max(x, 0) + 1)`: counts.
    #[default]
    Log,
    /// Nothing.
    None,
}

/// A column of categories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Categorical {
    /// Its name.
    pub name: String,
    /// How the embeddings of a list are made one; none for a column with one value a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<ListPooling>,
    /// What separates the values of a list in CSV, [`Categorical::SEPARATOR`] if not given. Parquet has lists of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// The column with a number for each value of the list, which its embedding is multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Of longer lists the first so many values are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_values: Option<NonZeroU32>,
}

/// How the embeddings of a list are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListPooling {
    /// Their sum, each times its weight.
    Sum,
    /// That divided by the sum of the weights, or by how many they are.
    Mean,
}

impl Categorical {
    /// The separator of lists in CSV where none is given.
    pub const SEPARATOR: char = '|';

    /// A column of one value a row.
    pub fn one(name: impl Into<String>) -> Self {
        Self { name: name.into(), pooling: None, separator: None, weights: None, max_values: None }
    }
}

/// Why a text is no schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// Not TOML, or not with these names and types.
    Text(String),
    /// A column is named twice.
    Repeated(String),
    /// A column without a name.
    Unnamed,
    /// No column of categories.
    NoCategories,
    /// More columns than can be read.
    TooMany(usize),
    /// A setting of lists for a column that has no pooling.
    ListOnly {
        /// The column.
        column: String,
        /// The setting.
        setting: &'static str,
    },
    /// A separator or delimiter that is not one byte, or that columns and lists share.
    Separator(char),
    /// The number instead of missing ones is infinite or not a number.
    Missing(String),
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => write!(f, "{}", error.trim_end()),
            Self::Repeated(name) => write!(f, "column {name:?} is named more than once"),
            Self::Unnamed => f.write_str("a column has no name"),
            Self::NoCategories => f.write_str("no [[categorical]] column: a model needs at least one"),
            Self::TooMany(count) => write!(f, "{count} columns, but at most {MOST} of a kind are read"),
            Self::ListOnly { column, setting } => {
                write!(
                    f,
                    "column {column:?} has {setting}, but no pooling, \"sum\" or \"mean\", which makes it one of lists"
                )
            }
            Self::Separator(char) => {
                write!(
                    f,
                    "{char:?} cannot separate: columns and lists need two different bytes, and not a quote or line end"
                )
            }
            Self::Missing(name) => write!(f, "column {name:?}: missing must be a finite number"),
        }
    }
}

impl std::error::Error for SchemaError {}

impl Schema {
    /// Reads a file in TOML.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it cannot be read, or is no schema.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| DataError::new(path, error))?;
        text.parse().map_err(|error| DataError::new(path, DataErrorKind::Schema(error)))
    }

    /// That it says what a model can be made of.
    ///
    /// # Errors
    ///
    /// [`SchemaError`], the first.
    pub fn check(&self) -> Result<(), SchemaError> {
        let names = [&self.label].into_iter().chain(&self.split);
        let names = names.chain(self.dense.iter().map(|column| &column.name));
        let mut seen = HashSet::new();
        let lists = self.categorical.iter().flat_map(|column| [&column.name].into_iter().chain(&column.weights));
        for name in names.chain(lists) {
            if name.is_empty() {
                return Err(SchemaError::Unnamed);
            }
            if !seen.insert(name) {
                return Err(SchemaError::Repeated(name.clone()));
            }
        }
        if self.categorical.is_empty() {
            return Err(SchemaError::NoCategories);
        }
        if let Some(&count) = [self.dense.len(), self.categorical.len()].iter().find(|&&count| count > MOST) {
            return Err(SchemaError::TooMany(count));
        }
        if let Some(column) = self.dense.iter().find(|column| !column.missing.is_finite()) {
            return Err(SchemaError::Missing(column.name.clone()));
        }
        let is_byte = |char: char| char.is_ascii() && !matches!(char, '"' | '\n' | '\r' | '\0');
        if !is_byte(self.delimiter) {
            return Err(SchemaError::Separator(self.delimiter));
        }
        for column in &self.categorical {
            let only = [
                ("a separator", column.separator.is_some()),
                ("weights", column.weights.is_some()),
                ("max-values", column.max_values.is_some()),
            ];
            if let Some((setting, _)) = only.into_iter().find(|(_, given)| *given && column.pooling.is_none()) {
                return Err(SchemaError::ListOnly { column: column.name.clone(), setting });
            }
            if let Some(char) = column.separator.filter(|&char| !is_byte(char) || char == self.delimiter) {
                return Err(SchemaError::Separator(char));
            }
        }
        Ok(())
    }

    /// Dense features of a sample: where there are none, one that is 0.
    pub fn dense_features(&self) -> usize {
        self.dense.len().max(1)
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// As JSON, the same for equal ones.
    pub(in crate::data) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` for what is no schema.
    pub(in crate::data) fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|schema| schema.check().is_ok())
    }
}

impl std::str::FromStr for Schema {
    type Err = SchemaError;

    fn from_str(text: &str) -> Result<Self, SchemaError> {
        let schema: Self = toml::from_str(text).map_err(|error| SchemaError::Text(error.to_string()))?;
        schema.check()?;
        Ok(schema)
    }
}
