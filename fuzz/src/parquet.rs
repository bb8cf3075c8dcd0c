//! Parquet files: from scratch, or a valid one edited.

use std::fs;
use std::panic;
use std::sync::{Arc, Once};

use arbitrary::Arbitrary;
use dlrm::data::{ReadSettings, Schema, inspect};

use crate::columns::check;
use crate::edit::{Edit, apply};
use crate::numbers::decode;

const VALID: &[u8] = include_bytes!("../../dlrm/tests/columns/clicks.parquet");
const SCHEMA: &str = include_str!("../../dlrm/tests/columns/clicks.toml");

/// How a valid file is changed.
#[derive(Arbitrary, Debug)]
struct Edits {
    edits: Vec<Edit>,
}

/// Reads a file. The first byte says what the others are: 0, a file; else changes of a valid one.
pub fn run(data: &[u8]) {
    static HOOK: Once = Once::new();
    HOOK.call_once(let_the_library_panic);
    let Some((&how, rest)) = data.split_first() else { return };
    let mut bytes = rest.to_vec();
    if how > 0 {
        let Some(edits) = decode::<Edits>(rest) else { return };
        bytes = VALID.to_vec();
        apply(&edits.edits, &mut bytes);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.parquet");
    fs::write(&file, &bytes).expect("written");
    let _ = inspect(&file, 100);
    let schema: Schema = SCHEMA.parse().expect("a schema");
    check(
        &file,
        folder.path(),
        &ReadSettings { schema: Some(Arc::new(schema)), skip_bad: how & 2 != 0, ..ReadSettings::default() },
    );
}

/// The beginning of a valid file.
pub fn seed() -> Vec<u8> {
    [&[0], &VALID[..1000]].concat()
}

/// Panics of the library that reads the format are errors for whoever calls us, and nothing else.
fn let_the_library_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let ours = info
            .location()
            .is_none_or(|location| location.file().contains("fuzz/src") || location.file().contains("dlrm/src"));
        if ours {
            before(info);
        }
    }));
}
