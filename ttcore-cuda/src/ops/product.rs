//! Batched products of row major matrices.

use std::marker::PhantomData;

use crate::args::{Operand, PointersArgs};
use crate::device::{Device, Dims, Element, Gemm, Kernel, Matrices, Transpose};
use crate::error::Error;

/// The items of a chunk, and where the pointers to their operands go.
#[derive(Clone, Copy)]
pub(super) struct Items {
    /// The first lookup.
    pub(super) first: usize,
    /// How many.
    pub(super) count: usize,
    /// Unique row of each lookup; 0 where items are rows themselves.
    pub(super) row_of: u64,
    /// Rows that have digits.
    pub(super) core_rows: usize,
    /// Pointers `[3][capacity]`.
    pub(super) pointers: u64,
    /// Most items of a chunk.
    pub(super) capacity: usize,
}

/// Which product, of `[height][rank]`, `[rank][width]` and `[height][width]`, all row major.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) height: usize,
    pub(super) rank: usize,
    pub(super) width: usize,
}

/// The products of a call: where they are ordered.
pub(super) struct Products<'c, F, D: Device> {
    pub(super) device: &'c D,
    pub(super) queue: &'c mut D::Queue,
    pub(super) numbers: PhantomData<F>,
}

impl<F: Element, D: Device> Products<'_, F, D> {
    /// `C = A B`: `[height][rank]` times `[rank][width]`. Column major, that is `C' = B' A'`.
    pub(super) fn forward(&mut self, items: Items, size: Size, [a, b, c]: [Operand; 3]) -> Result<(), Error> {
        let Size { height, rank, width } = size;
        let (transpose, leading) = ([Transpose::No, Transpose::No], [width, rank, width]);
        self.run(items, [b, a, c], Gemm { transpose, m: width, n: height, k: rank, leading, ..EMPTY })
    }

    /// `dB = A' dC`: `[rank][width]`, the gradient of the right factor.
    pub(super) fn right_gradient(&mut self, items: Items, size: Size, [a, dc, db]: [Operand; 3]) -> Result<(), Error> {
        let Size { height, rank, width } = size;
        let (transpose, leading) = ([Transpose::No, Transpose::Yes], [width, rank, width]);
        self.run(items, [dc, a, db], Gemm { transpose, m: width, n: rank, k: height, leading, ..EMPTY })
    }

    /// `dA = dC B'`: `[height][rank]`, the gradient of the left factor.
    pub(super) fn left_gradient(&mut self, items: Items, size: Size, [dc, b, da]: [Operand; 3]) -> Result<(), Error> {
        let Size { height, rank, width } = size;
        let (transpose, leading) = ([Transpose::Yes, Transpose::No], [width, width, rank]);
        self.run(items, [b, dc, da], Gemm { transpose, m: rank, n: height, k: width, leading, ..EMPTY })
    }

    fn run(&mut self, items: Items, operands: [Operand; 3], gemm: Gemm) -> Result<(), Error> {
        let args = PointersArgs {
            operands,
            pointers: items.pointers,
            row_of: items.row_of,
            first: items.first as u64,
            count: items.count as u32,
            capacity: items.capacity as u32,
            core_rows: items.core_rows as u32,
            unused: 0,
        };
        let list = |number: usize| items.pointers + (number * items.capacity * size_of::<u64>()) as u64;
        let gemm =
            Gemm { matrices: Matrices::Batch { pointers: [list(0), list(1), list(2)], count: items.count }, ..gemm };
        // SAFETY: the pointer arrays have room for a chunk, which the items are at most; operands are memory of the plan
        // and parameters of checked length, at digits that the host found; all in order on one queue.
        unsafe {
            self.device.launch(self.queue, Kernel::Pointers, F::DOUBLE, Dims::threads(items.count), &args)?;
            self.device.gemm(self.queue, F::DOUBLE, &gemm)
        }
    }
}

/// To be filled in.
const EMPTY: Gemm =
    Gemm { transpose: [Transpose::No; 2], m: 0, n: 0, k: 0, leading: [0; 3], matrices: Matrices::One([0; 3]) };
