//! The header of a safetensors file: its length, then a JSON object that says where each tensor lies.

use std::io::Read;

use serde_json::{Map, Value};

use super::file::{Element, Parsed, Place};
use crate::error::Fault;

/// The longest header that the format allows.
const LONGEST: u64 = 100_000_000;

/// Where a tensor of a file of `length` bytes lies. Reads from the file's begin, and no more than the header.
pub(super) fn header(reader: &mut dyn Read, length: u64, tensor: &str) -> Parsed<Place> {
    let mut size = [0; 8];
    reader.read_exact(&mut size).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => (0, Fault::Truncated),
        _ => (0, Fault::Io(error)),
    })?;
    let size = u64::from_le_bytes(size);
    // The file is that long, so the header is no larger than what is there.
    if size > LONGEST || size > length.saturating_sub(8) {
        return Err((0, Fault::Header(format!("{size} bytes long, in a file of {length}"))));
    }
    let mut text = Vec::new();
    reader.take(size).read_to_end(&mut text).map_err(|error| (8, Fault::Io(error)))?;
    if text.len() as u64 != size {
        return Err((8 + text.len() as u64, Fault::Truncated));
    }
    let tensors: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|error| (8, Fault::Header(error.to_string())))?;
    let info = tensors.get(tensor).ok_or_else(|| (8, Fault::NoTensor(tensor.to_owned())))?;
    place(info, 8 + size, length).map_err(|fault| (8, fault))
}

fn place(info: &Value, data: u64, length: u64) -> Result<Place, Fault> {
    let damaged = |what: &str| Fault::Header(what.to_owned());
    let element = match info.get("dtype").and_then(Value::as_str) {
        Some("F32") => Element::F32,
        Some("F64") => Element::F64,
        Some(other) => return Err(Fault::Type(other.to_owned())),
        None => return Err(damaged("a tensor without dtype")),
    };
    let sizes = |key: &str| -> Option<Vec<u64>> { info.get(key)?.as_array()?.iter().map(Value::as_u64).collect() };
    let shape = sizes("shape").ok_or_else(|| damaged("a tensor without shape"))?;
    let &[rows, dim] = shape.as_slice() else {
        return Err(Fault::Dimensions(format!("{shape:?}")));
    };
    let dim = usize::try_from(dim).map_err(|_| Fault::Dimensions(format!("{shape:?}")))?;
    let offsets = sizes("data_offsets").ok_or_else(|| damaged("a tensor without data_offsets"))?;
    let &[begin, end] = offsets.as_slice() else {
        return Err(damaged("data_offsets are not two"));
    };
    let bytes = rows.checked_mul(dim as u64).and_then(|numbers| numbers.checked_mul(element.bytes() as u64));
    if end.checked_sub(begin).is_none() || end.checked_sub(begin) != bytes {
        return Err(damaged("data_offsets do not fit the shape"));
    }
    match data.checked_add(end) {
        Some(last) if last <= length => Ok(Place { start: data + begin, rows, dim, element }),
        _ => Err(Fault::Truncated),
    }
}
