//! Gzip files, with what gzip tools allow behind the compressed data.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first bytes of a gzip file. No line of Criteo's begins with them.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The text of a gzip file: of one member or several, one behind the other, and zeros to the end, with which some tools
/// fill up blocks. Anything else behind a member is an error: it may be the rest of the data, damaged.
pub(super) struct Gzip<R> {
    state: State<R>,
}

enum State<R> {
    Member(GzDecoder<R>),
    /// Behind a member.
    Behind(R),
    /// After an error.
    Failed,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { state: State::Behind(reader) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Member(mut member) => match member.read(buffer) {
                    Ok(0) => self.state = State::Behind(member.into_inner()),
                    Ok(read) => {
                        self.state = State::Member(member);
                        return Ok(read);
                    }
                    Err(error) => return Err(self.failed(error, State::Member(member))),
                },
                State::Behind(mut reader) => match reader.fill_buf() {
                    Ok([first, ..]) if *first == MAGIC[0] => self.state = State::Member(GzDecoder::new(reader)),
                    Ok(_) => {
                        only_zeros(&mut reader)?;
                        self.state = State::Behind(reader);
                        return Ok(0);
                    }
                    Err(error) => return Err(self.failed(error, State::Behind(reader))),
                },
                State::Failed => return Err(invalid("read on after an error")),
            }
        }
    }
}

impl<R> Gzip<R> {
    /// After an interruption, reading goes on where it was.
    fn failed(&mut self, error: io::Error, state: State<R>) -> io::Error {
        if error.kind() == io::ErrorKind::Interrupted {
            self.state = state;
        }
        error
    }
}

/// Reads to the end.
fn only_zeros(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(invalid("behind the compressed data there are bytes that are neither gzip nor zeros"));
        }
        let read = bytes.len();
        reader.consume(read);
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Read through buffers of any size.
    fn text(bytes: &[u8], buffer: usize) -> io::Result<String> {
        let mut text = String::new();
        Gzip::new(BufReader::with_capacity(buffer, bytes)).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn members_and_zeros_are_read_to_the_end() {
        let (one, two) = (member("one\n"), member("two\n"));
        for buffer in [1, 3, 1000] {
            for (bytes, want) in [
                (one.clone(), "one\n"),
                ([&one[..], &two].concat(), "one\ntwo\n"),
                ([&one[..], &member(""), &two, &[0; 700]].concat(), "one\ntwo\n"),
                ([&member("")[..], &[0]].concat(), ""),
            ] {
                assert_eq!(text(&bytes, buffer).unwrap(), want);
            }
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        let one = member("one\n");
        for behind in [&b"more"[..], b"\0\0more", &[0x1f, 0x8b], &[0x1f, 0], &[&[0; 4], &one[..]].concat()] {
            let error = text(&[&one[..], behind].concat(), 5).unwrap_err();
            assert!(!error.to_string().is_empty());
        }
        let error = text(&[&one[..], b"more"].concat(), 5).unwrap_err().to_string();
        assert!(error.contains("neither gzip nor zeros"), "{error}");
        for end in 1..one.len() {
            assert_eq!(text(&one[..end], 5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{end}");
        }
        // A reader that is asked again gives no more text.
        let mut reader = Gzip::new(&b"\x1f\x8bno"[..]);
        assert!(reader.read(&mut [0; 9]).is_err() && reader.read(&mut [0; 9]).is_err());
    }
}
