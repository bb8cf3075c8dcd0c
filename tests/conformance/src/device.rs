//! A backend with its queue, and its memory as the suite hands it out.
//!
//! The memory a backend is given lies between guard numbers, at an odd place: whoever writes outside a view is noticed,
//! and so is who relies on alignment that a borrowed view need not have.

use std::cell::RefCell;
use std::fmt;

use ttcore::{Backend, Real};

/// Numbers before and behind every view.
const GUARD: usize = 3;
/// What they are.
const GUARD_VALUE: f64 = -12345.0;

/// A backend and a queue to run on: what a line of `conformance!` names.
pub struct Device<B: Backend> {
    backend: B,
    queue: RefCell<B::Queue>,
}

impl<B: Backend> fmt::Debug for Device<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

impl<B: Backend> Device<B> {
    /// A device.
    pub fn new(backend: B, queue: B::Queue) -> Self {
        Self { backend, queue: RefCell::new(queue) }
    }

    /// Calls a function of the backend.
    pub fn with<T>(&self, call: impl FnOnce(&B, &mut B::Queue) -> T) -> T {
        call(&self.backend, &mut self.queue.borrow_mut())
    }
}

/// Numbers of a device, between guards.
pub(crate) struct Guarded<B: Backend> {
    buffer: B::Buffer,
    len: usize,
}

impl<B: Backend> Guarded<B> {
    pub(crate) fn new(device: &Device<B>, host: &[f64]) -> Self {
        let guard = [GUARD_VALUE; GUARD];
        let all: Vec<B::Float> = [&guard, host, &guard].concat().into_iter().map(exact).collect();
        let buffer = device.with(|backend, queue| {
            let mut buffer = backend.alloc(queue, all.len())?;
            backend.upload(queue, &all, B::view_mut(&mut buffer)).map(|()| buffer)
        });
        Self { buffer: buffer.expect("memory"), len: host.len() }
    }

    pub(crate) fn view(&self) -> B::View<'_> {
        B::slice(B::view(&self.buffer), GUARD..GUARD + self.len)
    }

    pub(crate) fn view_mut(&mut self) -> B::ViewMut<'_> {
        B::slice_mut(B::view_mut(&mut self.buffer), GUARD..GUARD + self.len)
    }

    pub(crate) fn download(&self, device: &Device<B>) -> Vec<f64> {
        let mut all = vec![B::Float::default(); self.len + 2 * GUARD];
        device.with(|backend, queue| backend.download(queue, B::view(&self.buffer), &mut all)).expect("memory");
        let all: Vec<f64> = all.into_iter().map(Real::as_f64).collect();
        let (before, rest) = all.split_at(GUARD);
        let (inside, behind) = rest.split_at(self.len);
        assert!([before, behind].concat().iter().all(|&x| x == GUARD_VALUE), "written outside a view");
        inside.to_vec()
    }
}

/// The number in the backend's float, which must be able to hold it.
fn exact<F: Real>(x: f64) -> F {
    let number = F::of(x);
    assert!(number.as_f64() == x || x.is_nan(), "{x:e} is not exact in this float: a mistake of the property");
    number
}

/// The nearest numbers that `F` has.
pub fn nearest<F: Real>(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&x| F::of(x).as_f64()).collect()
}
