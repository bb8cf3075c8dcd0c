//! The backend passes the suite on a GPU. Only with the feature `device-tests`: without a GPU it fails.

use std::sync::OnceLock;

use ttcore_cuda::{Cuda, Driver};

/// One GPU for all tests, with kernels compiled once.
fn driver() -> Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| Driver::new(0).expect("a GPU")).clone()
}

ttcore_tests::conformance!(gpu_f64, Cuda::<f64, _>::new(driver()).with_chunk(3), driver().queue().expect("a stream"));
ttcore_tests::conformance!(gpu_f32, Cuda::<f32, _>::new(driver()), driver().queue().expect("a stream"));
