//! The header of NumPy's format `.npy`: magic, version, length, and a Python dictionary of three keys as text.

use std::io::Read;

use super::file::{Element, Parsed, Place};
use crate::error::Fault;

/// The longest header that is read. NumPy's own are below 200 bytes for tables of numbers.
const LONGEST: u64 = 1 << 16;

/// Where the table of a file lies. Reads from the file's begin, and no more than the header.
pub(super) fn header(reader: &mut dyn Read) -> Parsed<Place> {
    let mut start = [0; 8];
    exact(reader, &mut start, 0)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err((0, Fault::Header("it does not begin as a .npy file".to_owned())));
    }
    let (length, begin) = match start[6] {
        1 => {
            let mut length = [0; 2];
            exact(reader, &mut length, 8)?;
            (u64::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            exact(reader, &mut length, 8)?;
            (u64::from(u32::from_le_bytes(length)), 12)
        }
        version => return Err((6, Fault::Header(format!("version {version}, not 1 to 3")))),
    };
    if length > LONGEST {
        return Err((8, Fault::Header(format!("{length} bytes long, more than {LONGEST}"))));
    }
    let mut text = vec![0; length as usize];
    exact(reader, &mut text, begin)?;
    let text = std::str::from_utf8(&text).map_err(|_| (begin, Fault::Header("not text".to_owned())))?;
    dictionary(text, begin + length).map_err(|fault| (begin, fault))
}

fn exact(reader: &mut dyn Read, out: &mut [u8], position: u64) -> Parsed<()> {
    reader.read_exact(out).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => (position, Fault::Truncated),
        _ => (position, Fault::Io(error)),
    })
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`: the keys in any order, each once.
fn dictionary(text: &str, start: u64) -> Result<Place, Fault> {
    let damaged = |what: &str| Fault::Header(what.to_owned());
    let mut rest = text.trim().strip_prefix('{').ok_or_else(|| damaged("no dictionary"))?.trim_start();
    let (mut element, mut fortran, mut shape) = (None, None, None);
    while !rest.starts_with('}') {
        let (key, behind) = quoted(rest).ok_or_else(|| damaged("a key is missing"))?;
        let behind = behind.trim_start().strip_prefix(':').ok_or_else(|| damaged("a key without value"))?.trim_start();
        let twice = || damaged("a key is there twice");
        match key {
            "descr" => {
                // What is not text describes fields of records.
                let (kind, behind) = quoted(behind).ok_or_else(|| Fault::Type("a record".to_owned()))?;
                let found = match kind {
                    "<f4" => Element::F32,
                    "<f8" => Element::F64,
                    other => return Err(Fault::Type(other.to_owned())),
                };
                (element.replace(found).is_none()).then_some(()).ok_or_else(twice)?;
                rest = behind;
            }
            "fortran_order" => {
                let (value, behind) = if let Some(behind) = behind.strip_prefix("False") {
                    (false, behind)
                } else if let Some(behind) = behind.strip_prefix("True") {
                    (true, behind)
                } else {
                    return Err(damaged("fortran_order is neither True nor False"));
                };
                (fortran.replace(value).is_none()).then_some(()).ok_or_else(twice)?;
                rest = behind;
            }
            "shape" => {
                let inner = behind.strip_prefix('(').and_then(|inner| inner.split_once(')'));
                let (inner, behind) = inner.ok_or_else(|| damaged("shape is no tuple"))?;
                (shape.replace(inner).is_none()).then_some(()).ok_or_else(twice)?;
                rest = behind;
            }
            _ => return Err(damaged("a key that does not belong there")),
        }
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(damaged("no end")),
        }
    }
    let missing = || damaged("a key is missing");
    let (element, shape) = (element.ok_or_else(missing)?, shape.ok_or_else(missing)?);
    if fortran.ok_or_else(missing)? {
        return Err(Fault::Dimensions("column major".to_owned()));
    }
    let sizes: Option<Vec<u64>> = shape
        .split(',')
        .map(str::trim)
        .enumerate()
        // One comma may follow the last size.
        .filter(|(position, size)| *position == 0 || !size.is_empty())
        .map(|(_, size)| size.parse().ok())
        .collect();
    match sizes.as_deref() {
        Some(&[rows, dim]) => {
            let dim = usize::try_from(dim).map_err(|_| Fault::Dimensions(format!("({shape})")))?;
            Ok(Place { start, rows, dim, element })
        }
        _ => Err(Fault::Dimensions(format!("({shape})"))),
    }
}

/// What stands between quotes at the begin, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|&c| c == '\'' || c == '"')?;
    text[1..].split_once(quote)
}
