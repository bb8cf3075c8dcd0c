//! One batch: its lookups, bag by bag.

use std::ops::Range;

use ttcore::{Bags, Error, Layout, Table, check};

/// One batch of all tables.
#[derive(Debug)]
pub struct Group {
    pub(crate) layout: Layout,
    /// Output rows: a table has so many bags for each of its features.
    pub(crate) bags: usize,
    pub(crate) fingerprint: u64,
    /// Of each table.
    pub(crate) lookups: Vec<Vec<Lookup>>,
}

/// One lookup: it adds `scale * weight * row` to its bag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) row: u64,
    pub(crate) bag: usize,
    pub(crate) weight: f64,
    pub(crate) scale: f64,
}

impl Group {
    pub(crate) fn new(layout: &Layout) -> Self {
        let lookups = layout.tables().iter().map(|_| Vec::with_capacity(layout.lookups())).collect();
        Self { layout: layout.clone(), bags: 0, fingerprint: 0, lookups }
    }

    pub(crate) fn bytes(layout: &Layout) -> usize {
        layout.tables().len() * layout.lookups() * size_of::<Lookup>()
    }

    /// Holds this batch; after an error none.
    pub(crate) fn fill<'a>(&mut self, bags: impl IntoIterator<Item = Bags<'a, f32>>) -> Result<(), Error> {
        self.clear();
        let filled = self.fill_tables(bags);
        if filled.is_err() {
            self.clear();
        }
        filled
    }

    fn clear(&mut self) {
        (self.bags, self.fingerprint) = (0, 0);
        self.lookups.iter_mut().for_each(Vec::clear);
    }

    fn fill_tables<'a>(&mut self, bags: impl IntoIterator<Item = Bags<'a, f32>>) -> Result<(), Error> {
        let mut tables = 0;
        for (table, bags) in bags.into_iter().enumerate() {
            self.bags = check::bags(&self.layout, table, &bags, (table > 0).then_some(self.bags))?;
            self.fingerprint = check::fingerprint(self.fingerprint, &bags);
            for bag in 0..bags.bags() {
                // The scale of `bags` is rounded to its float.
                let scale = bags.pooling().scale(bags.bag(bag).len());
                self.lookups[table].extend(bags.bag(bag).map(|j| {
                    let weight = bags.weights().map_or(1.0, |weights| f64::from(weights[j]));
                    Lookup { row: bags.row(j), bag, weight, scale }
                }));
            }
            tables += 1;
        }
        check::table_count(&self.layout, "batches", tables)
    }

    /// The slices and dense rows of a table with a lookup: ascending, neighbours in one.
    pub(crate) fn touched(&self, number: usize, table: &Table, mut visit: impl FnMut(Range<usize>)) {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for &Lookup { row, .. } in &self.lookups[number] {
            match (table.dense_row(row), table.cores()) {
                (None, Some(shape)) => {
                    ranges.extend((0..shape.cores()).map(|k| shape.slice_range(k, shape.digit(row, k))));
                }
                (range, _) => ranges.extend(range),
            }
        }
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup();
        let mut ranges = ranges.into_iter();
        let Some(mut last) = ranges.next() else { return };
        for range in ranges {
            if range.start == last.end {
                last.end = range.end;
            } else {
                visit(std::mem::replace(&mut last, range));
            }
        }
        visit(last);
    }
}
