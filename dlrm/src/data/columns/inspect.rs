//! What the columns of a file seem to be.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use super::cell::{Cell, CellFault};
use super::chunk::Row;
use super::csv::each_record;
use super::schema::{Categorical, Dense, ListPooling, Schema, Transform};
use super::source::is_parquet;
use crate::data::error::{DataError, DataErrorKind};
use crate::data::input::Input;

/// Names that columns of labels often have.
const LABELS: [&str; 9] = ["label", "click", "clicked", "is_click", "clk", "target", "y", "conversion", "converted"];

/// What a file seems to hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspected {
    /// Rows that were looked at.
    pub rows: u64,
    /// Whether there are more.
    pub more: bool,
    /// All columns, in order.
    pub columns: Vec<InspectedColumn>,
    /// What would be read as what; none if no column has just 0 and 1, or none would be one of categories.
    pub schema: Option<Schema>,
}

/// What a column seems to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectedColumn {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// Rows that have none.
    pub missing: u64,
    /// Distinct values of the rows that were looked at.
    pub distinct: u64,
    /// The longest list; 1 where there are none.
    pub longest: u64,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// None has a value.
    Empty,
    /// 0 and 1, or false and true.
    Binary,
    /// Whole numbers.
    Integer,
    /// Other numbers.
    Number,
    /// Anything else.
    Text,
    /// Lists, of what else.
    List,
    /// `train`, `test` and `validation`.
    Part,
}

/// What was seen of a column.
#[derive(Default)]
pub(super) struct Seen {
    rows: u64,
    missing: u64,
    lists: u64,
    longest: u64,
    binary: u64,
    integers: u64,
    numbers: u64,
    parts: u64,
    negative: bool,
    largest: f64,
    keys: HashSet<u64>,
}

impl Seen {
    fn value(&mut self, cell: Cell<'_>, text: &mut String) {
        if cell == Cell::Missing {
            return;
        }
        self.keys.insert(cell.key(text));
        self.binary += u64::from(cell.label().is_ok());
        self.parts += u64::from(cell.part().is_ok());
        let whole = match cell {
            Cell::Text(text) => std::str::from_utf8(text).is_ok_and(|text| text.trim().parse::<i128>().is_ok()),
            Cell::Number(value) => value.fract() == 0.0,
            Cell::Single(value) => value.fract() == 0.0,
            _ => true,
        };
        if let Ok(Some(number)) = cell.number() {
            self.numbers += 1;
            self.integers += u64::from(whole);
            self.negative |= number < 0.0;
            self.largest = self.largest.max(number);
        }
    }

    /// Takes note of the value of a row; in CSV, a text may be a list.
    pub(super) fn row(&mut self, row: &dyn Row, column: usize, is_list: bool, text: &mut String) {
        self.rows += 1;
        let cell = if is_list { Err(CellFault::List) } else { row.cell(column) };
        let count = match cell {
            Ok(Cell::Missing) => 0,
            Ok(Cell::Text(value)) if value.contains(&(Categorical::SEPARATOR as u8)) => 2,
            Ok(cell) => {
                self.value(cell, text);
                1
            }
            Err(_) => {
                self.lists += 1;
                2
            }
        };
        self.missing += u64::from(count == 0);
        if count > 1 {
            let mut count = 0;
            let each = &mut |cell: Cell<'_>| {
                count += 1;
                self.value(cell, text);
                Ok(())
            };
            // No value of a list is at fault.
            let _ = row.list(column, Categorical::SEPARATOR as u8, each);
            self.lists += u64::from(!is_list);
            self.longest = self.longest.max(count);
        }
    }

    fn kind(&self) -> Kind {
        let present = self.rows - self.missing;
        let values = present.max(1);
        match () {
            () if self.lists * 10 >= values && self.lists > 0 => Kind::List,
            () if present == 0 => Kind::Empty,
            () if self.binary == present && self.keys.len() == 2 => Kind::Binary,
            () if self.parts == present => Kind::Part,
            () if self.integers == present => Kind::Integer,
            () if self.numbers == present => Kind::Number,
            () => Kind::Text,
        }
    }
}

/// Looks at the first `most` rows of a file, CSV or Parquet, and says what its columns seem to be.
///
/// Whole numbers are taken for dense features unless their name ends in `id`, begins with `cat`, or is `C` and a number: whoever
/// knows better changes the schema.
///
/// # Errors
///
/// [`DataError`] if it cannot be read or has no columns.
pub fn inspect(path: impl AsRef<Path>, most: u64) -> Result<Inspected, DataError> {
    let path = path.as_ref();
    let at = |kind: DataErrorKind| DataError::new(path, kind);
    if !std::fs::metadata(path).map_err(|error| at(error.into()))?.is_file() {
        // It is read more than once.
        let what = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
        return Err(at(what.into()));
    }
    let mut seen: Vec<Seen> = Vec::new();
    let (mut rows, mut more, mut text) = (0, false, String::new());
    let mut see = |names: usize, is_list: &dyn Fn(usize) -> bool, row: &dyn Row| {
        seen.resize_with(names, Seen::default);
        more = rows == most;
        if !more {
            rows += 1;
            seen.iter_mut().enumerate().for_each(|(column, seen)| seen.row(row, column, is_list(column), &mut text));
        }
        !more
    };
    let (names, delimiter) = if is_parquet(path).map_err(|error| at(error.into()))? {
        #[cfg(not(feature = "parquet"))]
        return Err(at(DataErrorKind::NoParquet));
        #[cfg(feature = "parquet")]
        (super::parquet::each_row(path, |lists, row| see(lists.len(), &|column| lists[column], row)).map_err(at)?, ',')
    } else {
        let open = || {
            let text = Input::files(&[path])?.sources.pop().map(|source| source.text.open());
            text.transpose().map_err(|error| at(error.into()))?.ok_or_else(|| at(DataErrorKind::Empty))
        };
        let delimiter = delimiter_of(BufReader::new(open()?)).map_err(|error| at(error.into()))?;
        let names = each_record(open()?, delimiter as u8, |names, row| see(names, &|_| false, row)).map_err(at)?;
        (names, delimiter)
    };
    seen.resize_with(names.len(), Seen::default);
    let columns: Vec<InspectedColumn> = names
        .into_iter()
        .zip(&seen)
        .map(|(name, seen)| InspectedColumn {
            name,
            kind: seen.kind(),
            missing: seen.missing,
            distinct: seen.keys.len() as u64,
            longest: seen.longest.max(1),
        })
        .collect();
    let schema = guess(&columns, &seen, delimiter);
    Ok(Inspected { rows, more, columns, schema })
}

/// What separates the names of the columns: what occurs most often.
fn delimiter_of(mut text: impl BufRead) -> std::io::Result<char> {
    let mut line = Vec::new();
    std::io::Read::take(&mut text, 1 << 20).read_until(b'\n', &mut line)?;
    let count = |char: char| line.iter().filter(|&&byte| byte == char as u8).count();
    Ok([',', '\t', ';', '|'].into_iter().rev().max_by_key(|&char| count(char)).unwrap_or(','))
}

/// Whether whole numbers of this name are categories.
fn is_identifier(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let number =
        name.strip_prefix('c').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    name.ends_with("id") || name.starts_with("cat") || number
}

fn guess(columns: &[InspectedColumn], seen: &[Seen], delimiter: char) -> Option<Schema> {
    let named = |column: &&InspectedColumn| LABELS.contains(&column.name.to_ascii_lowercase().as_str());
    let binary = || columns.iter().filter(|column| column.kind == Kind::Binary && column.missing == 0);
    let label = binary().find(named).or_else(|| binary().next())?;
    let split = columns.iter().find(|column| column.kind == Kind::Part && column.missing == 0);
    let mut schema = Schema {
        label: label.name.clone(),
        split: split.map(|column| column.name.clone()),
        delimiter,
        dense: Vec::new(),
        categorical: Vec::new(),
    };
    for (column, seen) in columns.iter().zip(seen) {
        if column.name == schema.label || Some(&column.name) == schema.split.as_ref() {
            continue;
        }
        match column.kind {
            Kind::Empty => {}
            Kind::List => schema
                .categorical
                .push(Categorical { pooling: Some(ListPooling::Mean), ..Categorical::one(&column.name) }),
            Kind::Text | Kind::Part => schema.categorical.push(Categorical::one(&column.name)),
            Kind::Integer | Kind::Number | Kind::Binary if is_identifier(&column.name) => {
                schema.categorical.push(Categorical::one(&column.name));
            }
            Kind::Integer | Kind::Number | Kind::Binary => {
                let transform = if seen.negative || seen.largest <= 10.0 { Transform::None } else { Transform::Log };
                schema.dense.push(Dense { name: column.name.clone(), transform, missing: 0.0 });
            }
        }
    }
    schema.check().is_ok().then_some(schema)
}
