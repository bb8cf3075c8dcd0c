//! Lines as batches, one block after the other, numbered by a vocabulary: for a model that is trained, in memory that does not
//! grow with the lines.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::ahead::{BLOCK, each_block};
use super::batch::Width;
use super::columns::{self, CellError};
use super::criteo::{ParseError, Record, is_labelled, parse_text};
use super::error::{DataError, DataErrorKind};
use super::ingest::ReadProgress;
use super::input::{Input, count_lines, lines, pieces};
use super::vocabulary::{UNSEEN, Vocabulary};
use super::{Batch, DENSE};

/// The least bytes of a piece that are worth a task, and pieces for each thread, so that none waits long for another.
const PIECE: usize = 32 << 10;
const PIECES: usize = 4;

/// Some lines of a stream, in order.
#[derive(Debug, Default)]
pub struct StreamedLines {
    /// Those that are records, in batches of at most as many as was asked for; their labels are 0 where lines have none.
    pub(super) batches: Vec<Batch>,
    /// How many of the batches are used.
    pub(super) used: usize,
    /// What is wrong with the others, each with the number of records before it among these lines.
    pub(super) bad: Vec<(usize, BadLine)>,
    /// Values that the vocabulary does not know.
    pub(super) unseen: u64,
    /// Values of lists that were left out.
    pub(super) cut: u64,
}

/// What is wrong with a line, or a row of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// Of the form of Criteo.
    Line(ParseError),
    /// Of columns.
    Row(CellError),
}

impl From<BadLine> for DataErrorKind {
    fn from(bad: BadLine) -> Self {
        match bad {
            BadLine::Line(error) => Self::Parse(error),
            BadLine::Row(error) => Self::Cell(error),
        }
    }
}

impl StreamedLines {
    /// The records, in batches.
    pub fn batches(&self) -> &[Batch] {
        &self.batches[..self.used]
    }

    /// What is wrong with lines that are no records, each with the number of records before it among these lines.
    pub fn bad(&self) -> &[(usize, BadLine)] {
        &self.bad
    }

    /// How many values of these lines the vocabulary does not know.
    pub fn unseen(&self) -> u64 {
        self.unseen
    }

    /// How many values of lists were left out, since no list that the vocabulary was learned from is as long, or its schema says so.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    fn read(&mut self, text: &[u8], first: u64, labelled: bool, vocabulary: &Vocabulary, most: usize) {
        (self.used, self.unseen) = (0, 0);
        self.bad.clear();
        let mut records = 0;
        for (number, line) in (first..).zip(lines(text)) {
            match parse_text(line, number, labelled) {
                Ok(record) => {
                    self.unseen += self.batch(most).push(&record, vocabulary);
                    records += 1;
                }
                Err(error) => self.bad.push((records, BadLine::Line(error))),
            }
        }
    }

    /// The batch that the next record goes to.
    fn batch(&mut self, most: usize) -> &mut Batch {
        if self.used == 0 || self.batches[self.used - 1].len() >= most {
            if self.batches.len() == self.used {
                self.batches.push(Batch::default());
            }
            self.batches[self.used].reset(0, Width::CRITEO);
            self.used += 1;
        }
        &mut self.batches[self.used - 1]
    }
}

impl Batch {
    /// Appends a record, numbered by a vocabulary; how many of its values that does not know.
    pub(crate) fn push(&mut self, record: &Record, vocabulary: &Vocabulary) -> u64 {
        debug_assert_eq!(self.dense.len(), self.labels.len() * DENSE);
        let mut unseen = 0;
        self.dense.extend_from_slice(&record.dense);
        self.labels.push(record.label);
        for (feature, (indices, value)) in self.indices.iter_mut().zip(record.categories).enumerate() {
            let (index, seen) = vocabulary.number(feature, value);
            unseen += u64::from(!seen);
            debug_assert!(index == UNSEEN || u64::from(index) < vocabulary.table_rows()[feature]);
            indices.push(index);
        }
        unseen
    }
}

/// Where a stream's lines come from.
pub enum Source<'a> {
    /// Files, plain or compressed with gzip, one after the other.
    Files(&'a [PathBuf]),
    /// Plain text under this name in errors.
    Reader(Box<dyn Read + Send + 'a>, &'a Path),
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(paths) => f.debug_tuple("Files").field(paths).finish(),
            Self::Reader(_, name) => f.debug_tuple("Reader").field(name).finish_non_exhaustive(),
        }
    }
}

/// Reads lines and hands them to `take`, in order, in batches of at most `most` records, with how far it is, on the threads of the
/// current rayon pool. Whether lines have a label, the first of each file says. Where the vocabulary is of columns, files are read by
/// its schema; the label, and what says what rows are for, need not be there.
///
/// # Errors
///
/// [`DataError`] if a file cannot be read or has no lines. What `take` gives ends it, too.
pub fn stream<E: From<DataError>>(
    source: Source<'_>,
    vocabulary: &Arc<Vocabulary>,
    most: usize,
    mut take: impl FnMut(&Path, &StreamedLines, ReadProgress) -> Result<(), E>,
) -> Result<(), E> {
    let input = match source {
        Source::Files(paths) => Input::files(paths)?,
        Source::Reader(reader, name) => Input::reader(reader, name),
    };
    if let Some(schema) = vocabulary.schema() {
        return columns::stream(input, (schema, vocabulary), most, take);
    }
    let Input { sources, total, read } = input;
    let (names, texts): (Vec<_>, Vec<_>) = sources.into_iter().map(|source| (source.name, source.text)).unzip();
    let (mut file_lines, mut all, mut labelled) = (0, 0, None);
    let mut chunks: Vec<StreamedLines> = Vec::new();
    each_block(texts, &names, BLOCK, |file, block| {
        let Some(block) = block else {
            labelled = None;
            let any = std::mem::take(&mut file_lines) > 0;
            return if any { Ok(()) } else { Err(DataError::new(&names[file], DataErrorKind::Empty).into()) };
        };
        let labelled = *labelled.get_or_insert_with(|| lines(block).next().is_none_or(is_labelled));
        let pieces = pieces(block, (block.len() / PIECE).clamp(1, PIECES * rayon::current_num_threads()));
        let counts: Vec<usize> = pieces.par_iter().map(|piece| count_lines(piece)).collect();
        if chunks.len() < pieces.len() {
            chunks.resize_with(pieces.len(), StreamedLines::default);
        }
        let chunks = &mut chunks[..pieces.len()];
        let mut firsts = Vec::with_capacity(counts.len());
        for &count in &counts {
            firsts.push(file_lines + 1);
            file_lines += count as u64;
        }
        let work = chunks.par_iter_mut().zip(pieces).zip(firsts);
        work.for_each(|((chunk, text), first)| chunk.read(text, first, labelled, vocabulary, most));
        for (chunk, count) in chunks.iter().zip(counts) {
            all += count as u64;
            take(&names[file], chunk, ReadProgress { read: read.load(Ordering::Relaxed), total, lines: all })?;
        }
        Ok(())
    })
}
