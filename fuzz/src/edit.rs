//! Valid files, edited: more of a loader is reached from there than from arbitrary bytes.

use arbitrary::Arbitrary;
use serde_json::{Map, Value};
use twox_hash::XxHash3_64;

use crate::numbers::Int;

/// A change of bytes. Places are taken modulo their number.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Edit {
    Set {
        at: u16,
        value: u8,
    },
    Flip {
        at: u16,
        bit: u8,
    },
    /// Eight bytes, as numbers of files are.
    Number {
        at: u16,
        value: Int,
    },
    Remove {
        at: u16,
        bytes: u8,
    },
    Insert {
        at: u16,
        bytes: u8,
        value: u8,
    },
    Cut {
        at: u16,
    },
}

/// Changes bytes.
pub(crate) fn apply(edits: &[Edit], file: &mut Vec<u8>) {
    for edit in edits {
        let places = file.len() + 1;
        let place = |at: u16| usize::from(at) % places;
        match *edit {
            Edit::Set { at, value } => {
                let at = place(at);
                file[at..].iter_mut().take(1).for_each(|byte| *byte = value);
            }
            Edit::Flip { at, bit } => {
                let at = place(at);
                file[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << (bit % 8));
            }
            Edit::Number { at, value } => put(file, place(at), value.u64()),
            Edit::Remove { at, bytes } => {
                let at = place(at);
                file.drain(at..file.len().min(at + usize::from(bytes)));
            }
            Edit::Insert { at, bytes, value } => {
                let at = place(at);
                file.splice(at..at, std::iter::repeat_n(value, usize::from(bytes)));
            }
            Edit::Cut { at } => file.truncate(place(at)),
        }
    }
}

/// Overwrites a number of 64 bits, where there is room for it.
pub(crate) fn put(file: &mut [u8], at: usize, value: u64) {
    if let Some(place) = file.get_mut(at..at + 8) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// Ends a file in the checksum of all before it.
pub(crate) fn repair_checksum(file: &mut [u8]) {
    if let Some((content, checksum)) = file.split_last_chunk_mut::<8>() {
        *checksum = XxHash3_64::oneshot(content).to_le_bytes();
    }
}

/// A change of a JSON value: which of its nodes, and to what.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct JsonEdit {
    node: u16,
    change: Change,
}

#[derive(Arbitrary, Clone, Debug)]
enum Change {
    Number(Int),
    Float(f64),
    Word(u8),
    Null,
    Empty,
    /// To a copy of another node.
    Copy(u16),
    /// Its first part is gone, or comes twice.
    Shorter,
    Longer,
}

const WORDS: [&str; 8] = ["sgd", "adagrad", "dense", "tt", "F32", "F64", "U64", ""];

/// Changes a value.
pub(crate) fn apply_json(edits: &[JsonEdit], value: &mut Value) {
    for JsonEdit { node: number, change } in edits {
        let new = match *change {
            Change::Copy(other) => node(value, other).clone(),
            Change::Number(Int(number)) => i64::try_from(number).map_or(Value::from(number as u64), Value::from),
            Change::Float(number) => Value::from(number),
            Change::Word(word) => Value::from(WORDS[usize::from(word) % WORDS.len()]),
            Change::Null => Value::Null,
            Change::Empty => Value::Object(Map::new()),
            Change::Shorter | Change::Longer => {
                let longer = matches!(change, Change::Longer);
                match node(value, *number) {
                    Value::Array(items) if longer => items.extend(items.first().cloned()),
                    Value::Array(items) => drop(items.pop()),
                    Value::Object(entries) if !longer => {
                        let first = entries.keys().next().cloned();
                        first.map(|key| entries.remove(&key));
                    }
                    _ => {}
                }
                continue;
            }
        };
        *node(value, *number) = new;
    }
}

/// A node by its number, modulo how many there are.
fn node(value: &mut Value, number: u16) -> &mut Value {
    let mut left = usize::from(number) % count(value);
    find(value, &mut left).expect("a node for each number")
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

fn find<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| find(item, left)),
        Value::Object(entries) => entries.values_mut().find_map(|entry| find(entry, left)),
        _ => None,
    }
}
