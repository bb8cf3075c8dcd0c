//! Which number a category gets.
//!
//! Lines are numbered as they are read, in order of first appearance, since how often a category occurs is known only at the
//! end. Numbering by popularity is a second pass over the packed rows: count, sort, write all rows anew. It needs 8 bytes for
//! each category.

use std::cmp::Reverse;
use std::hash::Hasher;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;
use twox_hash::XxHash3_64;

use super::columns::Form;
use super::counts::Counts;
use super::error::RowError;
use super::header::{Header, KnownVocabulary};
use super::rows::{Segments, widths};
use super::{Batch, DENSE, Dataset, Vocabulary};

/// Rows that are written at a time.
const ROWS: usize = 4096;

/// Which number a category gets, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Numbering {
    /// In order of first appearance, as the reference does
    #[default]
    Appearance,
    /// By how often it occurs in the training lines, the most popular first; of equal ones, by first appearance
    Popularity,
}

/// The rows of a data set with its categories numbered anew, to `out` in pieces; gives the header they have, and the vocabulary
/// if the old one is known. Values that occur in fewer than `min_count` training lines share a row. `damaged` says what a
/// damaged row is.
pub(super) fn renumber<E>(
    data: &Dataset,
    how: (Numbering, u32),
    damaged: impl Fn(RowError) -> E,
    mut out: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(Header, Option<Arc<Vocabulary>>), E> {
    let Renumbering { numbers, rows, vocabulary, known } = Renumbering::new(data, how, &damaged)?;
    // One number more where there are values that have none.
    let most = data.header().has_unseen();
    let segments = Segments::with_widths(widths(&rows.iter().map(|rows| rows + u64::from(most)).collect::<Vec<_>>()));
    let (mut hasher, mut batch, mut packed) = (XxHash3_64::new(), Batch::with_capacity(ROWS), Vec::new());
    for first in (0..data.len()).step_by(ROWS) {
        data.fill_batch(first..data.len().min(first + ROWS), &mut batch).map_err(&damaged)?;
        packed.clear();
        for row in 0..batch.len() {
            let indices = batch.indices.iter().zip(&numbers).zip(&rows).map(|((indices, numbers), &rows)| {
                // Behind the last for what is unseen; tables have at most 2^32 rows.
                numbers.get(indices[row] as usize).copied().unwrap_or(rows as u32)
            });
            let dense = &batch.dense[row * DENSE..][..DENSE];
            segments.layout(first + row).pack(batch.labels[row] > 0.5, dense, indices, &mut packed);
        }
        hasher.write(&packed);
        out(&packed)?;
    }
    let bytes = segments.bytes(data.len()) as u64;
    let header = Header {
        bytes,
        checksum: hasher.finish(),
        segments,
        table_rows: rows,
        vocabulary: known,
        ..data.header().clone()
    };
    Ok((header, vocabulary))
}

/// The stored rows and lists of columns with their categories numbered anew, to `out` in pieces; gives the header they have, the
/// vocabulary, and how they are stored.
pub(super) fn renumber_columns<E>(
    data: &Dataset,
    how: (Numbering, u32),
    damaged: impl Fn(RowError) -> E,
    mut out: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(Header, Arc<Vocabulary>, Form), E> {
    let Renumbering { numbers, rows, vocabulary, known } = Renumbering::new(data, how, &damaged)?;
    let (Some((form, stored)), Some(vocabulary)) = (data.stored(), vocabulary) else {
        unreachable!("columns have a vocabulary")
    };
    let mut hashers = [XxHash3_64::new(), XxHash3_64::new()];
    for first in (0..data.len()).step_by(ROWS) {
        let end = data.len().min(first + ROWS);
        // As long as the rows are, which are all there.
        let bytes = |row: usize| form.bytes(row).unwrap_or(stored.rows.len());
        let mut packed = stored.rows[bytes(first)..bytes(end)].to_vec();
        let bags = |row: usize| form.bags_of(stored, row, data.split());
        let mut lists = stored.bags.get(bags(first)..bags(end)).unwrap_or_default().to_vec();
        form.renumber(&mut packed, &numbers);
        form.renumber_bags(&mut lists, &numbers);
        hashers[0].write(&packed);
        hashers[1].write(&lists);
        out(&packed, &lists)?;
    }
    let [checksum, bag_checksum] = hashers.map(|hasher| hasher.finish());
    let columns = data.header().columns.clone();
    let columns = columns.map(|columns| super::columns::Columns { bag_checksum, ..columns });
    let header = Header { checksum, table_rows: rows, vocabulary: known, columns, ..data.header().clone() };
    Ok((header, vocabulary, form.clone()))
}

/// New numbers for all categories.
struct Renumbering {
    /// Those of each feature.
    numbers: Vec<Vec<u32>>,
    /// Rows of each table.
    rows: Vec<u64>,
    /// What gives them, if what gave the old ones is known.
    vocabulary: Option<Arc<Vocabulary>>,
    known: Option<KnownVocabulary>,
}

impl Renumbering {
    fn new<E>(
        data: &Dataset,
        (numbering, min_count): (Numbering, u32),
        damaged: impl Fn(RowError) -> E,
    ) -> Result<Self, E> {
        let tables = data.table_rows().len();
        let counts = Counts::new(data, (0..tables).collect(), data.split().train.clone(), |_| true);
        let Some(counts) = counts.map_err(damaged)? else { unreachable!("nobody ends the counting") };
        let numbered: Vec<Numbered> = (0..tables)
            .into_par_iter()
            .map(|table| Numbered::new(counts.of_table(table).unwrap_or_default(), numbering, min_count))
            .collect();
        drop(counts);
        let rows: Vec<u64> = numbered.iter().map(|numbered| numbered.rows).collect();
        let old = data.vocabulary();
        let unseen = old.map_or_else(|| vec![None; tables], |old| old.unseen_rows());
        let unseen = numbered
            .iter()
            .zip(unseen)
            .map(|(Numbered { numbers, rare, .. }, unseen)| rare.or(unseen.map(|row| numbers[row as usize])));
        let unseen: Vec<Option<u32>> = unseen.collect();
        let numbers: Vec<Vec<u32>> = numbered.into_iter().map(|numbered| numbered.numbers).collect();
        let vocabulary = old.map(|old| Arc::new(old.renumbered(&numbers, &rows, &unseen)));
        let known = data.header().vocabulary.clone().zip(vocabulary.as_ref());
        let known = known.map(|(old, new)| KnownVocabulary { checksum: new.checksum(), ..old });
        Ok(Self { numbers, rows, vocabulary, known })
    }
}

/// The categories of one feature, numbered anew.
#[derive(Debug, PartialEq)]
struct Numbered {
    /// The new number of each.
    numbers: Vec<u32>,
    /// Rows of the table.
    rows: u64,
    /// The number that rare ones share, if there are any.
    rare: Option<u32>,
}

impl Numbered {
    fn new(counts: &[u32], numbering: Numbering, min_count: u32) -> Self {
        let is_rare = |count: u32| min_count > 1 && count < min_count;
        // There are at most 2^32 categories.
        let mut order: Vec<u32> = (0..counts.len() as u64).map(|old| old as u32).collect();
        order.retain(|&old| !is_rare(counts[old as usize]));
        let together: u64 = counts.iter().filter(|&&count| is_rare(count)).map(|&count| u64::from(count)).sum();
        let any = order.len() < counts.len();
        let mut numbers = vec![0; counts.len()];
        let mut rare = order.len() as u32;
        if numbering == Numbering::Popularity {
            order.sort_by_key(|&old| Reverse(counts[old as usize]));
            // Where all of them together would be.
            rare = order.partition_point(|&old| u64::from(counts[old as usize]) >= together) as u32;
        }
        order.iter().enumerate().for_each(|(at, &old)| {
            let at = at as u32;
            numbers[old as usize] = if any && at >= rare { at + 1 } else { at };
        });
        if any {
            let all = numbers.iter_mut().zip(counts).filter(|(_, count)| is_rare(**count));
            all.for_each(|(number, _)| *number = rare);
        }
        Self { numbers, rows: order.len() as u64 + u64::from(any), rare: any.then_some(rare) }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::{CATEGORICAL, ReadSettings, Synthetic, prepare};
    use super::*;

    #[test]
    fn the_most_popular_come_first_and_lines_stay_what_they_are() {
        let old = Dataset::synthetic(&Synthetic { lines: 3 * ROWS as u64 + 100, ..Synthetic::default() }).unwrap();
        let new = old.by_popularity().unwrap();
        assert_eq!((new.len(), new.table_rows(), new.split()), (old.len(), old.table_rows(), old.split()));
        assert_ne!(new.fingerprint(), old.fingerprint());
        assert_eq!((old.is_by_popularity().unwrap(), new.is_by_popularity().unwrap()), (false, true));
        new.verify("memory", |_| ()).unwrap();
        let all = |data: &Dataset| {
            let mut batch = Batch::default();
            data.fill_batch(0..data.len(), &mut batch).unwrap();
            batch
        };
        let (before, after) = (all(&old), all(&new));
        assert_eq!((&before.dense, &before.labels), (&after.dense, &after.labels));
        let train = old.split().train.clone();
        for table in 0..CATEGORICAL {
            let mut counts = vec![0u32; new.table_rows()[table] as usize];
            after.indices[table][train.clone()].iter().for_each(|&index| counts[index as usize] += 1);
            assert!(counts.is_sorted_by(|a, b| a >= b), "table {table}");
            // One to one.
            let mut number = vec![None; counts.len()];
            for (&old, &new) in before.indices[table].iter().zip(&after.indices[table]) {
                assert_eq!(*number[old as usize].get_or_insert(new), new);
            }
            let mut numbers: Vec<u32> =
                number.into_iter().map(|number| number.expect("every category occurs")).collect();
            numbers.sort_unstable();
            assert!(numbers.iter().enumerate().all(|(i, &number)| i as u32 == number));
        }
        assert_eq!(new.by_popularity().unwrap().fingerprint(), new.fingerprint(), "nothing is left to do");
    }

    #[test]
    fn any_way_of_reading_gives_the_same_bytes_on_any_number_of_threads() {
        let (folder, synthetic) = (tempfile::tempdir().unwrap(), Synthetic { lines: 30_000, ..Synthetic::default() });
        let file = folder.path().join("lines");
        std::io::copy(&mut synthetic.reader().unwrap(), &mut std::fs::File::create(&file).unwrap()).unwrap();
        let settings = ReadSettings {
            max_ind_range: NonZeroU32::new(500),
            sub_sample: 0.5,
            seed: 3,
            numbering: Numbering::Popularity,
            ..ReadSettings::default()
        };
        let made = Dataset::synthetic_with(&synthetic, &settings).unwrap();
        let by_appearance = ReadSettings { numbering: Numbering::Appearance, ..settings.clone() };
        let appeared = Dataset::synthetic_with(&synthetic, &by_appearance).unwrap();
        assert_eq!(appeared.by_popularity().unwrap().header(), made.header());
        assert_ne!(appeared.fingerprint(), made.fingerprint());
        for threads in [1, 3] {
            let directory = folder.path().join(threads.to_string());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let prepared = pool.install(|| prepare(&[&file], &directory, &settings, false, |_| ()).unwrap());
            assert_eq!(&prepared.header, made.header());
            let data = Dataset::open(&directory).unwrap();
            // The checksum is one of the header, which is that of the rows in memory.
            data.verify(&directory, |_| ()).unwrap();
            assert_eq!((data.header(), data.fingerprint()), (made.header(), made.fingerprint()));
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 3, "nothing else is left");
        }
    }

    #[test]
    fn ties_keep_their_order() {
        let numbered = Numbered::new(&[1, 5, 5, 0, 1], Numbering::Popularity, 1);
        assert_eq!(numbered, Numbered { numbers: vec![2, 0, 1, 4, 3], rows: 5, rare: None });
    }

    #[test]
    fn rare_categories_share_a_row() {
        let rare = |counts: &[u32], numbering, min_count| {
            let Numbered { numbers, rows, rare } = Numbered::new(counts, numbering, min_count);
            (numbers, rows, rare)
        };
        let counts = [1, 5, 9, 0, 1, 3];
        assert_eq!(rare(&counts, Numbering::Appearance, 1), (vec![0, 1, 2, 3, 4, 5], 6, None));
        assert_eq!(rare(&counts, Numbering::Appearance, 2), (vec![3, 0, 1, 3, 3, 2], 4, Some(3)));
        // Two lines have one of them: less than any other.
        assert_eq!(rare(&counts, Numbering::Popularity, 2), (vec![3, 1, 0, 3, 3, 2], 4, Some(3)));
        assert_eq!(rare(&counts, Numbering::Popularity, 4), (vec![2, 1, 0, 2, 2, 2], 3, Some(2)));
        assert_eq!(rare(&[3, 3, 3], Numbering::Popularity, 4), (vec![0, 0, 0], 1, Some(0)));
        // Together they are more than one that is not.
        assert_eq!(rare(&[2, 2, 3, 9], Numbering::Popularity, 3), (vec![1, 1, 2, 0], 3, Some(1)));
    }
}
