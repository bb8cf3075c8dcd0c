//! Prepared data sets: `header.bin` and `rows.bin`, beside a sound `vocabulary.bin`.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use dlrm::data::{Batch, CATEGORICAL, DENSE, Dataset, ReadSettings, RowFault, UNSEEN, Vocabulary, prepare};

use crate::edit::{Edit, apply, put, repair_checksum};
use crate::numbers::{Int, decode};

/// Where the length of the rows stands in a header, and where the fields of eight bytes begin.
const BYTES: usize = 16 + 8 * (10 + CATEGORICAL + 2 + CATEGORICAL + 2);
const FIELDS: usize = 16;
/// Rows that are made to fit a header have at most so many bytes.
const MOST_BYTES: u64 = 1 << 18;

/// How a valid data set is changed.
#[derive(Arbitrary, Debug)]
struct Edits {
    /// The one with rows of two widths, or the short one.
    wide: bool,
    /// Fields of the header, by number.
    fields: Vec<(u8, Int)>,
    header: Vec<Edit>,
    rows: Vec<Edit>,
    /// Makes the rows as long as the header says.
    fit: bool,
    /// Makes the header's length and checksum right.
    repair: bool,
}

/// The files of a data set.
#[derive(Clone)]
struct Files {
    header: Vec<u8>,
    rows: Vec<u8>,
    vocabulary: Vec<u8>,
}

/// Opens a data set and reads all of it. The first byte says what the others are: 0, a header; 1, a header without its
/// length and checksum; else changes of a valid data set.
pub fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let [short, wide] = valid();
    let files = match how {
        0 | 1 => {
            let mut header = rest.to_vec();
            if how == 1 {
                repair(&mut header);
            }
            Files { header, ..short.clone() }
        }
        _ => {
            let Some(edits) = decode::<Edits>(rest) else { return };
            edited(&edits, if edits.wide { wide } else { short })
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &files);
    match Dataset::open_prepared(folder.path()) {
        Ok(data) => {
            read(&data);
            let same = |other: &Files| other.header == files.header && other.rows == files.rows;
            let verified = data.verify(folder.path(), |_| ()).is_ok();
            assert!(verified || !(same(short) || same(wide)), "a valid data set");
        }
        Err(error) => assert!(error.path.starts_with(folder.path()), "{error}"),
    }
}

/// Inputs to begin with: a valid header, whole and to be repaired.
pub fn seeds() -> Vec<Vec<u8>> {
    let [short, wide] = valid();
    vec![[&[0], &short.header[..]].concat(), [&[1], &wide.header[..]].concat()]
}

/// Two data sets that `prepare` made, of 5 and of 300 rows.
fn valid() -> &'static [Files; 2] {
    static VALID: OnceLock<[Files; 2]> = OnceLock::new();
    VALID.get_or_init(|| {
        [5, 300].map(|lines| {
            let folder = tempfile::tempdir().expect("a folder");
            // The first category of each line is another, the others are a few.
            let line = |i: usize| {
                let categories: Vec<String> = (1..CATEGORICAL).map(|c| format!("{:08x}", i % (c + 1))).collect();
                format!("{}\t{i}{}\t{i:x}\t{}\n", i % 3 / 2, "\t".repeat(DENSE - 1), categories.join("\t"))
            };
            let text: String = (0..lines).map(line).collect();
            let (file, directory) = (folder.path().join("lines"), folder.path().join("prepared"));
            fs::write(&file, text).expect("written");
            prepare(&[file], &directory, &ReadSettings::default(), false, |_| ()).expect("lines");
            let read = |name| fs::read(directory.join(name)).expect("prepared");
            Files { header: read("header.bin"), rows: read("rows.bin"), vocabulary: read(Vocabulary::FILE) }
        })
    })
}

fn edited(edits: &Edits, valid: &Files) -> Files {
    let Files { mut header, mut rows, vocabulary } = valid.clone();
    for &(field, value) in &edits.fields {
        put(&mut header, FIELDS + 8 * usize::from(field), value.u64());
    }
    apply(&edits.header, &mut header);
    apply(&edits.rows, &mut rows);
    if edits.repair {
        repair(&mut header);
    }
    let length = header.get(BYTES..BYTES + 8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    if let Some(length) = length.filter(|&length| edits.fit && length <= MOST_BYTES) {
        rows.resize(length as usize, 0x3c);
    }
    Files { header, rows, vocabulary }
}

/// Makes the length and the checksum of a header right.
fn repair(header: &mut [u8]) {
    let length = header.len() as u32;
    if let Some(place) = header.get_mut(12..16) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    repair_checksum(header);
}

fn write(folder: &Path, files: &Files) {
    fs::write(folder.join("header.bin"), &files.header).expect("written");
    fs::write(folder.join("rows.bin"), &files.rows).expect("written");
    fs::write(folder.join(Vocabulary::FILE), &files.vocabulary).expect("written");
}

/// Reads every row: it holds what the header allows, or is named.
fn read(data: &Dataset) {
    let (header, split, tables) = (data.header(), data.split(), data.table_rows());
    assert!(header.rows > 0 && header.positives <= header.rows as u64 && !data.is_empty());
    assert_eq!((split.train.start, split.validation.end), (0, data.len()));
    assert_eq!((split.train.end, split.test.end), (split.test.start, split.validation.start));
    // Tables take no memory that rows or the vocabulary do not account for.
    match (data.vocabulary(), &header.vocabulary) {
        (Some(vocabulary), Some(_)) => assert_eq!(vocabulary.table_rows(), tables),
        (None, None) => assert!(tables.iter().all(|&rows| rows > 0 && rows <= data.len() as u64)),
        other => panic!("{other:?}"),
    }
    if header.columns.is_some() {
        // Lists and all: the target of columns says what they are.
        let _ = data.fill_batch(0..data.len(), &mut Batch::default());
        return;
    }
    let unseen = header.has_unseen();
    let mut batch = Batch::default();
    for row in 0..data.len() {
        assert!(data.label(row) == 0.0 || data.label(row) == 1.0);
        match data.fill_batch([row].into_iter(), &mut batch) {
            Ok(()) => {
                let sound = |index: u32, rows: &u64| u64::from(index) < *rows || unseen && index == UNSEEN;
                assert!(batch.indices.iter().zip(tables).all(|(index, rows)| sound(index[0], rows)));
                assert!(batch.dense.iter().all(|count| count.is_finite() && *count >= 0.0));
                assert_eq!(batch.labels, [data.label(row)]);
            }
            Err(error) => {
                assert!(error.row == row && batch.is_empty(), "{error}");
                match error.fault {
                    RowFault::Index { index, rows } => assert!(u64::from(index) >= rows && tables.contains(&rows)),
                    RowFault::Count(count) => assert!(!count.is_finite()),
                    other => panic!("a fault that is not known here: {other:?}"),
                }
                // All rows at once stop at the first that is damaged.
                let first = data.fill_batch(0..data.len(), &mut batch).expect_err("a damaged row");
                assert_eq!((first.row, first.name), (error.row, error.name));
                return;
            }
        }
    }
    data.fill_batch(0..data.len(), &mut batch).expect("sound rows");
}
