//! The backend passes the suite on a GPU. Only with the feature `device-tests`: without a GPU it fails.

use std::sync::OnceLock;

use ttcore_cuda::driver::Queue;
use ttcore_cuda::{Cuda, Driver, Element, Method};

/// One GPU for all tests, with kernels compiled once.
fn driver() -> Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| Driver::new(0).expect("a GPU")).clone()
}

fn queue() -> Queue {
    driver().queue().expect("a stream")
}

fn batched<F: Element>() -> Cuda<F, Driver> {
    Cuda::new(driver()).with_method(Method::Batched)
}

ttcore_conformance::conformance!(fused_f64, Cuda::<f64, _>::new(driver()), queue());
ttcore_conformance::conformance!(fused_f32, Cuda::<f32, _>::new(driver()), queue());
ttcore_conformance::conformance!(batched_f64, batched::<f64>().with_chunk(3), queue());
ttcore_conformance::conformance!(batched_f32, batched::<f32>(), queue());
