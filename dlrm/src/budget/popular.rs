//! Which rows of which tables are the most popular of all.

use super::{BYTES, Size, fit};

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

/// How many rows of each table a hybrid holds as they are, in `bytes` bytes for all.
///
/// A row is worth its bytes as long as it is looked up as often, for each of them, as the tensor trains that hold all
/// others are: the more rows are held, the less popular is the last, and the fewer lookups and bytes are left for the
/// trains. The share of rows at which both are equal is found in steps of a sixteenth.
pub(super) fn own_rows(bytes: u128, share: Option<f64>, tables: &[Size<'_>], dim: usize) -> Vec<u64> {
    let row = dim as u128 * BYTES;
    let least: u128 = tables.iter().map(|table| fit::need(super::Method::Tt, table.rows, dim).least).sum();
    let most = bytes.saturating_sub(least) / row;
    if let Some(share) = share {
        return most_popular(tables, most.min((bytes as f64 * share / row as f64) as u128));
    }
    let all: u64 = tables.iter().flat_map(|table| table.counts).map(|&count| u64::from(count)).sum();
    let sorted: Vec<Vec<u32>> = tables.iter().map(sorted).collect();
    let mut best = vec![0; tables.len()];
    for sixteenths in 1..=15 {
        let kept = most_popular(tables, most * sixteenths / 16);
        let own = sorted.iter().zip(&kept).map(|(counts, &kept)| &counts[..(kept as usize).min(counts.len())]);
        let (mut served, mut last) = (0, u32::MAX);
        for counts in own {
            served += counts.iter().map(|&count| u64::from(count)).sum::<u64>();
            last = last.min(counts.last().copied().unwrap_or(u32::MAX));
        }
        let rows: u128 = kept.iter().copied().map(u128::from).sum();
        let trains = (all - served) as f64 / (bytes - rows * row) as f64;
        if f64::from(last) / (row as f64) < trains {
            break;
        }
        best = kept;
    }
    best
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
    fn skewed_popularity_gets_rows_and_even_popularity_a_tensor_train() {
        let even = vec![10u32; 100_000];
        let skewed: Vec<u32> = (1..=100_000u32).map(|rank| 10_000_000 / rank.pow(2).max(rank)).collect();
        let own = |counts| own_rows(100_000 * 64 / 20, None, &[Size { rows: 100_000, counts }], 16)[0];
        assert_eq!(own(&even), 0);
        assert!(own(&skewed) > 500, "{}", own(&skewed));
    }
}
