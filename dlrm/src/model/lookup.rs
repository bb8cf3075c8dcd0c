//! Where the row of a category lies in its table: its own, one that it shares, or a combination of several.
//!
//! Methods that make a table smaller by sharing rows are other addresses into a dense table and other columns of the
//! output; the backends know nothing of them. A category `i` of `n` has
//!
//! | [`Lookup`] | rows of the table | its embedding |
//! |---|---|---|
//! | `Direct` | `n` | row `i` |
//! | `Shared` | `k + 1` | row `min(i, k)` |
//! | `Modulo` | `m` | row `i mod m` |
//! | `Hash` | `m` | row `h(i) mod m` |
//! | `Sum` | `ceil(n / c) + c` | row `i / c` + row `ceil(n / c) + i mod c` |
//! | `Product` | `ceil(n / c) + c` | the same two rows, multiplied number by number |
//! | `Chunks` | `4 m`, of `N / 4` columns | row `j m + h_j(i) mod m` in the columns of chunk `j` = 0 .. 4 |
//! | `Own` | cores of `n - k` rows, then `k` | row `n - k + i` for `i < k`, else row `i - k` of the cores |

use serde::{Deserialize, Serialize};
use ttcore::TableConfig;

use crate::data::mix;

/// Chunks of [`Lookup::Chunks`].
pub const CHUNKS: usize = 4;

/// How the embedding of a category is looked up: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
pub enum Lookup {
    /// Every category has a row of its own.
    #[default]
    Direct,
    /// Categories below `kept` have; all others share the row behind those.
    Shared {
        /// `k`
        kept: u64,
    },
    /// Categories that are alike modulo `buckets` share a row.
    Modulo {
        /// `m`
        buckets: u64,
    },
    /// Categories share a row by chance.
    Hash {
        /// `m`
        buckets: u64,
    },
    /// The sum of two rows, that of the quotient and that of the remainder.
    Sum {
        /// The divisor, `c`.
        divisor: u64,
        /// `ceil(n / c)`
        quotients: u64,
    },
    /// Their product, number by number.
    Product {
        /// The divisor, `c`.
        divisor: u64,
        /// `ceil(n / c)`
        quotients: u64,
    },
    /// Four chunks side by side, of four hash functions.
    Chunks {
        /// Rows for each chunk, `m`.
        buckets: u64,
    },
    /// Categories below `own` have a row of their own behind those of the cores, which hold the others.
    Own {
        /// `k`
        own: u64,
        /// Rows of the cores, `n - k`.
        others: u64,
    },
}

impl Lookup {
    /// Column blocks of the output that a sample's rows of this table fill.
    pub(super) fn blocks(self) -> usize {
        match self {
            Self::Product { .. } => 2,
            Self::Chunks { .. } => CHUNKS,
            _ => 1,
        }
    }

    /// Rows of the table that a sample needs.
    pub(super) fn rows_of_a_sample(self) -> usize {
        if matches!(self, Self::Sum { .. }) { 2 } else { self.blocks() }
    }

    /// The columns of a table for embeddings of `dim` numbers; `None` if they cannot be cut so.
    pub fn columns(self, dim: usize) -> Option<usize> {
        match self {
            Self::Chunks { .. } => (dim.is_multiple_of(CHUNKS)).then_some(dim / CHUNKS),
            _ => Some(dim),
        }
    }

    /// Rows of the table of `n` categories.
    pub fn rows(self, n: u64) -> u64 {
        match self {
            Self::Direct => n,
            Self::Shared { kept } => kept.saturating_add(1),
            Self::Modulo { buckets } | Self::Hash { buckets } => buckets,
            Self::Sum { divisor, quotients } | Self::Product { divisor, quotients } => {
                quotients.saturating_add(divisor)
            }
            Self::Chunks { buckets } => buckets.saturating_mul(CHUNKS as u64),
            Self::Own { own, others } => own.saturating_add(others),
        }
    }

    /// Whether every category has its rows in a table of that many rows.
    pub(super) fn fits(self, table: &TableConfig) -> bool {
        match self {
            Self::Own { others, .. } => table.table().core_rows() == others,
            Self::Modulo { buckets } | Self::Hash { buckets } | Self::Chunks { buckets } => buckets > 0,
            Self::Sum { divisor, .. } | Self::Product { divisor, .. } => divisor > 0,
            Self::Direct | Self::Shared { .. } => true,
        }
    }

    /// Writes where the rows of some categories lie, all below `n`, `[blocks][B][rows of a bag]`; nothing else stays in `out`.
    pub(super) fn addresses(self, categories: &[u32], out: &mut Vec<u32>) {
        out.clear();
        match self {
            Self::Direct => out.extend_from_slice(categories),
            Self::Shared { kept } => each(categories, out, |i| i.min(kept)),
            Self::Modulo { buckets } => each(categories, out, |i| i % buckets),
            Self::Hash { buckets } => each(categories, out, |i| hash(0, i, buckets)),
            Self::Sum { divisor, quotients } => out.extend(categories.iter().flat_map(|&category| {
                let i = u64::from(category);
                [(i / divisor) as u32, (quotients + i % divisor) as u32]
            })),
            Self::Product { divisor, quotients } => {
                each(categories, out, |i| i / divisor);
                each(categories, out, |i| quotients + i % divisor);
            }
            Self::Chunks { buckets } => {
                (0..CHUNKS as u64).for_each(|j| each(categories, out, |i| j * buckets + hash(j, i, buckets)));
            }
            Self::Own { own, others } => each(categories, out, |i| if i < own { others + i } else { i - own }),
        }
    }
}

/// Appends where the row of each category lies; rows of a table are counted in 32 bits, as categories are.
fn each(categories: &[u32], out: &mut Vec<u32>, address: impl Fn(u64) -> u64) {
    out.extend(categories.iter().map(|&category| address(u64::from(category)) as u32));
}

/// A category's bucket by hash function `number`.
fn hash(number: u64, category: u64, buckets: u64) -> u64 {
    // Categories are counted in 32 bits.
    let hash = mix(((number + 1) << 32) | category);
    // As even as a remainder, without a division.
    ((u128::from(hash) * u128::from(buckets)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATEGORIES: [u32; 6] = [0, 1, 4, 5, 8, 9];

    fn addresses(lookup: Lookup) -> Vec<u32> {
        let mut out = vec![77];
        lookup.addresses(&CATEGORIES, &mut out);
        assert_eq!(out.len(), CATEGORIES.len() * lookup.rows_of_a_sample());
        out
    }

    #[test]
    fn addresses_are_those_of_the_table() {
        assert_eq!(addresses(Lookup::Direct), CATEGORIES);
        assert_eq!(addresses(Lookup::Shared { kept: 4 }), [0, 1, 4, 4, 4, 4]);
        assert_eq!(addresses(Lookup::Modulo { buckets: 4 }), [0, 1, 0, 1, 0, 1]);
        // Of ten categories by 4: quotients 0, 1, 2, then remainders 3 .. 7.
        let (divisor, quotients) = (4, 3);
        assert_eq!(addresses(Lookup::Sum { divisor, quotients }), [0, 3, 0, 4, 1, 3, 1, 4, 2, 3, 2, 4]);
        assert_eq!(addresses(Lookup::Product { divisor, quotients }), [0, 0, 1, 1, 2, 2, 3, 4, 3, 4, 3, 4]);
        assert_eq!(addresses(Lookup::Own { own: 5, others: 5 }), [5, 6, 9, 0, 3, 4]);
    }

    #[test]
    fn quotient_and_remainder_tell_all_categories_apart() {
        for divisor in [1, 2, 7, 100] {
            let quotients = 100u64.div_ceil(divisor);
            let mut out = Vec::new();
            Lookup::Sum { divisor, quotients }.addresses(&(0..100).collect::<Vec<_>>(), &mut out);
            let pairs: std::collections::HashSet<_> = out.chunks(2).map(<[u32]>::to_vec).collect();
            assert_eq!(pairs.len(), 100);
            assert!(out.iter().all(|&row| u64::from(row) < quotients + divisor));
        }
    }

    #[test]
    fn hashing_is_even_and_chunks_are_independent() {
        let (buckets, categories) = (10u64, 10_000u32);
        let all: Vec<u32> = (0..categories).collect();
        let mut out = Vec::new();
        Lookup::Chunks { buckets }.addresses(&all, &mut out);
        let chunks: Vec<&[u32]> = out.chunks(categories as usize).collect();
        assert_eq!(chunks.len(), CHUNKS);
        for (j, chunk) in chunks.iter().enumerate() {
            let mut counts = [0.0f64; 10];
            chunk.iter().for_each(|&row| counts[row as usize - j * 10] += 1.0);
            // Chi squared of 9 degrees of freedom: 27.9 is passed once in a thousand.
            let want = f64::from(categories) / 10.0;
            let chi: f64 = counts.iter().map(|count| (count - want).powi(2) / want).sum();
            assert!(chi < 27.9, "chunk {j}: {counts:?}");
        }
        let same = chunks[0].iter().zip(chunks[1]).filter(|(a, b)| **a + 10 == **b).count();
        assert!((800..1200).contains(&same), "{same} of {categories} fall together, as a tenth should");
    }
}
