//! Lines of Criteo's form, one by one and as a file, against a naive reader.

use std::fs;
use std::num::NonZeroU32;

use dlrm::data::criteo::{FIELDS, MAX_LINE, dense_value, parse_line};
use dlrm::data::{Batch, CATEGORICAL, DENSE, DataError, DataErrorKind, Dataset, ReadSettings, Record, Split};

/// Reads the text behind the first byte, which says how.
pub fn run(data: &[u8]) {
    let Some((&how, text)) = data.split_first() else { return };
    for line in text.split(|&byte| byte == b'\n') {
        match (parse_line(line, 7), naive_line(line)) {
            (Ok(record), Ok(want)) => assert_eq!(record, want),
            (Err(error), Err(field)) => assert_eq!((error.line, error.field), (7, field), "{error}"),
            (got, want) => panic!("{got:?}, not {want:?}"),
        }
    }
    if how & 1 == 0 {
        let data = Dataset::from_reader(text, "text");
        return compare(data, text, &ReadSettings::default());
    }
    let settings = ReadSettings {
        max_ind_range: if how & 2 == 0 { None } else { NonZeroU32::new(u32::from(how >> 4) + 1) },
        skip_bad: how & 4 != 0,
        // Which lines are dropped is decided by draws: only that there is no panic is checked.
        sub_sample: if how & 8 == 0 { 0.0 } else { 0.5 },
        seed: 1,
        ..ReadSettings::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lines");
    fs::write(&file, text).expect("written");
    let data = Dataset::read(&[&file], &settings);
    if text.starts_with(&[0x1f, 0x8b]) || settings.sub_sample > 0.0 {
        match data {
            Ok(data) => assert!(data.verify("rows", |_| ()).is_ok() && samples(&data).len() == data.len()),
            Err(error) => assert!(error.to_string().contains("lines"), "{error}"),
        }
        return;
    }
    compare(data, text, &settings);
}

/// A line by the description of the format, or the number of the first field that is wrong, 0 for the line itself.
fn naive_line(line: &[u8]) -> Result<Record, usize> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b'\t').collect();
    if fields.len() != FIELDS {
        return Err(0);
    }
    let label = match fields[0] {
        b"0" => 0.0,
        b"1" => 1.0,
        _ => return Err(1),
    };
    let mut record = Record { label, dense: [0.0; DENSE], categories: [0; CATEGORICAL] };
    for i in 0..DENSE {
        record.dense[i] = dense_value(integer(fields[1 + i]).ok_or(2 + i)?);
    }
    for i in 0..CATEGORICAL {
        record.categories[i] = category(fields[1 + DENSE + i]).ok_or(2 + DENSE + i)?;
    }
    Ok(record)
}

/// Optional sign and at least one decimal digit, within 64 bits; nothing is 0.
fn integer(field: &[u8]) -> Option<i64> {
    let digits = match field {
        [] => return Some(0),
        [b'+' | b'-', digits @ ..] | digits => digits,
    };
    let negative = field[0] == b'-';
    let mut value = 0i128;
    for &digit in digits {
        let digit = i128::from(digit.checked_sub(b'0').filter(|&digit| digit < 10)?);
        value = (value * 10 + digit).min(1 << 100);
    }
    let value = if negative { -value } else { value };
    (!digits.is_empty()).then_some(value)?.try_into().ok()
}

/// Up to eight hexadecimal digits; nothing is 0.
fn category(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    let plain = text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(&format!("0{text}"), 16).ok())?
}

/// Label, counts and indices of each row.
type Sample = (f32, Vec<f32>, Vec<u32>);

fn samples(data: &Dataset) -> Vec<Sample> {
    let mut batch = Batch::default();
    data.fill_batch(0..data.len(), &mut batch).expect("sound rows");
    (0..data.len())
        .map(|row| {
            let indices = batch.indices.iter().map(|column| column[row]).collect();
            (batch.labels[row], batch.dense[row * DENSE..][..DENSE].to_vec(), indices)
        })
        .collect()
}

/// That a text gave what the naive reader makes of it.
fn compare(got: Result<Dataset, DataError>, text: &[u8], settings: &ReadSettings) {
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // The end of the last line, and blank lines behind it.
    while lines.last().is_some_and(|line| matches!(*line, b"" | b"\r")) {
        lines.pop();
    }
    if let Err(DataError { kind: DataErrorKind::Io(error), .. }) = &got {
        // Something that is not lines, by how it begins: no label does.
        let is_tar = text.get(257..262) == Some(b"ustar");
        assert!(!matches!(text.first(), Some(b'0' | b'1')) || is_tar, "{error}");
        return;
    }
    let mut known: Vec<Vec<u32>> = vec![Vec::new(); CATEGORICAL];
    let mut want: Vec<Sample> = Vec::new();
    for (number, line) in (1u64..).zip(&lines) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let outcome = if line.len() > MAX_LINE { Err(0) } else { naive_line(line) };
        let record = match outcome {
            Ok(record) => record,
            Err(_) if settings.skip_bad => continue,
            Err(field) => {
                match got.expect_err("a bad line").kind {
                    DataErrorKind::Parse(error) => assert_eq!((error.line, error.field), (number, field)),
                    other => panic!("{other}, not line {number}"),
                }
                return;
            }
        };
        let index = |(known, value): (&mut Vec<u32>, u32)| {
            let value = settings.max_ind_range.map_or(value, |range| value % range);
            known.iter().position(|&seen| seen == value).unwrap_or_else(|| {
                known.push(value);
                known.len() - 1
            }) as u32
        };
        let indices = known.iter_mut().zip(record.categories).map(index).collect();
        want.push((record.label, record.dense.to_vec(), indices));
    }
    let data = match got {
        Ok(data) => data,
        Err(error) => {
            let expected = if lines.is_empty() { "no lines" } else { "no line is left" };
            assert!(want.is_empty() && error.to_string().contains(expected), "{error}");
            return;
        }
    };
    assert_eq!(samples(&data), want);
    assert_eq!(data.table_rows().to_vec(), known.iter().map(|known| known.len() as u64).collect::<Vec<_>>());
    assert_eq!(*data.split(), Split::new(want.len()));
    assert_eq!(data.header().lines, lines.len() as u64);
}
