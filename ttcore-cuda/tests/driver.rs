//! The way to a GPU: on a machine without one, a typed error that says what to do.

use ttcore_cuda::{Driver, Error};

#[test]
fn a_device_or_an_error_that_helps() {
    match Driver::new(0) {
        Ok(driver) => {
            driver.queue().expect("a stream");
            // The numbers of GPUs are small.
            assert!(matches!(Driver::new(u32::MAX), Err(Error::NoSuchDevice { ordinal: u32::MAX, .. })));
        }
        Err(error) => {
            assert!(matches!(error, Error::NoDevice { .. } | Error::NoLibrary { .. }), "{error:?}");
            assert!(error.to_string().contains("install"), "{error}");
        }
    }
}
