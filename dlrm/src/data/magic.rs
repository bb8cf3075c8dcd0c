//! Files that are not lines, by how they begin.

use std::io::{self, Chain, Cursor, Read};

/// As many bytes as tell what a file is: those of a tar archive stand at its 257th.
const FIRST: usize = 512;

/// How files begin that are not lines, at which byte, and what to do with them.
const KINDS: [(usize, &[u8], &str); 13] = [
    (0, b"PK\x03\x04", "a zip archive: unpack it first (unzip -p FILE | dlrm prepare /dev/stdin -o DIR)"),
    (0, b"BZh", "compressed with bzip2: unpack it first (bzip2 -dc FILE | dlrm prepare /dev/stdin -o DIR)"),
    (0, b"\xfd7zXZ\0", "compressed with xz: unpack it first (xz -dc FILE | dlrm prepare /dev/stdin -o DIR)"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first (zstd -dc FILE | dlrm prepare /dev/stdin -o DIR)"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4: unpack it first (lz4 -dc FILE | dlrm prepare /dev/stdin -o DIR)"),
    (257, b"ustar", "a tar archive, maybe compressed: take the file of lines out of it (tar -xf FILE train.txt)"),
    (0, b"PAR1", "a Parquet file, not lines: say what its columns are (--schema; dlrm inspect FILE writes one)"),
    (0, b"ARROW1", "an Arrow file, not lines"),
    (0, b"\x93NUMPY", "an array of NumPy, not lines"),
    (0, b"dlrmrows", "the header of a prepared directory: name the directory"),
    (0, b"dlrmvoca", "a vocabulary, not lines"),
    (8, b"{\"__metadata__\"", "a safetensors file, such as a checkpoint, not lines"),
];

/// A reader of text that begins again with what was looked at.
pub(super) type Looked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Looks at the beginning of a text, which need not be able to go back.
///
/// # Errors
///
/// The reader's, and `InvalidData` with what it is for a text that is not lines.
pub(super) fn lines_or_not<R: Read>(mut text: R) -> io::Result<Looked<R>> {
    let mut first = Vec::with_capacity(FIRST);
    text.by_ref().take(FIRST as u64).read_to_end(&mut first)?;
    let is = |(at, magic, _): &&(usize, &[u8], &str)| first.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    match KINDS.iter().find(is) {
        Some((_, _, what)) => Err(io::Error::new(io::ErrorKind::InvalidData, *what)),
        None => Ok(Cursor::new(first).chain(text)),
    }
}
