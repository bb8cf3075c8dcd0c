//! From text to packed rows, on all cores and in bounded memory.
//!
//! Blocks of whole lines are read ahead. Of each block, pieces are parsed and sub-sampled
//! in parallel; then the features are indexed in parallel, each in the order of the lines; then the pieces are packed in
//! parallel and handed on in order. The result is that of a sequential pass for any block size and number of threads.
//!
//! Memory is that of a few blocks and of the vocabulary, about 20 bytes for each category.

use std::hash::Hasher;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use twox_hash::XxHash3_64;

use super::ahead::each_block;
use super::criteo::{ParseError, parse_text};
use super::error::{DataError, DataErrorKind};
use super::header::{Header, KnownVocabulary, ReadSettings};
use super::input::{Input, count_lines, lines, pieces};
use super::rows::Segments;
use super::vocabulary::{Numbers, Vocabulary};
use super::{CATEGORICAL, DENSE, Split};

/// The least bytes of a piece that are worth a task, and pieces for each thread, so that none waits long for another.
const PIECE: usize = 32 << 10;
const PIECES: usize = 4;

/// How many bad lines are named.
pub(super) const NAMED: usize = 5;

/// The generator's stream for sub-sampling.
const STREAM: u64 = 0x7375_6273;

/// How far reading is.
#[derive(Clone, Copy, Debug)]
pub struct ReadProgress {
    /// Bytes read of the files as they are stored (compressed, if they are).
    pub read: u64,
    /// Bytes of all files, if known.
    pub total: Option<u64>,
    /// Lines read.
    pub lines: u64,
}

/// What reading gave beside the rows.
#[derive(Debug)]
pub struct Ingested {
    /// What is known of the data set as a whole.
    pub header: Header,
    /// What numbers the categories.
    pub vocabulary: Arc<Vocabulary>,
    /// The first bad lines that were skipped.
    pub bad: Vec<DataError>,
}

/// Reads everything and hands the packed rows to `out`, piece by piece.
pub(super) fn ingest(
    input: Input<'_>,
    settings: &ReadSettings,
    block_size: usize,
    mut out: impl FnMut(&[u8]) -> Result<(), DataError>,
    mut progress: impl FnMut(ReadProgress),
) -> Result<Ingested, DataError> {
    let Input { sources, total, read } = input;
    let (names, texts): (Vec<_>, Vec<_>) = sources.into_iter().map(|source| (source.name, source.text)).unzip();
    if !(0.0..1.0).contains(&settings.sub_sample) {
        let first = names.first().cloned().unwrap_or_default();
        return Err(DataError::new(first, DataErrorKind::Rate(settings.sub_sample)));
    }
    let mut state = State::new(&names, settings);
    each_block(texts, &names, block_size, |_, block| match block {
        Some(block) => {
            state.take(block, &mut out)?;
            progress(ReadProgress { read: read.load(Ordering::Relaxed), total, lines: state.lines });
            Ok(())
        }
        None => state.end_file(),
    })?;
    state.finish()
}

/// Everything that lasts longer than a block.
struct State<'a> {
    names: &'a [PathBuf],
    settings: &'a ReadSettings,
    numbers: Numbers,
    /// Values are taken modulo this number.
    range: Option<NonZeroU32>,
    segments: Segments,
    hasher: XxHash3_64,
    /// One for each piece of a block, reused.
    chunks: Vec<Chunk>,
    file: usize,
    file_lines: u64,
    /// First row of the current file.
    file_row: usize,
    lines: u64,
    skipped: u64,
    dropped: u64,
    positives: u64,
    text_bytes: u64,
    rows: usize,
    /// One bit for each line of a single file that is sub-sampled, 6 MB for Kaggle: which line its last part begins with
    /// is known only at the end.
    kept: Option<Bits>,
    bad: Vec<DataError>,
}

impl<'a> State<'a> {
    fn new(names: &'a [PathBuf], settings: &'a ReadSettings) -> Self {
        let given = settings.vocabulary.as_ref();
        Self {
            names,
            settings,
            numbers: Numbers::new(given.cloned()),
            range: given.map_or(settings.max_ind_range, |vocabulary| vocabulary.max_ind_range()),
            segments: given.map_or_else(Segments::new, |vocabulary| Segments::with_widths(vocabulary.first_widths())),
            hasher: XxHash3_64::new(),
            chunks: Vec::new(),
            file: 0,
            file_lines: 0,
            file_row: 0,
            lines: 0,
            skipped: 0,
            dropped: 0,
            positives: 0,
            text_bytes: 0,
            rows: 0,
            kept: (names.len() == 1 && settings.sub_sample > 0.0).then(Bits::default),
            bad: Vec::new(),
        }
    }

    /// Takes a block of the current file.
    fn take(&mut self, block: &[u8], out: &mut impl FnMut(&[u8]) -> Result<(), DataError>) -> Result<(), DataError> {
        let count = (block.len() / PIECE).clamp(1, PIECES * rayon::current_num_threads());
        let pieces = pieces(block, count);
        let counts: Vec<usize> = pieces.par_iter().map(|piece| count_lines(piece)).collect();
        if self.chunks.len() < pieces.len() {
            self.chunks.resize_with(pieces.len(), Chunk::default);
        }
        let chunks = &mut self.chunks[..pieces.len()];
        let mut before = 0;
        for (chunk, &lines) in chunks.iter_mut().zip(&counts) {
            chunk.reset(lines, self.file_lines + before, self.lines + before);
            before += lines as u64;
        }
        let (settings, range) = (self.settings, self.range);
        chunks.par_iter_mut().zip(pieces).for_each(|(chunk, text)| chunk.parse(text, settings, range));

        let first_row = self.rows;
        for chunk in chunks.iter_mut() {
            for error in chunk.errors.drain(..) {
                let error = DataError::new(&self.names[self.file], error);
                if !self.settings.skip_bad {
                    return Err(error);
                }
                if self.bad.len() < NAMED {
                    self.bad.push(error);
                }
            }
            chunk.first_row = self.rows;
            self.rows += chunk.rows;
            self.skipped += chunk.skipped;
            self.dropped += chunk.dropped;
            self.positives += chunk.labels.iter().filter(|&&label| label).count() as u64;
        }
        self.lines += before;
        self.file_lines += before;
        self.text_bytes += block.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.extend(chunks.iter().flat_map(|chunk| chunk.kept.iter().copied()));
        }

        let mut columns = [const { Vec::new() }; CATEGORICAL];
        for chunk in chunks.iter_mut().filter(|chunk| chunk.rows > 0) {
            for (column, values) in columns.iter_mut().zip(chunk.categories.chunks_exact_mut(chunk.lines)) {
                column.push(&mut values[..chunk.rows]);
            }
        }
        for wider in self.numbers.index(columns, first_row) {
            self.segments.widen(wider.row, wider.feature);
        }
        let segments = &self.segments;
        chunks.par_iter_mut().for_each(|chunk| chunk.pack(segments));
        for chunk in chunks {
            self.hasher.write(&chunk.packed);
            out(&chunk.packed)?;
        }
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), DataError> {
        if self.file_lines == 0 {
            return Err(DataError::new(&self.names[self.file], DataErrorKind::Empty));
        }
        if self.file + 1 < self.names.len() {
            self.file += 1;
            (self.file_lines, self.file_row) = (0, self.rows);
        }
        Ok(())
    }

    fn finish(self) -> Result<Ingested, DataError> {
        if self.rows == 0 {
            let kind = if self.lines == 0 { DataErrorKind::Empty } else { DataErrorKind::NothingKept };
            return Err(DataError::new(self.names.first().cloned().unwrap_or_default(), kind));
        }
        let split = if self.names.len() > 1 {
            Split::held_out(self.file_row, self.rows)
        } else if let Some(kept) = &self.kept {
            Split::held_out(kept.count_first(Split::last_part(kept.len)), self.rows)
        } else {
            Split::new(self.rows)
        };
        let given = matches!(self.numbers, Numbers::Given(_));
        let unseen = self.numbers.unseen();
        let vocabulary = self.numbers.finish(self.range);
        let header = Header {
            files: self.names.len() as u64,
            lines: self.lines,
            skipped: self.skipped,
            dropped: self.dropped,
            rows: self.rows,
            positives: self.positives,
            text_bytes: self.text_bytes,
            max_ind_range: self.range,
            sub_sample: self.settings.sub_sample,
            seed: self.settings.seed,
            table_rows: vocabulary.table_rows().to_vec(),
            vocabulary: Some(KnownVocabulary { checksum: vocabulary.checksum(), given, unseen }),
            split,
            bytes: self.segments.bytes(self.rows) as u64,
            checksum: self.hasher.finish(),
            segments: self.segments,
            columns: None,
        };
        Ok(Ingested { header, vocabulary, bad: self.bad })
    }
}

/// The lines of one piece of a block.
#[derive(Default)]
struct Chunk {
    /// Lines of the text.
    lines: usize,
    /// Lines of the file and of all files before it.
    file_line: u64,
    stream_line: u64,
    /// Lines kept.
    rows: usize,
    first_row: usize,
    skipped: u64,
    dropped: u64,
    /// The first errors, or the one that ended parsing.
    errors: Vec<ParseError>,
    /// Whether each record was kept; empty without sub-sampling.
    kept: Vec<bool>,
    labels: Vec<bool>,
    /// `[rows][13]`
    dense: Vec<f32>,
    /// `[26][lines]`, of which the first `rows` of each feature are set: raw values, later indices.
    categories: Vec<u32>,
    packed: Vec<u8>,
}

impl Chunk {
    fn reset(&mut self, lines: usize, file_line: u64, stream_line: u64) {
        (self.lines, self.file_line, self.stream_line) = (lines, file_line, stream_line);
        (self.rows, self.skipped, self.dropped) = (0, 0, 0);
        self.errors.clear();
        self.kept.clear();
        self.labels.clear();
        self.dense.clear();
        self.categories.resize(CATEGORICAL * lines, 0);
    }

    fn parse(&mut self, text: &[u8], settings: &ReadSettings, range: Option<NonZeroU32>) {
        let mut draws = (settings.sub_sample > 0.0).then(|| draws(settings.seed, self.stream_line));
        let range = range.map(u32::from);
        for (number, line) in (self.file_line + 1..).zip(lines(text)) {
            // One draw for each line, whatever it is.
            let draw = draws.as_mut().map(super::uniform);
            let record = match parse_text(line, number, true) {
                Ok(record) => record,
                Err(error) => {
                    self.skipped += 1;
                    if self.errors.len() < NAMED {
                        self.errors.push(error);
                    }
                    if !settings.skip_bad {
                        return;
                    }
                    continue;
                }
            };
            let positive = record.label > 0.5;
            if let Some(draw) = draw {
                let kept = positive || draw >= settings.sub_sample;
                self.kept.push(kept);
                if !kept {
                    self.dropped += 1;
                    continue;
                }
            }
            self.labels.push(positive);
            self.dense.extend_from_slice(&record.dense);
            let slots = self.categories.iter_mut().skip(self.rows).step_by(self.lines);
            for (slot, value) in slots.zip(record.categories) {
                *slot = range.map_or(value, |range| value % range);
            }
            self.rows += 1;
        }
    }

    fn pack(&mut self, segments: &Segments) {
        self.packed.clear();
        for row in 0..self.rows {
            let indices = self.categories.iter().skip(row).step_by(self.lines).copied();
            let dense = &self.dense[row * DENSE..][..DENSE];
            segments.layout(self.first_row + row).pack(self.labels[row], dense, indices, &mut self.packed);
        }
    }
}

/// The draws of the lines from `line` on (counted from 0 through all files): each depends on the seed and its line's
/// number alone.
fn draws(seed: u64, line: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    // Words have 32 bits, a draw 64.
    rng.set_word_pos(2 * u128::from(line));
    rng
}

/// A list of bits.
#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn extend(&mut self, bits: impl Iterator<Item = bool>) {
        for bit in bits {
            if self.len.is_multiple_of(64) {
                self.words.push(0);
            }
            self.words[self.len / 64] |= u64::from(bit) << (self.len % 64);
            self.len += 1;
        }
    }

    /// How many of the first `n` are set.
    fn count_first(&self, n: usize) -> usize {
        let ones = |word: u64| word.count_ones() as usize;
        let whole: usize = self.words[..n / 64].iter().map(|&word| ones(word)).sum();
        match n % 64 {
            0 => whole,
            bits => whole + ones(self.words[n / 64] << (64 - bits)),
        }
    }
}
