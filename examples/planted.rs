//! Data with a planted model, for both layers to learn.

use ttcore::{ShapeError, TtShape};

/// Rows of the table.
pub(crate) const ROWS: u64 = 10_000;
/// Bags of a batch.
pub(crate) const BAGS: usize = 256;
/// Lookups of a bag.
pub(crate) const LOOKUPS: usize = 4;

/// Batches whose target is the sum of what each row is worth: a product of a number for each of its digits.
pub(crate) struct Planted {
    shape: TtShape,
    worth: Vec<Vec<f32>>,
    state: u64,
}

impl Planted {
    pub(crate) fn new(shape: &TtShape) -> Self {
        let mut planted = Self { shape: shape.clone(), worth: Vec::new(), state: 1 };
        let of = |planted: &mut Self, digits: usize| (0..digits).map(|_| planted.unit() * 2.0 - 0.5).collect();
        planted.worth = shape.row_factors().iter().map(|&digits| of(&mut planted, digits)).collect();
        planted
    }

    /// Rows `[BAGS][LOOKUPS]` and targets `[BAGS]`.
    pub(crate) fn batch(&mut self) -> (Vec<u64>, Vec<f32>) {
        let rows: Vec<u64> = (0..BAGS * LOOKUPS).map(|_| self.next() % ROWS).collect();
        let target = |bag: &[u64]| bag.iter().map(|&row| self.of(row)).sum();
        let targets = rows.chunks(LOOKUPS).map(target).collect();
        (rows, targets)
    }

    /// Where bags begin, `[BAGS]`.
    pub(crate) fn starts() -> Vec<u32> {
        (0..BAGS).map(|bag| (bag * LOOKUPS) as u32).collect()
    }

    fn of(&self, row: u64) -> f32 {
        self.worth.iter().enumerate().map(|(k, worth)| worth[self.shape.digit(row, k)]).product()
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// The table: 10,000 rows of 8 numbers in 3 cores of rank 4.
pub(crate) fn shape() -> Result<TtShape, ShapeError> {
    TtShape::paper(ROWS, 8, 3, 4)
}
