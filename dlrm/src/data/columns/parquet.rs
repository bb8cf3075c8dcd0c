//! Parquet: columns of plain types, and lists of these.
//!
//! Values are read with their levels: a definition level says how deep a value is there, a repetition level of 0 that a row
//! begins. Of a column without lists a value that is not there is a missing one; in a list it is none.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::{ByteArray, FixedLenByteArray};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::{ColumnDescriptor, Type};

use super::cell::{Cell, CellFault, Wanted, find, values_of};
use super::chunk::{Chunk, Row};
use super::schema::Schema;
use super::source::ROWS;
use crate::data::error::DataErrorKind;

/// The rows of a file.
pub(super) struct Parquet {
    file: SerializedFileReader<File>,
    columns: Vec<Column>,
    /// The row group that comes next, and rows that are left of the one before it.
    group: usize,
    left: usize,
    row: u64,
    /// Bytes read of all files.
    read: Arc<AtomicU64>,
}

/// A column that is read.
struct Column {
    name: String,
    /// Its number among the leaves of the file's schema.
    leaf: usize,
    unsigned: bool,
    /// Definition level of a value that is there, and, of a list, of any value of it.
    levels: (i16, Option<i16>),
    reader: Option<ColumnReader>,
    values: Values,
    /// Where the values of each row that was read last end.
    ends: Vec<usize>,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

/// Values that are there.
enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

fn failed(error: impl ToString) -> DataErrorKind {
    DataErrorKind::Parquet(error.to_string())
}

/// What the library gives; a panic of it, on a damaged file, is an error too.
fn guarded<T>(read: impl FnOnce() -> Result<T, DataErrorKind>) -> Result<T, DataErrorKind> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(failed("it cannot be decoded")))
}

impl Parquet {
    pub(super) fn open(path: &Path, wanted: &Wanted, read: Arc<AtomicU64>) -> Result<Self, DataErrorKind> {
        let file = File::open(path)?;
        guarded(|| {
            let file = SerializedFileReader::new(file).map_err(failed)?;
            let columns = wanted.names.iter().map(|name| Column::new(&file, name)).collect::<Result<_, _>>()?;
            Ok(Self { file, columns, group: 0, left: 0, row: 0, read })
        })
    }

    /// Appends at most `most` rows; whether there are more.
    pub(super) fn next(
        &mut self,
        schema: &Schema,
        wanted: &Wanted,
        most: usize,
        chunk: &mut Chunk,
    ) -> Result<bool, DataErrorKind> {
        let rows = self.read(most)?;
        for row in 0..rows {
            self.row += 1;
            chunk.push(schema, wanted, self.row, &RowOf { columns: &self.columns, row });
        }
        Ok(rows > 0)
    }

    /// Reads at most `most` rows into the columns; none at the end.
    fn read(&mut self, most: usize) -> Result<usize, DataErrorKind> {
        guarded(|| {
            while self.left == 0 {
                if self.group == self.file.num_row_groups() {
                    return Ok(0);
                }
                let group = self.file.get_row_group(self.group).map_err(failed)?;
                self.group += 1;
                self.left = usize::try_from(group.metadata().num_rows()).map_err(failed)?;
                for column in &mut self.columns {
                    column.reader = Some(group.get_column_reader(column.leaf).map_err(failed)?);
                }
                let bytes = group.metadata().compressed_size();
                self.read.fetch_add(u64::try_from(bytes).unwrap_or_default(), Ordering::Relaxed);
            }
            let rows = most.min(self.left);
            for column in &mut self.columns {
                let got = column.read(rows)?;
                if got != rows {
                    return Err(failed(format!("column {:?} ends {} rows early", column.name, rows - got.min(rows))));
                }
            }
            self.left -= rows;
            Ok(rows)
        })
    }
}

impl Column {
    fn new(file: &SerializedFileReader<File>, name: &str) -> Result<Self, DataErrorKind> {
        let schema = file.metadata().file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields();
        let root = find(fields.iter().map(|field| field.name().as_bytes()), name)?;
        let field = &fields[root];
        let wrong = |what: &str| DataErrorKind::ColumnType { column: name.to_owned(), what: what.to_owned() };
        let mut leaves = (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == root);
        let leaf = match (leaves.next(), leaves.next()) {
            (Some(leaf), None) => leaf,
            _ => return Err(wrong("of several columns")),
        };
        let column = schema.column(leaf);
        let list = match column.max_rep_level() {
            0 => None,
            1 => Some(level_of_list(field)),
            _ => return Err(wrong("one of lists of lists")),
        };
        let (values, unsigned) = values_for(&column).map_err(|what| wrong(&what))?;
        Ok(Self {
            name: name.to_owned(),
            leaf,
            unsigned,
            levels: (column.max_def_level(), list),
            reader: None,
            values,
            ends: Vec::new(),
            definition: Vec::new(),
            repetition: Vec::new(),
        })
    }

    /// Reads some rows; how many there were.
    fn read(&mut self, most: usize) -> Result<usize, DataErrorKind> {
        let Self { reader, values, definition, repetition, ends, levels: (defined, list), .. } = self;
        definition.clear();
        repetition.clear();
        ends.clear();
        values.clear();
        let mut rows = 0;
        while rows < most {
            let (def, rep) = (Some(&mut *definition), Some(&mut *repetition));
            let most = most - rows;
            let read = match (&mut *reader, &mut *values) {
                (Some(ColumnReader::BoolColumnReader(reader)), Values::Bool(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                (Some(ColumnReader::Int32ColumnReader(reader)), Values::Int32(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                (Some(ColumnReader::Int64ColumnReader(reader)), Values::Int64(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                (Some(ColumnReader::FloatColumnReader(reader)), Values::Float(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                (Some(ColumnReader::DoubleColumnReader(reader)), Values::Double(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                (Some(ColumnReader::ByteArrayColumnReader(reader)), Values::Bytes(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                (Some(ColumnReader::FixedLenByteArrayColumnReader(reader)), Values::Fixed(to)) => {
                    reader.read_records(most, def, rep, to)
                }
                _ => return Err(failed("a column is not of the type that the file says")),
            };
            let (records, _, _) = read.map_err(failed)?;
            if records == 0 {
                break;
            }
            rows += records;
        }
        if *defined == 0 {
            // Every row has its value.
            ends.extend(1..=values.len());
            return Ok(rows.min(values.len()));
        }
        let mut at = 0;
        for (number, &level) in definition.iter().enumerate() {
            if number > 0 && (list.is_none() || repetition.get(number) == Some(&0)) {
                ends.push(at);
            }
            at += usize::from(level == *defined);
        }
        if !definition.is_empty() {
            ends.push(at);
        }
        if at > values.len() || ends.len() != rows {
            return Err(failed(format!("column {:?} has other values than levels", self.name)));
        }
        Ok(rows)
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start..self.ends[row]
    }

    fn value(&self, at: usize) -> Cell<'_> {
        match &self.values {
            Values::Bool(values) => Cell::Bool(values[at]),
            Values::Int32(values) if self.unsigned => Cell::Unsigned(u64::from(values[at] as u32)),
            Values::Int32(values) => Cell::Integer(values[at].into()),
            Values::Int64(values) if self.unsigned => Cell::Unsigned(values[at] as u64),
            Values::Int64(values) => Cell::Integer(values[at]),
            // As a text of as few digits as tell it from others of its type.
            Values::Float(values) => Cell::Single(values[at]),
            Values::Double(values) => Cell::Number(values[at]),
            Values::Bytes(values) => Cell::of_text(values[at].data()),
            Values::Fixed(values) => Cell::of_text(values[at].data()),
        }
    }
}

/// The definition level of a value of a list, there or not: that of the repeated node.
fn level_of_list(field: &Type) -> i16 {
    let (mut node, mut level) = (field, 0);
    loop {
        let repetition = node.get_basic_info().repetition();
        level += i16::from(repetition != Repetition::REQUIRED);
        if repetition == Repetition::REPEATED || !node.is_group() {
            return level;
        }
        match node.get_fields().first() {
            Some(child) => node = child,
            None => return level,
        }
    }
}

/// Room for the values of a column, and whether they are numbers without a sign; what it is that is not read.
fn values_for(column: &ColumnDescriptor) -> Result<(Values, bool), String> {
    let logical = column.logical_type_ref();
    let unsigned = matches!(logical, Some(LogicalType::Integer(integer)) if !integer.is_signed)
        || matches!(
            column.converted_type(),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
        );
    let decimal = matches!(logical, Some(LogicalType::Decimal(_))) || column.converted_type() == ConvertedType::DECIMAL;
    if decimal || matches!(logical, Some(LogicalType::Float16)) {
        return Err("one of decimal or half precision numbers".to_owned());
    }
    Ok((
        match column.physical_type() {
            Physical::BOOLEAN => Values::Bool(Vec::new()),
            Physical::INT32 => Values::Int32(Vec::new()),
            Physical::INT64 => Values::Int64(Vec::new()),
            Physical::FLOAT => Values::Float(Vec::new()),
            Physical::DOUBLE => Values::Double(Vec::new()),
            Physical::BYTE_ARRAY => Values::Bytes(Vec::new()),
            Physical::FIXED_LEN_BYTE_ARRAY => Values::Fixed(Vec::new()),
            Physical::INT96 => return Err("one of times in 96 bits".to_owned()),
        },
        unsigned,
    ))
}

impl Values {
    fn clear(&mut self) {
        match self {
            Self::Bool(values) => values.clear(),
            Self::Int32(values) => values.clear(),
            Self::Int64(values) => values.clear(),
            Self::Float(values) => values.clear(),
            Self::Double(values) => values.clear(),
            Self::Bytes(values) => values.clear(),
            Self::Fixed(values) => values.clear(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Fixed(values) => values.len(),
        }
    }
}

/// A row of those that were read last.
struct RowOf<'a> {
    columns: &'a [Column],
    row: usize,
}

impl Row for RowOf<'_> {
    fn cell(&self, column: usize) -> Result<Cell<'_>, CellFault> {
        let column = &self.columns[column];
        let mut range = column.range(self.row);
        match column.levels.1 {
            Some(_) => Err(CellFault::List),
            None => Ok(range.next().map_or(Cell::Missing, |at| column.value(at))),
        }
    }

    fn list(
        &self,
        column: usize,
        separator: u8,
        each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
    ) -> Result<(), CellFault> {
        let column = &self.columns[column];
        column.range(self.row).try_for_each(|at| match (column.value(at), column.levels.1) {
            // A list in a text, as in CSV.
            (Cell::Text(text), None) => values_of(text, separator, each),
            (Cell::Missing, None) => Ok(()),
            (cell, _) => each(cell),
        })
    }
}

/// Every row with all columns that can be read, as long as `take` wants more, with which of them are lists; gives their names.
pub(super) fn each_row(
    path: &Path,
    mut take: impl FnMut(&[bool], &dyn Row) -> bool,
) -> Result<Vec<String>, DataErrorKind> {
    let none = Wanted::none();
    let mut file = Parquet::open(path, &none, Arc::default())?;
    let fields: Vec<String> = {
        let schema = file.file.metadata().file_metadata().schema_descr();
        schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect()
    };
    file.columns = fields.iter().filter_map(|name| Column::new(&file.file, name).ok()).collect();
    let names = file.columns.iter().map(|column| column.name.clone()).collect();
    let lists: Vec<bool> = file.columns.iter().map(|column| column.levels.1.is_some()).collect();
    loop {
        let rows = file.read(ROWS)?;
        if rows == 0 || !(0..rows).all(|row| take(&lists, &RowOf { columns: &file.columns, row })) {
            return Ok(names);
        }
    }
}
