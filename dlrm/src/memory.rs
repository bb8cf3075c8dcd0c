//! Which tables are compressed, and what that saves.

use serde::Serialize;
use ttcore::{ShapeError, TtShape};

/// Cores of a compressed table, as in the paper.
pub const CORES: usize = 3;

/// Bytes of a number of the models: `f32`.
const BYTES: u128 = size_of::<f32>() as u128;

/// The numbers of the `count` largest tables, the largest first; of equal ones the first comes first.
pub fn largest_tables(table_rows: &[u64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..table_rows.len()).collect();
    order.sort_by_key(|&table| std::cmp::Reverse(table_rows[table]));
    order.truncate(count);
    order
}

/// Memory of a model's embedding tables with the largest in TT form (paper, Figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ModelMemory {
    /// How many of the largest tables are in TT form.
    pub tt_tables: usize,
    /// Their TT-rank.
    pub rank: usize,
    /// Bytes of all tables uncompressed, in `f32`.
    pub dense_bytes: u128,
    /// Bytes of all tables with those in TT form.
    pub compressed_bytes: u128,
    /// `dense_bytes / compressed_bytes`.
    pub ratio: f64,
}

impl ModelMemory {
    /// For tables of these rows and embedding dimension `dim`, by the paper's factorisation rule.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] for tables that cannot be factored.
    pub fn new(table_rows: &[u64], dim: usize, tt_tables: usize, rank: usize) -> Result<Self, ShapeError> {
        let dense = |rows: u64| u128::from(rows) * dim as u128 * BYTES;
        let dense_bytes: u128 = table_rows.iter().copied().map(dense).sum();
        let mut compressed_bytes = dense_bytes;
        let compressed = largest_tables(table_rows, tt_tables);
        for &table in &compressed {
            let shape = TtShape::paper(table_rows[table], dim, CORES, rank)?;
            compressed_bytes = compressed_bytes - dense(table_rows[table]) + shape.parameters() as u128 * BYTES;
        }
        let ratio = dense_bytes as f64 / compressed_bytes as f64;
        Ok(Self { tt_tables: compressed.len(), rank, dense_bytes, compressed_bytes, ratio })
    }
}

/// The shape of one compressed table (paper, Table 2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableShape {
    /// Rows of the table.
    pub rows: u64,
    /// Row factors.
    pub row_factors: Vec<usize>,
    /// Column factors.
    pub col_factors: Vec<usize>,
    /// TT-rank.
    pub rank: usize,
    /// Numbers in the cores.
    pub parameters: usize,
    /// How many times fewer than in the table.
    pub ratio: f64,
    /// Rows of padding, as a fraction of the table's.
    pub padding: f64,
}

impl From<&TtShape> for TableShape {
    fn from(shape: &TtShape) -> Self {
        Self {
            rows: shape.rows(),
            row_factors: shape.row_factors().to_vec(),
            col_factors: shape.col_factors().to_vec(),
            rank: shape.ranks()[1],
            parameters: shape.parameters(),
            ratio: shape.compression(),
            padding: shape.padding(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::Preset;

    #[test]
    fn figure_5_of_the_paper() {
        let ratio = |preset: Preset, tables, rank| {
            let memory = ModelMemory::new(preset.table_rows(), preset.embedding_dim(), tables, rank).unwrap();
            (memory.ratio * 100.0).round() / 100.0
        };
        for (tables, rank, want) in
            [(3, 32, 4.06), (5, 32, 48.29), (7, 8, 221.9), (7, 16, 187.0), (7, 32, 117.36), (7, 64, 48.0)]
        {
            assert!((ratio(Preset::Kaggle, tables, rank) - want).abs() < 0.06, "{tables} {rank}");
        }
        for (tables, rank, want) in
            [(3, 32, 2.55), (5, 32, 21.84), (7, 8, 112.54), (7, 16, 108.5), (7, 32, 95.5), (7, 64, 64.95)]
        {
            assert!((ratio(Preset::Terabyte, tables, rank) - want).abs() < 0.06, "{tables} {rank}");
        }
    }

    #[test]
    fn the_largest_come_first_and_equals_in_order() {
        assert_eq!(largest_tables(&[3, 9, 3, 10, 9], 4), [3, 1, 4, 0]);
        assert_eq!(largest_tables(&[1], 7), [0]);
    }
}
