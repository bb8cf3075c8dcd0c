//! Rows of a table, uncompressed.

use ttcore::{Real, Table, algebra};

use crate::threads::Threads;

/// Rows of a task.
const ROWS: usize = 64;

/// Writes rows at these addresses to `out`, `[n][N]`. Rare and rarely many: one row at a time, by the definition.
pub(crate) fn expand<F: Real>(threads: &Threads, table: &Table, params: &[F], rows: &[u64], out: &mut [F]) {
    use rayon::prelude::*;

    let dim = table.dim();
    let expand = |(rows, out): (&[u64], &mut [F])| {
        let mut scratch = vec![F::zero(); table.cores().map_or(0, algebra::scratch_len)];
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(dim)) {
            match (table.dense_row(row), table.cores()) {
                (None, Some(shape)) => algebra::row(shape, &params[..shape.parameters()], row, out, &mut scratch),
                (range, _) => out.copy_from_slice(&params[range.unwrap_or(0..dim)]),
            }
        }
    };
    if threads.count() == 1 || rows.len() <= ROWS {
        expand((rows, out));
    } else {
        threads.install(|| rows.par_chunks(ROWS).zip(out.par_chunks_mut(ROWS * dim)).for_each(expand));
    }
}
