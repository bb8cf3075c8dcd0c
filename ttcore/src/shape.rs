//! The shape of a tensor-train table: factors, ranks, sizes, and the digits of a row.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::factor;
use crate::real::Real;

/// The shape of a TT table: `M` rows and `N` columns held as `d` cores (paper section 2, Equation 2).
///
/// Core `G_k` has shape `[m_k][R_{k-1}][n_k][R_k]`, row major, with `m_1 m_2 .. m_d >= M`, `n_1 n_2 .. n_d = N` and
/// `R_0 = R_d = 1`. Cores are counted from 0 in code and from 1 in formulas. Row numbers are exact to 64 bits.
///
/// ```
/// use ttcore::TtShape;
///
/// // The largest table of Criteo Kaggle (paper, Table 2) at rank 32.
/// let shape = TtShape::new(10_131_227, &[200, 220, 250], &[2, 2, 4], &[1, 32, 32, 1])?;
/// assert_eq!(shape.parameters(), 495_360);
/// assert_eq!(shape.compression().round(), 327.0);
/// # Ok::<(), ttcore::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtShape {
    rows: u64,
    dim: usize,
    row_factors: Vec<usize>,
    col_factors: Vec<usize>,
    ranks: Vec<usize>,
    /// What one step of digit k is worth in rows: the product of the row factors behind it.
    strides: Vec<u64>,
    /// Start of each core in the flat buffer, and its end: `d + 1` entries.
    offsets: Vec<usize>,
    padded_rows: u64,
}

impl TtShape {
    /// A shape from its factors and ranks, `d = row_factors.len()`.
    ///
    /// `ranks` holds all `d + 1` ranks, `R_0 = 1` and `R_d = 1` included.
    ///
    /// # Errors
    ///
    /// [`ShapeError`], naming what is wrong and where.
    pub fn new(rows: u64, row_factors: &[usize], col_factors: &[usize], ranks: &[usize]) -> Result<Self, ShapeError> {
        let d = row_factors.len();
        if rows == 0 {
            return Err(ShapeError::NoRows);
        }
        if d < 2 {
            return Err(ShapeError::TooFewCores { cores: d });
        }
        if col_factors.len() != d || ranks.len() != d + 1 {
            return Err(ShapeError::LengthMismatch {
                row_factors: d,
                col_factors: col_factors.len(),
                ranks: ranks.len(),
            });
        }
        for (what, values) in [("row factor", row_factors), ("column factor", col_factors), ("rank", ranks)] {
            if let Some(position) = values.iter().position(|&v| v == 0) {
                return Err(ShapeError::Zero { what, position });
            }
        }
        for position in [0, d] {
            if ranks[position] != 1 {
                return Err(ShapeError::OuterRank { position, rank: ranks[position] });
            }
        }

        let mut strides = alloc::vec![1u64; d];
        for k in (0..d - 1).rev() {
            strides[k] = strides[k + 1]
                .checked_mul(row_factors[k + 1] as u64)
                .ok_or(ShapeError::Overflow { what: "product of the row factors" })?;
        }
        let padded_rows = strides[0]
            .checked_mul(row_factors[0] as u64)
            .ok_or(ShapeError::Overflow { what: "product of the row factors" })?;
        if padded_rows < rows {
            return Err(ShapeError::TooFewRows { product: padded_rows, rows });
        }

        let dim = checked_product(col_factors).ok_or(ShapeError::Overflow { what: "product of the column factors" })?;
        let too_large = ShapeError::Overflow { what: "number of parameters" };
        let mut offsets = Vec::with_capacity(d + 1);
        let mut end = 0usize;
        offsets.push(end);
        for k in 0..d {
            let core = checked_product(&[row_factors[k], ranks[k], col_factors[k], ranks[k + 1]]);
            end = core.and_then(|core| end.checked_add(core)).ok_or_else(|| too_large.clone())?;
            offsets.push(end);
        }
        // Backends also hold the products of the first k slices of a row, and count bytes: neither may wrap.
        let products = dim.checked_mul(ranks.iter().copied().max().unwrap_or(1)).and_then(|p| p.checked_mul(d + 2));
        if end > isize::MAX as usize / 16 || products.is_none_or(|p| p > isize::MAX as usize / 16) {
            return Err(too_large);
        }

        Ok(Self {
            rows,
            dim,
            row_factors: row_factors.to_vec(),
            col_factors: col_factors.to_vec(),
            ranks: ranks.to_vec(),
            strides,
            offsets,
            padded_rows,
        })
    }

    /// A shape from explicit factors and one rank `R` for all inner bonds: `R_1 = .. = R_{d-1} = R`.
    ///
    /// # Errors
    ///
    /// [`ShapeError`], as [`TtShape::new`].
    pub fn with_rank(rows: u64, row_factors: &[usize], col_factors: &[usize], rank: usize) -> Result<Self, ShapeError> {
        Self::new(rows, row_factors, col_factors, &uniform_ranks(row_factors.len(), rank))
    }

    /// The shape the paper's factorisation rule gives a table of `rows x dim` with `cores` cores of rank `rank`.
    ///
    /// The rule is [`factor::paper_row_factors`](crate::factor::paper_row_factors) for the rows and
    /// [`factor::column_factors`](crate::factor::column_factors) for the columns; it reproduces Table 2 of the
    /// paper.
    ///
    /// # Errors
    ///
    /// [`ShapeError`], as [`TtShape::new`].
    pub fn paper(rows: u64, dim: usize, cores: usize, rank: usize) -> Result<Self, ShapeError> {
        let (row_factors, col_factors) = (factor::paper_row_factors(rows, cores)?, factor::column_factors(dim, cores)?);
        Self::with_rank(rows, &row_factors, &col_factors, rank)
    }

    /// The shape with the fewest parameters for a table of `rows x dim`, with at most `max_padding * rows` rows of
    /// padding: see [`factor::smallest_row_factors`](crate::factor::smallest_row_factors).
    ///
    /// # Errors
    ///
    /// [`ShapeError::NoFactorisation`] where no factors are found within the bound; others as [`TtShape::new`].
    pub fn smallest(rows: u64, dim: usize, cores: usize, rank: usize, max_padding: f64) -> Result<Self, ShapeError> {
        let col_factors = factor::column_factors(dim, cores)?;
        let ranks = uniform_ranks(cores, rank);
        let row_factors = factor::smallest_row_factors(rows, &col_factors, &ranks, max_padding)?;
        Self::new(rows, &row_factors, &col_factors, &ranks)
    }

    /// Rows of the table, `M`.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns of the table, `N`, the embedding dimension.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of cores, `d`.
    pub fn cores(&self) -> usize {
        self.row_factors.len()
    }

    /// Row factors `m_1 .. m_d`.
    pub fn row_factors(&self) -> &[usize] {
        &self.row_factors
    }

    /// Column factors `n_1 .. n_d`.
    pub fn col_factors(&self) -> &[usize] {
        &self.col_factors
    }

    /// Ranks `R_0 .. R_d`, `d + 1` of them, the first and the last 1.
    pub fn ranks(&self) -> &[usize] {
        &self.ranks
    }

    /// The largest useful rank `R_k`, for `k` from 0 to `d`: the smaller side of the table's unfolding there, of
    /// `m_1 n_1 .. m_k n_k` by `m_{k+1} n_{k+1} .. m_d n_d`. Larger ones give no table that it does not give.
    ///
    /// # Panics
    ///
    /// If `k` is above `d`.
    pub fn largest_useful_rank(&self, k: usize) -> usize {
        let side = |cores: core::ops::Range<usize>| {
            let factors = cores.map(|core| self.row_factors[core].saturating_mul(self.col_factors[core]));
            factors.fold(1, usize::saturating_mul)
        };
        side(0..k).min(side(k..self.cores()))
    }

    /// Numbers in all cores: `sum_k m_k R_{k-1} n_k R_k`.
    pub fn parameters(&self) -> usize {
        self.offsets[self.cores()]
    }

    /// Bytes of all cores in numbers of type `F`.
    pub fn bytes<F: Real>(&self) -> usize {
        self.parameters() * F::BYTES
    }

    /// Numbers in the uncompressed table, `M N`.
    pub fn dense_parameters(&self) -> u128 {
        u128::from(self.rows) * self.dim as u128
    }

    /// How many times fewer parameters than the uncompressed table: `M N / parameters`.
    pub fn compression(&self) -> f64 {
        self.dense_parameters() as f64 / self.parameters() as f64
    }

    /// Rows the cores can address, `m_1 m_2 .. m_d`. Rows `M ..` are padding: never returned, never counted.
    pub fn padded_rows(&self) -> u64 {
        self.padded_rows
    }

    /// Rows of padding as a fraction of the rows of the table.
    pub fn padding(&self) -> f64 {
        (self.padded_rows - self.rows) as f64 / self.rows as f64
    }

    /// Where core `k` (from 0) lies in the flat buffer of all cores.
    ///
    /// # Panics
    ///
    /// If `k >= d`.
    pub fn core_range(&self, k: usize) -> Range<usize> {
        self.offsets[k]..self.offsets[k + 1]
    }

    /// Numbers in one slice `G_k[i]`, an `R_{k-1} x (n_k R_k)` matrix.
    ///
    /// # Panics
    ///
    /// If `k >= d`.
    pub fn slice_len(&self, k: usize) -> usize {
        self.ranks[k] * self.col_factors[k] * self.ranks[k + 1]
    }

    /// Slices of all cores, `m_1 + .. + m_d`.
    pub fn slices(&self) -> usize {
        self.row_factors.iter().sum()
    }

    /// The number of slice `G_k[i]` (`k` from 0) among all, those of `G_1` first; [`TtShape::slices`] for `k = d`, `i = 0`.
    ///
    /// # Panics
    ///
    /// If `k > d`.
    pub fn slice_number(&self, k: usize, i: usize) -> usize {
        self.row_factors[..k].iter().sum::<usize>() + i
    }

    /// Where slice `G_k[i]` lies in the flat buffer of all cores.
    ///
    /// # Panics
    ///
    /// If `k >= d` or `i >= m_k`.
    pub fn slice_range(&self, k: usize, i: usize) -> Range<usize> {
        assert!(i < self.row_factors[k], "slice {i} of core {k}, which has {}", self.row_factors[k]);
        let start = self.offsets[k] + i * self.slice_len(k);
        start..start + self.slice_len(k)
    }

    /// Numbers in the product of the first `k` slices, `w^(k)`: `n_1 .. n_k` rows of `R_k`.
    ///
    /// # Panics
    ///
    /// If `k > d`.
    pub fn prefix_len(&self, k: usize) -> usize {
        self.col_factors[..k].iter().product::<usize>() * self.ranks[k]
    }

    /// Digit `k` (from 0) of a row: `i_k` with `row = sum_k i_k m_{k+1} .. m_d`, the first digit most significant.
    ///
    /// # Panics
    ///
    /// If `k >= d`. A row beyond [`TtShape::padded_rows`] wraps.
    pub fn digit(&self, row: u64, k: usize) -> usize {
        (row / self.strides[k] % self.row_factors[k] as u64) as usize
    }

    /// All digits of a row, most significant first. `None` for a row of padding or beyond.
    pub fn digits(&self, row: u64) -> Option<Vec<usize>> {
        (row < self.rows).then(|| (0..self.cores()).map(|k| self.digit(row, k)).collect())
    }

    /// The row with these digits. `None` if there are not `d` digits, one is too large, or the row is padding.
    pub fn row(&self, digits: &[usize]) -> Option<u64> {
        if digits.len() != self.cores() || digits.iter().zip(&self.row_factors).any(|(i, m)| i >= m) {
            return None;
        }
        let row = digits.iter().zip(&self.strides).map(|(&i, &stride)| i as u64 * stride).sum();
        (row < self.rows).then_some(row)
    }
}

fn uniform_ranks(cores: usize, rank: usize) -> Vec<usize> {
    (0..=cores).map(|k| if k == 0 || k == cores { 1 } else { rank }).collect()
}

fn checked_product(factors: &[usize]) -> Option<usize> {
    factors.iter().try_fold(1usize, |product, &f| product.checked_mul(f))
}

/// Why a [`TtShape`] is not valid. Cores are numbered from 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ShapeError {
    /// A table needs at least one row.
    NoRows,
    /// A tensor train has at least two cores.
    TooFewCores {
        /// Number of row factors given.
        cores: usize,
    },
    /// A factorisation rule was asked for more cores than 64-bit numbers have factors.
    TooManyCores {
        /// Number of cores asked for.
        cores: usize,
    },
    /// Row factors, column factors and ranks do not belong to the same number of cores.
    LengthMismatch {
        /// Number of row factors, `d`.
        row_factors: usize,
        /// Number of column factors, which must be `d`.
        col_factors: usize,
        /// Number of ranks, which must be `d + 1`.
        ranks: usize,
    },
    /// A factor or rank is zero.
    Zero {
        /// `"row factor"`, `"column factor"` or `"rank"`.
        what: &'static str,
        /// Its position.
        position: usize,
    },
    /// `R_0` or `R_d` is not 1.
    OuterRank {
        /// 0 or `d`.
        position: usize,
        /// The rank given.
        rank: usize,
    },
    /// The row factors multiply to fewer rows than the table has.
    TooFewRows {
        /// Product of the row factors.
        product: u64,
        /// Rows wanted.
        rows: u64,
    },
    /// A number derived from the shape does not fit: the padded rows in 64 bits, or the parameters in memory.
    Overflow {
        /// Which number.
        what: &'static str,
    },
    /// No factorisation keeps the padding within the bound.
    NoFactorisation {
        /// Rows to factor.
        rows: u64,
        /// Largest padding allowed, as a fraction of the rows.
        max_padding: f64,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRows => write!(f, "a table needs at least one row"),
            Self::TooFewCores { cores } => write!(f, "a tensor train has at least 2 cores, not {cores}"),
            Self::TooManyCores { cores } => write!(f, "{cores} cores are more than 64, beyond which all factors are 1"),
            Self::LengthMismatch { row_factors, col_factors, ranks } => write!(
                f,
                "{row_factors} row factors need {row_factors} column factors and {} ranks, not {col_factors} and {ranks}",
                row_factors + 1
            ),
            Self::Zero { what, position } => write!(f, "{what} {position} is zero"),
            Self::OuterRank { position, rank } => write!(f, "rank {position} must be 1, not {rank}"),
            Self::TooFewRows { product, rows } => {
                write!(f, "the row factors multiply to {product}, fewer than the table's {rows} rows")
            }
            Self::Overflow { what } => write!(f, "the {what} is too large"),
            Self::NoFactorisation { rows, max_padding } => {
                write!(f, "no factors found for {rows} rows with at most {:.2}% padding", max_padding * 100.0)
            }
        }
    }
}

impl core::error::Error for ShapeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useful_ranks_are_those_of_the_unfoldings() {
        let shape = TtShape::new(200 * 220 * 250, &[200, 220, 250], &[4, 2, 2], &[1, 32, 32, 1]).unwrap();
        assert_eq!([0, 1, 2, 3].map(|k| shape.largest_useful_rank(k)), [1, 800, 500, 1]);
        let huge = TtShape::new(1, &[1 << 20; 3], &[1 << 20, 1, 1], &[1, 1, 1, 1]).unwrap();
        assert_eq!([1, 2].map(|k| huge.largest_useful_rank(k)), [1 << 40, 1 << 20]);
    }

    #[test]
    fn a_table_of_a_million_million_rows_is_exact() {
        let shape = TtShape::with_rank(1_000_000_000_000, &[10_000, 10_000, 10_001], &[4, 4, 4], 16).unwrap();
        for row in [0, 1, 4_294_967_296, 999_999_999_998, 999_999_999_999] {
            let digits = shape.digits(row).unwrap();
            assert_eq!(shape.row(&digits), Some(row));
        }
        assert_eq!(shape.digits(999_999_999_999).unwrap(), [9999, 0, 9999]);
        assert_eq!(shape.digits(1_000_000_000_000), None);
        assert_eq!(shape.row(&[9999, 9999, 10_000]), None, "a padding row is not a row");
    }

    #[test]
    fn parameters_of_the_papers_first_table() {
        for (rank, parameters) in [(16, 135_040), (32, 495_360), (64, 1_891_840)] {
            let shape = TtShape::paper(10_131_227, 16, 3, rank).unwrap();
            assert_eq!((shape.row_factors(), shape.col_factors()), (&[200, 220, 250][..], &[2, 2, 4][..]));
            assert_eq!(shape.parameters(), parameters);
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let new = TtShape::new;
        assert_eq!(new(0, &[1, 1], &[1, 1], &[1, 1, 1]), Err(ShapeError::NoRows));
        assert_eq!(new(1, &[1], &[1], &[1, 1]), Err(ShapeError::TooFewCores { cores: 1 }));
        let mismatch = ShapeError::LengthMismatch { row_factors: 2, col_factors: 2, ranks: 2 };
        assert_eq!(new(1, &[1, 1], &[1, 1], &[1, 1]), Err(mismatch));
        let zero = ShapeError::Zero { what: "row factor", position: 1 };
        assert_eq!(new(1, &[1, 0], &[1, 1], &[1, 1, 1]), Err(zero));
        assert_eq!(new(1, &[1, 1], &[1, 1], &[1, 2, 3]), Err(ShapeError::OuterRank { position: 2, rank: 3 }));
        assert_eq!(new(7, &[2, 3], &[1, 1], &[1, 1, 1]), Err(ShapeError::TooFewRows { product: 6, rows: 7 }));
        let large = usize::MAX / 2;
        assert!(matches!(new(1, &[large, large], &[1, 1], &[1, 1, 1]), Err(ShapeError::Overflow { .. })));
        assert!(matches!(new(1, &[2, 2], &[large, 2], &[1, 4, 1]), Err(ShapeError::Overflow { .. })));
        assert!(matches!(new(1, &[1, 1], &[1, 1], &[1, large, 1]), Err(ShapeError::Overflow { .. })));
    }
}
