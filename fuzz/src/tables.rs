//! A table in a file of `.npy` or of safetensors, from scratch or a valid one edited: a typed error, or every row can be read,
//! twice the same, and a train of it is one whose error is known.

use std::io::Cursor;

use arbitrary::Arbitrary;
use ttcore_decompose::{Compress, FileRows, Rows, SourceError, Target};

use crate::edit::{Edit, apply};
use crate::numbers::decode;

/// The tensor that is looked for.
const TENSOR: &str = "weight";

/// Numbers of a table that is also decomposed, at most: eigenvectors of more take long under a sanitizer.
const SMALL: u64 = 128;

/// How a valid file is changed.
#[derive(Arbitrary, Debug)]
struct Edits {
    rows: u8,
    dim: u8,
    numbers: Vec<u8>,
    edits: Vec<Edit>,
}

/// Reads a table, and decomposes it if it is small. Bits of the first byte say what the others are: 1, safetensors instead of
/// `.npy`; 2, read as `f64` instead of `f32`; 4, changes of a valid file instead of a file.
///
/// # Panics
///
/// Where something is wrong.
pub fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let safetensors = how & 1 != 0;
    let file = if how & 4 == 0 {
        rest.to_vec()
    } else {
        let Some(edits) = decode::<Edits>(rest) else { return };
        let mut file = valid(safetensors, u64::from(edits.rows % 20), u64::from(edits.dim % 10), &edits.numbers);
        apply(&edits.edits, &mut file);
        file
    };
    if how & 2 == 0 {
        read::<f32>(Cursor::new(file), safetensors);
    } else {
        read::<f64>(Cursor::new(file), safetensors);
    }
}

fn read<F: ttcore::Real>(reader: Cursor<Vec<u8>>, safetensors: bool) {
    let length = reader.get_ref().len() as u64;
    let opened = match safetensors {
        true => FileRows::<F, _>::safetensors(reader, "file", TENSOR),
        false => FileRows::<F, _>::npy(reader, "file"),
    };
    let mut table = match opened {
        Ok(table) => table,
        Err(SourceError { file, position, .. }) => {
            assert!(file == "file" && position <= length, "byte {position} of {length}");
            return;
        }
    };
    let (rows, dim) = (table.rows(), table.dim());
    assert!(rows > 0 && dim > 0 && 4 * rows * dim as u64 <= length, "{rows} x {dim} in {length} bytes");
    let once = all(&mut table);
    table.rewind().expect("back before the first row");
    let bits = |numbers: &[F]| numbers.iter().map(|x| x.as_f64().to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&once), bits(&all(&mut table)));
    if once.len() as u64 > SMALL {
        return;
    }
    // Two cores of all rows and all columns.
    let compress = Compress::new(&[1, rows as usize], &[dim, 1], Target::Rank(2));
    match compress.run(&mut table) {
        Ok(found) => {
            assert!(once.iter().all(|x| x.as_f64().is_finite()), "a number that is not finite was taken");
            let (error, norm) = (found.report.error, found.report.norm);
            assert!(error >= 0.0 && error <= norm * (1.0 + 1e-6), "error {error} of {norm}");
        }
        // Said in words that name the place.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// All rows, three at a time.
fn all<F: ttcore::Real>(table: &mut impl Rows<F>) -> Vec<F> {
    let (mut numbers, mut left, dim) = (Vec::new(), table.rows(), table.dim());
    while left > 0 {
        let mut some = vec![F::of(0.0); dim * left.min(3) as usize];
        let rows = table.read(&mut some).expect("rows of a file whose length was compared");
        assert!(rows > 0);
        numbers.extend(some.into_iter().take(rows * dim));
        left -= rows as u64;
    }
    numbers
}

/// A valid file with a table of `f32`, whose numbers repeat some bytes.
fn valid(safetensors: bool, rows: u64, dim: u64, bytes: &[u8]) -> Vec<u8> {
    let len = 4 * (rows * dim) as usize;
    let numbers = bytes.iter().chain(&[0]).cycle().take(len);
    let header = match safetensors {
        true => {
            let json =
                format!("{{\"{TENSOR}\":{{\"dtype\":\"F32\",\"shape\":[{rows},{dim}],\"data_offsets\":[0,{len}]}}}}");
            [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
        }
        false => {
            let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
            text.push_str(&" ".repeat((64 - (10 + text.len() + 1) % 64) % 64));
            text.push('\n');
            [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
        }
    };
    header.into_iter().chain(numbers.copied()).collect()
}

/// Valid files.
pub fn seeds() -> Vec<Vec<u8>> {
    let numbers: Vec<u8> = (0..24).flat_map(|x| (x as f32 - 7.5).to_le_bytes()).collect();
    let whole = |how: u8| [&[how][..], &valid(how & 1 != 0, 6, 4, &numbers)].concat();
    (0..4).map(whole).collect()
}
