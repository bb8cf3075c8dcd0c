//! A GPU: its primary context, memory, streams and launches, by the driver.
//!
//! Streams and memory may be the caller's. So kernels and copies name the raw stream they are ordered on, which cust's own
//! functions do not: those calls are the driver's.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cust::CudaFlags;
use cust::context::{Context, CurrentContext};
use cust::device::{Device as Gpu, DeviceAttribute};
use cust::error::CudaError;
use cust::memory::{DeviceBuffer, LockedBuffer};
use cust::module::Module;
use cust::stream::{Stream, StreamFlags};
use cust::sys;

use crate::args::Args;
use crate::blas::Blas;
use crate::device::{Device, Dims, Gemm, Kernel};
use crate::error::Error;
use crate::nvrtc;

/// One GPU, with the kernels compiled for it. Clones share them.
#[derive(Clone)]
pub struct Driver {
    kernels: Arc<Kernels>,
    context: Arc<Primary>,
}

/// The kernels, on a GPU.
struct Kernels {
    /// For each of [`Kernel::ALL`], for `f32` and `f64`.
    functions: Vec<[Function; 2]>,
    _module: Module,
    context: Arc<Primary>,
}

/// The primary context of a GPU, which PyTorch, candle and others use too: memory and streams can be shared with them.
struct Primary(Context);

/// A function of a module.
#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

// SAFETY: a name for a function, valid on every thread as long as its module is loaded.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// A stream of a GPU that work is ordered on, of the backend's own or the caller's.
pub struct Queue {
    // Fields are dropped in this order.
    blas: Option<Blas>,
    stream: sys::CUstream,
    _own: Option<Stream>,
    context: Arc<Primary>,
}

// SAFETY: a stream may be used on any thread.
unsafe impl Send for Queue {}

/// Memory of a GPU.
pub struct Memory {
    buffer: DeviceBuffer<u8>,
    context: Arc<Primary>,
}

/// Memory of the host that a GPU can read, and whether it still does.
pub struct Staging {
    bytes: LockedBuffer<u8>,
    sent: Event,
    context: Arc<Primary>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("bytes", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// When the last copy from staging memory is done. cust's events cannot be recorded on a caller's stream.
struct Event(sys::CUevent);

// SAFETY: an event may be used on any thread.
unsafe impl Send for Event {}
// SAFETY: the driver takes calls on one event from several threads.
unsafe impl Sync for Event {}

impl Driver {
    /// The GPU with this number, from 0. Compiles the kernels for it, which takes a few seconds.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`], [`Error::NoSuchDevice`]; [`Error::NoLibrary`] without NVRTC; [`Error::Driver`].
    pub fn new(ordinal: u32) -> Result<Self, Error> {
        let none = |error: CudaError| Error::NoDevice { answer: format!("{error:?}") };
        cust::init(CudaFlags::empty()).map_err(none)?;
        let devices = Gpu::num_devices().map_err(none)?;
        if devices == 0 {
            return Err(none(CudaError::NoDevice));
        }
        if ordinal >= devices {
            return Err(Error::NoSuchDevice { ordinal, devices });
        }
        let gpu = Gpu::get_device(ordinal).map_err(failed("find the GPU"))?;
        let context = Arc::new(Primary(Context::new(gpu).map_err(failed("open the GPU"))?));
        let attribute = |attribute| gpu.get_attribute(attribute).map_err(failed("ask for the compute capability"));
        let major = attribute(DeviceAttribute::ComputeCapabilityMajor)?;
        let minor = attribute(DeviceAttribute::ComputeCapabilityMinor)?;
        let ptx = nvrtc::compile((major, minor))?;
        // cust has no name for the most likely cause.
        let load = "load the kernels (is NVRTC newer than the driver? `nvidia-smi` shows the version that it knows)";
        let module = Module::from_ptx(ptx.trim_end_matches('\0'), &[]).map_err(failed(load))?;
        let function = |kernel: Kernel, double| {
            let name = kernel.entry(double).to_string_lossy();
            let function = module.get_function(name).map_err(failed("find a kernel"))?;
            Ok::<_, Error>(Function(function.to_raw()))
        };
        let functions = Kernel::ALL.iter().map(|&kernel| Ok([function(kernel, false)?, function(kernel, true)?]));
        let functions = functions.collect::<Result<_, Error>>()?;
        let kernels = Arc::new(Kernels { functions, _module: module, context: context.clone() });
        Ok(Self { kernels, context })
    }

    /// A stream of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn queue(&self) -> Result<Queue, Error> {
        self.context.enter()?;
        let stream = Stream::new(StreamFlags::NON_BLOCKING, None).map_err(failed("make a stream"))?;
        Ok(Queue { blas: None, stream: stream.as_inner(), _own: Some(stream), context: self.context.clone() })
    }

    /// A caller's stream (`torch.cuda.current_stream().cuda_stream` in PyTorch): work is ordered on it, and on no other. The
    /// stream stays the caller's.
    ///
    /// # Safety
    ///
    /// It is a stream of this GPU's primary context, and is not destroyed before the queue is dropped. All memory that work
    /// on it uses stays as it is until the work is done.
    pub unsafe fn queue_on(&self, stream: *mut c_void) -> Queue {
        Queue { blas: None, stream: stream.cast(), _own: None, context: self.context.clone() }
    }
}

impl Primary {
    /// Makes the context the calling thread's.
    fn enter(&self) -> Result<(), Error> {
        CurrentContext::set_current(&self.0).map_err(failed("use the GPU"))
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        // The module is unloaded from the current context, and not while a kernel runs. A failure leaves nothing to do.
        let _ = self.context.enter();
        let _ = CurrentContext::synchronize();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // As for the kernels.
        let _ = self.context.enter();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // As for the kernels. Freeing waits for work that uses the memory.
        let _ = self.context.enter();
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // As for the kernels, and not before the last copy is done.
        let _ = self.context.enter();
        let _ = self.sent.wait();
    }
}

impl Event {
    fn new() -> Result<Self, Error> {
        let mut event = ptr::null_mut();
        let flags = sys::CUevent_flags_enum::CU_EVENT_DISABLE_TIMING as u32;
        // SAFETY: writes the event.
        answer("make an event", unsafe { sys::cuEventCreate(&mut event, flags) })?;
        Ok(Self(event))
    }

    /// Waits for what it was recorded behind; not at all if it never was.
    fn wait(&self) -> Result<(), Error> {
        // SAFETY: made in `new`.
        answer("wait for a copy", unsafe { sys::cuEventSynchronize(self.0) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and not used any more.
        unsafe { sys::cuEventDestroy_v2(self.0) };
    }
}

impl Device for Driver {
    type Queue = Queue;
    type Memory = Memory;
    type Staging = Staging;

    fn allocate(&self, queue: &mut Queue, bytes: usize) -> Result<Memory, Error> {
        self.context.enter()?;
        // SAFETY: filled with zeros below; empty memory would have no address.
        let buffer = unsafe { DeviceBuffer::uninitialized(bytes.max(1)) }.map_err(failed("allocate memory"))?;
        let memory = Memory { buffer, context: self.context.clone() };
        // SAFETY: so many bytes were allocated, and nobody else has them yet.
        unsafe { self.zero(queue, Self::address(&memory), bytes)? };
        Ok(memory)
    }

    fn address(memory: &Memory) -> u64 {
        memory.buffer.as_device_ptr().as_raw()
    }

    fn staging(&self, bytes: usize) -> Result<Staging, Error> {
        self.context.enter()?;
        let bytes = LockedBuffer::new(&0, bytes.max(1)).map_err(failed("allocate memory of the host"))?;
        Ok(Staging { bytes, sent: Event::new()?, context: self.context.clone() })
    }

    fn staged<'a>(&self, staging: &'a mut Staging) -> Result<&'a mut [u8], Error> {
        self.context.enter()?;
        staging.sent.wait()?;
        Ok(staging.bytes.as_mut_slice())
    }

    unsafe fn send(&self, queue: &mut Queue, staging: &mut Staging, to: u64, bytes: usize) -> Result<(), Error> {
        self.context.enter()?;
        let from = &staging.bytes.as_slice()[..bytes];
        if bytes > 0 {
            // SAFETY: the caller answers for the address; the bytes are not written or freed before the event below.
            let copied = unsafe { sys::cuMemcpyHtoDAsync_v2(to, from.as_ptr().cast(), bytes, queue.stream) };
            answer("copy to the GPU", copied)?;
        }
        // SAFETY: event and stream are of this context.
        answer("record an event", unsafe { sys::cuEventRecord(staging.sent.0, queue.stream) })
    }

    unsafe fn upload(&self, queue: &mut Queue, from: &[u8], to: u64) -> Result<(), Error> {
        self.context.enter()?;
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller answers for the address; this returns when the copy is done.
        let copied = unsafe { sys::cuMemcpyHtoDAsync_v2(to, from.as_ptr().cast(), from.len(), queue.stream) };
        answer("copy to the GPU", copied)?;
        self.synchronize(queue)
    }

    unsafe fn download(&self, queue: &mut Queue, from: u64, to: &mut [u8]) -> Result<(), Error> {
        self.context.enter()?;
        if !to.is_empty() {
            // SAFETY: the caller answers for the address; this returns when the copy is done.
            let copied = unsafe { sys::cuMemcpyDtoHAsync_v2(to.as_mut_ptr().cast(), from, to.len(), queue.stream) };
            answer("copy from the GPU", copied)?;
        }
        self.synchronize(queue)
    }

    unsafe fn zero(&self, queue: &mut Queue, at: u64, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        self.context.enter()?;
        // SAFETY: the caller's.
        answer("fill memory", unsafe { sys::cuMemsetD8Async(at, 0, bytes, queue.stream) })
    }

    fn synchronize(&self, queue: &mut Queue) -> Result<(), Error> {
        self.context.enter()?;
        // SAFETY: the stream is this context's and lives as long as the queue.
        answer("finish the work on the stream", unsafe { sys::cuStreamSynchronize(queue.stream) })
    }

    unsafe fn launch<A: Args>(
        &self,
        queue: &mut Queue,
        kernel: Kernel,
        double: bool,
        dims: Dims,
        args: &A,
    ) -> Result<(), Error> {
        self.context.enter()?;
        let Function(function) = self.kernels.functions[kernel as usize][usize::from(double)];
        let Dims { grid, block, shared } = dims;
        let mut params = [ptr::from_ref(args).cast_mut().cast::<c_void>()];
        // SAFETY: the caller answers for the arguments, of which the driver takes a copy.
        let launched = unsafe {
            let (params, extra) = (params.as_mut_ptr(), ptr::null_mut());
            sys::cuLaunchKernel(function, grid, 1, 1, block, 1, 1, shared, queue.stream, params, extra)
        };
        answer("start a kernel", launched)
    }

    unsafe fn gemm(&self, queue: &mut Queue, double: bool, gemm: &Gemm) -> Result<(), Error> {
        self.context.enter()?;
        let blas = match &mut queue.blas {
            Some(blas) => blas,
            // SAFETY: the stream lives as long as the queue, and the handle is dropped before it.
            none => none.insert(unsafe { Blas::new(queue.stream.cast())? }),
        };
        // SAFETY: the caller's.
        unsafe { blas.gemm(double, gemm) }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("context", &self.context.0).finish_non_exhaustive()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("stream", &self.stream).finish_non_exhaustive()
    }
}

// `CudaError` asks the driver for its text, and panics if that does not answer: its name says enough.
fn failed(call: &'static str) -> impl Fn(CudaError) -> Error {
    move |error| Error::Driver { call, answer: format!("{error:?}") }
}

fn answer(call: &'static str, result: sys::CUresult) -> Result<(), Error> {
    match result {
        sys::cudaError_enum::CUDA_SUCCESS => Ok(()),
        error => Err(Error::Driver { call, answer: format!("{error:?}") }),
    }
}
