//! A GPU: its primary context, memory, streams and launches, by the driver.
//!
//! Streams and memory may be the caller's, and so is the thread's current context: it is as before after every call.

mod api;
mod context;
mod event;
mod fence;
mod kernels;
mod memory;
mod queue;

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;

pub use event::Event;
pub use fence::Fence;
pub use memory::{Memory, Staging};
pub use queue::Queue;

use crate::args::Args;
use crate::blas::{Blas, Math};
use crate::device::{Device, Dims, Gemm, Kernel};
use crate::error::Error;
use context::Primary;
use kernels::Kernels;

/// One GPU, with the kernels compiled for it. Clones share them.
#[derive(Clone)]
pub struct Driver {
    kernels: Arc<Kernels>,
    context: Arc<Primary>,
    math: Math,
}

impl Driver {
    /// The GPU with this number, from 0. Compiles the kernels for it, which takes a few seconds: keep the value, and clone it.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`], [`Error::NoSuchDevice`]; [`Error::NoLibrary`] without NVRTC; [`Error::Driver`].
    pub fn new(ordinal: u32) -> Result<Self, Error> {
        let context = Arc::new(Primary::new(ordinal)?);
        Ok(Self { kernels: Arc::new(Kernels::new(&context)?), context, math: Math::Full })
    }

    /// Computes products in this way on queues that are made from now on.
    #[must_use]
    pub fn with_math(self, math: Math) -> Self {
        Self { math, ..self }
    }

    /// What the GPU calls itself, such as `NVIDIA H100 80GB HBM3`.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn name(&self) -> Result<String, Error> {
        self.context.name()
    }

    /// A stream of its own, which neither waits for the legacy default stream nor is waited for by it.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn queue(&self) -> Result<Queue, Error> {
        Queue::new(&self.context, &self.kernels, self.math)
    }

    /// A caller's stream (`torch.cuda.current_stream().cuda_stream` in PyTorch): work is ordered on it, and on no other. The
    /// stream stays the caller's. Null is the legacy default stream.
    ///
    /// # Safety
    ///
    /// It is a stream of this GPU's primary context, and is not destroyed before the queue is dropped. All memory that work
    /// on it uses stays as it is until the work is done.
    pub unsafe fn queue_on(&self, stream: *mut c_void) -> Queue {
        // SAFETY: the caller's.
        unsafe { Queue::on(stream, &self.context, &self.kernels, self.math) }
    }
}

impl Device for Driver {
    type Queue = Queue;
    type Memory = Memory;
    type Staging = Staging;
    type Fence = Fence;

    fn fence(&self) -> Result<Fence, Error> {
        Fence::new(&self.context)
    }

    fn allocate(&self, queue: &mut Queue, bytes: usize) -> Result<Memory, Error> {
        let memory = Memory::new(&self.context, bytes)?;
        // SAFETY: so many bytes were allocated, and nobody else has them yet.
        unsafe { self.zero(queue, memory.address, bytes)? };
        Ok(memory)
    }

    fn address(memory: &Memory) -> u64 {
        memory.address
    }

    fn staging(&self, bytes: usize) -> Result<Staging, Error> {
        Staging::new(&self.context, bytes)
    }

    fn staged<'a>(&self, staging: &'a mut Staging) -> Result<&'a mut [u8], Error> {
        staging.bytes()
    }

    unsafe fn send(&self, queue: &mut Queue, staging: &mut Staging, to: u64, bytes: usize) -> Result<(), Error> {
        let (from, bytes) = staging.first(bytes);
        // SAFETY: the caller answers for the address; the bytes are not written or freed before the event below.
        unsafe { self.copy(queue, from, to, bytes)? };
        // SAFETY: event and stream are of this context.
        unsafe { staging.sent.record(queue.stream) }
    }

    unsafe fn upload(&self, queue: &mut Queue, from: &[u8], to: u64) -> Result<(), Error> {
        // SAFETY: the caller answers for the address; this returns when the copy is done.
        unsafe { self.copy(queue, from.as_ptr(), to, from.len())? };
        self.synchronize(queue)
    }

    unsafe fn download(&self, queue: &mut Queue, from: u64, to: &mut [u8]) -> Result<(), Error> {
        if !to.is_empty() {
            let _entered = self.context.enter()?;
            let api = self.context.api;
            // SAFETY: the caller answers for the address; this returns when the copy is done.
            let copied = unsafe { (api.cuMemcpyDtoHAsync_v2)(to.as_mut_ptr().cast(), from, to.len(), queue.stream) };
            api.check("copy from the GPU", copied)?;
        }
        self.synchronize(queue)
    }

    unsafe fn zero(&self, queue: &mut Queue, at: u64, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let _entered = self.context.enter()?;
        let api = self.context.api;
        // SAFETY: the caller's.
        api.check("fill memory", unsafe { (api.cuMemsetD8Async)(at, 0, bytes, queue.stream) })
    }

    fn synchronize(&self, queue: &mut Queue) -> Result<(), Error> {
        let _entered = self.context.enter()?;
        let api = self.context.api;
        // SAFETY: the stream is this context's and lives as long as the queue.
        api.check("finish the work on the stream", unsafe { (api.cuStreamSynchronize)(queue.stream) })
    }

    unsafe fn launch<A: Args>(
        &self,
        queue: &mut Queue,
        kernel: Kernel,
        double: bool,
        dims: Dims,
        args: &A,
    ) -> Result<(), Error> {
        let _entered = self.context.enter()?;
        let (api, function) = (self.context.api, self.kernels.function(kernel, double));
        let Dims { grid, block, shared } = dims;
        let mut params = [ptr::from_ref(args).cast_mut().cast::<c_void>()];
        // SAFETY: the caller answers for the arguments, of which the driver takes a copy.
        let launched = unsafe {
            let (params, extra) = (params.as_mut_ptr(), ptr::null_mut());
            (api.cuLaunchKernel)(function, grid, 1, 1, block, 1, 1, shared, queue.stream, params, extra)
        };
        api.check("start a kernel", launched)
    }

    unsafe fn gemm(&self, queue: &mut Queue, double: bool, gemm: &Gemm) -> Result<(), Error> {
        let _entered = self.context.enter()?;
        let blas = match &mut queue.blas {
            Some(blas) => blas,
            // SAFETY: the stream lives as long as the queue, and the handle is dropped before it.
            none => none.insert(unsafe { Blas::new(queue.stream.cast(), queue.math)? }),
        };
        // SAFETY: the caller's.
        unsafe { blas.gemm(double, gemm) }
    }
}

impl Driver {
    /// Copies to the GPU, in order on the queue.
    ///
    /// # Safety
    ///
    /// `from` and `to` are addresses of so many bytes until the copy is done.
    unsafe fn copy(&self, queue: &mut Queue, from: *const u8, to: u64, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let _entered = self.context.enter()?;
        let api = self.context.api;
        // SAFETY: the caller's.
        api.check("copy to the GPU", unsafe { (api.cuMemcpyHtoDAsync_v2)(to, from.cast(), bytes, queue.stream) })
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("name", &self.name().ok()).finish_non_exhaustive()
    }
}
