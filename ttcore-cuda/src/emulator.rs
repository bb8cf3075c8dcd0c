//! The host as a device: the kernels compiled as C++, products as plain loops. For tests; nothing is fast.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};

use crate::args::Args;
use crate::device::{Device, Dims, Gemm, Kernel, Matrices, Transpose};
use crate::error::Error;

unsafe extern "C" {
    fn ttcore_emulator_has(name: *const c_char) -> bool;
    pub(crate) fn ttcore_emulator_launch(
        name: *const c_char,
        grid: u32,
        threads: u32,
        shared: u32,
        args: *const c_void,
    ) -> bool;
}

thread_local! {
    /// Most threads of a block: fewer than a GPU has, as each is a fibre where threads wait for each other. Kernels go on
    /// in steps of the block, so results are the same. The race detector wants as many.
    static MOST_THREADS: Cell<u32> = const { Cell::new(if cfg!(feature = "race") { 256 } else { 16 }) };
}

/// Most blocks: so few that blocks have several units of work, one after the other, as they have in large batches on a GPU.
const MOST_BLOCKS: u32 = 3;

/// Bytes around each allocation that belong to nobody, so that the race detector does not take what is a little outside of one
/// for another.
const GAP: usize = if cfg!(feature = "race") { 4096 } else { 0 };

/// The host as a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Emulator;

impl Emulator {
    /// Runs blocks of up to so many threads from now on, where the calling thread starts kernels, instead of 16: 1 to 16, or
    /// a multiple of 32.
    pub fn set_most_threads(threads: u32) {
        MOST_THREADS.set(threads);
    }

    /// Whether there is a kernel of this name.
    pub fn has(name: &CStr) -> bool {
        // SAFETY: the name is read during the call only.
        unsafe { ttcore_emulator_has(name.as_ptr()) }
    }
}

/// Memory of the host that stands for the device's.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns what it points to, and only says where that is: who reads or writes there, as on a GPU, answers for the
// absence of conflicts.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(bytes: usize) -> Result<Self, Error> {
        let too_large = || Error::from(ttcore::Error::TooLarge { what: "buffer" });
        // Never empty, so that the address is one.
        let size = bytes.max(1).checked_add(2 * GAP).ok_or_else(too_large)?;
        let layout = Layout::from_size_align(size, 16).map_err(|_| too_large())?;
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        // SAFETY: inside of the allocation.
        let start = unsafe { start.add(GAP) };
        #[cfg(feature = "race")]
        crate::race::remember(start, bytes);
        Ok(Self { start, layout })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        #[cfg(feature = "race")]
        crate::race::forget(self.start);
        // SAFETY: allocated with this layout in `new`, so much before.
        unsafe { dealloc(self.start.as_ptr().sub(GAP), self.layout) };
    }
}

fn pointer<T>(address: u64) -> *mut T {
    ptr::with_exposed_provenance_mut(address as usize)
}

impl Device for Emulator {
    type Queue = ();
    type Memory = Memory;
    type Staging = Vec<u8>;
    // Everything is done when it is asked for.
    type Fence = ();

    fn fence(&self) -> Result<(), Error> {
        Ok(())
    }

    fn allocate(&self, _queue: &mut (), bytes: usize) -> Result<Memory, Error> {
        Memory::new(bytes)
    }

    fn address(memory: &Memory) -> u64 {
        memory.start.as_ptr().expose_provenance() as u64
    }

    fn staging(&self, bytes: usize) -> Result<Vec<u8>, Error> {
        Ok(vec![0; bytes])
    }

    fn staged<'a>(&self, staging: &'a mut Vec<u8>) -> Result<&'a mut [u8], Error> {
        Ok(staging)
    }

    unsafe fn send(&self, queue: &mut (), staging: &mut Vec<u8>, to: u64, bytes: usize) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { self.upload(queue, &staging[..bytes], to) }
    }

    unsafe fn upload(&self, _queue: &mut (), from: &[u8], to: u64) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), pointer(to), from.len()) };
        Ok(())
    }

    unsafe fn download(&self, _queue: &mut (), from: u64, to: &mut [u8]) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { ptr::copy_nonoverlapping(pointer::<u8>(from).cast_const(), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    unsafe fn zero(&self, _queue: &mut (), at: u64, bytes: usize) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { ptr::write_bytes(pointer::<u8>(at), 0, bytes) };
        Ok(())
    }

    fn synchronize(&self, _queue: &mut ()) -> Result<(), Error> {
        Ok(())
    }

    unsafe fn launch<A: Args>(
        &self,
        _queue: &mut (),
        kernel: Kernel,
        double: bool,
        dims: Dims,
        args: &A,
    ) -> Result<(), Error> {
        let Dims { grid, block, shared } = dims;
        let (name, grid, block) = (kernel.entry(double), grid.min(MOST_BLOCKS), block.min(MOST_THREADS.get()));
        // SAFETY: the caller's; the kernel reads the arguments during the call only.
        let found = unsafe { ttcore_emulator_launch(name.as_ptr(), grid, block, shared, ptr::from_ref(args).cast()) };
        #[cfg(feature = "race")]
        crate::race::finding()?;
        let answer = || format!("there is no kernel {}", name.to_string_lossy());
        if found { Ok(()) } else { Err(Error::Driver { call: "start a kernel", code: 500, answer: answer() }) }
    }

    unsafe fn gemm(&self, _queue: &mut (), double: bool, gemm: &Gemm) -> Result<(), Error> {
        let count = if let Matrices::Batch { count, .. } = gemm.matrices { count } else { 1 };
        for i in 0..count {
            let matrices = match gemm.matrices {
                Matrices::One(addresses) => addresses,
                // SAFETY: the caller's: arrays of so many addresses.
                Matrices::Batch { pointers, .. } => pointers.map(|array| unsafe { *pointer::<u64>(array).add(i) }),
            };
            // SAFETY: the caller's.
            unsafe {
                if double {
                    product::<f64>(gemm, matrices);
                } else {
                    product::<f32>(gemm, matrices);
                }
            }
        }
        Ok(())
    }
}

/// One product, as BLAS defines it.
///
/// # Safety
///
/// At the addresses are matrices of the sizes of the product.
unsafe fn product<F: ttcore::Real>(gemm: &Gemm, matrices: [u64; 3]) {
    let [a, b, c] = matrices.map(pointer::<F>);
    let [lda, ldb, ldc] = gemm.leading;
    let place = |transpose, row: usize, column: usize, leading: usize| match transpose {
        Transpose::No => row + column * leading,
        Transpose::Yes => column + row * leading,
    };
    for column in 0..gemm.n {
        for row in 0..gemm.m {
            // SAFETY: the places are inside matrices of these sizes.
            let term = |l| unsafe {
                *a.add(place(gemm.transpose[0], row, l, lda)) * *b.add(place(gemm.transpose[1], l, column, ldb))
            };
            let sum = (0..gemm.k).map(term).sum();
            // SAFETY: as above.
            unsafe { *c.add(row + column * ldc) = sum };
        }
    }
}
