//! From files of columns to stored rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Columns;
use super::cell::Wanted;
use super::chunk::Chunk;
use super::form::Form;
use super::numbers::Numbers;
use super::schema::Schema;
use super::source::each_chunk;
use crate::data::Split;
use crate::data::error::{DataError, DataErrorKind};
use crate::data::header::{Header, KnownVocabulary, ReadSettings};
use crate::data::ingest::{Ingested, NAMED, ReadProgress};
use crate::data::input::Input;
use crate::data::rows::Segments;
use crate::data::spill::Spill;

/// What rows are for.
const PARTS: usize = 3;

/// Rows of one part.
struct Part {
    rows: Spill,
    bags: Spill,
    /// Words of four bytes in `bags`.
    words: u64,
    count: usize,
}

/// Reads everything; `spill` makes room for rows and bags, by a name. Gives the rows and the bags.
pub(in crate::data) fn ingest(
    input: Input<'_>,
    schema: &Arc<Schema>,
    settings: &ReadSettings,
    mut spill: impl FnMut(&'static str) -> Result<Spill, DataError>,
    mut progress: impl FnMut(ReadProgress),
) -> Result<(Ingested, [Spill; 2]), DataError> {
    let first_name = input.name().to_owned();
    let Input { sources, total, read } = input;
    let (wanted, form) = (Wanted::new(schema, true), Form::new(schema));
    let mut numbers = Numbers::new(schema, settings.vocabulary.clone());
    let names: [[&'static str; 2]; PARTS] =
        [["rows", "bags"], ["test", "test_bags"], ["validation", "validation_bags"]];
    let mut parts = Vec::new();
    for [rows, bags] in names.into_iter().take(if schema.split.is_some() { PARTS } else { 1 }) {
        parts.push(Part { rows: spill(rows)?, bags: spill(bags)?, words: 0, count: 0 });
    }
    let (files, mut chunk, mut packed) = (sources.len(), Chunk::default(), [const { (Vec::new(), Vec::new()) }; PARTS]);
    let (mut lines, mut skipped, mut positives, mut cut, mut bad) = (0, 0, 0, 0, Vec::new());
    let mut last_file = 0;
    for source in sources {
        last_file = parts[0].count;
        each_chunk(source, schema, &wanted, &mut chunk, |name, chunk| {
            for (_, error) in chunk.bad.drain(..) {
                let error = DataError::new(name, DataErrorKind::Cell(error));
                if !settings.skip_bad {
                    return Err(error);
                }
                skipped += 1;
                if bad.len() < NAMED {
                    bad.push(error);
                }
            }
            lines += chunk.rows() as u64;
            cut += chunk.cut;
            positives += chunk.labels.iter().filter(|&&label| label).count() as u64;
            numbers.number(chunk);
            for row in 0..chunk.rows() {
                let number = chunk.parts.get(row).map_or(0, |&part| usize::from(part));
                let (part, (rows, bags)) = (&mut parts[number], &mut packed[number]);
                let place = part.words + bags.len() as u64 / 4;
                form.pack(chunk, row, place, (rows, bags));
                part.count += 1;
            }
            for (part, (rows, bags)) in parts.iter_mut().zip(&mut packed) {
                part.rows.write(rows)?;
                part.bags.write(bags)?;
                part.words += bags.len() as u64 / 4;
                rows.clear();
                bags.clear();
            }
            progress(ReadProgress { read: read.load(Ordering::Relaxed), total, lines: lines + skipped });
            Ok::<(), DataError>(())
        })?;
    }
    let at = |kind| DataError::new(&first_name, kind);
    let counts: Vec<usize> = parts.iter().map(|part| part.count).collect();
    let rows: usize = counts.iter().sum();
    if rows == 0 {
        return Err(at(DataErrorKind::NothingKept));
    }
    let split = match (&schema.split, files) {
        (Some(_), _) => Split {
            train: 0..counts[0],
            test: counts[0]..counts[0] + counts[1],
            validation: counts[0] + counts[1]..rows,
        },
        (None, 2..) => Split::held_out(last_file, rows),
        (None, _) => Split::new(rows),
    };
    let bases = match schema.split {
        Some(_) => [0, parts[0].words, parts[0].words + parts[1].words],
        None => [0; PARTS],
    };
    let stored = join(parts)?;
    let [checksum, bag_checksum] = stored.each_ref().map(Spill::checksum);
    let given = numbers.is_given();
    let (unseen, longer) = (numbers.unseen(), numbers.cut());
    let vocabulary = numbers
        .finish(schema)
        .map_err(|feature| at(DataErrorKind::NoValues(schema.categorical[feature].name.clone())))?;
    let bytes = read.load(Ordering::Relaxed);
    let header = Header {
        files: files as u64,
        lines: lines + skipped,
        skipped,
        dropped: 0,
        rows,
        positives,
        text_bytes: bytes,
        max_ind_range: None,
        sub_sample: 0.0,
        seed: 0,
        table_rows: vocabulary.table_rows().to_vec(),
        vocabulary: Some(KnownVocabulary { checksum: vocabulary.checksum(), given, unseen }),
        split,
        bytes: stored[0].len(),
        checksum,
        segments: Segments::new(),
        columns: Some(Columns { bag_bytes: stored[1].len(), bag_checksum, bases, cut: cut + longer }),
    };
    Ok((Ingested { header, vocabulary, bad }, stored))
}

/// All parts one behind the other.
fn join(parts: Vec<Part>) -> Result<[Spill; 2], DataError> {
    let mut parts = parts.into_iter();
    let Some(Part { mut rows, mut bags, .. }) = parts.next() else { unreachable!("rows that train are a part") };
    for part in parts {
        part.rows.read(|bytes| rows.write(bytes))?;
        part.bags.read(|bytes| bags.write(bytes))?;
    }
    Ok([rows, bags])
}
