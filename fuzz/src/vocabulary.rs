//! Vocabularies: `vocabulary.bin`.

use std::fs;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use dlrm::data::{CATEGORICAL, Dataset, Synthetic, UNSEEN, Vocabulary};
use twox_hash::XxHash3_64;

use crate::edit::{Edit, apply, put, repair_checksum};
use crate::numbers::{Int, decode};

/// Where the checksum of what is known of the features stands, and where these fields of eight bytes begin.
const HEAD: usize = 32 + 24 * CATEGORICAL;
const FIELDS: usize = 16;

/// How a valid vocabulary is changed.
#[derive(Arbitrary, Debug)]
struct Edits {
    /// Fields of eight bytes, by number.
    fields: Vec<(u8, Int)>,
    edits: Vec<Edit>,
    /// Makes the checksums right.
    repair: bool,
}

/// Opens a vocabulary and looks values up. The first byte says what the others are: 0, a file; 1, a file without its
/// checksums; else changes of a valid one.
pub fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let mut file = match how {
        0 | 1 => rest.to_vec(),
        _ => valid().to_vec(),
    };
    let mut repaired = how == 1;
    if how > 1 {
        let Some(edits) = decode::<Edits>(rest) else { return };
        edits.fields.iter().for_each(|&(field, value)| put(&mut file, FIELDS + 8 * usize::from(field), value.u64()));
        apply(&edits.edits, &mut file);
        repaired = edits.repair;
    }
    if repaired {
        repair(&mut file);
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(Vocabulary::FILE), &file).expect("written");
    match Vocabulary::open(folder.path()) {
        Ok(vocabulary) => {
            let rows = vocabulary.table_rows();
            assert!(rows.iter().all(|&rows| rows > 0 && rows <= file.len() as u64));
            for (feature, &rows) in rows.iter().enumerate() {
                for value in (0..64).chain([u32::MAX]).map(|value: u32| value.wrapping_mul(0x9e37_79b9)) {
                    let (index, _) = vocabulary.number(feature, value);
                    assert!(index == UNSEEN || u64::from(index) < rows);
                }
            }
            let verified = vocabulary.verify(folder.path()).is_ok();
            assert!(verified || file != valid(), "a valid vocabulary");
            assert_eq!(vocabulary.as_bytes(), file);
        }
        Err(error) => assert!(error.path.starts_with(folder.path()) && file != valid(), "{error}"),
    }
}

/// Inputs to begin with: a valid vocabulary, whole and to be repaired.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![[&[0], valid()].concat(), [&[1], valid()].concat()]
}

fn valid() -> &'static [u8] {
    static VALID: OnceLock<Vec<u8>> = OnceLock::new();
    VALID.get_or_init(|| {
        let lines = Synthetic { lines: 30, ..Synthetic::default() };
        let data = Dataset::synthetic(&lines).expect("lines");
        data.vocabulary().expect("one of these lines").as_bytes().to_vec()
    })
}

fn repair(file: &mut [u8]) {
    if let Some((head, rest)) = file.split_at_mut_checked(HEAD)
        && let Some(place) = rest.first_chunk_mut()
    {
        *place = XxHash3_64::oneshot(head).to_le_bytes();
    }
    repair_checksum(file);
}
