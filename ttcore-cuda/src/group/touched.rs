//! Which parameters a batch touches, by its rows alone.

use std::ops::Range;

use ttcore::{Table, TtShape};

use super::device::Rows;

/// Calls `visit` with the ranges of the parameters that lookups of these rows touch, ascending, with a gap between any two.
pub(super) fn touched(table: &Table, rows: Rows<'_>, mut visit: impl FnMut(Range<usize>)) {
    let mut run = 0..0;
    let mut add = |block: Range<usize>| {
        if block.start == run.end {
            run.end = block.end;
        } else {
            let run = std::mem::replace(&mut run, block);
            if !run.is_empty() {
                visit(run);
            }
        }
    };
    if let Some(shape) = table.cores() {
        let digits = Digits::of(shape, table.core_rows(), rows);
        for (k, digits) in digits.occur.iter().enumerate() {
            let (start, len) = (shape.core_range(k).start, shape.slice_len(k));
            let occur = digits.iter().enumerate().filter(|&(_, &occurs)| occurs);
            occur.for_each(|(digit, _)| add(start + digit * len..start + (digit + 1) * len));
        }
    }
    let mut dense: Vec<u64> = Vec::new();
    rows.for_each(|row| dense.extend(row.checked_sub(table.core_rows())));
    dense.sort_unstable();
    dense.dedup();
    let (start, len) = (table.core_parameters(), table.dim());
    dense.into_iter().for_each(|row| add(start + row as usize * len..start + (row as usize + 1) * len));
    if !run.is_empty() {
        visit(run);
    }
}

/// Which digits occur, in each core.
struct Digits {
    occur: Vec<Vec<bool>>,
}

impl Digits {
    /// Of those of the rows that are below `core_rows`.
    fn of(shape: &TtShape, core_rows: u64, rows: Rows<'_>) -> Self {
        let mut occur: Vec<Vec<bool>> = shape.row_factors().iter().map(|&digits| vec![false; digits]).collect();
        rows.for_each(|row| {
            if row < core_rows {
                occur.iter_mut().enumerate().for_each(|(k, digits)| digits[shape.digit(row, k)] = true);
            }
        });
        Self { occur }
    }
}

impl Rows<'_> {
    fn for_each(self, mut visit: impl FnMut(u64)) {
        match self {
            Self::Narrow(rows) => rows.iter().for_each(|&row| visit(u64::from(row))),
            Self::Wide(rows) => rows.iter().for_each(|&row| visit(row)),
        }
    }
}
