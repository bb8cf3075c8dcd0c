//! Which rows of which tables are the most popular of all.

use super::{BYTES, Method, Size, fit};

/// How many rows of each table are among the `rows` most popular of all tables together. Of equally popular ones, those of
/// earlier tables.
pub(super) fn most_popular(tables: &[Size<'_>], rows: u128) -> Vec<u64> {
    let sorted: Vec<Vec<u32>> = tables.iter().map(sorted).collect();
    let above = |count: u32| sorted.iter().map(move |counts| counts.partition_point(|&c| c >= count) as u64);
    // The least count of which all rows fit.
    let (mut low, mut high) = (0u64, 1u64 << 32);
    while low < high {
        let middle = (low + high) / 2;
        let fits = u32::try_from(middle).map_or(0, |count| above(count).map(u128::from).sum::<u128>()) <= rows;
        if fits { high = middle } else { low = middle + 1 }
    }
    let mut kept: Vec<u64> = u32::try_from(low).map_or(vec![0; tables.len()], |count| above(count).collect());
    // Some of those that occur once less, or never.
    let mut left = rows - kept.iter().copied().map(u128::from).sum::<u128>();
    for ((kept, counts), table) in kept.iter_mut().zip(&sorted).zip(tables) {
        let next = match low.checked_sub(1).and_then(|count| u32::try_from(count).ok()) {
            Some(count) => counts.partition_point(|&c| c >= count) as u64,
            None => table.rows,
        };
        let more = u128::from(next - *kept).min(left);
        *kept += more as u64;
        left -= more;
    }
    kept
}

/// Share of the bytes that a hybrid has for rows of their own unless another is given (docs/accuracy.md).
const SHARE: f64 = 0.75;

/// How many rows of each table a hybrid holds as they are, in `bytes` bytes for all: the most popular of all tables, in a share
/// of the bytes that leaves enough for the least tensor trains of all others.
pub(super) fn own_rows(bytes: u128, share: Option<f64>, tables: &[Size<'_>], dim: usize) -> Vec<u64> {
    let row = dim as u128 * BYTES;
    let least: u128 = tables.iter().map(|table| fit::need(Method::Hybrid, table.rows, dim).least).sum();
    let rows = (bytes as f64 * share.unwrap_or(SHARE) / row as f64) as u128;
    most_popular(tables, rows.min(bytes.saturating_sub(least) / row))
}

/// How often each row occurs, the most popular first.
fn sorted(table: &Size<'_>) -> Vec<u32> {
    let mut counts = table.counts.to_vec();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_popular_of_all_tables() {
        let tables = [Size { rows: 6, counts: &[9, 7, 5, 1] }, Size { rows: 3, counts: &[8, 5, 5] }];
        let most = |rows| most_popular(&tables, rows);
        assert_eq!(most(0), [0, 0]);
        assert_eq!(most(1), [1, 0]);
        assert_eq!(most(2), [1, 1]);
        assert_eq!(most(3), [2, 1]);
        assert_eq!(most(5), [3, 2]);
        assert_eq!(most(6), [3, 3]);
        assert_eq!(most(7), [4, 3]);
        assert_eq!(most(8), [5, 3]);
        assert_eq!(most(100), [6, 3]);
    }

    #[test]
    fn own_rows_leave_enough_for_the_others() {
        let counts: Vec<u32> = (1..=100_000u32).map(|rank| 10_000_000 / rank).collect();
        let tables = [Size { rows: 100_000, counts: &counts }];
        let own = |bytes, share| own_rows(bytes, share, &tables, 16)[0];
        assert_eq!(own(640_000, None), 7_500);
        assert_eq!(own(640_000, Some(0.5)), 5_000);
        let least = fit::need(Method::Hybrid, 100_000, 16).least;
        assert_eq!(u128::from(own(640_000, Some(1.0))), (640_000 - least) / 64);
        assert_eq!(own(least - 1, None), 0);
    }
}
