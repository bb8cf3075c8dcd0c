//! The largest of its kind in so many bytes.

use ttcore::TtShape;

use super::share::Need;
use super::{BYTES, Held, Method};
use crate::memory::CORES;
use crate::model::Lookup;
use crate::model::lookup::CHUNKS;

impl Held {
    /// Numbers that are kept for a table of `rows` rows and `dim` columns.
    pub fn parameters(self, rows: u64, dim: usize) -> u128 {
        let row = dim as u128;
        match self {
            Self::Dense => u128::from(rows) * row,
            Self::Tt { rank, own_rows } => u128::from(own_rows) * row + train_bytes(rows - own_rows, dim, rank) / BYTES,
            Self::Shared(lookup) => u128::from(lookup.rows(rows)) * lookup.columns(dim).unwrap_or(dim) as u128,
        }
    }
}

/// The most popular `kept` rows and one for all others.
pub(super) fn head(kept: u64, rows: u64) -> Held {
    if kept.saturating_add(1) >= rows { Held::Dense } else { Held::Shared(Lookup::Shared { kept }) }
}

/// What a table of `rows` rows needs with a method, beside rows held as they are.
pub(super) fn need(method: Method, rows: u64, dim: usize) -> Need {
    let row = dim as u128 * BYTES;
    let dense = u128::from(rows) * row;
    let least = match method {
        Method::Tt | Method::Hybrid => train_bytes(rows, dim, 1),
        Method::Qr | Method::QrProduct | Method::QrPublished => {
            let divisor = rows.isqrt().max(1);
            u128::from(rows.div_ceil(divisor) + divisor) * row
        }
        Method::Head | Method::Modulo | Method::Hash | Method::Ce => row,
    };
    Need { dense, least: least.min(dense) }
}

/// A table of `rows` rows in `bytes` bytes, which are enough, beside `own` rows held as they are.
pub(super) fn fit(method: Method, rows: u64, own: u64, dim: usize, bytes: u128) -> Held {
    let row = dim as u128 * BYTES;
    if u128::from(rows - own) * row <= bytes {
        return Held::Dense;
    }
    // More than there are rows would not fit the branch above.
    let buckets = (bytes / row).max(1) as u64;
    match method {
        Method::Tt | Method::Hybrid => Held::Tt { rank: largest_rank(rows - own, dim, bytes), own_rows: own },
        Method::Head => head(buckets - 1, rows),
        Method::Modulo => Held::Shared(Lookup::Modulo { buckets }),
        Method::Hash => Held::Shared(Lookup::Hash { buckets }),
        Method::Qr => {
            let (divisor, quotients) = quotients(rows, buckets);
            Held::Shared(Lookup::Sum { divisor, quotients })
        }
        Method::QrProduct | Method::QrPublished => {
            let (divisor, quotients) = quotients(rows, buckets);
            Held::Shared(Lookup::Product { divisor, quotients })
        }
        // Where rows cannot be cut in chunks, they are shared whole.
        Method::Ce if !dim.is_multiple_of(CHUNKS) => Held::Shared(Lookup::Hash { buckets }),
        Method::Ce => Held::Shared(Lookup::Chunks { buckets }),
    }
}

/// The least divisor, and its number of quotients, with at most `most` rows of both; the square root of all rows if there is
/// none.
fn quotients(rows: u64, most: u64) -> (u64, u64) {
    let root = rows.isqrt().max(1);
    // The number of rows of both falls up to the square root.
    let (mut low, mut high) = (1, root);
    while low < high {
        let middle = (low + high) / 2;
        if rows.div_ceil(middle) + middle <= most { high = middle } else { low = middle + 1 }
    }
    (low, rows.div_ceil(low))
}

/// The largest rank of a tensor train in so many bytes, at least 1.
fn largest_rank(rows: u64, dim: usize, bytes: u128) -> usize {
    let (mut low, mut high) = (1, 2);
    while train_bytes(rows, dim, high) <= bytes {
        (low, high) = (high, 2 * high);
    }
    while high - low > 1 {
        let middle = (low + high) / 2;
        if train_bytes(rows, dim, middle) <= bytes { low = middle } else { high = middle }
    }
    low
}

/// Bytes of a tensor train by the paper's rule; more than there are if it has no shape.
fn train_bytes(rows: u64, dim: usize, rank: usize) -> u128 {
    TtShape::paper(rows, dim, CORES, rank).map_or(u128::MAX >> 32, |shape| shape.parameters() as u128 * BYTES)
}
