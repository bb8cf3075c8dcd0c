//! Tables in files, whole and damaged.

mod common;

use std::io::{Cursor, Write};

use common::noise;
use ttcore::Real;
use ttcore_decompose::{Compress, Error, Fault, FileRows, Rows, SliceRows, Target};

const TABLE: (usize, usize) = (30, 6);

fn numbers() -> Vec<f64> {
    noise(TABLE.0 * TABLE.1, 5).iter().map(|&x| f64::from(x as f32)).collect()
}

fn bytes(single: bool) -> Vec<u8> {
    let numbers = numbers();
    match single {
        true => numbers.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        false => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn npy(header: &str, version: u8, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    match version {
        1 => file.extend((header.len() as u16).to_le_bytes()),
        _ => file.extend((header.len() as u32).to_le_bytes()),
    }
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn good_npy(single: bool) -> Vec<u8> {
    let kind = if single { "<f4" } else { "<f8" };
    npy(&format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (30, 6), }}   \n"), 1, &bytes(single))
}

fn good_safetensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"a":"b"},"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},"emb.weight":{"dtype":"F32","shape":[30,6],"data_offsets":[16,736]}}  "#;
    safetensors(header, &[vec![0; 16], bytes(true)].concat())
}

fn read<F: Real>(mut rows: FileRows<F, Cursor<Vec<u8>>>) -> Vec<f64> {
    let mut out = [F::zero(); 180];
    for _ in 0..2 {
        rows.rewind().unwrap();
        out.fill(F::zero());
        assert_eq!(rows.read(&mut out[..47]).unwrap(), 7);
        assert_eq!(rows.read(&mut out[42..]).unwrap(), 23);
    }
    out.iter().map(|x| x.as_f64()).collect()
}

#[test]
fn files_are_read_as_either_type() {
    for single in [true, false] {
        assert_eq!(read(FileRows::<f32, _>::npy(Cursor::new(good_npy(single)), "a").unwrap()), numbers());
        assert_eq!(read(FileRows::<f64, _>::npy(Cursor::new(good_npy(single)), "a").unwrap()), numbers());
    }
    let file = || Cursor::new(good_safetensors());
    assert_eq!(read(FileRows::<f32, _>::safetensors(file(), "a", "emb.weight").unwrap()), numbers());
    assert_eq!(read(FileRows::<f64, _>::safetensors(file(), "a", "emb.weight").unwrap()), numbers());
    for header in [
        "{\"shape\":(30,6),\"fortran_order\":False,\"descr\":\"<f4\"}",
        "  {'descr': '<f4', 'shape': (30, 6,), 'fortran_order': False,}\n",
    ] {
        for version in [1, 2, 3] {
            let file = npy(header, version, &bytes(true));
            assert_eq!(read(FileRows::<f32, _>::npy(Cursor::new(file), "a").unwrap()), numbers());
        }
    }
}

#[test]
fn a_file_on_disk_is_the_table() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&good_npy(false)).unwrap();
    let compress = Compress::new(&[2, 3, 5], &[1, 2, 3], Target::Rank(3));
    let table = numbers();
    let wanted = compress.run(&mut SliceRows::new(&table, 6).unwrap()).unwrap();
    let out = compress.run(&mut FileRows::<f64>::open_npy(file.path()).unwrap()).unwrap();
    assert_eq!((out.cores, out.report), (wanted.cores, wanted.report));

    std::fs::write(file.path(), good_safetensors()).unwrap();
    let out = compress.run(&mut FileRows::<f64>::open_safetensors(file.path(), "emb.weight").unwrap());
    assert!(out.is_ok());
    let missing = FileRows::<f64>::open_npy(file.path().with_extension("no")).unwrap_err();
    assert!(matches!(missing.fault, Fault::Io(_)) && missing.to_string().contains(".no, byte 0: "), "{missing}");

    // Cut shorter after it was opened.
    let mut rows = FileRows::<f64>::open_safetensors(file.path(), "emb.weight").unwrap();
    file.as_file().set_len(500).unwrap();
    match compress.run(&mut rows) {
        Err(Error::Source(error)) => assert!(matches!(error.fault, Fault::Truncated), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let data = bytes(true);
    let fails = |header: &str| FileRows::<f32, _>::npy(Cursor::new(npy(header, 1, &data)), "f").unwrap_err().fault;
    let with = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
    for shape in ["(31, 6)", "(18446744073709551615, 2)", "(2, 18446744073709551615)", "(4611686018427387904, 4)"] {
        assert!(matches!(fails(&with(shape)), Fault::Truncated), "{shape}");
    }
    for shape in
        ["()", "(30,)", "(30, 6, 1)", "(0, 6)", "(30, 0)", "(-1, 6)", "(a, 6)", "(30 6)", "(99999999999999999999, 6)"]
    {
        assert!(matches!(fails(&with(shape)), Fault::Dimensions(_)), "{shape}");
    }
    for kind in ["<f2", ">f4", "<i8", "|O", "<f16"] {
        assert!(matches!(fails(&with("(30, 6)").replace("<f4", kind)), Fault::Type(_)), "{kind}");
    }
    assert!(matches!(fails(&with("(30, 6)").replace("False", "True")), Fault::Dimensions(_)));
    assert!(matches!(fails("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (30, 6)}"), Fault::Type(_)));
    for header in [
        "",
        "{",
        "{'descr'",
        "{'descr': '<f4'",
        "{'descr': '<f4',}",
        "{é",
        "{'descr': '<f4', 'descr': '<f4'}",
        "{'a': 1}",
        "{'shape': (30}",
    ] {
        assert!(matches!(fails(header), Fault::Header(_)), "{header}");
    }
    let mut long = npy("", 2, &data);
    long[8..12].fill(255);
    let error = FileRows::<f32, _>::npy(Cursor::new(long), "f").unwrap_err();
    assert!(matches!(error.fault, Fault::Header(_)) && error.position == 8);

    let info = |dtype: &str, shape: &str, offsets: &str| {
        let header = format!(r#"{{"t":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}"#);
        FileRows::<f32, _>::safetensors(Cursor::new(safetensors(&header, &data)), "f", "t").map_err(|error| error.fault)
    };
    assert!(info("\"F32\"", "[30,6]", "[0,720]").is_ok());
    assert!(matches!(info("\"BF16\"", "[30,6]", "[0,720]"), Err(Fault::Type(_))));
    assert!(matches!(info("3", "[30,6]", "[0,720]"), Err(Fault::Header(_))));
    assert!(matches!(info("\"F32\"", "[30]", "[0,720]"), Err(Fault::Dimensions(_))));
    for shape in ["[-30,6]", "[30.5,6]", "3", "[30,5]", "[18446744073709551615,18446744073709551615]"] {
        assert!(matches!(info("\"F32\"", shape, "[0,720]"), Err(Fault::Header(_))), "{shape}");
    }
    for offsets in ["[0,719]", "[720,0]", "[0]", "[0,720,0]", "{}"] {
        assert!(matches!(info("\"F32\"", "[30,6]", offsets), Err(Fault::Header(_))), "{offsets}");
    }
    for offsets in ["[1,721]", "[18446744073709550000,18446744073709550720]"] {
        assert!(matches!(info("\"F32\"", "[30,6]", offsets), Err(Fault::Truncated)), "{offsets}");
    }
    let name = FileRows::<f32, _>::safetensors(Cursor::new(good_safetensors()), "f", "emb").unwrap_err();
    assert!(matches!(name.fault, Fault::NoTensor(_)));
    for length in [u64::MAX, 1 << 40, 99_999_999, 721] {
        let mut file = length.to_le_bytes().to_vec();
        file.extend(&data);
        let error = FileRows::<f32, _>::safetensors(Cursor::new(file), "f", "t").unwrap_err();
        assert!(matches!(error.fault, Fault::Header(_)), "{length}");
    }
}

#[test]
fn no_damage_is_a_panic() {
    let run = |file: Vec<u8>, tensor: bool| {
        let file = Cursor::new(file);
        let rows =
            if tensor { FileRows::<f32, _>::safetensors(file, "f", "emb.weight") } else { FileRows::npy(file, "f") };
        let Ok(mut rows) = rows else { return };
        // What is still a table is read, whatever its numbers are.
        let mut out = vec![0.0; rows.dim().min(1000) * 64];
        let mut left = rows.rows();
        while left > 0 {
            let read = rows.read(&mut out).unwrap();
            if read == 0 {
                break;
            }
            left -= read as u64;
        }
    };
    for (file, tensor) in [(good_npy(true), false), (good_npy(false), false), (good_safetensors(), true)] {
        for length in 0..file.len() {
            run(file[..length].to_vec(), tensor);
        }
        let header = file.len() - 720.min(file.len());
        for at in 0..header {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                run(damaged, tensor);
            }
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let mut file = good_npy(false);
    let start = file.len() - 8 * 180;
    file[start + 8 * 80..][..8].copy_from_slice(&1e300f64.to_le_bytes());
    // Too large for the type it is read as.
    let run = Compress::new(&[5, 6], &[2, 3], Target::Rank(2));
    let error = run.run(&mut FileRows::<f32, _>::npy(Cursor::new(file), "f").unwrap()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 13, column: 2, value: f64::INFINITY }), "{error}");
}
