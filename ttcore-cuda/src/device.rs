//! What the backend needs of a machine: memory, copies, kernels, batched products.
//!
//! `Driver` (feature `cuda`) is a GPU; `Emulator` (feature `emulator`) runs the same kernel source on the host. Everything
//! above this trait is the same for both, so tests on the second reach all of it.

use std::ffi::CStr;

use crate::args::Args;
use crate::error::Error;

/// Numbers on the device: `f32` or `f64`.
pub trait Element: ttcore_cpu::Element + bytemuck::Pod {
    /// Whether it is `f64`.
    const DOUBLE: bool;
}

impl Element for f32 {
    const DOUBLE: bool = false;
}

impl Element for f64 {
    const DOUBLE: bool = true;
}

macro_rules! kernels {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// The kernels, named as in `kernels/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Kernel {
            $($(#[$doc])* $variant,)*
        }

        impl Kernel {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name of its entry for `f32`, or for `f64`.
            pub fn entry(self, double: bool) -> &'static CStr {
                let name = match (self, double) {
                    $((Self::$variant, false) => concat!($name, "_f32\0"),
                    (Self::$variant, true) => concat!($name, "_f64\0"),)*
                };
                CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default()
            }
        }
    };
}

kernels! {
    /// Pointers of the operands of a batched product.
    Pointers = "pointers";
    /// Rows of a chunk to bags.
    Pool = "pool";
    /// Gradients of the rows of a chunk.
    RowGradients = "row_gradients";
    /// Gradients of slices of a chunk to those of a core.
    Accumulate = "accumulate";
    /// A rule on the slices a batch touched.
    ApplySlices = "apply_slices";
    /// A rule of blocks on the slices a batch touched.
    NormSlices = "norm_slices";
    /// Gradients of per-sample weights.
    Weights = "weights";
    /// Gradients of dense rows to their sink.
    DenseRows = "dense_rows";
    /// A rule of blocks on the dense rows a batch touched.
    NormDense = "norm_dense";
    /// Gradients of zero, to the sink, of what a batch did not touch.
    Untouched = "untouched";
    /// Dense rows to where rows are wanted.
    CopyRows = "copy_rows";
    /// Products of the pairs of all fused tables.
    FusedPairs = "fused_pairs";
    /// Pooled rows of all fused tables.
    FusedPool = "fused_pool";
    /// Gradients of per-sample weights of all fused tables.
    FusedWeights = "fused_weights";
    /// Gradients of rows, products and slices of core 2 of all fused tables.
    FusedMiddle = "fused_middle";
    /// Gradients of slices of cores 1 and 3 and of dense rows of all fused tables.
    FusedOuter = "fused_outer";
    /// Rules of blocks on the cores of all fused tables.
    FusedSlices = "fused_slices";
    /// Gradients of zero, to their sinks, of what a batch did not touch of all fused tables.
    FusedUntouched = "fused_untouched";
    /// A batch on the device, checked and copied to where it is grouped from.
    GroupImport = "group_import";
    /// Lists of a batch: unique rows, pairs, digits that occur.
    GroupTables = "group_tables";
    /// Units of work of a batch.
    GroupUnits = "group_units";
    /// Biases, and ReLU.
    Bias = "bias";
    /// Gradients behind a ReLU, and sums of them over some samples.
    BiasPartial = "bias_partial";
    /// Gradients of biases.
    BiasGrad = "bias_grad";
    /// Dot products between features.
    Interact = "interact";
    /// Gradients of features.
    InteractGrad = "interact_grad";
    /// Probabilities, and the loss of each sample.
    Loss = "loss";
    /// The loss of a batch, and whether it is finite.
    Tally = "tally";
    /// A rule on consecutive parameters.
    Update = "update";
}

/// How many blocks and threads a kernel runs on.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// Blocks.
    pub grid: u32,
    /// Threads of a block, at most [`Dims::MOST_THREADS`].
    pub block: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
}

impl Dims {
    /// Most threads of a block, as in `KERNEL` of `kernels/common.cuh`.
    pub const MOST_THREADS: u32 = 256;

    /// Most blocks: enough for the largest GPUs several times over; kernels go on in steps of the grid.
    const MOST_BLOCKS: usize = 4096;

    /// One block for each of `blocks` units of work of `width` numbers each.
    pub fn blocks(blocks: usize, width: usize) -> Self {
        let warps = width.clamp(1, Self::MOST_THREADS as usize).div_ceil(32) as u32;
        Self { grid: blocks.clamp(1, Self::MOST_BLOCKS) as u32, block: 32 * warps, shared: 0 }
    }

    /// One thread for each of `threads` units of work.
    pub fn threads(threads: usize) -> Self {
        Self::blocks(threads.div_ceil(Self::MOST_THREADS as usize), threads)
    }
}

/// Whether a matrix of a product is transposed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transpose {
    /// As it is.
    No,
    /// Transposed.
    Yes,
}

/// The matrices of products of one size.
#[derive(Clone, Copy, Debug)]
pub enum Matrices {
    /// One product: addresses of `A`, `B` and `C`.
    One([u64; 3]),
    /// Several, through arrays of pointers on the device.
    Batch {
        /// Addresses of the pointer arrays of `A`, `B` and `C`.
        pointers: [u64; 3],
        /// How many products.
        count: usize,
    },
}

/// `C = op(A) op(B)`: `cublasSgemm`, or `cublasSgemmBatched` for several products of one size; column major, with their
/// letters.
#[derive(Clone, Copy, Debug)]
pub struct Gemm {
    /// Of `A` and `B`.
    pub transpose: [Transpose; 2],
    /// Rows of `C`.
    pub m: usize,
    /// Columns of `C`.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Numbers from one column to the next in `A`, `B` and `C`.
    pub leading: [usize; 3],
    /// Where the matrices are.
    pub matrices: Matrices,
}

/// Orders the uses of memory behind its filling, and its next filling behind its uses, across queues. Nothing has to be done
/// where work is finished when it is asked for.
pub trait Fence<Q>: Send + Sync {
    /// Before a queue fills the memory: its work from here on begins after all uses on other queues.
    fn begin_fill(&mut self, _queue: &mut Q) -> Result<(), Error> {
        Ok(())
    }

    /// After the queue has filled it.
    fn end_fill(&mut self, _queue: &mut Q) -> Result<(), Error> {
        Ok(())
    }

    /// Before a queue uses it: its work from here on begins after the last filling, on whatever queue.
    fn begin_use(&self, _queue: &mut Q) -> Result<(), Error> {
        Ok(())
    }

    /// After the queue has used it.
    fn end_use(&self, _queue: &mut Q) -> Result<(), Error> {
        Ok(())
    }
}

impl Fence<()> for () {}

/// A machine that runs the kernels.
///
/// Work on one queue is done in order. Addresses are of the device's memory; whoever calls an unsafe function answers for
/// what lies at them.
pub trait Device: Sized + Send + Sync + 'static {
    /// Where work is ordered.
    type Queue: Send;
    /// Memory of the device, freed when dropped.
    type Memory: Send + Sync;
    /// Memory of the host that copies to the device start from, without waiting for them.
    type Staging: Send + Sync;
    /// Orders what is done on several queues with memory that one of them fills.
    type Fence: Fence<Self::Queue>;

    /// A fence for memory that nobody has filled yet.
    fn fence(&self) -> Result<Self::Fence, Error>;

    /// `bytes` zeros, aligned to 256 bytes on a GPU and at least to 16.
    fn allocate(&self, queue: &mut Self::Queue, bytes: usize) -> Result<Self::Memory, Error>;

    /// Where memory begins.
    fn address(memory: &Self::Memory) -> u64;

    /// Memory of `bytes` bytes to copy from.
    fn staging(&self, bytes: usize) -> Result<Self::Staging, Error>;

    /// Its bytes, after the last [`Device::send`] from it is done.
    fn staged<'a>(&self, staging: &'a mut Self::Staging) -> Result<&'a mut [u8], Error>;

    /// Copies the first `bytes` of `staging` to the device, in order on the queue, without waiting.
    ///
    /// # Safety
    ///
    /// `to` is an address of `bytes` bytes that nobody else uses until the work is done.
    unsafe fn send(
        &self,
        queue: &mut Self::Queue,
        staging: &mut Self::Staging,
        to: u64,
        bytes: usize,
    ) -> Result<(), Error>;

    /// Copies to the device. The host's memory may be reused when this returns.
    ///
    /// # Safety
    ///
    /// `to` is an address of so many bytes that nobody else uses.
    unsafe fn upload(&self, queue: &mut Self::Queue, from: &[u8], to: u64) -> Result<(), Error>;

    /// Copies from the device, after all earlier work of the queue.
    ///
    /// # Safety
    ///
    /// `from` is an address of so many bytes that nobody else writes.
    unsafe fn download(&self, queue: &mut Self::Queue, from: u64, to: &mut [u8]) -> Result<(), Error>;

    /// Fills memory with zeros, in order on the queue.
    ///
    /// # Safety
    ///
    /// `at` is an address of so many bytes that nobody else uses until the work is done.
    unsafe fn zero(&self, queue: &mut Self::Queue, at: u64, bytes: usize) -> Result<(), Error>;

    /// Waits until all work of the queue is done.
    fn synchronize(&self, queue: &mut Self::Queue) -> Result<(), Error>;

    /// Starts a kernel, for `f64` if `double`.
    ///
    /// # Safety
    ///
    /// The arguments are those of the kernel, and every address and count in them is right until the work is done.
    unsafe fn launch<A: Args>(
        &self,
        queue: &mut Self::Queue,
        kernel: Kernel,
        double: bool,
        dims: Dims,
        args: &A,
    ) -> Result<(), Error>;

    /// Starts products of `f64` if `double`, else of `f32`.
    ///
    /// # Safety
    ///
    /// At the addresses are matrices of these sizes, which fit into 31 bits, or arrays of so many addresses of them, until
    /// the work is done.
    unsafe fn gemm(&self, queue: &mut Self::Queue, double: bool, gemm: &Gemm) -> Result<(), Error>;
}
