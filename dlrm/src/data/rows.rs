//! The row format: how a sample is packed into bytes, in memory and in a file alike.
//!
//! ```text
//! | C1 .. C26: 1 to 4 bytes each | I1 .. I13: 13 x f32 |     little endian; the label is the sign of I1
//! ```
//!
//! Counted for Criteo Kaggle: 8 of the 26 tables have at most 2^8 rows, 10 at most 2^16, 8 at most 2^24, so the indices
//! take 8 + 20 + 24 = 52 bytes instead of 104. Transformed counts are never negative, so a sign holds the label. A row
//! takes 104 bytes instead of 160, and the file 4.8 GB instead of 7.3 GB: less to read from disk, and a row spans two or
//! three cache lines instead of three or four. To pack the counts too, the logarithm would have to be taken at
//! reading, 13 for each sample and epoch, with bits that may differ between machines.
//!
//! How many rows a table gets is known only at the end, but the rows are written in one pass. So a file is a sequence of
//! *segments*, and in each of them every index has a fixed width: the row in which a feature reaches its 257th (65,537th,
//! 16,777,217th) value begins a new segment. There are at most 3 x 26 + 1 of them, all but the last usually short, and
//! they follow from the rows alone.

use super::{Batch, CATEGORICAL, DENSE, UNSEEN};

/// Bytes of the transformed counts.
const DENSE_BYTES: usize = DENSE * 4;

/// Where each index is in the rows of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    widths: [u8; CATEGORICAL],
    offsets: [usize; CATEGORICAL],
    masks: [u32; CATEGORICAL],
    /// Bytes of a row.
    stride: usize,
}

impl Layout {
    /// `None` if a width is not 1 to 4.
    pub(super) fn new(widths: [u8; CATEGORICAL]) -> Option<Self> {
        if !widths.iter().all(|width| (1..=4).contains(width)) {
            return None;
        }
        let mut stride = 0;
        let offsets = widths.map(|width| {
            stride += usize::from(width);
            stride - usize::from(width)
        });
        let masks = widths.map(|width| u32::MAX >> (32 - 8 * u32::from(width)));
        Some(Self { widths, offsets, masks, stride: stride + DENSE_BYTES })
    }

    /// Bytes of each index.
    pub(super) fn widths(&self) -> &[u8; CATEGORICAL] {
        &self.widths
    }

    /// Appends one row.
    pub(super) fn pack(&self, label: bool, dense: &[f32], indices: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
        for (index, &width) in indices.zip(&self.widths) {
            debug_assert!(width == 4 || index >> (8 * width) == 0, "index {index} in {width} bytes");
            out.extend_from_slice(&index.to_le_bytes()[..usize::from(width)]);
        }
        let first = if label { -dense[0] } else { dense[0] };
        out.extend_from_slice(&first.to_le_bytes());
        for value in &dense[1..] {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Appends a row to a batch; whether it holds what a line can give: indices below the rows of their tables, or equal to
    /// their number where there are `unseen` values, and counts that are numbers.
    fn unpack(&self, row: &[u8], table_rows: &[u64], unseen: bool, batch: &mut Batch) -> bool {
        let mut sound = true;
        let features = batch.indices.iter_mut().zip(table_rows).enumerate();
        for (feature, (indices, &rows)) in features {
            // Four bytes whatever the width: behind the last index there are the counts.
            let index = word(row, self.offsets[feature]) & self.masks[feature];
            let unseen = unseen && u64::from(index) == rows;
            sound &= unseen || u64::from(index) < rows;
            indices.push(if unseen { UNSEEN } else { index });
        }
        let dense = self.stride - DENSE_BYTES;
        for count in 0..DENSE {
            let value = f32::from_bits(word(row, dense + 4 * count)).abs();
            sound &= value.is_finite();
            batch.dense.push(value);
        }
        batch.labels.push(self.label(row));
        sound
    }

    fn label(&self, row: &[u8]) -> f32 {
        let first = f32::from_bits(word(row, self.stride - DENSE_BYTES));
        f32::from(u8::from(first.is_sign_negative()))
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Bytes of indices below these numbers.
pub(super) fn widths(table_rows: &[u64]) -> [u8; CATEGORICAL] {
    let width = |rows: u64| (rows.max(2) - 1).ilog2() as u8 / 8 + 1;
    std::array::from_fn(|feature| table_rows.get(feature).map_or(1, |&rows| width(rows)))
}

/// Consecutive rows of one layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first_row: usize,
    first_byte: usize,
    pub(super) layout: Layout,
}

/// All segments of a data set, at least one, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    /// One segment with one byte for every index.
    pub(super) fn new() -> Self {
        Self::with_widths([1; CATEGORICAL])
    }

    /// One segment with these bytes for each index, 1 to 4.
    pub(super) fn with_widths(widths: [u8; CATEGORICAL]) -> Self {
        let layout = Layout::new(widths).expect("indices are counted in 32 bits");
        Self(vec![Segment { first_row: 0, first_byte: 0, layout }])
    }

    /// From first rows and widths; `None` if they are not those of segments of that many rows.
    pub(super) fn from_parts(parts: impl Iterator<Item = (usize, [u8; CATEGORICAL])>, rows: usize) -> Option<Self> {
        let mut segments: Vec<Segment> = Vec::new();
        for (first_row, widths) in parts {
            let first_byte = match segments.last() {
                None if first_row == 0 => 0,
                Some(last) if last.first_row < first_row && first_row < rows => {
                    (first_row - last.first_row).checked_mul(last.layout.stride)?.checked_add(last.first_byte)?
                }
                _ => return None,
            };
            segments.push(Segment { first_row, first_byte, layout: Layout::new(widths)? });
        }
        let last = segments.last()?;
        (rows - last.first_row).checked_mul(last.layout.stride)?.checked_add(last.first_byte)?;
        Some(Self(segments))
    }

    /// Gives the indices of a feature one byte more from a row on, which is no earlier than that of the last call.
    pub(super) fn widen(&mut self, first_row: usize, feature: usize) {
        let last = self.0.last_mut().expect("at least one segment");
        let mut widths = last.layout.widths;
        widths[feature] += 1;
        let layout = Layout::new(widths).expect("an index fits four bytes");
        if last.first_row == first_row {
            last.layout = layout;
        } else {
            let first_byte = last.first_byte + (first_row - last.first_row) * last.layout.stride;
            self.0.push(Segment { first_row, first_byte, layout });
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Segment> {
        self.0.iter()
    }

    /// Bytes of the first `rows` rows.
    pub(super) fn bytes(&self, rows: usize) -> usize {
        let segment = self.of(rows);
        segment.first_byte + (rows - segment.first_row) * segment.layout.stride
    }

    /// The layout of a row.
    pub(super) fn layout(&self, row: usize) -> &Layout {
        &self.of(row).layout
    }

    /// Appends a row to a batch that has a vector for each feature; whether it holds what a line can give, for tables of
    /// these rows, and where there may be `unseen` values the index behind the last for these.
    pub(super) fn unpack(
        &self,
        bytes: &[u8],
        row: usize,
        (table_rows, unseen): (&[u64], bool),
        batch: &mut Batch,
    ) -> bool {
        let (layout, row) = self.row(bytes, row);
        layout.unpack(row, table_rows, unseen, batch)
    }

    pub(super) fn label(&self, bytes: &[u8], row: usize) -> f32 {
        let (layout, row) = self.row(bytes, row);
        layout.label(row)
    }

    fn row<'a>(&self, bytes: &'a [u8], row: usize) -> (&Layout, &'a [u8]) {
        let Segment { first_row, first_byte, layout } = self.of(row);
        (layout, &bytes[first_byte + (row - first_row) * layout.stride..][..layout.stride])
    }

    /// From the end: the last segment holds nearly all rows.
    fn of(&self, row: usize) -> &Segment {
        self.0.iter().rfind(|segment| segment.first_row <= row).expect("the first segment begins with row 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let mut segments = Segments::new();
        segments.widen(0, 3);
        segments.widen(2, 3);
        segments.widen(2, 25);
        segments.widen(5, 3);
        assert_eq!(
            segments.iter().map(|s| (s.first_row, s.layout.widths[3])).collect::<Vec<_>>(),
            [(0, 2), (2, 3), (5, 4)]
        );
        let value = |row: usize, feature: usize| {
            let most = segments.layout(row).masks[feature];
            most - (row * 7 + feature) as u32
        };
        let mut bytes = Vec::new();
        for row in 0..8 {
            let dense: Vec<f32> = (0..DENSE).map(|i| (row * i) as f32).collect();
            assert_eq!(segments.bytes(row), bytes.len());
            segments.layout(row).pack(row % 3 == 0, &dense, (0..CATEGORICAL).map(|f| value(row, f)), &mut bytes);
        }
        assert_eq!(segments.bytes(8), bytes.len());
        assert_eq!(segments.layout(7).stride, 26 + 3 + 1 + 52);
        for row in [7, 0, 1, 2, 4, 5, 6, 3] {
            let mut batch = Batch::with_capacity(1);
            assert!(segments.unpack(&bytes, row, (&[1 << 32; CATEGORICAL], false), &mut batch));
            assert_eq!(batch.labels, [f32::from(u8::from(row % 3 == 0))]);
            assert_eq!(batch.labels[0], segments.label(&bytes, row));
            assert!(batch.dense.iter().enumerate().all(|(i, &x)| x == (row * i) as f32 && x.is_sign_positive()));
            assert!(batch.indices.iter().enumerate().all(|(f, column)| column[..] == [value(row, f)]));
        }
        let parts = segments.iter().map(|s| (s.first_row, *s.layout.widths()));
        assert_eq!(Segments::from_parts(parts, 8).as_ref(), Some(&segments));
    }

    #[test]
    fn parts_that_are_no_segments() {
        let (one, bad) = ([1; CATEGORICAL], [5; CATEGORICAL]);
        for parts in [&[][..], &[(1, one)], &[(0, bad)], &[(0, one), (0, one)], &[(0, one), (4, one), (3, one)]] {
            assert_eq!(Segments::from_parts(parts.iter().copied(), 10), None);
        }
        assert_eq!(Segments::from_parts([(0, one), (10, one)].into_iter(), 10), None);
        assert_eq!(Segments::from_parts([(0, one)].into_iter(), usize::MAX), None);
        assert!(Segments::from_parts([(0, one)].into_iter(), 0).is_some());
    }

    /// The figure of the module's documentation.
    #[test]
    fn bytes_of_a_kaggle_row() {
        let widths = widths(crate::presets::Preset::Kaggle.table_rows());
        assert_eq!(Layout::new(widths).unwrap().stride, 104);
    }
}
