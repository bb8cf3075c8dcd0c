//! A GPU that tells how long each kernel takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ttcore_cuda::args::Args;
use ttcore_cuda::device::{Dims, Gemm, Kernel};
use ttcore_cuda::driver::{Fence, Memory, Queue, Staging};
use ttcore_cuda::{Device, Driver, Error};

/// Names of kernels and their times in microseconds, in the order of their first launches.
type Times = Vec<(String, Vec<f64>)>;

/// A GPU on which each launch is waited for and timed.
#[derive(Clone)]
pub(crate) struct Timed {
    driver: Driver,
    times: Arc<Mutex<Times>>,
}

impl Timed {
    pub(crate) fn new(driver: Driver) -> Self {
        Self { driver, times: Arc::default() }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For each kernel its name, the median of its times in microseconds, and launches a step.
    pub(crate) fn report(&self) -> Vec<(String, f64, f64)> {
        let steps = (super::WARM + super::STEPS) as f64;
        let line = |(name, times): &(String, Vec<f64>)| {
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            (name.clone(), times[times.len() / 2], times.len() as f64 / steps)
        };
        self.times().iter().map(line).collect()
    }

    /// Does something on the queue, and notes how long it takes there.
    fn time(
        &self,
        queue: &mut Queue,
        name: &str,
        work: impl FnOnce(&mut Queue) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (before, after) = (queue.timed_event()?, queue.timed_event()?);
        queue.record(&before)?;
        work(queue)?;
        queue.record(&after)?;
        after.synchronize()?;
        let micros = after.since(&before)?.as_secs_f64() * 1e6;
        let mut times = self.times();
        match times.iter_mut().find(|(known, _)| known == name) {
            Some((_, list)) => list.push(micros),
            None => times.push((name.to_owned(), vec![micros])),
        }
        Ok(())
    }
}

impl Device for Timed {
    type Queue = Queue;
    type Memory = Memory;
    type Staging = Staging;
    type Fence = Fence;

    fn fence(&self) -> Result<Fence, Error> {
        self.driver.fence()
    }

    fn allocate(&self, queue: &mut Queue, bytes: usize) -> Result<Memory, Error> {
        self.driver.allocate(queue, bytes)
    }

    fn address(memory: &Memory) -> u64 {
        Driver::address(memory)
    }

    fn staging(&self, bytes: usize) -> Result<Staging, Error> {
        self.driver.staging(bytes)
    }

    fn staged<'a>(&self, staging: &'a mut Staging) -> Result<&'a mut [u8], Error> {
        self.driver.staged(staging)
    }

    unsafe fn send(&self, queue: &mut Queue, staging: &mut Staging, to: u64, bytes: usize) -> Result<(), Error> {
        // SAFETY: the caller's.
        self.time(queue, "copy of a batch", |queue| unsafe { self.driver.send(queue, staging, to, bytes) })
    }

    unsafe fn upload(&self, queue: &mut Queue, from: &[u8], to: u64) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { self.driver.upload(queue, from, to) }
    }

    unsafe fn download(&self, queue: &mut Queue, from: u64, to: &mut [u8]) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { self.driver.download(queue, from, to) }
    }

    unsafe fn zero(&self, queue: &mut Queue, at: u64, bytes: usize) -> Result<(), Error> {
        // SAFETY: the caller's.
        unsafe { self.driver.zero(queue, at, bytes) }
    }

    fn synchronize(&self, queue: &mut Queue) -> Result<(), Error> {
        self.driver.synchronize(queue)
    }

    unsafe fn launch<A: Args>(
        &self,
        queue: &mut Queue,
        kernel: Kernel,
        double: bool,
        dims: Dims,
        args: &A,
    ) -> Result<(), Error> {
        let name = kernel.entry(double).to_string_lossy();
        // SAFETY: the caller's.
        self.time(queue, &name, |queue| unsafe { self.driver.launch(queue, kernel, double, dims, args) })
    }

    unsafe fn gemm(&self, queue: &mut Queue, double: bool, gemm: &Gemm) -> Result<(), Error> {
        // SAFETY: the caller's.
        self.time(queue, "cuBLAS", |queue| unsafe { self.driver.gemm(queue, double, gemm) })
    }
}
