//! Where the bags of one table go in the output.

use alloc::vec::Vec;

/// The features of one table of a [`Layout`](crate::Layout), one or more: what is looked up in it, each with columns of its
/// own in the output.
///
/// The batch of a table is one [`Bags`](crate::Bags) of `features x B` bags, where `B` is the number of output rows: those
/// of feature 0, then feature 1, .. Bag `f B + b` goes to columns `columns[f] .. columns[f] + N` of row `b`.
///
/// So that a backend has nothing to divide, bags have a *place*: that bag begins at number `origin + place * unit` of the
/// output. Of a single feature, a bag's place is its own number, and the unit is the output's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    columns: Vec<usize>,
    origin: usize,
    unit: usize,
    /// Units of an output row.
    step: usize,
}

impl Features {
    /// Features with these first columns, at least one, in output rows of `stride` numbers, at least 1.
    pub(crate) fn new(columns: Vec<usize>, stride: usize) -> Self {
        let origin = columns.iter().copied().min().unwrap_or(0);
        // The largest of which all bags are multiples away from the first.
        let unit = columns.iter().fold(stride, |unit, column| gcd(unit, column - origin));
        Self { origin, unit, step: stride / unit, columns }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.columns.len()
    }

    /// First output column of each.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Where places are counted from: the least of the columns.
    pub fn origin(&self) -> usize {
        self.origin
    }

    /// Numbers of the output from one place to the next.
    pub fn unit(&self) -> usize {
        self.unit
    }

    /// The place of every bag, in order, `[features][B]`, for `rows` output rows, `B`, as many as the layout has room for
    /// or fewer.
    pub fn places(&self, rows: usize) -> impl Iterator<Item = u32> + '_ {
        let places = move |&column: &usize| {
            let first = (column - self.origin) / self.unit;
            // The layout made sure that they fit.
            (0..rows).map(move |row| (first + row * self.step) as u32)
        };
        self.columns.iter().flat_map(places)
    }

    /// Places of `rows` output rows, used or not; `None` if they cannot be counted.
    pub(crate) fn end(&self, rows: usize) -> Option<usize> {
        rows.checked_mul(self.step)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_definition() {
        let all: [(&[usize], usize); 5] = [(&[0], 4), (&[3], 7), (&[0, 4], 12), (&[9, 1, 5], 20), (&[4, 1, 9], 13)];
        for (columns, stride) in all {
            let features = Features::new(columns.to_vec(), stride);
            assert_eq!((features.count(), features.columns()), (columns.len(), columns));
            for rows in 0..4 {
                let numbers = |place| features.origin() + place as usize * features.unit();
                let found: Vec<usize> = features.places(rows).map(numbers).collect();
                let want = (0..columns.len() * rows).map(|bag| bag % rows * stride + columns[bag / rows]);
                assert!(want.eq(found), "columns {columns:?} of {stride}, {rows} rows");
                assert!(features.places(rows).all(|place| (place as usize) < features.end(rows).unwrap()));
            }
        }
    }

    #[test]
    fn places_of_a_single_feature_are_its_bags() {
        let features = Features::new(alloc::vec![3], 7);
        assert_eq!((features.origin(), features.unit()), (3, 7));
        assert!(features.places(5).eq(0..5));
    }
}
