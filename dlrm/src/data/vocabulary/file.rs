//! A finished vocabulary, in memory or in a mapped file, in the same bytes.
//!
//! `vocabulary.bin`, all numbers little endian:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic, `dlrmvoca` |
//! | 4, 4 | `u32` version of the format, 1 or 2; `u32` number of features |
//! | 8 | values are taken modulo this number (0: as they are) |
//! | 8 | 1 if indices are not in order of first appearance |
//! | 24 each | values known of a feature; rows of its table; the row of values not known (`2^64 - 1`: none) |
//! | 8 each | version 2: the most values of a row |
//! | 8, n | version 2: bytes of the schema; the schema as JSON, and zeros up to a multiple of 8 |
//! | 8 | checksum of all bytes before it |
//! | | then for each feature, behind each other |
//! | 4 each | `2^b + 1` numbers: of its entries, how many come before those whose upper `b` bits are 0, 1, ..; and 4 bytes more if that makes it a multiple of 8 |
//! | 8 each | version 1: its entries, ascending: `mix(value) 2^32 + index` |
//! | 12 each | version 2: its entries, ascending: `u64` key, `u32` index |
//! | 8 | checksum of all bytes before it |
//!
//! Version 1 is of Criteo's lines, whose values have 32 bits; version 2 of columns that a [`Schema`] describes, whose values are
//! any texts: their keys are those of `columns`.
//!
//! Checksums are XXH3 (64 bits, seed 0). `mix` maps 32 bits one to one to as many that are spread evenly, whatever the values
//! are, so that about four entries share their upper `b` bits: a value is found with two reads, and at worst with as many as a
//! binary search takes. About nine bytes for each value, and nothing to do when a file is opened.

use std::fmt;
use std::fs::File;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use twox_hash::XxHash3_64;

use super::super::columns::Schema;
use super::super::error::{DataError, DataErrorKind};
use super::super::mapped::Bytes;
use super::super::{CATEGORICAL, DENSE};
use super::UNSEEN;

const MAGIC: &[u8; 8] = b"dlrmvoca";
/// Of Criteo's lines.
const LINES: u32 = 1;
/// Of columns.
const COLUMNS: u32 = 2;

/// No row, in the file.
const NONE: u64 = u64::MAX;

/// More features are not read: memory is never asked for that a file does not account for.
const MOST_FEATURES: usize = 1 << 16;

/// Which index each raw value of each feature has. Nothing changes it; what is learned of lines makes a new one.
#[derive(Debug)]
pub struct Vocabulary {
    bytes: Bytes,
    range: Option<NonZeroU32>,
    renumbered: bool,
    rows: Vec<u64>,
    features: Vec<Feature>,
    schema: Option<Arc<Schema>>,
}

/// Where a feature is in the bytes.
#[derive(Clone, Copy, Debug)]
struct Feature {
    unseen: Option<u32>,
    longest: u32,
    bits: u32,
    directory: usize,
    entries: usize,
    len: usize,
}

/// 32 bits to 32 bits, one to one: what is close in some bits is far apart.
fn mix(value: u32) -> u32 {
    let mut x = value;
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// The key of a value of Criteo's lines.
pub(super) fn key(value: u32) -> u64 {
    u64::from(mix(value)) << 32
}

/// What is known beside the values.
#[derive(Clone, Debug, Default)]
pub(in crate::data) struct Known {
    pub(in crate::data) range: Option<NonZeroU32>,
    pub(in crate::data) renumbered: bool,
    /// Of columns: what they are, and the most values that a row has of each feature.
    pub(in crate::data) columns: Option<(Arc<Schema>, Vec<u32>)>,
    /// Rows of the table of each feature, and the row of what is not known.
    pub(in crate::data) rows: Vec<u64>,
    pub(in crate::data) unseen: Vec<Option<u32>>,
}

/// Bytes of an entry.
fn entry_bytes(columns: bool) -> usize {
    if columns { 12 } else { 8 }
}

/// Upper bits that the directory of so many entries is of: about four entries share them.
fn directory_bits(len: usize) -> u32 {
    (len / 4).max(1).ilog2()
}

/// Bytes of the directory.
fn directory_bytes(bits: u32) -> usize {
    ((1usize << bits) + 1).saturating_mul(4).next_multiple_of(8)
}

/// A vocabulary of these keys and indices of each feature, in any order, but the same each time they are asked for.
///
/// Their upper bits say where they go but for a few places, so that they are put there one by one and not sorted.
pub(in crate::data) fn write<I: Iterator<Item = (u64, u32)>>(
    known: &Known,
    entries: impl Fn(usize) -> I + Sync,
) -> Vocabulary {
    let Known { range, renumbered, columns, rows, unseen } = known;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(if columns.is_some() { COLUMNS } else { LINES }.to_le_bytes());
    bytes.extend((rows.len() as u32).to_le_bytes());
    bytes.extend(range.map_or(0, |range| u64::from(range.get())).to_le_bytes());
    bytes.extend(u64::from(*renumbered).to_le_bytes());
    // Every row is that of an entry, or of what is not known.
    let len = |feature: usize| rows[feature] as usize - usize::from(unseen[feature].is_some());
    for feature in 0..rows.len() {
        let fields = [len(feature) as u64, rows[feature], unseen[feature].map_or(NONE, u64::from)];
        fields.iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    }
    if let Some((schema, longest)) = columns {
        longest.iter().for_each(|&longest| bytes.extend(u64::from(longest).to_le_bytes()));
        let schema = schema.to_json();
        bytes.extend((schema.len() as u64).to_le_bytes());
        bytes.extend(schema.into_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.extend(XxHash3_64::oneshot(&bytes).to_le_bytes());

    let each = entry_bytes(columns.is_some());
    let size = |feature: usize| directory_bytes(directory_bits(len(feature))) + each * len(feature);
    let start = bytes.len();
    let end = start + (0..rows.len()).map(size).sum::<usize>();
    bytes.reserve_exact(end + 8 - start);
    bytes.resize(end, 0);
    let mut rest = &mut bytes[start..];
    let parts: Vec<&mut [u8]> = (0..rows.len()).filter_map(|feature| rest.split_off_mut(..size(feature))).collect();
    let entries = &entries;
    parts.into_par_iter().enumerate().for_each(|(feature, part)| match each {
        8 => fill(part, len(feature), || entries(feature), |(key, index)| (key | u64::from(index)).to_le_bytes()),
        _ => fill(
            part,
            len(feature),
            || entries(feature),
            |(key, index)| {
                let mut entry = [0; 12];
                entry[..8].copy_from_slice(&key.to_le_bytes());
                entry[8..].copy_from_slice(&index.to_le_bytes());
                entry
            },
        ),
    });
    bytes.extend(XxHash3_64::oneshot(&bytes).to_le_bytes());
    Vocabulary::decode(Bytes::Owned(bytes)).expect("what was written can be read")
}

/// Writes the directory and the entries of a feature, each in `N` bytes that begin with its key.
fn fill<const N: usize, I: Iterator<Item = (u64, u32)>>(
    part: &mut [u8],
    len: usize,
    entries: impl Fn() -> I,
    encode: impl Fn((u64, u32)) -> [u8; N],
) {
    let bits = directory_bits(len);
    let bucket = |key: u64| ((key >> 32) >> (32 - bits)) as usize;
    let mut ends = vec![0u32; (1 << bits) + 1];
    entries().for_each(|(key, _)| ends[bucket(key) + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    // Entries of a damaged file that is numbered anew: nothing of it is known.
    if ends.last() != Some(&(len as u32)) {
        return;
    }
    let (directory, places) = part.split_at_mut(directory_bytes(bits));
    ends.iter().zip(directory.as_chunks_mut().0).for_each(|(end, bytes)| *bytes = end.to_le_bytes());
    let places = places.as_chunks_mut::<N>().0;
    let mut next = ends.clone();
    for entry in entries() {
        let place = &mut next[bucket(entry.0)];
        places[*place as usize] = encode(entry);
        *place += 1;
    }
    for bounds in ends.windows(2) {
        let key = |entry: &[u8; N]| u64_at(entry, 0).unwrap_or_default();
        places[bounds[0] as usize..bounds[1] as usize].sort_unstable_by_key(key);
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Vocabulary {
    /// The name of its file in a folder.
    pub const FILE: &str = "vocabulary.bin";

    /// Maps the file of a folder: that of a prepared data set, of the checkpoints of a run, or of an exported model.
    ///
    /// # Errors
    ///
    /// [`DataError`] if there is none, or it is of another version, not as long as it says, or damaged where it says what it
    /// holds. Other damage is found by [`Vocabulary::verify`]; until then it makes values unknown, or gives them others' rows.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = folder.as_ref().join(Self::FILE);
        let open = || -> Result<Self, DataErrorKind> { Self::decode(Bytes::map(&File::open(&path)?)?) };
        open().map_err(|kind| DataError::new(&path, kind))
    }

    /// Opens a folder's vocabulary, which must be the one with this checksum.
    ///
    /// # Errors
    ///
    /// As [`Vocabulary::open`], and [`DataErrorKind::VocabularyChecksum`] for another.
    pub fn open_known(folder: impl AsRef<Path>, checksum: u64) -> Result<Arc<Self>, DataError> {
        let vocabulary = Self::open(&folder)?;
        let (found, expected) = (vocabulary.checksum(), checksum);
        let kind = DataErrorKind::VocabularyChecksum { found, expected };
        if found == expected {
            Ok(Arc::new(vocabulary))
        } else {
            Err(DataError::new(folder.as_ref().join(Self::FILE), kind))
        }
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Self, DataErrorKind> {
        let version = bytes.strip_prefix(MAGIC).and_then(|rest| u32_at(rest, 0));
        match version {
            None => Err(DataErrorKind::ForeignVocabulary),
            Some(version @ (LINES | COLUMNS)) => {
                Self::sound(bytes, version == COLUMNS).ok_or(DataErrorKind::Vocabulary)
            }
            Some(found) => Err(DataErrorKind::Version { found, known: COLUMNS }),
        }
    }

    /// `None` if the bytes contradict themselves.
    fn sound(bytes: Bytes, columns: bool) -> Option<Self> {
        let count = u32_at(&bytes, 12)? as usize;
        if !(columns && (1..=MOST_FEATURES).contains(&count) || !columns && count == CATEGORICAL) {
            return None;
        }
        let mut head = 32 + 24 * count;
        let mut schema_at = None;
        if columns {
            let len = usize::try_from(u64_at(&bytes, head + 8 * count)?).ok()?;
            let start = head + 8 * count + 8;
            head = start.checked_add(len)?.checked_next_multiple_of(8)?;
            schema_at = Some(start..start + len);
        }
        if u64_at(&bytes, head)? != XxHash3_64::oneshot(&bytes[..head]) {
            return None;
        }
        let schema = match schema_at {
            None => None,
            Some(at) => Some(Arc::new(Schema::from_json(&bytes[at])?)),
        };
        if schema.as_ref().is_some_and(|schema| schema.categorical.len() != count) {
            return None;
        }
        let range = NonZeroU32::new(u64_at(&bytes, 16)?.try_into().ok()?);
        let renumbered = u64_at(&bytes, 24)? != 0;
        let mut at = head + 8;
        let (mut all_rows, mut features) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for feature in 0..count {
            let field = |field: usize| u64_at(&bytes, 32 + 24 * feature + 8 * field);
            let (len, unseen) = (usize::try_from(field(0)?).ok()?, field(1).zip(field(2)));
            let rows = field(1)?;
            let unseen = match unseen? {
                (_, NONE) => None,
                (rows, row) => Some(u32::try_from(row).ok().filter(|_| row < rows)?),
            };
            // Every row is that of a value, or of those not known: tables take no memory that the file does not account for.
            if rows != len as u64 + u64::from(unseen.is_some()) || rows == 0 || rows > u64::from(UNSEEN) {
                return None;
            }
            all_rows.push(rows);
            let longest = match columns {
                true => u32::try_from(u64_at(&bytes, 32 + 24 * count + 8 * feature)?).ok()?,
                false => 1,
            };
            let bits = directory_bits(len);
            let entries = at.checked_add(directory_bytes(bits))?;
            features.push(Feature { unseen, longest, bits, directory: at, entries, len });
            at = entries.checked_add(len.checked_mul(entry_bytes(columns))?)?;
        }
        let whole = at.checked_add(8)? == bytes.len();
        whole.then_some(Self { bytes, range, renumbered, rows: all_rows, features, schema })
    }

    /// The index of a raw value of a feature, and whether the value is known: one that is not has a row that such values
    /// share, or none, [`UNSEEN`].
    ///
    /// # Panics
    ///
    /// If there is no such feature.
    pub fn number(&self, feature: usize, value: u32) -> (u32, bool) {
        let value = self.range.map_or(value, |range| value % range);
        self.number_key(feature, key(value))
    }

    /// [`Vocabulary::number`] of a value's key.
    pub(in crate::data) fn number_key(&self, feature: usize, key: u64) -> (u32, bool) {
        match self.find(&self.features[feature], key) {
            Some(index) if u64::from(index) < self.rows[feature] => (index, true),
            _ => (self.features[feature].unseen.unwrap_or(UNSEEN), false),
        }
    }

    /// `None` too for what a damaged directory or entry leads to.
    fn find(&self, feature: &Feature, key: u64) -> Option<u32> {
        let bucket = ((key >> 32) >> (32 - feature.bits)) as usize;
        let bound = |bucket| u32_at(&self.bytes, feature.directory + 4 * bucket).map(|bound| bound as usize);
        let (mut low, mut high) = (bound(bucket)?, bound(bucket + 1)?.min(feature.len));
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, index) = self.entry(feature, middle)?;
            match found.cmp(&key) {
                std::cmp::Ordering::Equal => return Some(index),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The key and the index of an entry of a feature.
    fn entry(&self, feature: &Feature, number: usize) -> Option<(u64, u32)> {
        if self.schema.is_some() {
            let at = feature.entries + 12 * number;
            return Some((u64_at(&self.bytes, at)?, u32_at(&self.bytes, at + 8)?));
        }
        let entry = u64_at(&self.bytes, feature.entries + 8 * number)?;
        Some((entry >> 32 << 32, entry as u32))
    }

    /// The same values under other indices: `numbers[f][old]` is the new one. Values whose new index is that of `unseen` are
    /// no longer known.
    pub(in crate::data) fn renumbered(&self, numbers: &[Vec<u32>], rows: &[u64], unseen: &[Option<u32>]) -> Self {
        let entries = |feature: usize| {
            let (of, unseen) = (&self.features[feature], unseen[feature]);
            let entries = (0..of.len).filter_map(|number| self.entry(of, number));
            let numbered = entries.filter_map(move |(key, old)| Some((key, *numbers[feature].get(old as usize)?)));
            numbered.filter(move |(_, new)| Some(*new) != unseen)
        };
        let known = Known {
            range: self.range,
            renumbered: true,
            columns: self.schema.clone().map(|schema| (schema, self.longest())),
            rows: rows.to_vec(),
            unseen: unseen.to_vec(),
        };
        write(&known, entries)
    }

    /// What the columns are; none of Criteo's lines.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        self.schema.as_ref()
    }

    /// Dense features of the samples that it numbers.
    pub fn dense_features(&self) -> usize {
        self.schema.as_ref().map_or(DENSE, |schema| schema.dense_features())
    }

    /// The most values that a row has of each feature: 1 where each has exactly one.
    pub fn longest(&self) -> Vec<u32> {
        self.features.iter().map(|feature| feature.longest).collect()
    }

    /// Rows of the embedding table of each feature.
    pub fn table_rows(&self) -> &[u64] {
        &self.rows
    }

    /// The row that values share that are not known, for each feature; [`UNSEEN`] ones have none.
    pub fn unseen_rows(&self) -> Vec<Option<u32>> {
        self.features.iter().map(|feature| feature.unseen).collect()
    }

    /// Values are taken modulo this number: [`ReadSettings::max_ind_range`](super::super::ReadSettings::max_ind_range).
    pub fn max_ind_range(&self) -> Option<NonZeroU32> {
        self.range
    }

    /// Bytes of each index in the first row that is packed: as they were for the lines that the vocabulary was learned from.
    pub(in crate::data) fn first_widths(&self) -> [u8; CATEGORICAL] {
        if self.renumbered { super::super::rows::widths(&self.rows) } else { [1; CATEGORICAL] }
    }

    /// Identifies the vocabulary: the checksum of all that it holds.
    pub fn checksum(&self) -> u64 {
        self.bytes.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Compares all of it with its checksum; `folder` is where it is, for the error.
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::VocabularyChecksum`].
    pub fn verify(&self, folder: impl AsRef<Path>) -> Result<(), DataError> {
        let found = XxHash3_64::oneshot(&self.bytes[..self.bytes.len() - 8]);
        let expected = self.checksum();
        let kind = DataErrorKind::VocabularyChecksum { found, expected };
        if found == expected { Ok(()) } else { Err(DataError::new(folder.as_ref().join(Self::FILE), kind)) }
    }

    /// What its file holds.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Two are the same if they give the same values the same indices.
impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        (self.checksum(), self.bytes.len()) == (other.checksum(), other.bytes.len())
    }
}

/// Its checksum.
impl fmt::Display for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.checksum())
    }
}
