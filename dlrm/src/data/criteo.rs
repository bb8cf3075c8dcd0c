//! The Criteo Kaggle text format: label, 13 integers, 26 hexadecimal categories, separated by tabs.
//!
//! An empty integer or category is missing and counts as the value 0, which it shares with a literal 0. An empty
//! *label* is an error, although the reference would read it as 0: a file without labels must not train silently.

use std::fmt;
use std::num::IntErrorKind;

use super::{CATEGORICAL, DENSE};

/// Longest accepted line in bytes, without its line end; the memory a malformed file can claim.
pub const MAX_LINE: usize = 64 * 1024;

/// Number of fields of a line.
pub const FIELDS: usize = 1 + DENSE + CATEGORICAL;

/// How many characters of a bad value an error keeps.
const SHOWN: usize = 40;

/// Names of the fields.
pub(super) const NAMES: [&str; FIELDS] = [
    "label", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "C1", "C2", "C3", "C4",
    "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C13", "C14", "C15", "C16", "C17", "C18", "C19", "C20", "C21",
    "C22", "C23", "C24", "C25", "C26",
];

/// One parsed line.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// 1 for a click, else 0; 0 for a line without a label.
    pub label: f32,
    /// The counts, already transformed by [`dense_value`].
    pub dense: [f32; DENSE],
    /// The raw (hashed) category values, before re-indexing.
    pub categories: [u32; CATEGORICAL],
}

/// Where and why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line number, from 1.
    pub line: u64,
    /// Field number, from 1; 0 when the line as a whole is at fault.
    pub field: usize,
    /// Field name as in the data set's description (`label`, `I3`, `C17`); `line` when `field` is 0.
    pub name: &'static str,
    /// What is wrong there.
    pub reason: Reason,
    /// What it may come from.
    pub hint: Option<&'static str>,
}

/// What is wrong with a field or line. Values are cut to 40 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The line has `got` fields instead of [`FIELDS`], or one less where lines have no label.
    FieldCount {
        /// Number of fields found.
        got: usize,
        /// Number of fields wanted.
        want: usize,
    },
    /// The line is longer than [`MAX_LINE`] bytes.
    TooLong,
    /// The label is neither 0 nor 1.
    Label(String),
    /// Not a decimal integer.
    Integer(String),
    /// An integer that 64 bits cannot hold.
    IntegerRange(String),
    /// Not one to eight hexadecimal digits.
    Hex(String),
    /// Bytes that are not UTF-8.
    NotUtf8,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldCount { got, want } => write!(f, "got {got} tab-separated fields, want {want}"),
            Self::TooLong => write!(f, "longer than {MAX_LINE} bytes"),
            Self::Label(value) => write!(f, "{value:?} is not a label (0 or 1)"),
            Self::Integer(value) => write!(f, "{value:?} is not an integer"),
            Self::IntegerRange(value) => write!(f, "{value:?} is outside the range of 64-bit integers"),
            Self::Hex(value) => write!(f, "{value:?} is not a category (1 to 8 hexadecimal digits)"),
            Self::NotUtf8 => f.write_str("not UTF-8 text"),
        }
    }
}

impl ParseError {
    /// At the field of this index among all, of which a line without a label lacks the first.
    fn at(line: u64, index: usize, labelled: bool, reason: Reason) -> Self {
        let hint = hint_of_value(line, &reason);
        Self { line, field: index + usize::from(labelled), name: NAMES[index], reason, hint }
    }

    fn whole(line: u64, reason: Reason) -> Self {
        Self { line, field: 0, name: "line", reason, hint: None }
    }

    /// Where it is in its line, behind `before`, and what is wrong.
    pub(super) fn write_in_line(&self, f: &mut fmt::Formatter<'_>, before: &str) -> fmt::Result {
        let Self { field, name, reason, hint, .. } = self;
        if *field > 0 {
            write!(f, "{before}field {field} ({name})")?;
        }
        write!(f, ": {reason}")?;
        hint.map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// What a line with another number of fields may be.
fn hint_of_line(text: &[u8], number: u64, got: usize, want: usize) -> Option<&'static str> {
    let count = |byte| memchr::memchr_iter(byte, text).count();
    match got {
        _ if text.is_empty() => Some("a blank line"),
        1 if count(b',') + 1 >= want - CATEGORICAL => Some(COMMAS),
        1 if count(b' ') + 1 >= want - CATEGORICAL => Some("its fields seem to be separated by spaces, not tabs"),
        _ if number == 1 && text.first().is_some_and(u8::is_ascii_alphabetic) => Some(HEADER_LINE),
        _ if got == want - 1 && got == FIELDS - 1 && !matches!(text, [b'0' | b'1', b'\t', ..]) => {
            Some("a line without a label? dlrm predict takes such lines")
        }
        // As far as the categories.
        _ if got < want && got > want - CATEGORICAL => Some("tabs of empty fields at its end may have been cut off"),
        _ => None,
    }
}

/// Of CSV, whose columns are seldom Criteo's.
const COMMAS: &str = "its fields seem to be separated by commas, not tabs: columns of CSV need a schema (dlrm inspect)";

const HEADER_LINE: &str = "a line with the names of the columns must be removed";

/// What a value that is none may come from.
fn hint_of_value(line: u64, reason: &Reason) -> Option<&'static str> {
    let is_float = |value: &str| value.contains('.') && value.parse::<f64>().is_ok();
    match reason {
        Reason::Label(value) if line == 1 && value.starts_with(|c: char| c.is_alphabetic()) => Some(HEADER_LINE),
        Reason::Label(value) | Reason::Integer(value) | Reason::Hex(value) if is_float(value) => {
            Some("pandas writes whole numbers like this where a column has missing values; its type Int64 does not")
        }
        _ => None,
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        self.write_in_line(f, ", ")
    }
}

impl std::error::Error for ParseError {}

/// The reference's transform of a count: negatives become 0, then `ln(x + 1)`, every step rounded to `f32`.
///
/// `ln_1p` or a sum in `f64` would be more accurate, but their bits may differ from the reference's.
#[inline]
pub fn dense_value(count: i64) -> f32 {
    (count.max(0) as f32 + 1.0).ln()
}

/// Parses one line without its line end; `line` is the number an error reports.
///
/// # Errors
///
/// The first wrong thing from the left; a wrong number of fields goes before everything else, since it usually
/// makes the values wrong too.
pub fn parse_line(bytes: &[u8], line: u64) -> Result<Record, ParseError> {
    match parse_plain::<true>(bytes) {
        Some(record) => Ok(record),
        None => parse_any(bytes, line, true),
    }
}

/// [`parse_line`] of a line without a label, as those of the challenges' test files.
///
/// # Errors
///
/// As [`parse_line`]; fields are counted from the first integer on.
pub fn parse_unlabelled(bytes: &[u8], line: u64) -> Result<Record, ParseError> {
    match parse_plain::<false>(bytes) {
        Some(record) => Ok(record),
        None => parse_any(bytes, line, false),
    }
}

/// Whether a line has a label, as far as its number of fields says: only a line of exactly one field less has none.
pub(super) fn is_labelled(text: &[u8]) -> bool {
    1 + memchr::memchr_iter(b'\t', text).count() != FIELDS - 1
}

/// A line without a line end that follows, of at most [`MAX_LINE`] bytes; a `\r` at the end belongs to the line end.
pub(super) fn parse_text(text: &[u8], line: u64, labelled: bool) -> Result<Record, ParseError> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() > MAX_LINE {
        return Err(ParseError::whole(line, Reason::TooLong));
    }
    if labelled { parse_line(text, line) } else { parse_unlabelled(text, line) }
}

/// Any line, with what is wrong with it: the definition.
fn parse_any(bytes: &[u8], line: u64, labelled: bool) -> Result<Record, ParseError> {
    let got = 1 + bytes.iter().filter(|&&b| b == b'\t').count();
    let first = usize::from(!labelled);
    let want = FIELDS - first;
    if got != want {
        let hint = hint_of_line(bytes, line, got, want);
        return Err(ParseError { hint, ..ParseError::whole(line, Reason::FieldCount { got, want }) });
    }
    let mut record = Record { label: 0.0, dense: [0.0; DENSE], categories: [0; CATEGORICAL] };
    for (index, field) in (first..).zip(bytes.split(|&b| b == b'\t')) {
        let outcome = if index == 0 {
            label(field).map(|value| record.label = value)
        } else if index <= DENSE {
            integer(field).map(|value| record.dense[index - 1] = dense_value(value))
        } else {
            category(field).map(|value| record.categories[index - 1 - DENSE] = value)
        };
        outcome.map_err(|reason| ParseError::at(line, index, labelled, reason))?;
    }
    Ok(record)
}

/// A line as nearly all are, in one pass; `None` for any other, good or bad.
fn parse_plain<const LABELLED: bool>(bytes: &[u8]) -> Option<Record> {
    let mut record = Record { label: 0.0, dense: [0.0; DENSE], categories: [0; CATEGORICAL] };
    let mut rest = bytes;
    if LABELLED {
        record.label = match bytes.first()? {
            b'0' => 0.0,
            b'1' => 1.0,
            _ => return None,
        };
        rest = &bytes[1..];
    }
    for (number, slot) in record.dense.iter_mut().enumerate() {
        if LABELLED || number > 0 {
            rest = rest.strip_prefix(b"\t")?;
        }
        let unsigned = rest.strip_prefix(b"-");
        let negative = unsigned.is_some();
        rest = unsigned.unwrap_or(rest);
        let (mut value, mut digits) = (0, 0);
        while let Some(digit @ 0..=9) = rest.get(digits).map(|byte| byte.wrapping_sub(b'0')) {
            if digits == 18 {
                return None;
            }
            value = value * 10 + i64::from(digit);
            digits += 1;
        }
        if negative && digits == 0 {
            return None;
        }
        *slot = dense_value(if negative { 0 } else { value });
        rest = &rest[digits..];
    }
    for slot in &mut record.categories {
        rest = rest.strip_prefix(b"\t")?;
        if let Some((field, behind)) = rest.split_first_chunk::<8>() {
            let (mut value, mut all) = (0, 0);
            for &byte in field {
                let digit = HEX[usize::from(byte)];
                value = value << 4 | u32::from(digit & 15);
                all |= digit;
            }
            if all < 16 {
                (*slot, rest) = (value, behind);
                continue;
            }
        }
        // Missing, or shorter than the file's categories are; a longer one fails at the next tab.
        let mut digits = 0;
        while let Some(digit @ 0..=15) = rest.get(digits).map(|&byte| HEX[usize::from(byte)]) {
            *slot = *slot << 4 | u32::from(digit);
            digits += 1;
        }
        rest = &rest[digits..];
    }
    rest.is_empty().then_some(record)
}

/// The value of each hexadecimal digit, 255 for any other byte.
const HEX: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

fn label(field: &[u8]) -> Result<f32, Reason> {
    match field {
        b"0" => Ok(0.0),
        b"1" => Ok(1.0),
        _ => Err(shown(field).map_or_else(|e| e, Reason::Label)),
    }
}

fn integer(field: &[u8]) -> Result<i64, Reason> {
    if field.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(field).map_err(|_| Reason::NotUtf8)?;
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Reason::IntegerRange(cut(text)),
        _ => Reason::Integer(cut(text)),
    })
}

/// By hand, because `u32::from_str_radix` also takes a sign and any number of leading zeros.
fn category(field: &[u8]) -> Result<u32, Reason> {
    let value = (field.len() <= 8)
        .then(|| field.iter().try_fold(0, |value, &b| Some((value << 4) | char::from(b).to_digit(16)?)))
        .flatten();
    value.ok_or_else(|| shown(field).map_or_else(|e| e, Reason::Hex))
}

fn shown(field: &[u8]) -> Result<String, Reason> {
    std::str::from_utf8(field).map(cut).map_err(|_| Reason::NotUtf8)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::lines;
    use super::super::{DataError, DataErrorKind};
    use super::*;

    fn line_with(index: usize, value: &[u8]) -> Vec<u8> {
        let mut fields: Vec<&[u8]> = vec![b"1"; FIELDS];
        fields[index] = value;
        fields.join(&b'\t')
    }

    fn reason(index: usize, value: &[u8]) -> Reason {
        let error = parse_line(&line_with(index, value), 12).unwrap_err();
        assert_eq!((error.line, error.field, error.name), (12, index + 1, NAMES[index]));
        error.reason
    }

    fn read(text: &[u8]) -> Result<Vec<Record>, ParseError> {
        (1..).zip(lines(text)).map(|(number, line)| parse_text(line, number, true)).collect()
    }

    fn parse_error(text: &[u8]) -> ParseError {
        read(text).unwrap_err()
    }

    #[test]
    fn parses_every_field() {
        let line = "1\t0\t-2\t\t9\t\t\t\t\t\t\t\t\t2147483647\t68fd1e64\tFB936136\t\t0\tffffffff".to_owned()
            + &"\t".repeat(21);
        let record = parse_line(line.as_bytes(), 1).unwrap();
        assert_eq!(record.label, 1.0);
        assert_eq!(record.dense[..4], [0.0, 0.0, 0.0, 10f32.ln()]);
        assert_eq!(record.dense[12], 2147483648f32.ln());
        assert_eq!(record.categories[..5], [0x68fd1e64, 0xfb936136, 0, 0, u32::MAX]);
        assert!(record.categories[5..].iter().all(|&c| c == 0));
    }

    #[test]
    fn transform_rounds_each_step_to_f32() {
        for (count, want) in [(i64::MIN, 0f32), (-1, 0.0), (0, 0.0), (1, 2f32.ln()), (16_777_216, 16_777_216f32.ln())] {
            assert_eq!(dense_value(count), want);
        }
        // 2^24 + 1 is not an f32: the sum is rounded before the logarithm.
        assert_eq!(dense_value(1 << 24), dense_value((1 << 24) - 1));
        assert!(dense_value(i64::MAX).is_finite());
    }

    #[test]
    fn line_ends() {
        let line = line_with(39, b"");
        let mut text = [&line[..], b"\r\n", &line, b"\n", &line].concat();
        let records = read(&text).unwrap();
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|r| *r == records[0]));
        text.push(b'\n');
        assert_eq!(read(&text).unwrap().len(), 3);
        assert!(read(b"").unwrap().is_empty());
        // Only one carriage return belongs to the line end.
        let text = [&line_with(39, b"a")[..], b"\r\r\n"].concat();
        assert_eq!(parse_error(&text).reason, Reason::Hex("a\r".into()));
    }

    #[test]
    fn wrong_number_of_fields() {
        let good = line_with(0, b"0");
        let error = parse_error(&[&good[..], b"\n\n", &good, b"\n"].concat());
        assert_eq!((error.line, &error.reason), (2, &Reason::FieldCount { got: 1, want: FIELDS }));
        let error = parse_error(&[&good[..], b"\n", &good, b"\t\n"].concat());
        assert_eq!(error.to_string(), "line 2: got 41 tab-separated fields, want 40");
        assert_eq!(parse_error(&good[2..]).reason, Reason::FieldCount { got: 39, want: FIELDS });
    }

    #[test]
    fn wrong_values() {
        for bad in ["", "2", "-1", "1.0", " 1", "\u{feff}0"] {
            assert_eq!(reason(0, bad.as_bytes()), Reason::Label(bad.into()));
        }
        for bad in ["abc", "1.5", "-", " 1", "0x1", "1_000"] {
            assert_eq!(reason(4, bad.as_bytes()), Reason::Integer(bad.into()));
        }
        for bad in ["9223372036854775808", "-9223372036854775809"] {
            assert_eq!(reason(13, bad.as_bytes()), Reason::IntegerRange(bad.into()));
        }
        for bad in ["xyz", "123456789", "000000000", "+1", "-1", "0x12", "é", "1 "] {
            assert_eq!(reason(14, bad.as_bytes()), Reason::Hex(bad.into()));
        }
        for index in [0, 1, 39] {
            assert_eq!(reason(index, b"\xff1"), Reason::NotUtf8);
        }
    }

    #[test]
    fn accepts_the_whole_integer_range() {
        for good in ["9223372036854775807", "-9223372036854775808", "+5", "007"] {
            assert!(parse_line(&line_with(4, good.as_bytes()), 1).is_ok());
        }
    }

    #[test]
    fn messages_name_place_and_value() {
        let error = parse_line(&line_with(4, b"abc"), 12).unwrap_err();
        assert_eq!(error.to_string(), r#"line 12, field 5 (I4): "abc" is not an integer"#);
        let error = DataError::new("train.txt", error);
        assert_eq!(error.to_string(), r#"train.txt:12: field 5 (I4): "abc" is not an integer"#);
        let error = DataError::new("train.txt", DataErrorKind::Empty);
        assert_eq!(error.to_string(), "train.txt: no lines");
        let error = DataError::new("train.txt", ParseError::whole(3, Reason::FieldCount { got: 1, want: FIELDS }));
        assert_eq!(error.to_string(), "train.txt:3: got 1 tab-separated fields, want 40");
        let Reason::Integer(value) = reason(1, "é".repeat(1000).as_bytes()) else { panic!() };
        assert_eq!(value, "é".repeat(40) + "...");
    }

    #[test]
    fn long_lines_are_refused_in_bounded_memory() {
        // Leading zeros make a valid line of any length.
        let longest = line_with(1, "0".repeat(MAX_LINE - 78).as_bytes());
        assert_eq!(longest.len(), MAX_LINE);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(read(&[&longest[..], end.as_bytes(), &longest].concat()).is_ok(), !end.is_empty());
            let error = parse_error(&[&longest[..], b"1", end.as_bytes()].concat());
            assert_eq!((error.line, error.reason), (1, Reason::TooLong));
        }
    }

    #[test]
    fn the_fast_way_agrees_with_the_definition() {
        let plain = b"1\t1\t-2\t\t400000\t5\t6\t7\t8\t9\t10\t11\t\t13\t68fd1e64\tfb936136\t\tABCDEF01\ta\t00".to_vec();
        let plain = [plain, b"\t89abcdef".repeat(20)].concat();
        let mut state = 1u64;
        let mut fast = 0;
        for case in 0..4000 {
            let mut line = plain.clone();
            for _ in 0..case % 4 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (state >> 33) as usize % line.len();
                line[at] = match state >> 62 {
                    0 => (state >> 48) as u8,
                    _ => b"0123456789abcdefABF-+\t\tx"[(state >> 48) as usize % 24],
                };
            }
            let any = parse_any(&line, 3, true);
            if let Some(record) = parse_plain::<true>(&line) {
                fast += 1;
                assert_eq!(any.as_ref(), Ok(&record), "{:?}", String::from_utf8_lossy(&line));
            }
            assert_eq!(parse_line(&line, 3), any);
        }
        // A thousand lines are left as they are; most changes to digits must not leave the fast way either.
        assert!(fast > 1500, "{fast}");
    }
}
