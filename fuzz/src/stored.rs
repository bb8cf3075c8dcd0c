//! Prepared data sets of columns: a valid one, edited.

use std::fs;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use dlrm::data::{Batch, Dataset, ReadSettings, RowFault, Schema, UNSEEN, prepare};
use serde_json::Value;

use crate::columns::SCHEMA;
use crate::edit::{Edit, JsonEdit, apply, apply_json, repair_checksum};
use crate::numbers::decode;

/// Bytes of a header before what it says in JSON, and of the checksum behind it.
const BEFORE: usize = 16;
const BEHIND: usize = 8;

/// In the order of [`Edits`].
const NAMES: [&str; 4] = ["header.bin", "rows.bin", "bags.bin", "vocabulary.bin"];

/// How a data set is changed.
#[derive(Arbitrary, Debug)]
struct Edits {
    header: Vec<JsonEdit>,
    rows: Vec<Edit>,
    bags: Vec<Edit>,
    vocabulary: Vec<Edit>,
    /// Makes the checksum at the end of the vocabulary right.
    repair: bool,
    /// Bytes of the header, which is not repaired then.
    bytes: Vec<Edit>,
}

/// Opens a data set and reads all of it.
pub fn run(data: &[u8]) {
    let Some(edits) = decode::<Edits>(data) else { return };
    let mut files = valid().clone();
    if !edits.header.is_empty() {
        files[0] = header(&files[0], &edits.header);
    }
    apply(&edits.bytes, &mut files[0]);
    apply(&edits.rows, &mut files[1]);
    apply(&edits.bags, &mut files[2]);
    apply(&edits.vocabulary, &mut files[3]);
    if edits.repair {
        repair_checksum(&mut files[3]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in NAMES.iter().zip(&files) {
        fs::write(folder.path().join(name), bytes).expect("written");
    }
    match Dataset::open_prepared(folder.path()) {
        Ok(data) => {
            read(&data);
            let verified = data.verify(folder.path(), |_| ()).is_ok();
            assert!(verified || files != *valid(), "a valid data set");
        }
        Err(error) => assert!(error.path.starts_with(folder.path()) && files != *valid(), "{error}"),
    }
}

/// Every row holds what it may, or is named.
fn read(data: &Dataset) {
    let mut batch = Batch::default();
    for row in 0..data.len() {
        match data.fill_batch([row].into_iter(), &mut batch) {
            Ok(()) => {
                assert!(batch.len() == 1 && batch.dense.len() == data.dense());
                assert!(batch.dense.iter().all(|number| number.is_finite()));
                for (feature, &rows) in data.table_rows().iter().enumerate() {
                    let sound = |&index: &u32| u64::from(index) < rows || index == UNSEEN;
                    assert!(batch.indices_of(feature, 0).iter().all(sound));
                }
            }
            Err(error) => {
                assert!(error.row == row && batch.is_empty(), "{error}");
                assert!(!matches!(error.fault, RowFault::Count(number) if number.is_finite()), "{error}");
            }
        }
    }
}

/// A header with other contents, whose length and checksum are right.
fn header(valid: &[u8], edits: &[JsonEdit]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&valid[BEFORE..valid.len() - BEHIND]).expect("JSON");
    apply_json(edits, &mut value);
    let mut header = valid[..BEFORE].to_vec();
    header.extend(value.to_string().into_bytes());
    header.extend([0; BEHIND]);
    let length = header.len() as u32;
    header[12..16].copy_from_slice(&length.to_le_bytes());
    repair_checksum(&mut header);
    header
}

/// A data set that `prepare` made of 60 rows, in three parts.
fn valid() -> &'static [Vec<u8>; 4] {
    static VALID: OnceLock<[Vec<u8>; 4]> = OnceLock::new();
    VALID.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let schema: Schema = SCHEMA.replacen("label", "split = \"part\"\nlabel", 1).parse().expect("a schema");
        let row = |i: usize| {
            let part = ["train", "test", "val"][i % 3];
            let list = "p|q|r".chars().take(2 * (i % 4)).collect::<String>();
            let list = list.trim_end_matches('|');
            let weights = "1|2|0.5".split('|').take(i % 4).collect::<Vec<_>>().join("|");
            format!("{part},{},{i},-{i},{},{list},{weights},{}\n", i % 2, i % 7, "7;8".repeat(i % 2))
        };
        let text = "part,y,x,z,a,l,w,m\n".to_owned() + &(0..60).map(row).collect::<String>();
        let (file, directory) = (folder.path().join("rows"), folder.path().join("prepared"));
        fs::write(&file, text).expect("written");
        let settings = ReadSettings { schema: Some(schema.into()), ..ReadSettings::default() };
        prepare(&[file], &directory, &settings, false, |_| ()).expect("rows");
        NAMES.map(|name| fs::read(directory.join(name)).expect("prepared"))
    })
}
