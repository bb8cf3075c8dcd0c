//! A finished vocabulary, in memory or in a mapped file, in the same bytes.
//!
//! `vocabulary.bin`, all numbers little endian:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic, `dlrmvoca` |
//! | 4, 4 | `u32` version of the format; `u32` number of features |
//! | 8 | values are taken modulo this number (0: as they are) |
//! | 8 | 1 if indices are not in order of first appearance |
//! | 24 each | values known of a feature; rows of its table; the row of values not known (`2^64 - 1`: none) |
//! | 8 | checksum of all bytes before it |
//! | | then for each feature, behind each other |
//! | 4 each | `2^b + 1` numbers: of its entries, how many come before those whose upper `b` bits are 0, 1, ..; and 4 bytes more if that makes it a multiple of 8 |
//! | 8 each | its entries, ascending: `mix(value) 2^32 + index` |
//! | 8 | checksum of all bytes before it |
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

use super::super::CATEGORICAL;
use super::super::error::{DataError, DataErrorKind};
use super::super::mapped::Bytes;
use super::UNSEEN;

const MAGIC: &[u8; 8] = b"dlrmvoca";
const VERSION: u32 = 1;

/// No row, in the file.
const NONE: u64 = u64::MAX;

/// Bytes up to the checksum of what is known of the features.
const HEAD: usize = 32 + 24 * CATEGORICAL;

/// Which index each raw value of each feature has. Nothing changes it; what is learned of lines makes a new one.
#[derive(Debug)]
pub struct Vocabulary {
    bytes: Bytes,
    range: Option<NonZeroU32>,
    renumbered: bool,
    rows: [u64; CATEGORICAL],
    features: [Feature; CATEGORICAL],
}

/// Where a feature is in the bytes.
#[derive(Clone, Copy, Debug)]
struct Feature {
    unseen: Option<u32>,
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

pub(super) fn entry(value: u32, index: u32) -> u64 {
    u64::from(mix(value)) << 32 | u64::from(index)
}

/// Upper bits that the directory of so many entries is of: about four entries share them.
fn directory_bits(len: usize) -> u32 {
    (len / 4).max(1).ilog2()
}

/// Bytes of the directory.
fn directory_bytes(bits: u32) -> usize {
    (((1usize << bits) + 1) * 4).next_multiple_of(8)
}

/// A vocabulary of these entries of each feature, in any order, but the same each time they are asked for.
///
/// Their upper bits say where they go but for a few places, so that they are put there one by one and not sorted.
pub(super) fn write<I: Iterator<Item = u64>>(
    range: Option<NonZeroU32>,
    renumbered: bool,
    rows: &[u64; CATEGORICAL],
    unseen: &[Option<u32>; CATEGORICAL],
    entries: impl Fn(usize) -> I + Sync,
) -> Vocabulary {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((CATEGORICAL as u32).to_le_bytes());
    bytes.extend(range.map_or(0, |range| u64::from(range.get())).to_le_bytes());
    bytes.extend(u64::from(renumbered).to_le_bytes());
    // Every row is that of an entry, or of what is not known.
    let len = |feature: usize| rows[feature] as usize - usize::from(unseen[feature].is_some());
    for feature in 0..CATEGORICAL {
        let fields = [len(feature) as u64, rows[feature], unseen[feature].map_or(NONE, u64::from)];
        fields.iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    }
    bytes.extend(XxHash3_64::oneshot(&bytes).to_le_bytes());
    let size = |feature: usize| directory_bytes(directory_bits(len(feature))) + 8 * len(feature);
    let start = bytes.len();
    let end = start + (0..CATEGORICAL).map(size).sum::<usize>();
    bytes.reserve_exact(end + 8 - start);
    bytes.resize(end, 0);
    let mut rest = &mut bytes[start..];
    let parts: Vec<&mut [u8]> = (0..CATEGORICAL).filter_map(|feature| rest.split_off_mut(..size(feature))).collect();
    parts.into_par_iter().enumerate().for_each(|(feature, part)| fill(part, len(feature), || entries(feature)));
    bytes.extend(XxHash3_64::oneshot(&bytes).to_le_bytes());
    Vocabulary::decode(Bytes::Owned(bytes)).expect("what was written can be read")
}

/// Writes the directory and the entries of a feature.
fn fill<I: Iterator<Item = u64>>(part: &mut [u8], len: usize, entries: impl Fn() -> I) {
    let bits = directory_bits(len);
    let bucket = |entry: u64| ((entry >> 32) >> (32 - bits)) as usize;
    let mut ends = vec![0u32; (1 << bits) + 1];
    entries().for_each(|entry| ends[bucket(entry) + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    // Entries of a damaged file that is numbered anew: nothing of it is known.
    if ends.last() != Some(&(len as u32)) {
        return;
    }
    let (directory, places) = part.split_at_mut(directory_bytes(bits));
    ends.iter().zip(directory.as_chunks_mut().0).for_each(|(end, bytes)| *bytes = end.to_le_bytes());
    let places = places.as_chunks_mut::<8>().0;
    let mut next = ends.clone();
    for entry in entries() {
        let place = &mut next[bucket(entry)];
        places[*place as usize] = entry.to_le_bytes();
        *place += 1;
    }
    for bounds in ends.windows(2) {
        places[bounds[0] as usize..bounds[1] as usize].sort_unstable_by_key(|entry| u64::from_le_bytes(*entry));
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
            None => return Err(DataErrorKind::ForeignVocabulary),
            Some(VERSION) => {}
            Some(found) => return Err(DataErrorKind::Version { found, known: VERSION }),
        }
        Self::sound(bytes).ok_or(DataErrorKind::Vocabulary)
    }

    /// `None` if the bytes contradict themselves.
    fn sound(bytes: Bytes) -> Option<Self> {
        if u32_at(&bytes, 12)? as usize != CATEGORICAL || u64_at(&bytes, HEAD)? != XxHash3_64::oneshot(&bytes[..HEAD]) {
            return None;
        }
        let range = NonZeroU32::new(u64_at(&bytes, 16)?.try_into().ok()?);
        let renumbered = u64_at(&bytes, 24)? != 0;
        let mut at = HEAD + 8;
        let (mut rows, mut features) = ([0; CATEGORICAL], Vec::with_capacity(CATEGORICAL));
        for (feature, rows) in rows.iter_mut().enumerate() {
            let field = |field: usize| u64_at(&bytes, 32 + 24 * feature + 8 * field);
            let (len, unseen) = (usize::try_from(field(0)?).ok()?, field(1).zip(field(2)));
            *rows = field(1)?;
            let unseen = match unseen? {
                (_, NONE) => None,
                (rows, row) => Some(u32::try_from(row).ok().filter(|_| row < rows)?),
            };
            // Every row is that of a value, or of those not known: tables take no memory that the file does not account for.
            if *rows != len as u64 + u64::from(unseen.is_some()) || *rows == 0 || *rows > u64::from(UNSEEN) {
                return None;
            }
            let bits = directory_bits(len);
            let entries = at.checked_add(directory_bytes(bits))?;
            features.push(Feature { unseen, bits, directory: at, entries, len });
            at = entries.checked_add(len.checked_mul(8)?)?;
        }
        let features = features.try_into().ok()?;
        (at.checked_add(8)? == bytes.len()).then_some(Self { bytes, range, renumbered, rows, features })
    }

    /// The index of a raw value of a feature, and whether the value is known: one that is not has a row that such values
    /// share, or none, [`UNSEEN`].
    ///
    /// # Panics
    ///
    /// If there is no such feature.
    pub fn number(&self, feature: usize, value: u32) -> (u32, bool) {
        let value = self.range.map_or(value, |range| value % range);
        match self.find(&self.features[feature], mix(value)) {
            Some(index) if u64::from(index) < self.rows[feature] => (index, true),
            _ => (self.features[feature].unseen.unwrap_or(UNSEEN), false),
        }
    }

    /// `None` too for what a damaged directory or entry leads to.
    fn find(&self, feature: &Feature, mixed: u32) -> Option<u32> {
        let bucket = (u64::from(mixed) >> (32 - feature.bits)) as usize;
        let bound = |bucket| u32_at(&self.bytes, feature.directory + 4 * bucket).map(|bound| bound as usize);
        let (mut low, mut high) = (bound(bucket)?, bound(bucket + 1)?.min(feature.len));
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = u64_at(&self.bytes, feature.entries + 8 * middle)?;
            match ((entry >> 32) as u32).cmp(&mixed) {
                std::cmp::Ordering::Equal => return Some(entry as u32),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The same values under other indices: `numbers[f][old]` is the new one. Values whose new index is that of `unseen` are
    /// no longer known.
    pub(in crate::data) fn renumbered(
        &self,
        numbers: &[Vec<u32>],
        rows: &[u64; CATEGORICAL],
        unseen: &[Option<u32>; CATEGORICAL],
    ) -> Self {
        let entries = |feature: usize| {
            let (Feature { entries, len, .. }, unseen) = (self.features[feature], unseen[feature]);
            let entries = self.bytes[entries..][..8 * len].as_chunks().0.iter().map(|&entry| u64::from_le_bytes(entry));
            let numbered = entries.filter_map(move |entry| {
                let new = numbers[feature].get(entry as u32 as usize)?;
                Some((entry >> 32, *new))
            });
            numbered.filter(move |(_, new)| Some(*new) != unseen).map(|(mixed, new)| mixed << 32 | u64::from(new))
        };
        write(self.range, true, rows, unseen, entries)
    }

    /// Rows of the embedding table of each feature.
    pub fn table_rows(&self) -> [u64; CATEGORICAL] {
        self.rows
    }

    /// The row that values share that are not known, for each feature; [`UNSEEN`] ones have none.
    pub fn unseen_rows(&self) -> [Option<u32>; CATEGORICAL] {
        self.features.map(|feature| feature.unseen)
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
