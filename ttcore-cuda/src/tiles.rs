//! How the work of the fused kernels is cut: what a unit multiplies at once, and which pairs are one unit. See
//! `kernels/fused.cuh`.

use ttcore::TtShape;

use crate::device::Element;

/// Rows of stacked products that a unit multiplies at once.
const ROWS: usize = 64;

/// Columns of products, and values of `r_1`, in bytes of numbers.
const COLUMN_BYTES: usize = 256;
const INNER_BYTES: usize = 128;

/// What one load of shared memory takes.
const VECTOR_BYTES: usize = 16;

/// Unique rows with which a unit has enough pairs, however few: their number is no part of the sizes above.
pub(crate) const UNIQUE_ROWS: usize = 64;

/// Threads of the kernels that multiply.
pub(crate) const THREADS: usize = 128;

/// Bytes of shared memory: `Tiles`, `MiddleTiles` and `Segments` of `kernels/`, for `f32` and `f64`. What every GPU has for
/// a block without asking for more is 48 KB.
const FORWARD_BYTES: [u32; 2] = [36352, 32000];
const MIDDLE_BYTES: [u32; 2] = [45064, 36360];
const OUTER_BYTES: [u32; 2] = [16384, 32768];

/// Numbers of a slice of core 2, and dense rows, of one unit of the kernel that ends backward: as in
/// `kernels/fused_outer.cu`.
pub(crate) const OUTER_NUMBERS: usize = 1024;
pub(crate) const OUTER_ROWS: usize = 16;

/// Partial sums of squares, of a slice or of rows: as in `kernels/slices.cu` and `kernels/dense.cu`.
const NORM_LANES: usize = 256;

/// Dense rows that a rule of blocks is applied to at once: as in `kernels/dense.cu`.
pub(crate) const NORM_ROWS: usize = 16;

/// Threads of the kernel that finds the lists of a batch, bits of what it sorts by in a pass, and the most lookups of a chunk:
/// as in `kernels/group.cuh`.
pub(crate) const GROUP_THREADS: u32 = 512;
pub(crate) const GROUP_RADIX_BITS: u32 = 4;
pub(crate) const GROUP_MOST_CHUNK: usize = 65535;

/// Bytes of shared memory of the kernels of grouping: lists, units, and the check of a batch on the device.
pub(crate) fn group_bytes() -> [u32; 3] {
    [37120, 2176, 3072]
}

/// Bytes of shared memory of the kernels of forward, of units in backward, and of outer units.
pub(crate) fn shared_bytes<F: Element>() -> [u32; 3] {
    [FORWARD_BYTES, MIDDLE_BYTES, OUTER_BYTES].map(|bytes| bytes[usize::from(F::DOUBLE)])
}

/// Bytes of shared memory of the kernels that apply a rule of blocks alone.
pub(crate) fn norm_bytes<F: Element>() -> u32 {
    (NORM_LANES * F::BYTES) as u32
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
        // Several j_2 only where the columns of each begin at a multiple of what one load takes.
        let most_n2 = if r2 % (VECTOR_BYTES / F::BYTES) == 0 { (columns / r2).max(1) } else { 1 };
        let [n1, n2] = [even(n1, ROWS), even(n2, most_n2)];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tiling<F: Element>(n: [usize; 3], r: [usize; 2]) -> (TtShape, Tiling) {
        let shape = TtShape::new(11_000_000, &[200, 220, 250], &n, &[1, r[0], r[1], 1]).expect("a shape");
        let tiling = Tiling::new::<F>(&shape).expect("three cores");
        (shape, tiling)
    }

    #[test]
    fn tilings_of_known_shapes() {
        let (shape, published) = tiling::<f32>([4, 4, 4], [32, 32]);
        assert_eq!(published, Tiling { pairs: 16, n1: 4, n2: 2, r1: 32, r2: 32 });
        assert_eq!((published.tiles(&shape), published.blocks(&shape)), (2, 2));
        let (shape, double) = tiling::<f64>([4, 4, 4], [32, 32]);
        assert_eq!(double, Tiling { pairs: 16, n1: 4, n2: 1, r1: 16, r2: 32 });
        assert_eq!((double.tiles(&shape), double.blocks(&shape)), (4, 4));
        let (shape, large) = tiling::<f32>([130, 4, 4], [70, 130]);
        assert_eq!(large, Tiling { pairs: 1, n1: 44, n2: 1, r1: 24, r2: 44 });
        assert_eq!((large.tiles(&shape), large.blocks(&shape)), (12, 12));
        // The columns of the second j_2 would begin inside a vector.
        let (_, odd) = tiling::<f32>([4, 4, 4], [32, 30]);
        assert_eq!((odd.n2, odd.r2), (1, 30));
    }

    #[test]
    fn a_tile_is_never_too_large() {
        for (n, r) in (1..=70).flat_map(|n| (1..=70).map(move |r| (n, r))) {
            for (size, (_, tiling)) in [(4, tiling::<f32>([n, n, 1], [r, r])), (8, tiling::<f64>([n, n, 1], [r, r]))] {
                assert!(tiling.pairs >= 1 && tiling.pairs * tiling.n1 <= ROWS, "{n}, {r}: {tiling:?}");
                assert!(tiling.n2 * tiling.r2 * size <= COLUMN_BYTES, "{n}, {r}: {tiling:?}");
                assert!(tiling.r1 * size <= INNER_BYTES, "{n}, {r}: {tiling:?}");
                assert!(tiling.r2 == r || tiling.n2 == 1, "{n}, {r}: {tiling:?}");
            }
        }
    }
}
