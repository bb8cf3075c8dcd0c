//! How often each row of some tables occurs in lines.

use std::ops::Range;

use super::{Batch, Dataset, RowError};

/// Lines that are read at a time.
const LINES: usize = 4096;

/// How often each row of some tables occurs in lines.
#[derive(Debug)]
pub struct Counts {
    /// The tables, and for each of their rows how often it occurs.
    tables: Vec<(usize, Vec<u32>)>,
    /// In how many lines.
    lines: usize,
}

impl Counts {
    /// Goes through some lines once, where there is a table to count; `progress` is told how many are done, and says whether to go on. None if it does not.
    ///
    /// # Errors
    ///
    /// For a damaged row of the data.
    pub fn new(
        data: &Dataset,
        tables: Vec<usize>,
        lines: Range<usize>,
        mut progress: impl FnMut(usize) -> bool,
    ) -> Result<Option<Self>, RowError> {
        if tables.is_empty() {
            return Ok(Some(Self { tables: Vec::new(), lines: lines.len() }));
        }
        // The data's rows: a model may have more, which occur nowhere.
        let rows = data.table_rows();
        let mut tables: Vec<_> = tables.into_iter().map(|table| (table, vec![0u32; rows[table] as usize])).collect();
        let mut batch = Batch::with_capacity(LINES.min(lines.len()));
        for first in lines.clone().step_by(LINES) {
            let end = lines.end.min(first.saturating_add(LINES));
            data.fill_batch(first..end, &mut batch)?;
            for (table, counts) in &mut tables {
                for &row in &batch.indices[*table] {
                    // An index is below the rows of its table, or that of what is unseen.
                    if let Some(count) = counts.get_mut(row as usize) {
                        *count = count.saturating_add(1);
                    }
                }
            }
            if !progress(end - lines.start) {
                return Ok(None);
            }
        }
        Ok(Some(Self { tables, lines: lines.len() }))
    }

    /// The counts of the rows that a line of a batch of the same data has, one for each table; 0 for what is unseen.
    pub fn of_line<'a>(&'a self, batch: &'a Batch, line: usize) -> impl Iterator<Item = u32> + 'a {
        let count = move |(table, counts): &(usize, Vec<u32>)| {
            // Of a list, the rarest.
            let rows = batch.indices_of(*table, line).iter();
            rows.map(|&row| counts.get(row as usize).copied().unwrap_or(0)).min().unwrap_or(0)
        };
        self.tables.iter().map(count)
    }

    /// How often each row of a table occurs, by its number; none if it was not counted.
    pub fn of_table(&self, table: usize) -> Option<&[u32]> {
        self.tables.iter().find(|(number, _)| *number == table).map(|(_, counts)| counts.as_slice())
    }

    /// The first table of which a row occurs more often than one of a lower number: whose rows are not
    /// [numbered by popularity](super::Numbering::Popularity).
    pub fn first_unsorted(&self) -> Option<usize> {
        self.tables.iter().find(|(_, counts)| !counts.is_sorted_by(|a, b| a >= b)).map(|(table, _)| *table)
    }

    /// In how many lines was counted.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// The tables.
    pub fn tables(&self) -> Vec<usize> {
        self.tables.iter().map(|(table, _)| *table).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Synthetic;
    use super::*;

    #[test]
    fn counts_are_those_of_the_lines() {
        let data = Dataset::synthetic(&Synthetic { lines: 2 * LINES as u64 + 300, ..Synthetic::default() }).unwrap();
        let (first, last) = (150, 2 * LINES + 160);
        let mut told = Vec::new();
        let counts = Counts::new(&data, vec![20, 5], first..last, |done| {
            told.push(done);
            true
        });
        let counts = counts.unwrap().unwrap();
        assert_eq!((counts.lines(), counts.tables()), (last - first, vec![20, 5]));
        assert_eq!(told, [LINES, 2 * LINES, 2 * LINES + 10]);
        let mut all = Batch::default();
        data.fill_batch(0..data.len(), &mut all).unwrap();
        for (table, counts) in &counts.tables {
            assert_eq!(counts.len() as u64, data.table_rows()[*table]);
            assert_eq!(counts.iter().map(|&count| count as usize).sum::<usize>(), last - first);
            for row in [0, 1, counts.len() / 2, counts.len() - 1] {
                let want = all.indices[*table][first..last].iter().filter(|&&index| index as usize == row).count();
                assert_eq!(counts[row] as usize, want);
            }
        }
    }

    #[test]
    fn without_tables_no_line_is_read() {
        let data = Dataset::synthetic(&Synthetic { lines: 10, ..Synthetic::default() }).unwrap();
        let counts = Counts::new(&data, Vec::new(), 0..10, |_| panic!("a line was read")).unwrap().unwrap();
        assert_eq!((counts.lines(), counts.of_table(0), counts.first_unsorted()), (10, None, None));
    }

    #[test]
    fn counting_ends_where_it_is_told_to() {
        let data = Dataset::synthetic(&Synthetic { lines: 10, ..Synthetic::default() }).unwrap();
        assert!(Counts::new(&data, vec![0], 0..10, |_| false).unwrap().is_none());
        assert_eq!(Counts::new(&data, vec![0], 4..4, |_| false).unwrap().unwrap().lines(), 0);
    }
}
