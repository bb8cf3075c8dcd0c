//! Writes the seeds of the corpora that are not written by hand: `cargo run --no-default-features --example seeds`.
//!
//! The same bytes every time. Inputs of `settings` are TOML and lie in the repository as they were written.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use dlrm::data::Synthetic;
use ttcore_fuzz::{checkpoint, columns, parquet, prepared, tables, vocabulary};

fn main() -> io::Result<()> {
    // Targets that take structure from bytes: any bytes are an input, longer ones a larger one.
    for (number, target) in ["shapes", "bags", "cpu", "cache"].into_iter().enumerate() {
        let inputs = (0..8).map(|seed| noise(8 * number as u64 + seed, 40 << (seed % 4)));
        write(target, inputs)?;
    }
    let edits = |first: u8, count: u64| (0..count).map(move |seed| [&[first], &noise(100 + seed, 120)[..]].concat());
    write("vocabulary", vocabulary::seeds().into_iter().chain(edits(3, 6)))?;
    write("columns", columns::seeds())?;
    write("parquet", [parquet::seed()].into_iter().chain(edits(1, 6)))?;
    write("stored", (0..8).map(|seed| noise(200 + seed, 40 << (seed % 4))))?;
    write("tables", tables::seeds().into_iter().chain(edits(4, 4)).chain(edits(7, 4)))?;
    write("prepared", prepared::seeds().into_iter().chain(edits(2, 6)))?;
    write("checkpoint", checkpoint::seeds().into_iter().chain(edits(2, 6)))?;
    write("criteo", lines()?)
}

/// Lines read directly, from a file, and from a compressed one; some of them bad.
fn lines() -> io::Result<Vec<Vec<u8>>> {
    let synthetic = Synthetic { lines: 6, seed: 5, ..Synthetic::default() };
    let text = |compressed| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lines");
        synthetic.write(fs::File::create(&path)?, compressed, |_| ()).map_err(io::Error::other)?;
        fs::read(path)
    };
    let (plain, gzip) = (text(false)?, text(true)?);
    let bad = plain.iter().map(|&byte| if byte == b'7' { b'x' } else { byte });
    let windows = plain.iter().flat_map(|&byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] });
    let with = |how: u8, text: Vec<u8>| [vec![how], text].concat();
    let (bad, windows) = (bad.collect(), windows.collect());
    let padded = [&gzip[..], &[0; 40]].concat();
    Ok(vec![with(0, plain.clone()), with(0x2f, plain), with(5, bad), with(0, windows), with(1, gzip), with(1, padded)])
}

fn write(target: &str, inputs: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    for (number, input) in inputs.into_iter().enumerate() {
        fs::File::create(folder.join(format!("seed-{number}")))?.write_all(&input)?;
    }
    Ok(())
}

/// Bytes that look random (xorshift).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
