//! The header of a prepared data set of columns, in version 3 of the format: as JSON, between what all headers begin and end with.

use serde::{Deserialize, Serialize};

use super::Columns;
use crate::data::header::{Header, KnownVocabulary};
use crate::data::rows::Segments;
use crate::data::{Split, UNSEEN};

/// A header of columns.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::data) struct JsonHeader {
    files: u64,
    lines: u64,
    skipped: u64,
    rows: usize,
    positives: u64,
    text_bytes: u64,
    table_rows: Vec<u64>,
    /// Checksum, whether it was given, and what it does not know; not there in what fingerprints are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vocabulary: Option<(u64, bool, Vec<u64>)>,
    /// First rows that test, and that validate.
    held_out: [usize; 2],
    bytes: u64,
    checksum: u64,
    columns: Columns,
}

impl JsonHeader {
    pub(in crate::data) fn new(header: &Header, columns: &Columns, vocabulary: Option<&KnownVocabulary>) -> Self {
        let Header { files, lines, skipped, rows, positives, text_bytes, split, bytes, checksum, .. } = header;
        Self {
            files: *files,
            lines: *lines,
            skipped: *skipped,
            rows: *rows,
            positives: *positives,
            text_bytes: *text_bytes,
            table_rows: header.table_rows.clone(),
            vocabulary: vocabulary.map(|known| (known.checksum, known.given, known.unseen.clone())),
            held_out: [split.test.start, split.validation.start],
            bytes: *bytes,
            checksum: *checksum,
            columns: columns.clone(),
        }
    }

    pub(in crate::data) fn to_json(&self) -> Vec<u8> {
        // Of plain data, which always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(in crate::data) fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// `None` if it contradicts itself.
    pub(in crate::data) fn header(self) -> Option<Header> {
        let Self { rows, held_out: [test, validation], .. } = self;
        let (checksum, given, unseen) = self.vocabulary?;
        let sound = test <= validation
            && validation <= rows
            && rows > 0
            && self.lines.checked_sub(self.skipped) == Some(rows as u64)
            && self.positives <= rows as u64
            && unseen.len() == self.table_rows.len()
            && (given || unseen.iter().all(|&unseen| unseen == 0))
            && self.table_rows.iter().all(|rows| (1..=u64::from(UNSEEN)).contains(rows))
            && self.columns.bases.iter().all(|words| *words <= self.columns.bag_bytes / 4);
        sound.then_some(Header {
            files: self.files,
            lines: self.lines,
            skipped: self.skipped,
            dropped: 0,
            rows,
            positives: self.positives,
            text_bytes: self.text_bytes,
            max_ind_range: None,
            sub_sample: 0.0,
            seed: 0,
            table_rows: self.table_rows,
            vocabulary: Some(KnownVocabulary { checksum, given, unseen }),
            split: Split { train: 0..test, test: test..validation, validation: validation..rows },
            bytes: self.bytes,
            checksum: self.checksum,
            segments: Segments::new(),
            columns: Some(self.columns),
        })
    }
}
