//! How the work of the fused kernels is cut: what a unit multiplies at once, and which pairs are one unit. See
//! `kernels/fused.cuh`.

use ttcore::TtShape;
use ttcore_cpu::group::TableGroup;

use crate::device::Element;

/// Rows of stacked products that a unit multiplies at once.
const ROWS: usize = 64;

/// Columns of products, and values of `r_1`, in bytes of numbers.
const COLUMN_BYTES: usize = 256;
const INNER_BYTES: usize = 128;

/// Unique rows with which a unit has enough pairs, however few: their number is no part of the sizes above.
const UNIQUE_ROWS: usize = 64;

/// Threads of the kernels that multiply.
pub(crate) const THREADS: usize = 128;

/// Bytes of shared memory: `Tiles`, `MiddleTiles` and `Segments` of `kernels/`, for `f32` and `f64`. What every GPU has for
/// a block without asking for more is 48 KB.
const FORWARD_BYTES: [u32; 2] = [35840, 31488];
const MIDDLE_BYTES: [u32; 2] = [44544, 35840];
const OUTER_BYTES: [u32; 2] = [16384, 32768];

/// Numbers of a slice of core 2, and dense rows, of one unit of the kernel that ends backward: as in
/// `kernels/fused_outer.cu`.
pub(crate) const OUTER_NUMBERS: usize = 1024;
pub(crate) const OUTER_ROWS: usize = 16;

/// Bytes of shared memory of the kernels of forward, of units in backward, and of outer units.
pub(crate) fn shared_bytes<F: Element>() -> [u32; 3] {
    [FORWARD_BYTES, MIDDLE_BYTES, OUTER_BYTES].map(|bytes| bytes[usize::from(F::DOUBLE)])
}

/// What a unit of a table multiplies at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Pairs, most `j_1` of each, most `j_2`.
    pub(crate) pairs: usize,
    pub(crate) n1: usize,
    pub(crate) n2: usize,
    /// Most values of `r_1`, and of `r_2`: fewer than all of these only with a single `j_2`.
    pub(crate) r1: usize,
    pub(crate) r2: usize,
}

impl Tiling {
    /// Of a table of three cores; nothing for others.
    pub(crate) fn new<F: Element>(shape: &TtShape) -> Option<Self> {
        let (&[n1, n2, _], &[_, r1, r2, _]) = (shape.col_factors(), shape.ranks()) else { return None };
        let (columns, inner) = (COLUMN_BYTES / F::BYTES, INNER_BYTES / F::BYTES);
        let [n1, n2] = [even(n1, ROWS), even(n2, (columns / r2).max(1))];
        Some(Self { pairs: ROWS / n1, n1, n2, r1: even(r1, inner), r2: even(r2, columns) })
    }

    /// Tiles `(j_1, j_2)` of a pair.
    pub(crate) fn tiles(&self, shape: &TtShape) -> usize {
        self.tiles_down(shape) * shape.col_factors()[1].div_ceil(self.n2)
    }

    /// Tiles of `j_1`.
    pub(crate) fn tiles_down(&self, shape: &TtShape) -> usize {
        shape.col_factors()[0].div_ceil(self.n1)
    }

    /// Blocks of columns of a product: what each pair adds to its slice of core 1 is kept for each.
    pub(crate) fn blocks(&self, shape: &TtShape) -> usize {
        shape.col_factors()[1].div_ceil(self.n2) * shape.ranks()[2].div_ceil(self.r2)
    }

    /// Most pieces of a batch that has at most so many `i_2`, pairs and unique rows.
    pub(crate) fn most_pieces(&self, groups: usize, pairs: usize, rows: usize) -> usize {
        (groups + self.most_full(pairs, rows)).min(pairs)
    }

    /// Most parts of gradients of slices of core 2: a piece that is not alone is full, or the last behind some that are.
    pub(crate) fn most_parts(&self, shape: &TtShape, pairs: usize, rows: usize) -> usize {
        let down = self.tiles_down(shape);
        if down > 1 { down * pairs } else { (2 * self.most_full(pairs, rows)).min(pairs) }
    }

    /// Most pieces that have as many pairs or unique rows as one may.
    fn most_full(&self, pairs: usize, rows: usize) -> usize {
        pairs / self.pairs + rows / UNIQUE_ROWS
    }
}

/// As many as fit in equal parts of a whole, each at most `most`.
fn even(whole: usize, most: usize) -> usize {
    whole.div_ceil(whole.div_ceil(most))
}

/// Some pairs of one `i_2`: a unit for each of their tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which `i_2`, of those that occur.
    pub(crate) group: usize,
    pub(crate) pair: usize,
    pub(crate) pairs: usize,
    /// Whether it has the first pair of its `i_2`, and the last.
    pub(crate) begins: bool,
    pub(crate) ends: bool,
}

/// The pieces of a batch, by `i_2`: one has all pairs of its `i_2`, unless they are too many or have too many unique rows.
pub(crate) fn pieces<F: ttcore::Real>(tiling: Tiling, table: &TableGroup<F>) -> impl Iterator<Item = Piece> + '_ {
    let middles = table.nodes.levels.get(1);
    middles.into_iter().flat_map(move |middles| {
        let rows = middles.child_starts();
        (0..middles.groups()).flat_map(move |group| {
            let nodes = middles.nodes(group);
            let mut pair = nodes.start;
            std::iter::from_fn(move || {
                if pair == nodes.end {
                    return None;
                }
                let most = nodes.end.min(pair + tiling.pairs);
                let enough = |end: &usize| (rows[*end] - rows[pair]) as usize >= UNIQUE_ROWS;
                let end = (pair + 1..most).find(enough).unwrap_or(most);
                let (begins, ends) = (pair == nodes.start, end == nodes.end);
                let piece = Piece { group, pair, pairs: end - pair, begins, ends };
                pair = end;
                Some(piece)
            })
        })
    })
}
