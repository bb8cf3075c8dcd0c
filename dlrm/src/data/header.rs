//! What is known of a data set as a whole, and its form in a file.
//!
//! `header.bin` of a prepared directory, all numbers little endian, `u64` where nothing else is said:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic, `dlrmrows` |
//! | 4, 4 | `u32` version of the format; `u32` length of this file |
//! | 8 each | files, lines, skipped, dropped, rows, positives, bytes of text |
//! | 8 each | `max_ind_range` (0: none), share of dropped negatives (`f64`), seed of that |
//! | 26 x 8 | rows of each embedding table |
//! | 8, 8 | only from version 2 on: checksum of `vocabulary.bin`; 1 if it was given, 0 if it is that of these lines |
//! | 26 x 8 | only from version 2 on: values of each feature that the vocabulary does not know |
//! | 8, 8 | first test row, first validation row; the last ends with the rows |
//! | 8, 8 | length of `rows.bin`, its checksum |
//! | 8 | number of segments of `rows.bin` |
//! | 34 each | first row of the segment; bytes of each index, 26 x `u8` |
//! | 8 | checksum of all bytes before it |
//!
//! Of columns, in version 3, it is JSON between length and checksum (`columns/header.rs`).
//!
//! Checksums are XXH3 (64 bits, seed 0). The rows are described in `rows.rs`, those of columns in `columns/form.rs`.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use twox_hash::XxHash3_64;

use super::columns::{Columns, JsonHeader, Schema};
use super::error::DataErrorKind;
use super::numbering::Numbering;
use super::rows::Segments;
use super::{CATEGORICAL, Split, UNSEEN, Vocabulary};

const MAGIC: &[u8; 8] = b"dlrmrows";
/// Without a vocabulary: still read, and the form that [`Header::fingerprint`] is of.
const ROWS_ALONE: u32 = 1;
const VERSION: u32 = 2;
/// Of columns.
const COLUMNS: u32 = 3;

/// The most that a header can take: all fields, and 79 segments; of columns, some numbers for each feature.
pub(super) const LONGEST: u64 = 8 << 20;
#[cfg(test)]
const LONGEST_OF_LINES: usize = 4096;

/// How lines are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReadSettings {
    /// Category values are taken modulo this number before they are indexed, so no table has more rows.
    pub max_ind_range: Option<NonZeroU32>,
    /// Share of the negative lines that is dropped, at least 0 and below 1: 0.875 keeps one of eight. It holds for all
    /// lines, the held-out ones too, as in the reference.
    pub sub_sample: f64,
    /// Decides, with a line's number, whether it is dropped; the draws are not those of NumPy's generator.
    pub seed: u64,
    /// Whether a line that is not a record is skipped and counted instead of ending the reading. A single file is split as
    /// if it did not have such lines.
    pub skip_bad: bool,
    /// Which numbers the categories get.
    pub numbering: Numbering,
    /// Values that occur in fewer training lines share one row, which is also that of values that were never seen. None, as 1
    /// does, gives every value a row of its own.
    pub min_count: Option<NonZeroU32>,
    /// Numbers the values, instead of the lines themselves: what it does not know is [`UNSEEN`](super::UNSEEN), or has the
    /// row that it gives such values. Values are taken modulo *its* [`max_ind_range`](Vocabulary::max_ind_range);
    /// [`ReadSettings::max_ind_range`], [`ReadSettings::numbering`] and [`ReadSettings::min_count`] do not count then.
    #[serde(skip)]
    pub vocabulary: Option<Arc<Vocabulary>>,
    /// What the columns of the files are, where they are not Criteo's lines; that of the vocabulary, if one is given, goes before.
    #[serde(skip)]
    pub schema: Option<Arc<Schema>>,
}

impl ReadSettings {
    /// What the columns of files are; none for Criteo's lines.
    pub fn columns(&self) -> Option<&Arc<Schema>> {
        match &self.vocabulary {
            Some(vocabulary) => vocabulary.schema(),
            None => self.schema.as_ref(),
        }
    }

    /// A setting that is for Criteo's lines alone, where files have other columns.
    pub(super) fn lines_only(&self) -> Option<&'static str> {
        match () {
            () if self.sub_sample != 0.0 => Some("sub-sampling"),
            () if self.max_ind_range.is_some() => Some("a range of indices"),
            () => None,
        }
    }

    /// How rows are numbered anew once all are read; none if they are not.
    pub(super) fn anew(&self) -> Option<(Numbering, u32)> {
        let min_count = self.min_count.map_or(1, NonZeroU32::get);
        let wanted = self.numbering == Numbering::Popularity || min_count > 1;
        (wanted && self.vocabulary.is_none()).then_some((self.numbering, min_count))
    }
}

/// What is known of a data set as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Header {
    /// Number of files read.
    pub files: u64,
    /// Number of lines read, skipped and dropped ones included.
    pub lines: u64,
    /// Lines that were not records.
    pub skipped: u64,
    /// Negative lines dropped by sub-sampling.
    pub dropped: u64,
    /// Rows of the data set: the lines that are left.
    pub rows: usize,
    /// Positive rows.
    pub positives: u64,
    /// Bytes of the lines read, uncompressed; of columns, those of the files as they are stored.
    pub text_bytes: u64,
    /// [`ReadSettings::max_ind_range`].
    pub max_ind_range: Option<NonZeroU32>,
    /// [`ReadSettings::sub_sample`].
    pub sub_sample: f64,
    /// [`ReadSettings::seed`].
    pub seed: u64,
    /// Distinct values of each categorical feature over all rows (also those that test and validate, as in the
    /// reference), or those of the vocabulary that was given; a missing value counts as one.
    pub table_rows: Vec<u64>,
    /// The vocabulary; none for data that was prepared before there were any.
    pub vocabulary: Option<KnownVocabulary>,
    /// Which rows train, test and validate.
    pub split: Split,
    /// Bytes of the packed rows.
    pub bytes: u64,
    /// Their checksum.
    #[serde(skip)]
    pub(super) checksum: u64,
    #[serde(skip)]
    pub(super) segments: Segments,
    /// What is known of columns; none of Criteo's lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
}

/// What is known of a data set's vocabulary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KnownVocabulary {
    /// [`Vocabulary::checksum`].
    #[serde(serialize_with = "hexadecimal")]
    pub checksum: u64,
    /// Whether it was given, and not learned from these lines.
    pub given: bool,
    /// How many values of each feature it does not know.
    pub unseen: Vec<u64>,
}

fn hexadecimal<S: Serializer>(checksum: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{checksum:016x}"))
}

impl Header {
    /// Whether there are values that the vocabulary does not know.
    pub fn has_unseen(&self) -> bool {
        self.vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.unseen.iter().any(|&unseen| unseen > 0))
    }

    /// The bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_with(self.vocabulary.as_ref())
    }

    fn encode_with(&self, vocabulary: Option<&KnownVocabulary>) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        if let Some(columns) = &self.columns {
            out.extend(COLUMNS.to_le_bytes());
            out.extend([0; 4]);
            out.extend(JsonHeader::new(self, columns, vocabulary).to_json());
            return closed(out);
        }
        out.extend(if vocabulary.is_some() { VERSION } else { ROWS_ALONE }.to_le_bytes());
        out.extend([0; 4]);
        let mut put = |value: u64| out.extend(value.to_le_bytes());
        for value in [self.files, self.lines, self.skipped, self.dropped, self.rows as u64, self.positives] {
            put(value);
        }
        put(self.text_bytes);
        put(self.max_ind_range.map_or(0, |range| range.get().into()));
        put(self.sub_sample.to_bits());
        put(self.seed);
        self.table_rows.iter().copied().for_each(&mut put);
        if let Some(KnownVocabulary { checksum, given, unseen }) = vocabulary {
            put(*checksum);
            put(u64::from(*given));
            unseen.iter().copied().for_each(&mut put);
        }
        put(self.split.test.start as u64);
        put(self.split.validation.start as u64);
        put(self.bytes);
        put(self.checksum);
        put(self.segments.iter().len() as u64);
        for segment in self.segments.iter() {
            out.extend((segment.first_row as u64).to_le_bytes());
            out.extend(segment.layout.widths());
        }
        closed(out)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::Foreign`], [`DataErrorKind::Version`], and [`DataErrorKind::Header`] for everything else.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DataErrorKind> {
        let mut fields = Fields(bytes.strip_prefix(MAGIC).ok_or(DataErrorKind::Foreign)?);
        let found = fields.u32().ok_or(DataErrorKind::Header)?;
        if !(ROWS_ALONE..=COLUMNS).contains(&found) {
            return Err(DataErrorKind::Version { found, known: COLUMNS });
        }
        let mut sound = || {
            let (content, checksum) = bytes.split_last_chunk()?;
            let length_is_right = fields.u32()? as usize == bytes.len();
            (length_is_right && u64::from_le_bytes(*checksum) == XxHash3_64::oneshot(content)).then_some(())?;
            if found == COLUMNS {
                return JsonHeader::from_json(content.get(16..)?)?.header();
            }
            fields.header(found)
        };
        sound().ok_or(DataErrorKind::Header)
    }

    /// Identifies the rows and how they were made; not what their categories were, which is in the vocabulary.
    pub fn fingerprint(&self) -> u64 {
        let bytes = self.encode_with(None);
        let checksum = bytes.last_chunk().expect("a header ends with its checksum");
        u64::from_le_bytes(*checksum)
    }
}

/// With length and checksum.
fn closed(mut out: Vec<u8>) -> Vec<u8> {
    let length = out.len() as u32 + 8;
    out[12..16].copy_from_slice(&length.to_le_bytes());
    out.extend(XxHash3_64::oneshot(&out).to_le_bytes());
    out
}

/// Bytes not yet read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn usize(&mut self) -> Option<usize> {
        self.u64()?.try_into().ok()
    }

    /// One of each feature.
    fn numbers(&mut self) -> Option<Vec<u64>> {
        (0..CATEGORICAL).map(|_| self.u64()).collect()
    }

    /// Everything from the number of files on; `None` if it contradicts itself.
    fn header(&mut self, version: u32) -> Option<Header> {
        let [files, lines, skipped, dropped] = [self.u64()?, self.u64()?, self.u64()?, self.u64()?];
        let (rows, positives, text_bytes) = (self.usize()?, self.u64()?, self.u64()?);
        let max_ind_range = NonZeroU32::new(self.u64()?.try_into().ok()?);
        let (sub_sample, seed) = (f64::from_bits(self.u64()?), self.u64()?);
        let table_rows = self.numbers()?;
        let vocabulary = if version == ROWS_ALONE { None } else { Some(self.vocabulary()?) };
        let (test, validation) = (self.usize()?, self.usize()?);
        if !(test <= validation && validation <= rows && rows > 0) {
            return None;
        }
        // Every category is that of a row: memory for tables is never asked for that the rows do not account for, or the
        // vocabulary that was given, whose file is compared with this.
        let given = vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.given);
        let range = max_ind_range.map_or(u64::MAX, |range| range.get().into());
        let most = range.min(if given { UNSEEN.into() } else { rows as u64 });
        if !table_rows.iter().all(|categories| (1..=most).contains(categories)) {
            return None;
        }
        // Every line is a row or is not.
        if lines.checked_sub(skipped)?.checked_sub(dropped)? != rows as u64 || positives > rows as u64 {
            return None;
        }
        let split = Split { train: 0..test, test: test..validation, validation: validation..rows };
        let (bytes, checksum, count) = (self.u64()?, self.u64()?, self.u64()?);
        let parts: Option<Vec<_>> = (0..count).map(|_| Some((self.usize()?, self.take()?))).collect();
        let segments = Segments::from_parts(parts?.into_iter(), rows)?;
        let consistent = segments.bytes(rows) as u64 == bytes && self.0.len() == 8;
        consistent.then_some(Header {
            files,
            lines,
            skipped,
            dropped,
            rows,
            positives,
            text_bytes,
            max_ind_range,
            sub_sample,
            seed,
            table_rows,
            vocabulary,
            split,
            bytes,
            checksum,
            segments,
            columns: None,
        })
    }

    fn vocabulary(&mut self) -> Option<KnownVocabulary> {
        let (checksum, given) = (self.u64()?, self.u64()?);
        let unseen = self.numbers()?;
        let sound = given <= 1 && (given == 1 || unseen.iter().all(|&unseen| unseen == 0));
        sound.then_some(KnownVocabulary { checksum, given: given == 1, unseen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let mut segments = Segments::new();
        segments.widen(3, 7);
        Header {
            files: 2,
            lines: 100,
            skipped: 1,
            dropped: 9,
            rows: 90,
            positives: 20,
            text_bytes: 20_000,
            max_ind_range: NonZeroU32::new(10_000_000),
            sub_sample: 0.875,
            seed: 5,
            table_rows: (1..=CATEGORICAL as u64).collect(),
            vocabulary: Some(KnownVocabulary { checksum: 77, given: false, unseen: vec![0; CATEGORICAL] }),
            split: Split::held_out(70, 90),
            bytes: segments.bytes(90) as u64,
            checksum: 42,
            segments,
            columns: None,
        }
    }

    #[test]
    fn comes_back() {
        let header = header();
        let bytes = header.encode();
        assert!(bytes.len() <= LONGEST_OF_LINES);
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        let other = Header { seed: 6, ..header.clone() };
        assert_ne!(header.fingerprint(), other.fingerprint());
        let without = Header { max_ind_range: None, ..header };
        assert_eq!(Header::decode(&without.encode()).unwrap(), without);
        // One of before there were vocabularies: the same rows.
        let old = Header { vocabulary: None, ..without.clone() };
        assert_eq!(Header::decode(&old.encode()).unwrap(), old);
        assert_eq!(old.fingerprint(), without.fingerprint());
        let unseen = (0..CATEGORICAL as u64).collect();
        let given = Header { vocabulary: Some(KnownVocabulary { checksum: 7, given: true, unseen }), ..without };
        assert_eq!(Header::decode(&given.encode()).unwrap(), given);
        // Its tables may have more rows than these lines.
        let many = Header { table_rows: vec![1000; CATEGORICAL], ..given };
        assert_eq!(Header::decode(&many.encode()).unwrap(), many);
    }

    #[test]
    fn the_longest_header_is_bounded() {
        let mut segments = Segments::new();
        for row in 0..3 * CATEGORICAL {
            segments.widen(row + 1, row % CATEGORICAL);
        }
        let header = Header { segments, ..header() };
        assert!(header.encode().len() <= LONGEST_OF_LINES);
    }

    #[test]
    fn damage_is_found() {
        let bytes = header().encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            match (at, Header::decode(&damaged)) {
                (0..8, Err(DataErrorKind::Foreign)) => {}
                (8..12, Err(DataErrorKind::Version { known: COLUMNS, .. } | DataErrorKind::Header)) => {}
                (12.., Err(DataErrorKind::Header)) => {}
                (at, other) => panic!("{at}: {other:?}"),
            }
            assert!(Header::decode(&bytes[..at]).is_err());
        }
        assert!(matches!(Header::decode(&[&bytes[..], b"x"].concat()), Err(DataErrorKind::Header)));
    }

    #[test]
    fn contradictions_are_found_behind_a_right_checksum() {
        for wrong in [
            Header { rows: 0, ..header() },
            Header { rows: 91, ..header() },
            Header { bytes: 1, ..header() },
            Header { lines: 99, ..header() },
            Header { dropped: u64::MAX, ..header() },
            Header { positives: 91, ..header() },
            Header { max_ind_range: NonZeroU32::new(25), ..header() },
            Header {
                vocabulary: Some(KnownVocabulary { checksum: 7, given: false, unseen: vec![1; CATEGORICAL] }),
                ..header()
            },
            Header { table_rows: vec![91; CATEGORICAL], ..header() },
            Header { table_rows: vec![0; CATEGORICAL], ..header() },
            Header { split: Split::held_out(70, 91), rows: 60, ..header() },
        ] {
            assert!(matches!(Header::decode(&wrong.encode()), Err(DataErrorKind::Header)));
        }
    }
}
