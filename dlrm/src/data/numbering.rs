//! Which number a category gets.
//!
//! Lines are numbered as they are read, in order of first appearance, since how often a category occurs is known only at the
//! end. Numbering by popularity is a second pass over the packed rows: count, sort, write all rows anew. It needs 8 bytes for
//! each category.

use std::cmp::Reverse;
use std::hash::Hasher;

use rayon::prelude::*;
use serde::Serialize;
use twox_hash::XxHash3_64;

use super::counts::Counts;
use super::error::RowError;
use super::header::Header;
use super::rows::Segments;
use super::{Batch, CATEGORICAL, DENSE, Dataset};

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

/// The rows of a data set with its categories numbered by popularity, to `out` in pieces; gives the header they have. `damaged`
/// says what a damaged row is.
pub(super) fn by_popularity<E>(
    data: &Dataset,
    damaged: impl Fn(RowError) -> E,
    mut out: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Header, E> {
    let counts = Counts::new(data, (0..CATEGORICAL).collect(), data.split().train.clone(), |_| true);
    let Some(counts) = counts.map_err(&damaged)? else { unreachable!("nobody ends the counting") };
    let numbers: Vec<Vec<u32>> =
        (0..CATEGORICAL).into_par_iter().map(|table| numbers(counts.of_table(table).unwrap_or_default())).collect();
    drop(counts);
    let segments = Segments::of_rows(&data.table_rows());
    let (mut hasher, mut batch, mut packed) = (XxHash3_64::new(), Batch::with_capacity(ROWS), Vec::new());
    for first in (0..data.len()).step_by(ROWS) {
        data.fill_batch(first..data.len().min(first + ROWS), &mut batch).map_err(&damaged)?;
        packed.clear();
        for row in 0..batch.len() {
            let indices = batch.indices.iter().zip(&numbers).map(|(indices, numbers)| numbers[indices[row] as usize]);
            let dense = &batch.dense[row * DENSE..][..DENSE];
            segments.layout(first + row).pack(batch.labels[row] > 0.5, dense, indices, &mut packed);
        }
        hasher.write(&packed);
        out(&packed)?;
    }
    let bytes = segments.bytes(data.len()) as u64;
    Ok(Header { bytes, checksum: hasher.finish(), segments, ..data.header().clone() })
}

/// The new number of each category.
fn numbers(counts: &[u32]) -> Vec<u32> {
    // There are at most 2^32 categories.
    let mut order: Vec<u32> = (0..counts.len()).map(|old| old as u32).collect();
    order.sort_by_key(|&old| Reverse(counts[old as usize]));
    let mut numbers = vec![0; counts.len()];
    order.iter().enumerate().for_each(|(new, &old)| numbers[old as usize] = new as u32);
    numbers
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::{ReadSettings, Synthetic, prepare};
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
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2, "nothing else is left");
        }
    }

    #[test]
    fn ties_keep_their_order() {
        assert_eq!(numbers(&[1, 5, 5, 0, 1]), [2, 0, 1, 4, 3]);
    }
}
