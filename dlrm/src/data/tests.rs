//! Reading as a whole, against a sequential reader that knows nothing of blocks, threads and rows.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::criteo::{MAX_LINE, parse_line};
use super::ingest::ingest;
use super::input::Input;
use super::mapped::Bytes;
use super::*;

/// One sample: label, counts, indices.
type Sample = (f32, Vec<f32>, Vec<u32>);

/// Lines of which the last count is the number of the line, from 0; more than 256 categories in some features.
fn numbered(lines: std::ops::Range<u64>) -> Vec<String> {
    let line = |number: u64| {
        let hash = |field: u64| mix(number * 64 + field);
        let counts: Vec<String> = (1..13)
            .map(|field| match hash(field) % 4 {
                0 => String::new(),
                1 => "-1".to_string(),
                _ => (hash(field) >> 50).to_string(),
            })
            .collect();
        let categories: Vec<String> = (13..39)
            .map(|field| match hash(field) % 10 {
                0 => String::new(),
                _ => format!("{:08x}", mix((hash(field) >> 32) % (1 << (field % 11))) as u32),
            })
            .collect();
        format!("{}\t{}\t{number}\t{}", hash(0) % 4 / 3, counts.join("\t"), categories.join("\t"))
    };
    lines.map(line).collect()
}

fn text(lines: &[String]) -> Vec<u8> {
    (lines.join("\n") + "\n").into_bytes()
}

/// The samples of lines, one after the other, and the number of categories.
fn naive<'a>(lines: impl IntoIterator<Item = &'a String>, range: u32) -> (Vec<Sample>, [u64; CATEGORICAL]) {
    let mut known: [HashMap<u32, u32>; CATEGORICAL] = Default::default();
    let mut samples = Vec::new();
    for line in lines {
        let record = parse_line(line.as_bytes(), 0).unwrap();
        let mut indices = Vec::new();
        for (value, known) in record.categories.into_iter().zip(&mut known) {
            let next = known.len() as u32;
            indices.push(*known.entry(value % range).or_insert(next));
        }
        samples.push((record.label, record.dense.to_vec(), indices));
    }
    (samples, known.map(|known| known.len() as u64))
}

fn samples(data: &Dataset) -> Vec<Sample> {
    let mut batch = Batch::default();
    data.fill_batch(0..data.len(), &mut batch).unwrap();
    (0..data.len())
        .map(|row| {
            let indices = batch.indices.iter().map(|column| column[row]).collect();
            (batch.labels[row], batch.dense[row * DENSE..][..DENSE].to_vec(), indices)
        })
        .collect()
}

/// The numbers of the lines of [`numbered`] that are left.
fn kept(data: &Dataset) -> Vec<u64> {
    samples(data).iter().map(|(_, dense, _)| (dense[12].exp() - 1.0).round() as u64).collect()
}

/// Reads in blocks of a size on some threads.
fn read(text: &[u8], settings: &ReadSettings, block: usize, threads: usize) -> Result<Dataset, DataError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut bytes = Vec::new();
    let ingested = pool.install(|| {
        let take = |packed: &[u8]| {
            bytes.extend_from_slice(packed);
            Ok(())
        };
        ingest(Input::reader(text, "text.tsv"), settings, block, take, |_| ())
    })?;
    assert_eq!(ingested.header.bytes, bytes.len() as u64);
    Ok(Dataset::new(ingested.header, Bytes::Owned(bytes), Some(ingested.vocabulary)))
}

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn any_blocks_and_threads_give_what_a_sequential_reader_gives() {
    let lines = numbered(0..3000);
    let (want, table_rows) = naive(&lines, u32::MAX);
    let text = text(&lines);
    let mut headers = Vec::new();
    for (block, threads) in [(1, 1), (777, 2), (60_000, 3), (1 << 20, 1), (1 << 20, 2), (1 << 20, 3)] {
        let data = read(&text, &ReadSettings::default(), block, threads).unwrap();
        assert!(samples(&data) == want, "{block} {threads}");
        assert_eq!(data.table_rows(), table_rows);
        assert_eq!(*data.split(), Split::new(3000));
        headers.push(data.header().clone());
    }
    // Even the bytes are the same: widths of indices grow at the same rows.
    assert!(headers.iter().all(|header| *header == headers[0]));
    assert!(headers[0].segments.iter().len() > 2);
    let positives = want.iter().filter(|sample| sample.0 == 1.0).count() as u64;
    assert_eq!((headers[0].lines, headers[0].positives, headers[0].text_bytes), (3000, positives, text.len() as u64));
}

#[test]
fn line_ends_and_compression_make_no_difference() {
    let lines = numbered(0..700);
    let (want, _) = naive(&lines, u32::MAX);
    let plain = text(&lines);
    let folder = tempfile::tempdir().unwrap();
    let mixed: Vec<u8> =
        (0..).zip(&lines).flat_map(|(n, l)| [l.as_str(), ["\n", "\r\n"][n % 2]].concat().into_bytes()).collect();
    let members = [gzip(&plain[..1000]), gzip(&plain[1000..5000]), gzip(&plain[5000..])].concat();
    for (name, content) in [
        ("plain", plain.clone()),
        ("crlf", lines.join("\r\n").into_bytes()),
        ("mixed", mixed),
        ("open_end", lines.join("\n").into_bytes()),
        ("one.gz", gzip(&plain)),
        ("members", members),
        ("plain_in_spite_of_its_name.gz", plain.clone()),
    ] {
        let data = Dataset::open(write(folder.path(), name, &content)).unwrap();
        assert!(samples(&data) == want, "{name}");
    }
    let cut = gzip(&plain);
    let error = Dataset::open(write(folder.path(), "cut.gz", &cut[..cut.len() / 2])).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::Io(_)) && error.path.ends_with("cut.gz"), "{error}");
}

#[test]
fn lines_longer_than_a_block() {
    let mut lines = numbered(0..5);
    // Leading zeros make a valid line of any length.
    let first = lines[0].clone();
    let mut fields = first.splitn(3, '\t');
    let (label, rest) = (fields.next().unwrap(), fields.nth(1).unwrap());
    let padded = |length: usize| {
        let zeros = length - format!("{label}\t1\t{rest}").len();
        format!("{label}\t{}1\t{rest}", "0".repeat(zeros))
    };
    lines[2] = padded(MAX_LINE);
    let (want, _) = naive(&lines, u32::MAX);
    for block in [1, 1000, 100_000] {
        let data = read(&text(&lines), &ReadSettings::default(), block, 2).unwrap();
        assert!(samples(&data) == want);
    }
    for length in [MAX_LINE + 1, MAX_LINE + 2, 5 * MAX_LINE] {
        lines[2] = padded(length);
        for block in [1, 1000, 1 << 20] {
            let error = read(&text(&lines), &ReadSettings::default(), block, 2).unwrap_err();
            assert_eq!(error.to_string(), "text.tsv:3: longer than 65536 bytes");
            let settings = ReadSettings { skip_bad: true, ..ReadSettings::default() };
            let data = read(&text(&lines), &settings, block, 2).unwrap();
            assert_eq!((data.len(), data.header().lines, data.header().skipped), (4, 5, 1));
        }
    }
}

#[test]
fn the_first_bad_line_is_named() {
    let mut lines = numbered(0..1500);
    let bad = |line: &str, field: usize| {
        let mut fields: Vec<&str> = line.split('\t').collect();
        fields[field] = "what";
        fields.join("\t")
    };
    (lines[1200], lines[1300]) = (bad(&lines[1200], 20), bad(&lines[1300], 3));
    for (block, threads) in [(1, 1), (10_000, 2), (1 << 20, 3)] {
        let error = read(&text(&lines), &ReadSettings::default(), block, threads).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"text.tsv:1201: field 21 (C7): "what" is not a category (1 to 8 hexadecimal digits)"#
        );
    }
    // Line numbers are those of the file.
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "day_0", &text(&numbered(0..40)));
    let worse = write(folder.path(), "day_1.gz", &gzip(&text(&lines)));
    let error = Dataset::read(&[&good, &worse], &ReadSettings::default()).unwrap_err();
    assert_eq!(error.path, worse);
    assert!(
        matches!(error.kind, DataErrorKind::Parse(ParseError { line: 1201, field: 21, name: "C7", .. })),
        "{error}"
    );
    // A file without lines is an error, not an empty day.
    let empty = write(folder.path(), "day_2", b"");
    let error = Dataset::read(&[&good, &empty], &ReadSettings::default()).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::Empty) && error.path == empty);
    let error = Dataset::read(&[&good, &folder.path().join("day_3")], &ReadSettings::default()).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::Io(_)) && error.path.ends_with("day_3"));
    let error = Dataset::read(&[&good, &folder.path().to_owned()], &ReadSettings::default()).unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");
}

#[test]
fn bad_lines_are_skipped_and_counted_if_wanted() {
    let lines = numbered(0..900);
    let mut broken = lines.clone();
    let bad: Vec<usize> = vec![0, 1, 17, 400, 401, 402, 899];
    bad.iter().for_each(|&line| broken[line] = format!("bad line {line}"));
    let good = lines.iter().enumerate().filter(|(number, _)| !bad.contains(number)).map(|(_, line)| line);
    let (want, _) = naive(good, u32::MAX);
    let settings = ReadSettings { skip_bad: true, ..ReadSettings::default() };
    for (block, threads) in [(1, 1), (10_000, 2), (1 << 20, 3)] {
        let data = read(&text(&broken), &settings, block, threads).unwrap();
        assert!(samples(&data) == want);
        assert_eq!((data.header().lines, data.header().skipped), (900, 7));
        assert_eq!(*data.split(), Split::new(893));
    }
    let ingested = ingest(Input::reader(&text(&broken)[..], "x"), &settings, 1000, |_| Ok(()), |_| ()).unwrap();
    let named: Vec<String> = ingested.bad.iter().map(ToString::to_string).collect();
    assert_eq!(named.len(), 5);
    assert_eq!((&named[0][..4], &named[4][..6]), ("x:1:", "x:402:"));
    let error = read(b"bad\nworse\n", &settings, 100, 1).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::NothingKept), "{error}");
}

#[test]
fn sub_sampling_drops_negatives_by_the_numbers_of_their_lines() {
    let lines = numbered(0..4000);
    let positive = |line: &String| line.starts_with('1');
    let negatives = lines.iter().filter(|line| !positive(line)).count() as f64;
    let with = |seed| ReadSettings { sub_sample: 0.875, seed, ..ReadSettings::default() };
    let data = read(&text(&lines), &with(3), 1 << 20, 1).unwrap();
    let numbers = kept(&data);
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let is_kept = |number: usize| numbers.binary_search(&(number as u64)).is_ok();
    assert!(lines.iter().enumerate().all(|(number, line)| !positive(line) || is_kept(number)));
    // Three standard deviations of a binomial count are 3 sqrt(3000 * 0.109) = 55.
    let dropped = data.header().dropped as f64;
    assert!((dropped - 0.875 * negatives).abs() < 55.0, "{dropped} of {negatives}");
    assert_eq!(data.header().dropped as usize + data.len(), 4000);
    // What is left is indexed as if the rest had never been there.
    let left = lines.iter().enumerate().filter(|&(number, _)| is_kept(number)).map(|(_, line)| line);
    assert!(samples(&data) == naive(left, u32::MAX).0);
    // The last of seven parts is the last of the lines read, not of those left.
    let train = numbers.iter().filter(|&&number| number < 4000 - 4000 / 7).count();
    assert_eq!(*data.split(), Split::held_out(train, data.len()));
    assert_ne!(train, Split::new(data.len()).train.len());

    for (block, threads) in [(1, 1), (5000, 2), (1 << 20, 3)] {
        assert_eq!(read(&text(&lines), &with(3), block, threads).unwrap().header(), data.header());
    }
    assert_ne!(kept(&read(&text(&lines), &with(4), 1 << 20, 2).unwrap()), numbers);
    // A line's draw is its number's: a line that is no record does not shift the others.
    let mut broken = lines.clone();
    broken[5] = "bad".into();
    let settings = ReadSettings { skip_bad: true, ..with(3) };
    let without: Vec<u64> = numbers.iter().copied().filter(|&number| number != 5).collect();
    assert_eq!(kept(&read(&text(&broken), &settings, 1 << 20, 2).unwrap()), without);

    for rate in [-0.1, 1.0, f64::NAN] {
        let settings = ReadSettings { sub_sample: rate, ..ReadSettings::default() };
        assert!(matches!(read(b"", &settings, 100, 1).unwrap_err().kind, DataErrorKind::Rate(_)));
    }
}

#[test]
fn values_are_taken_modulo_the_range_before_they_are_indexed() {
    let lines = numbered(0..1000);
    let settings = ReadSettings { max_ind_range: NonZeroU32::new(31), ..ReadSettings::default() };
    let data = read(&text(&lines), &settings, 10_000, 2).unwrap();
    let (want, table_rows) = naive(&lines, 31);
    assert!(samples(&data) == want);
    assert_eq!(data.table_rows(), table_rows);
    assert!(table_rows.contains(&31) && table_rows.iter().all(|&rows| rows <= 31));
}

#[test]
fn several_files_are_one_stream_and_the_last_is_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let days: Vec<PathBuf> = [(0, 300), (300, 550), (550, 661)]
        .into_iter()
        .map(|(from, to)| write(folder.path(), &format!("day_{from}"), &text(&numbered(from..to))))
        .collect();
    for sub_sample in [0.0, 0.5] {
        let settings = ReadSettings { sub_sample, ..ReadSettings::default() };
        let data = Dataset::read(&days, &settings).unwrap();
        let one = read(&text(&numbered(0..661)), &settings, 1000, 2).unwrap();
        assert!(samples(&data) == samples(&one));
        let train = kept(&data).iter().filter(|&&number| number < 550).count();
        assert_eq!(*data.split(), Split::held_out(train, data.len()));
        assert_eq!((data.header().files, data.header().lines), (3, 661));
    }
    let data = Dataset::read(&days, &ReadSettings::default()).unwrap();
    assert_eq!(*data.split(), Split { train: 0..550, test: 550..606, validation: 606..661 });
}

/// Names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn prepared_is_what_is_read_directly() {
    let folder = tempfile::tempdir().unwrap();
    let files = [(0, 500), (500, 800)]
        .map(|(from, to)| write(folder.path(), &format!("{from}.gz"), &gzip(&text(&numbered(from..to)))));
    let directory = folder.path().join("new/prepared");
    let settings = ReadSettings {
        sub_sample: 0.3,
        max_ind_range: NonZeroU32::new(1000),
        seed: 7,
        skip_bad: true,
        ..ReadSettings::default()
    };
    let mut last = None;
    let ingested = prepare(&files, &directory, &settings, false, |progress| last = Some(progress)).unwrap();
    let (direct, mapped) = (Dataset::read(&files, &settings).unwrap(), Dataset::open(&directory).unwrap());
    assert!(samples(&mapped) == samples(&direct));
    assert!(mapped.labels(0..mapped.len()).eq(direct.labels(0..direct.len())));
    assert_eq!(mapped.header(), direct.header());
    assert_eq!(mapped.header(), &ingested.header);
    assert_eq!(mapped.fingerprint(), direct.fingerprint());
    assert_eq!(names(&directory), ["header.bin", "rows.bin", "vocabulary.bin"]);
    let mut verified = 0;
    mapped.verify(&directory, |read| verified = read).unwrap();
    assert_eq!(verified, mapped.header().bytes);
    let (last, sizes) = (last.unwrap(), files.each_ref().map(|file| fs::metadata(file).unwrap().len()));
    assert_eq!((last.read, last.total, last.lines), (sizes[0] + sizes[1], Some(sizes[0] + sizes[1]), 800));

    // Not again, unless asked to; what is open stays what it is.
    let again = |overwrite| prepare(&files[..1], &directory, &ReadSettings::default(), overwrite, |_| ());
    let error = again(false).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::Exists), "{error}");
    assert_eq!(Dataset::open(&directory).unwrap().header(), direct.header());
    again(true).unwrap();
    assert_eq!(Dataset::open(&directory).unwrap().len(), 500);
    assert!(samples(&mapped) == samples(&direct));
}

#[test]
fn a_run_that_fails_leaves_nothing_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good", &text(&numbered(0..100)));
    let bad = write(folder.path(), "bad", &[text(&numbered(0..50_000)), b"bad\n".to_vec()].concat());
    let directory = folder.path().join("prepared");
    let run = |file, overwrite| prepare(&[file], &directory, &ReadSettings::default(), overwrite, |_| ());
    assert!(matches!(run(&bad, false).unwrap_err().kind, DataErrorKind::Parse(ParseError { line: 50_001, .. })));
    assert!(names(&directory).is_empty());
    assert!(matches!(Dataset::open(&directory).unwrap_err().kind, DataErrorKind::NotPrepared));
    // What was there before stays.
    run(&good, false).unwrap();
    let fingerprint = Dataset::open(&directory).unwrap().fingerprint();
    run(&bad, true).unwrap_err();
    let data = Dataset::open(&directory).unwrap();
    data.verify(&directory, |_| ()).unwrap();
    assert_eq!(data.fingerprint(), fingerprint);
    // A run that was killed left its temporary files, or the rows without a header.
    for leftover in ["rows.bin.tmp", "rows.bin", "vocabulary.bin", "header.bin.tmp"] {
        let directory = folder.path().join(format!("killed at {leftover}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(leftover), b"half").unwrap();
        assert!(matches!(Dataset::open(&directory).unwrap_err().kind, DataErrorKind::NotPrepared));
        prepare(&[&good], &directory, &ReadSettings::default(), false, |_| ()).unwrap();
        assert_eq!(Dataset::open(&directory).unwrap().fingerprint(), fingerprint);
    }
}

#[test]
fn damaged_directories_give_typed_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "lines", &text(&numbered(0..300)));
    let directory = folder.path().join("prepared");
    prepare(&[&file], &directory, &ReadSettings::default(), false, |_| ()).unwrap();
    let (header, rows) = (directory.join("header.bin"), directory.join("rows.bin"));
    let (header_bytes, rows_bytes) = (fs::read(&header).unwrap(), fs::read(&rows).unwrap());
    let open = || Dataset::open(&directory).unwrap_err();

    let changed = |at: usize| {
        let mut bytes = header_bytes.clone();
        bytes[at] ^= 0x10;
        fs::write(&header, bytes).unwrap();
        let error = open();
        assert_eq!(error.path, header);
        error.kind
    };
    assert!(matches!(changed(0), DataErrorKind::Foreign));
    assert!(matches!(changed(8), DataErrorKind::Version { found: 18, known: 3 }));
    assert!(matches!(changed(100), DataErrorKind::Header));
    assert!(matches!(changed(header_bytes.len() - 1), DataErrorKind::Header));
    for content in [&b""[..], b"label\t1\t2\n", &header_bytes[..50], &[header_bytes.clone(), vec![0; 5000]].concat()] {
        fs::write(&header, content).unwrap();
        assert!(matches!(open().kind, DataErrorKind::Foreign | DataErrorKind::Header));
    }
    fs::write(&header, &header_bytes).unwrap();

    for content in [&rows_bytes[..rows_bytes.len() - 1], b"", &[&rows_bytes[..], b"x"].concat()] {
        fs::write(&rows, content).unwrap();
        let error = open();
        let (found, expected) = (content.len() as u64, rows_bytes.len() as u64);
        assert!(matches!(error.kind, DataErrorKind::Length { found: f, expected: e } if (f, e) == (found, expected)));
        assert_eq!(error.path, rows);
    }
    fs::remove_file(&rows).unwrap();
    assert!(matches!(open().kind, DataErrorKind::Io(_)));
    fs::write(&rows, &rows_bytes).unwrap();

    // The vocabulary of other lines, one that is cut short, none.
    let vocabulary = directory.join(Vocabulary::FILE);
    let own = fs::read(&vocabulary).unwrap();
    let other = Dataset::synthetic(&Synthetic { lines: 300, ..Synthetic::default() }).unwrap();
    fs::write(&vocabulary, other.vocabulary().unwrap().as_bytes()).unwrap();
    assert!(matches!(open(), DataError { path, kind: DataErrorKind::VocabularyChecksum { .. } } if path == vocabulary));
    fs::write(&vocabulary, &own[..own.len() - 8]).unwrap();
    assert!(matches!(open(), DataError { path, kind: DataErrorKind::Vocabulary } if path == vocabulary));
    fs::remove_file(&vocabulary).unwrap();
    assert!(matches!(open(), DataError { path, kind: DataErrorKind::Io(_) } if path == vocabulary));
    // Damaged where only verifying looks.
    let mut bytes = own.clone();
    bytes[own.len() / 2] ^= 1;
    fs::write(&vocabulary, &bytes).unwrap();
    let error = Dataset::open(&directory).unwrap().verify(&directory, |_| ()).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::VocabularyChecksum { .. }) && error.path == vocabulary, "{error}");
    fs::write(&vocabulary, &own).unwrap();

    // Of the right length, but another bit: found by verifying.
    let mut bytes = rows_bytes.clone();
    bytes[1000] ^= 1;
    fs::write(&rows, &bytes).unwrap();
    let error = Dataset::open(&directory).unwrap().verify(&directory, |_| ()).unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::Checksum { .. }) && error.path == directory, "{error}");
    fs::write(&rows, &rows_bytes).unwrap();
    Dataset::open(&directory).unwrap().verify(&directory, |_| ()).unwrap();
}

#[test]
fn damaged_rows_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "lines", &text(&numbered(0..300)));
    let directory = folder.path().join("prepared");
    prepare(&[&file], &directory, &ReadSettings::default(), false, |_| ()).unwrap();
    let rows = directory.join("rows.bin");
    let good = fs::read(&rows).unwrap();
    let data = Dataset::open(&directory).unwrap();
    let tables = data.table_rows();
    // The last row is packed at the end: 26 indices, then 13 counts of four bytes.
    let stride = good.len() - data.header().segments.bytes(299);
    let widths = *data.header().segments.layout(299).widths();
    let last = good.len() - stride;
    let index = |feature: usize| last + widths[..feature].iter().map(|&width| usize::from(width)).sum::<usize>();
    let nan = f32::NAN.to_le_bytes();
    let unbounded = |feature: usize| u32::MAX >> (32 - 8 * u32::from(widths[feature]));
    let fault = |feature: usize| RowFault::Index { index: unbounded(feature), rows: tables[feature] };
    let damages: [(usize, &[u8], &str, RowFault); 4] = [
        (index(0), &[255; 4][..usize::from(widths[0])], "C1", fault(0)),
        (index(25), &[255; 4][..usize::from(widths[25])], "C26", fault(25)),
        (good.len() - 4, &f32::INFINITY.to_le_bytes(), "I13", RowFault::Count(f32::INFINITY)),
        (good.len() - 52, &nan, "I1", RowFault::Count(f32::NAN)),
    ];
    for (at, bytes, name, fault) in damages {
        let mut damaged = good.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&rows, damaged).unwrap();
        let data = Dataset::open(&directory).unwrap();
        let mut batch = Batch::default();
        data.fill_batch(0..299, &mut batch).unwrap();
        let error = data.fill_batch(290..300, &mut batch).unwrap_err();
        assert_eq!((error.row, &*error.name, batch.len()), (299, name, 0), "{error}");
        // Not a number is not equal to itself.
        assert!(error.fault == fault || name == "I1", "{error}");
        assert!(error.to_string().starts_with(&format!("row 299: {name} is ")), "{error}");
        assert!(data.verify(&directory, |_| ()).is_err());
    }
}

#[test]
fn files_are_opened_when_their_turn_comes() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|name| write(folder.path(), name, &text(&numbered(0..10))));
    let input = Input::files(&files).unwrap();
    fs::remove_file(&files[1]).unwrap();
    let error = ingest(input, &ReadSettings::default(), 1000, |_| Ok(()), |_| ()).unwrap_err();
    assert!(matches!(&error.kind, DataErrorKind::Io(error) if error.kind() == std::io::ErrorKind::NotFound));
    assert_eq!(error.path, files[1]);
    // But one that is not there is found before any is read.
    let error = Input::files(&files).map(|_| ()).unwrap_err();
    assert_eq!(error.path, files[1]);
}

#[cfg(unix)]
#[test]
fn a_directory_is_written_by_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, directory) = (folder.path().join("lines.tsv"), folder.path().join("rows"));
    let synthetic = Synthetic { lines: 20, ..Synthetic::default() };
    synthetic.write(fs::File::create(&lines).unwrap(), false, |_| ()).unwrap();
    let mut second = None;
    let prepare_it =
        |progress: &mut dyn FnMut()| prepare(&[&lines], &directory, &ReadSettings::default(), true, |_| progress());
    prepare_it(&mut || second = Some(prepare_it(&mut || ()).map(|_| ()))).unwrap();
    let error = second.expect("a call while lines are read").unwrap_err();
    assert!(matches!(error.kind, DataErrorKind::Busy), "{error}");
    Dataset::open(&directory).unwrap().verify("rows", |_| ()).unwrap();
    prepare_it(&mut || ()).unwrap();
}
