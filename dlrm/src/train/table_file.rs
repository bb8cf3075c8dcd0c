//! The file that says, table by table, how tables are held: `--tables FILE.toml`.
//!
//! One section a table, named by its number from 0 in the order of the features; keys that are not given, and tables
//! that are not named, are as the other settings say.
//!
//! ```toml
//! [2]                             # the third categorical feature
//! kind = "tt"                     # or "dense"
//! rank = 32                       # one rank for all bonds, or ..
//! # ranks = [16, 32]              # .. one for each bond between two cores; not the 1 at both ends
//! row-factors = [200, 220, 250]   # one a core; their product is at least the rows of the table
//! init = "sampled-gaussian"       # gaussian, uniform or signs
//! scale = "isometric"             # calibrated or paper
//! rule = "adagrad-norm"           # or element-wise; of the cores
//! lr-multiplier = 10.0            # of the cores
//! cache-fraction = 0.0001         # share of the rows that are held uncompressed; 0 for no cache
//! frozen = false                  # true: not trained
//!
//! [11]
//! kind = "dense"                  # takes `frozen` alone
//!
//! [20]
//! method = "hybrid"               # or any other of `--table-method`, instead of a kind
//! bytes = 1_000_000               # for this table
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::tables::{CoreRuleName, InitName, ScaleName};
use crate::budget::Method;

/// What a file says of one table.
#[derive(Clone, Debug, PartialEq)]
pub enum TableOverride {
    /// Held as it is.
    Dense {
        /// Not trained.
        frozen: bool,
    },
    /// Held as a tensor train; what is not given is as the other settings say.
    Tt(TtOverride),
    /// Held in so many bytes.
    Within {
        /// How.
        method: Method,
        /// Bytes of parameters.
        bytes: u64,
    },
}

/// What a file says of a table in TT form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TtOverride {
    /// Ranks between the cores: one for all bonds, or one for each.
    pub ranks: Option<Vec<usize>>,
    /// Row factors.
    pub row_factors: Option<Vec<usize>>,
    /// Distribution of the entries of new cores.
    pub init: Option<InitName>,
    /// Their scale.
    pub scale: Option<ScaleName>,
    /// The update rule of the cores.
    pub rule: Option<CoreRuleName>,
    /// What the learning rate is multiplied by for the cores.
    pub lr_multiplier: Option<f64>,
    /// Share of the rows that are held uncompressed.
    pub cache_fraction: Option<f64>,
    /// Not trained.
    pub frozen: Option<bool>,
}

/// A file of tables that cannot be used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TableFileError {
    /// It is not TOML.
    Syntax(String),
    /// A section is not named by a number, or a key stands outside of the sections.
    Section {
        /// Its name.
        name: String,
    },
    /// A key that is needed is missing.
    Missing {
        /// Which table.
        table: usize,
        /// The key.
        key: &'static str,
    },
    /// A key that there is not for a table of this kind.
    Unknown {
        /// Which table.
        table: usize,
        /// The key.
        key: String,
        /// The keys there are.
        known: &'static [&'static str],
    },
    /// A value that the key cannot have.
    Value {
        /// Which table.
        table: usize,
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

const WITHIN_KEYS: &[&str] = &["method", "bytes"];
const DENSE_KEYS: &[&str] = &["kind", "frozen"];
const TT_KEYS: &[&str] =
    &["kind", "rank", "ranks", "row-factors", "init", "scale", "rule", "lr-multiplier", "cache-fraction", "frozen"];

/// Reads the text of a file: what it says of each table that it names.
///
/// # Errors
///
/// [`TableFileError`], naming table and key.
///
/// ```
/// use dlrm::train::{TableOverride, parse_tables};
///
/// let tables = parse_tables("[11]\nkind = \"dense\"")?;
/// assert_eq!(tables[&11], TableOverride::Dense { frozen: false });
/// assert_eq!(parse_tables("[2]\nkind = 3").unwrap_err().to_string(),
///     "table 2, key `kind`: must be \"dense\" or \"tt\", not 3");
/// # Ok::<(), dlrm::train::TableFileError>(())
/// ```
pub fn parse_tables(text: &str) -> Result<BTreeMap<usize, TableOverride>, TableFileError> {
    let sections: Table = text
        .parse()
        .map_err(|error: toml::de::Error| TableFileError::Syntax(error.to_string().trim_end().to_owned()))?;
    let mut tables = BTreeMap::new();
    for (name, section) in sections {
        // Only one way to write a number, so that no table has two sections.
        let number = name.parse().ok().filter(|number: &usize| number.to_string() == name);
        match (number, section) {
            (Some(table), Value::Table(section)) => tables.insert(table, parse_table(table, section)?),
            _ => return Err(TableFileError::Section { name }),
        };
    }
    Ok(tables)
}

fn parse_table(table: usize, section: Table) -> Result<TableOverride, TableFileError> {
    if section.contains_key("method") {
        return parse_within(table, section);
    }
    let kind = section.get("kind").ok_or(TableFileError::Missing { table, key: "kind" })?;
    match kind.as_str() {
        Some("dense") => {
            let mut frozen = false;
            for (key, value) in section {
                match key.as_str() {
                    "kind" => {}
                    "frozen" => frozen = get(table, &key, value)?,
                    _ => return Err(TableFileError::Unknown { table, key, known: DENSE_KEYS }),
                }
            }
            Ok(TableOverride::Dense { frozen })
        }
        Some("tt") => parse_tt(table, section).map(TableOverride::Tt),
        _ => {
            let problem = format!("must be \"dense\" or \"tt\", not {kind}");
            Err(TableFileError::Value { table, key: "kind".to_owned(), problem })
        }
    }
}

fn parse_within(table: usize, section: Table) -> Result<TableOverride, TableFileError> {
    let (mut method, mut bytes) = (Method::Tt, None);
    for (key, value) in section {
        match key.as_str() {
            "method" => method = get(table, &key, value)?,
            "bytes" => bytes = Some(get(table, &key, value)?),
            _ => return Err(TableFileError::Unknown { table, key, known: WITHIN_KEYS }),
        }
    }
    let bytes = bytes.ok_or(TableFileError::Missing { table, key: "bytes" })?;
    Ok(TableOverride::Within { method, bytes })
}

fn parse_tt(table: usize, section: Table) -> Result<TtOverride, TableFileError> {
    let mut tt = TtOverride::default();
    let wrong = |key: String, problem: &str| Err(TableFileError::Value { table, key, problem: problem.to_owned() });
    for (key, value) in section {
        match key.as_str() {
            "kind" => {}
            "rank" | "ranks" if tt.ranks.is_some() => return wrong(key, "give `rank` or `ranks`, not both"),
            "rank" => tt.ranks = Some(vec![get(table, &key, value)?]),
            "ranks" => tt.ranks = Some(get(table, &key, value)?),
            "row-factors" => tt.row_factors = Some(get(table, &key, value)?),
            "init" => tt.init = Some(get(table, &key, value)?),
            "scale" => tt.scale = Some(get(table, &key, value)?),
            "rule" => tt.rule = Some(get(table, &key, value)?),
            "lr-multiplier" => match get(table, &key, value)? {
                multiplier if multiplier >= 0.0 && f64::is_finite(multiplier) => tt.lr_multiplier = Some(multiplier),
                _ => return wrong(key, "must be a number that is not negative"),
            },
            "cache-fraction" => match get(table, &key, value)? {
                fraction if (0.0..=1.0).contains(&fraction) => tt.cache_fraction = Some(fraction),
                _ => return wrong(key, "must be from 0 to 1"),
            },
            "frozen" => tt.frozen = Some(get(table, &key, value)?),
            _ => return Err(TableFileError::Unknown { table, key, known: TT_KEYS }),
        }
    }
    if let Some([1, inner @ .., 1]) = tt.ranks.as_deref()
        && !inner.is_empty()
        && tt.row_factors.as_ref().is_none_or(|factors| factors.len() != inner.len() + 3)
    {
        let problem = format!("the ranks of 1 at both ends are left out: give those between two cores, {inner:?}");
        return Err(TableFileError::Value { table, key: "ranks".to_owned(), problem });
    }
    Ok(tt)
}

fn get<T: DeserializeOwned>(table: usize, key: &str, value: Value) -> Result<T, TableFileError> {
    let problem = |error: toml::de::Error| error.message().to_owned();
    value.try_into().map_err(|error| TableFileError::Value { table, key: key.to_owned(), problem: problem(error) })
}

impl fmt::Display for TableFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => f.write_str(error),
            Self::Section { name } => {
                write!(f, "`{name}` is no section of a table: name sections by the number of the table, as in [2]")
            }
            Self::Missing { table, key } => write!(f, "table {table}: the key `{key}` is missing"),
            Self::Unknown { table, key, known } => {
                write!(f, "table {table}: unknown key `{key}`; there are {}", known.join(", "))
            }
            Self::Value { table, key, problem } => write!(f, "table {table}, key `{key}`: {problem}"),
        }
    }
}

impl std::error::Error for TableFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = r#"
            [2]
            kind = "tt"
            ranks = [16, 32]
            row-factors = [200, 220, 250]
            init = "signs"
            scale = "paper"
            rule = "element-wise"
            lr-multiplier = 10
            cache-fraction = 0.0001
            frozen = true
            [3]
            kind = "tt"
            rank = 8
            [0]
            kind = "dense"
            frozen = true
            [7]
            method = "qr-product"
            bytes = 1_000_000
        "#;
        let tables = parse_tables(text).unwrap();
        assert_eq!(tables.keys().copied().collect::<Vec<_>>(), [0, 2, 3, 7]);
        let within = TableOverride::Within { method: Method::QrProduct, bytes: 1_000_000 };
        assert_eq!(tables[&7], within);
        let all = TtOverride {
            ranks: Some(vec![16, 32]),
            row_factors: Some(vec![200, 220, 250]),
            init: Some(InitName::Signs),
            scale: Some(ScaleName::Paper),
            rule: Some(CoreRuleName::ElementWise),
            lr_multiplier: Some(10.0),
            cache_fraction: Some(0.0001),
            frozen: Some(true),
        };
        assert_eq!(tables[&2], TableOverride::Tt(all));
        assert_eq!(tables[&3], TableOverride::Tt(TtOverride { ranks: Some(vec![8]), ..TtOverride::default() }));
        assert_eq!(tables[&0], TableOverride::Dense { frozen: true });
        assert!(parse_tables("").unwrap().is_empty());
    }

    #[test]
    fn errors_name_table_and_key() {
        for (text, expected) in [
            ("[2]\nkind = tt", "line 2"),
            ("rank = 3", "`rank` is no section"),
            ("[02]\nkind = \"tt\"", "`02` is no section"),
            ("[first]\nkind = \"tt\"", "`first` is no section"),
            ("[7]\nrank = 3", "table 7: the key `kind` is missing"),
            ("[7]\nkind = \"TT\"", "table 7, key `kind`: must be \"dense\" or \"tt\", not \"TT\""),
            ("[7]\nkind = \"tt\"\nrnak = 3", "table 7: unknown key `rnak`; there are kind, rank,"),
            ("[7]\nkind = \"dense\"\nrank = 3", "table 7: unknown key `rank`; there are kind, frozen"),
            ("[7]\nkind = \"tt\"\nrank = -3", "table 7, key `rank`: "),
            ("[7]\nkind = \"tt\"\nrank = \"many\"", "table 7, key `rank`: invalid type: string \"many\""),
            ("[7]\nkind = \"tt\"\nrank = 3\nranks = [3]", "table 7, key `ranks`: give `rank` or `ranks`"),
            ("[7]\nkind = \"tt\"\ninit = \"ones\"", "table 7, key `init`: unknown variant `ones`"),
            ("[7]\nkind = \"tt\"\nlr-multiplier = -1.0", "table 7, key `lr-multiplier`: must be"),
            ("[7]\nkind = \"tt\"\nlr-multiplier = nan", "table 7, key `lr-multiplier`: must be"),
            ("[7]\nkind = \"tt\"\ncache-fraction = 2", "table 7, key `cache-fraction`: must be from 0 to 1"),
            ("[7]\nmethod = \"qr\"", "table 7: the key `bytes` is missing"),
            ("[7]\nmethod = \"qr\"\nkind = \"tt\"\nbytes = 1", "table 7: unknown key `kind`; there are method, bytes"),
            ("[7]\nmethod = \"none\"\nbytes = 1", "table 7, key `method`: unknown variant `none`"),
            ("[7]\nmethod = \"qr\"\nbytes = -1", "table 7, key `bytes`: "),
            ("[7]\nkind = \"dense\"\nfrozen = 1", "table 7, key `frozen`: "),
        ] {
            let error = parse_tables(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
