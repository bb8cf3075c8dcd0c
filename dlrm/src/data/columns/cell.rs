//! What a row has in its columns, and what is wrong with it, whatever the file is.

use std::fmt;
use std::ops::Range;

use twox_hash::XxHash3_64;

use super::schema::{Schema, Transform};
use crate::data::error::DataErrorKind;

/// How many characters of a bad value an error keeps.
const SHOWN: usize = 40;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "texts are all that CSV has"))]
pub(super) enum Cell<'a> {
    /// There is none, or an empty text.
    Missing,
    Text(&'a [u8]),
    Integer(i64),
    Unsigned(u64),
    Number(f64),
    /// A number of 32 bits.
    Single(f32),
    Bool(bool),
}

/// Where the columns of a schema are among those that are read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The columns to read, by name.
    pub(super) names: Vec<String>,
    /// Not there where rows are only predicted.
    pub(super) label: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) dense: Range<usize>,
    /// Each with its weights.
    pub(super) categorical: Vec<(usize, Option<usize>)>,
}

impl Wanted {
    /// No columns.
    #[cfg(feature = "parquet")]
    pub(super) fn none() -> Self {
        Self { names: Vec::new(), label: None, split: None, dense: 0..0, categorical: Vec::new() }
    }

    /// With labels and what rows are for, or without.
    pub(super) fn new(schema: &Schema, labelled: bool) -> Self {
        let mut names = Vec::new();
        let mut add = |name: &String| {
            names.push(name.clone());
            names.len() - 1
        };
        let label = labelled.then(|| add(&schema.label));
        let split = schema.split.as_ref().filter(|_| labelled).map(&mut add);
        let first = usize::from(label.is_some()) + usize::from(split.is_some());
        schema.dense.iter().for_each(|column| {
            add(&column.name);
        });
        let dense = first..first + schema.dense.len();
        let categorical = schema
            .categorical
            .iter()
            .map(|column| (add(&column.name), column.weights.as_ref().map(&mut add)))
            .collect();
        Self { names, label, split, dense, categorical }
    }
}

/// Where and why a row of columns cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError {
    /// The row, from 1, without the names of the columns; of a CSV file that has no line ends in quotes, it is in line `row + 1`.
    pub row: u64,
    /// The column; empty where the row as a whole is at fault.
    pub column: String,
    /// What is wrong there.
    pub fault: CellFault,
}

/// What is wrong with a value. Values are cut to 40 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CellFault {
    /// The row has another number of fields than there are names.
    FieldCount {
        /// Number of fields found.
        got: usize,
        /// Number of names.
        want: usize,
    },
    /// The label is neither 0 nor 1, false nor true; empty if there is none.
    Label(String),
    /// Not one of `train`, `test` and `validation`.
    Split(String),
    /// Not a finite number.
    Number(String),
    /// A list in a column of one value a row.
    List,
    /// Another number of weights than of values.
    Weights {
        /// How many weights.
        got: usize,
        /// How many values.
        want: usize,
    },
}

impl fmt::Display for CellFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldCount { got, want } => write!(f, "got {got} fields, want {want}, as the names of the columns"),
            Self::Label(value) if value.is_empty() => f.write_str("there is no label"),
            Self::Label(value) => write!(f, "{value:?} is not a label (0 or 1)"),
            Self::Split(value) => write!(f, "{value:?} is not one of train, test and validation"),
            Self::Number(value) => write!(f, "{value:?} is not a finite number"),
            Self::List => f.write_str("a list, where the schema says no pooling"),
            Self::Weights { got, want } => write!(f, "got {got} weights for {want} values"),
        }
    }
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, column, fault } = self;
        match column.is_empty() {
            true => write!(f, "row {row}: {fault}"),
            false => write!(f, "row {row}, column {column:?}: {fault}"),
        }
    }
}

impl std::error::Error for CellError {}

/// The place of the column of this name among those of a file.
pub(super) fn find<'a>(names: impl Iterator<Item = &'a [u8]> + Clone, name: &str) -> Result<usize, DataErrorKind> {
    let mut all = names.clone().enumerate().filter(|(_, other)| *other == name.as_bytes());
    match (all.next(), all.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some(_), Some(_)) => Err(DataErrorKind::TwoColumns(name.to_owned())),
        (None, _) => {
            let columns = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            Err(DataErrorKind::NoColumn { column: name.to_owned(), columns })
        }
    }
}

/// The values of a list that is written as a text. No text is no value, and not a missing one.
pub(super) fn values_of(
    text: &[u8],
    separator: u8,
    each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
) -> Result<(), CellFault> {
    text.split(|&byte| byte == separator)
        .filter(|value| !value.is_empty())
        .try_for_each(|value| each(Cell::Text(value)))
}

impl<'a> Cell<'a> {
    pub(super) fn of_text(text: &'a [u8]) -> Self {
        if text.is_empty() { Self::Missing } else { Self::Text(text) }
    }
}

impl Cell<'_> {
    /// As a text that an error shows.
    fn shown(self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Text(text) => {
                let text = String::from_utf8_lossy(text);
                match text.char_indices().nth(SHOWN) {
                    Some((end, _)) => format!("{}...", &text[..end]),
                    None => text.into_owned(),
                }
            }
            Self::Integer(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Single(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }

    /// A number, none for what is missing or not a number (as programs write what is missing).
    pub(super) fn number(self) -> Result<Option<f64>, CellFault> {
        let number = match self {
            Self::Missing => return Ok(None),
            Self::Text(text) => {
                let text = std::str::from_utf8(text).map_or("", str::trim);
                text.parse().map_err(|_| CellFault::Number(self.shown()))?
            }
            Self::Integer(value) => value as f64,
            Self::Unsigned(value) => value as f64,
            Self::Number(value) => value,
            Self::Single(value) => value.into(),
            Self::Bool(value) => f64::from(u8::from(value)),
        };
        match number {
            number if number.is_nan() => Ok(None),
            number if number.is_finite() => Ok(Some(number)),
            _ => Err(CellFault::Number(self.shown())),
        }
    }

    /// A dense feature.
    pub(super) fn dense(self, transform: Transform, missing: f32) -> Result<f32, CellFault> {
        let value = self.number()?.map_or(missing, |value| value as f32);
        let value = match transform {
            // Each step in f32, as for Criteo's counts.
            Transform::Log => (value.max(0.0) + 1.0).ln(),
            Transform::None => value,
        };
        if value.is_finite() { Ok(value) } else { Err(CellFault::Number(self.shown())) }
    }

    /// Whether a label is positive.
    pub(super) fn label(self) -> Result<bool, CellFault> {
        let fault = || CellFault::Label(self.shown());
        if let Self::Text(text) = self
            && (text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false"))
        {
            return Ok(text.len() == 4);
        }
        match self.number() {
            Ok(Some(0.0)) => Ok(false),
            Ok(Some(1.0)) => Ok(true),
            _ => Err(fault()),
        }
    }

    /// What a row is for: 0 to train, 1 to test, 2 to validate.
    pub(super) fn part(self) -> Result<u8, CellFault> {
        let name = match self {
            Self::Text(text) => text,
            _ => &[],
        };
        [&["train"][..], &["test"], &["validation", "valid", "val"]]
            .iter()
            .position(|names| names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes())))
            .map(|part| part as u8)
            .ok_or_else(|| CellFault::Split(self.shown()))
    }

    /// The key of a category: XXH3 (64 bits, seed 0) of its text, of numbers in the decimal system, of what is missing the empty
    /// one. Of `n` values two have the same key, and share a row, with a probability of `n^2 / 2^65`: 0.03% for 10^8.
    pub(super) fn key(self, text: &mut String) -> u64 {
        use fmt::Write;
        text.clear();
        // Writing to a string does not fail.
        let _ = match self {
            Self::Missing => Ok(()),
            Self::Text(text) => return XxHash3_64::oneshot(text),
            Self::Integer(value) => write!(text, "{value}"),
            Self::Unsigned(value) => write!(text, "{value}"),
            Self::Number(value) => write!(text, "{value}"),
            Self::Single(value) => write!(text, "{value}"),
            Self::Bool(value) => write!(text, "{}", u8::from(value)),
        };
        XxHash3_64::oneshot(text.as_bytes())
    }
}
