//! Which parameters a batch touches.

use std::ops::Range;

use ttcore::{Real, Table};

use super::TableGroup;
use super::tree::Level;

impl<F: Real> TableGroup<F> {
    /// Calls `visit` with the ranges of the parameters that the batch touches: see
    /// [`Backend::touched`](ttcore::Backend::touched). The table is the one that it was grouped for.
    pub fn touched(&self, table: &Table, mut visit: impl FnMut(Range<usize>)) {
        let mut blocks = self.blocks(table, 0..table.parameters());
        let Some(mut run) = blocks.next() else { return };
        for block in blocks {
            if block.start == run.end {
                run.end = block.end;
            } else {
                visit(std::mem::replace(&mut run, block));
            }
        }
        visit(run);
    }

    /// Calls `visit` with the ranges between those, of a part of the parameters.
    pub(crate) fn untouched(&self, table: &Table, part: Range<usize>, mut visit: impl FnMut(Range<usize>)) {
        let mut start = part.start;
        for block in self.blocks(table, part.clone()) {
            if start < block.start {
                visit(start..block.start);
            }
            start = block.end;
        }
        if start < part.end {
            visit(start..part.end);
        }
    }

    /// Where the slices and dense rows with a lookup lie that have a number in this part of the parameters, ascending.
    fn blocks<'t>(&'t self, table: &'t Table, part: Range<usize>) -> impl Iterator<Item = Range<usize>> + 't {
        let digits = self.nodes.levels.iter().map(Level::digits).chain([self.nodes.last.digits()]);
        let cores = table.cores().into_iter().flat_map(move |shape| {
            digits.clone().enumerate().map(|(k, digits)| (shape.core_range(k).start, shape.slice_len(k), digits))
        });
        let dense = (table.core_parameters(), table.dim(), &self.dense[..]);
        cores.chain([dense]).flat_map(move |(start, len, numbers)| {
            let block = move |number: u64| start + number as usize * len..start + (number as usize + 1) * len;
            let (from, to) = (part.start, part.end);
            let first = numbers.partition_point(|&number| block(number).end <= from);
            numbers[first..].iter().map(move |&number| block(number)).take_while(move |block| block.start < to)
        })
    }
}
