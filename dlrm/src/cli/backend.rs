//! What computes the embedding tables: the one choice of a backend.

use std::num::NonZeroUsize;
use std::thread;

use clap::{Args, ValueEnum};

/// The options that choose it, the same for every command.
#[derive(Args, Clone, Copy)]
pub(super) struct BackendArgs {
    /// What computes the embedding tables
    #[arg(long, value_enum, default_value_t = BackendArg::Cpu)]
    pub(super) backend: BackendArg,
    /// Threads it computes on; the result is the same for any number [default: all cores]
    #[arg(long, value_parser = super::threads)]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum BackendArg {
    /// All cores, vector instructions
    Cpu,
    /// Plain loops on one thread: the definition, not fast
    Reference,
    /// The first NVIDIA GPU
    #[cfg(feature = "cuda")]
    Cuda,
}

impl BackendArgs {
    /// As many threads, to read data on before the backend has its own.
    pub(super) fn pool(&self) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        super::pool(NonZeroUsize::new(self.threads()))
    }

    /// How many threads the backend computes on, at most what it can.
    pub(super) fn threads(&self) -> usize {
        let all = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        match self.backend {
            BackendArg::Cpu => self.threads.unwrap_or_else(all).get(),
            BackendArg::Reference => 1,
            // Batches are grouped on the host.
            #[cfg(feature = "cuda")]
            BackendArg::Cuda => self.threads.unwrap_or_else(all).get(),
        }
    }
}

/// The CUDA backend.
#[cfg(feature = "cuda")]
pub(super) type Cuda = ttcore_cuda::Cuda<f32, ttcore_cuda::Driver>;

/// The backend on the first GPU, and a stream of its own.
#[cfg(feature = "cuda")]
pub(super) fn cuda(threads: usize) -> Result<(Cuda, ttcore_cuda::driver::Queue), Box<dyn std::error::Error>> {
    let driver = ttcore_cuda::Driver::new(0)?;
    let queue = driver.queue()?;
    Ok((Cuda::new(driver).with_threads(ttcore_cpu::Threads::new(threads)?), queue))
}
