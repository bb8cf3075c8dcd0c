//! Files of lines, plain or compressed, as blocks of whole lines.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::criteo::MAX_LINE;
use super::error::{DataError, DataErrorKind};
use super::gzip::{Gzip, MAGIC};
use super::magic::lines_or_not;

/// One file to read.
pub(super) struct Source<'a> {
    /// Its name in errors.
    pub(super) name: PathBuf,
    pub(super) text: Text<'a>,
}

/// Where a source's text comes from.
pub(super) enum Text<'a> {
    /// A reader.
    Reader(Box<dyn Read + Send + 'a>),
    /// A regular file, opened when its turn comes: there may be more than a program can open at once.
    File {
        path: PathBuf,
        /// Bytes read of all files.
        read: Arc<AtomicU64>,
    },
}

impl<'a> Text<'a> {
    /// A reader of the text.
    pub(super) fn open(self) -> io::Result<Box<dyn Read + Send + 'a>> {
        match self {
            Self::Reader(reader) => Ok(reader),
            Self::File { path, read } => uncompressed(File::open(path)?, read),
        }
    }
}

/// All files to read, and how far reading is.
pub(super) struct Input<'a> {
    pub(super) sources: Vec<Source<'a>>,
    /// Bytes of all files as they are stored, if that is known.
    pub(super) total: Option<u64>,
    /// Bytes read so far of the same.
    pub(super) read: Arc<AtomicU64>,
}

impl<'a> Input<'a> {
    /// Files to read, of which each can be opened; those that begin like gzip files are decompressed whatever their name.
    pub(super) fn files(paths: &[impl AsRef<Path>]) -> Result<Input<'static>, DataError> {
        let read = Arc::new(AtomicU64::new(0));
        let mut total = Some(0);
        let mut sources = Vec::with_capacity(paths.len());
        let mut seen = HashSet::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let (text, size) = open(path, &read).map_err(|error| DataError::new(path, error))?;
            // A pipe may be named twice.
            if size.is_some()
                && let Ok(real) = path.canonicalize()
                && !seen.insert(real)
            {
                return Err(DataError::new(path, DataErrorKind::Repeated));
            }
            total = total.zip(size).map(|(total, size)| total + size);
            sources.push(Source { name: path.to_owned(), text });
        }
        Ok(Input { sources, total, read })
    }

    /// The first of what is read, for errors of all.
    pub(super) fn name(&self) -> &Path {
        self.sources.first().map_or(Path::new(""), |source| &source.name)
    }

    /// One reader of plain text.
    pub(super) fn reader(reader: impl Read + Send + 'a, name: impl Into<PathBuf>) -> Self {
        let source = Source { name: name.into(), text: Text::Reader(Box::new(reader)) };
        Self { sources: vec![source], total: None, read: Arc::default() }
    }
}

/// A file's text, and its size if it is a regular file.
fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<(Text<'static>, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "a directory, not a file of lines"));
    }
    if metadata.is_file() {
        return Ok((Text::File { path: path.to_owned(), read: read.clone() }, Some(metadata.len())));
    }
    // A pipe cannot be opened again.
    Ok((Text::Reader(uncompressed(file, read.clone())?), None))
}

/// The text of a file; an error that says what it is if it is not lines.
fn uncompressed(file: File, read: Arc<AtomicU64>) -> io::Result<Box<dyn Read + Send>> {
    let mut file = Counted { inner: file, read };
    let mut first = Vec::with_capacity(MAGIC.len());
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut first)?;
    let compressed = first == MAGIC;
    // Chained and not rewound: a pipe works, too.
    let file = Cursor::new(first).chain(file);
    if compressed {
        Ok(Box::new(lines_or_not(Gzip::new(BufReader::with_capacity(1 << 18, file)))?))
    } else {
        Ok(Box::new(lines_or_not(file)?))
    }
}

/// A reader that counts.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Cuts text into blocks of whole lines.
pub(super) struct Blocks<R> {
    reader: R,
    size: usize,
    /// Read already: the beginning of the next block.
    rest: Vec<u8>,
    /// Blank lines before it, which are none if nothing else follows.
    blank: usize,
}

/// How many blank lines may wait to be known as the last.
const MOST_BLANK: usize = 1 << 16;

impl<R: Read> Blocks<R> {
    /// Blocks of about `size` bytes, or one line where that is longer.
    pub(super) fn new(reader: R, size: usize) -> Self {
        Self { reader, size: size.max(1), rest: Vec::new(), blank: 0 }
    }

    /// Replaces `block` by the next one; false if there is none. Blank lines at the end of the text are no lines.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        while self.next_of_any(block)? {
            let before = std::mem::take(&mut self.blank);
            let end = without_blank_lines(block);
            let blank = count_lines(&block[end..]);
            if before + blank <= MOST_BLANK {
                block.truncate(end);
                self.blank = blank;
                if end == 0 {
                    self.blank += before;
                    continue;
                }
            }
            block.splice(..0, std::iter::repeat_n(b'\n', before));
            return Ok(true);
        }
        Ok(false)
    }

    /// Replaces `block` by the next one, blank or not; false if there is none.
    ///
    /// A block ends with the end of a line or of the text. Of a line longer than [`MAX_LINE`] at least that many bytes and
    /// a few more are given, enough to tell, without the rest: memory stays bounded whatever the file is.
    fn next_of_any(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        block.clear();
        block.append(&mut self.rest);
        let mut size = self.size;
        loop {
            let missing = size.saturating_sub(block.len()) as u64;
            if (self.reader.by_ref().take(missing).read_to_end(block)? as u64) < missing {
                return Ok(!block.is_empty());
            }
            if let Some(end) = memchr::memrchr(b'\n', block) {
                self.rest.extend_from_slice(&block[end + 1..]);
                block.truncate(end + 1);
                return Ok(true);
            }
            // With room for a line end of two bytes.
            if block.len() >= MAX_LINE + 2 {
                block.truncate(MAX_LINE + 2);
                self.skip_line()?;
                return Ok(true);
            }
            size = block.len() + self.size;
        }
    }

    /// Reads on to behind the next line end.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.rest.clear();
            if self.reader.by_ref().take(MAX_LINE as u64).read_to_end(&mut self.rest)? == 0 {
                return Ok(());
            }
            if let Some(end) = memchr::memchr(b'\n', &self.rest) {
                self.rest.drain(..=end);
                return Ok(());
            }
        }
    }
}

/// Where the blank lines begin that a text ends with.
fn without_blank_lines(text: &[u8]) -> usize {
    let mut end = text.len();
    loop {
        let rest = &text[..end];
        let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
        let start = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        if end == 0 || !matches!(&rest[start..], b"" | b"\r") {
            return end;
        }
        end = start;
    }
}

/// The lines of a text, without `\n`; the last one may lack it.
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
        let line = &text[..end];
        text = text.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// Number of [`lines`].
pub(super) fn count_lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count() + usize::from(!text.is_empty() && !text.ends_with(b"\n"))
}

/// Cuts a text into about equal pieces of whole lines, at most `count` and none empty.
pub(super) fn pieces(mut text: &[u8], count: usize) -> Vec<&[u8]> {
    let size = text.len().div_ceil(count.max(1));
    let mut pieces = Vec::with_capacity(count);
    while !text.is_empty() {
        let end = match text.get(size.max(1) - 1..).and_then(|tail| memchr::memchr(b'\n', tail)) {
            Some(end) => size.max(1) + end,
            None => text.len(),
        };
        let (piece, rest) = text.split_at(end);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &[u8], size: usize) -> Vec<Vec<u8>> {
        let mut blocks = Blocks::new(text, size);
        let (mut block, mut all) = (Vec::new(), Vec::new());
        while blocks.next(&mut block).unwrap() {
            all.push(block.clone());
        }
        all
    }

    #[test]
    fn blocks_are_whole_lines() {
        for text in ["a\nbb\n\nccc\r\ndddd\ne", "\na\n", "\n\n\na", "abc", "abc\n"] {
            for size in 1..20 {
                let all = blocks(text.as_bytes(), size);
                assert_eq!(all.concat(), text.as_bytes());
                assert!(all[..all.len() - 1].iter().all(|block| block.ends_with(b"\n")), "{text:?} {size}");
            }
        }
        assert!(blocks(b"", 5).is_empty());
        assert_eq!(blocks(b"a\nb\nc\nd\n", 4).len(), 2);
    }

    #[test]
    fn blank_lines_at_the_end_are_none() {
        for (text, want) in [
            ("", ""),
            ("\n", ""),
            ("\r\n\n\r\n", ""),
            ("a\n\n", "a\n"),
            ("a\n\n\r\n\r", "a\n"),
            ("a\n\n\nb\n\n\n", "a\n\n\nb\n"),
            ("a\r\n\nb\r\n\r\n", "a\r\n\nb\r\n"),
        ] {
            for size in 1..20 {
                let all = blocks(text.as_bytes(), size);
                assert_eq!(String::from_utf8(all.concat()).unwrap(), want, "{text:?} {size}");
                assert!(all.iter().all(|block| !block.is_empty()));
            }
        }
        // However many they are, the next line has its number.
        let many = "\n".repeat(3 * MOST_BLANK);
        let lines =
            |text: String, size| -> usize { blocks(text.as_bytes(), size).iter().map(|b| count_lines(b)).sum() };
        for size in [100, MOST_BLANK / 2, MOST_BLANK, 8 * MOST_BLANK] {
            assert_eq!(lines(format!("a\n{many}b"), size), 3 * MOST_BLANK + 2);
        }
    }

    #[test]
    fn long_lines_take_no_memory() {
        let long = "x".repeat(3 * MAX_LINE);
        for size in [10, 1000, MAX_LINE, 2 * MAX_LINE, 10 * MAX_LINE] {
            let all = blocks(format!("a\n{long}\nb\n").as_bytes(), size);
            let text = all.concat();
            let lines: Vec<&[u8]> = lines(&text).collect();
            // As blocks the truncated line ends without a line end; the line behind it is a block's first.
            assert_eq!(lines[0], b"a");
            assert!(all.iter().any(|block| block.len() > MAX_LINE));
            assert_eq!(all.iter().map(|block| count_lines(block)).sum::<usize>(), 3, "{size}");
        }
        let mut endless = Blocks::new(io::repeat(b'x').take(1 << 28), 1 << 16);
        let mut block = Vec::new();
        assert!(endless.next(&mut block).unwrap());
        assert_eq!(block.len(), MAX_LINE + 2);
        assert!(block.capacity() < 1 << 18 && !endless.next(&mut block).unwrap());
    }

    #[test]
    fn pieces_are_whole_lines() {
        let text = b"a\nbb\n\nccc\r\ndddd\ne";
        for count in 0..30 {
            let pieces = pieces(text, count);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.len() <= count.max(1));
            assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.ends_with(b"\n")));
            assert_eq!(pieces.iter().map(|piece| count_lines(piece)).sum::<usize>(), lines(text).count());
        }
        assert!(pieces(b"", 3).is_empty());
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }
}
