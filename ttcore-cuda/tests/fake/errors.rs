//! Whatever the driver answers is an error that names code and text.

use ttcore_cuda::{Driver, Error, Method};

use crate::controls::Fake;
use crate::step::{Trained, rows};

/// Newer than CUDA 11.4, and not in any list.
const CODES: [(u32, &str); 3] = [
    (226, "CUDA_ERROR_CONTAINED (226): what a fake driver says"),
    (810, "CUDA_ERROR_MPS_CLIENT_TERMINATED (810): what a fake driver says"),
    (4711, "code 4711, which the driver has no name for"),
];

fn names(error: &Error, code: u32, text: &str) -> bool {
    let typed = match error {
        Error::Driver { code: got, answer, .. } => *got == code && answer == text,
        Error::NoDevice { answer } => answer == text,
        _ => false,
    };
    typed && error.to_string().contains(text)
}

#[test]
fn of_opening_a_gpu() {
    let fake = Fake::new();
    let before_kernels = [
        "cuInit",
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuDeviceGetAttribute",
        "cuDriverGetVersion",
    ];
    for function in before_kernels {
        for (code, text) in CODES {
            fake.answer(function, code, 0);
            let error = Driver::new(0).expect_err("an answer");
            assert!(names(&error, code, text), "{function}: {error:?}");
        }
    }
    for (function, (code, text)) in
        ["cuModuleLoadData", "cuModuleGetFunction", "cuCtxGetCurrent"].into_iter().zip(CODES)
    {
        fake.answer(function, code, 0);
        let error = Driver::new(0).expect_err("an answer");
        assert!(names(&error, code, text), "{function}: {error:?}");
    }
}

#[test]
fn of_work() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let in_order = |function: &str| -> Result<(), Error> {
        let mut queue = driver.queue()?;
        let mut trained = Trained::new(&driver, &mut queue, Method::Fused)?;
        trained.group(&mut queue, &rows(1))?;
        trained.step(&mut queue)?;
        // Another queue waits for the first.
        let mut other = driver.queue()?;
        trained.step(&mut other)?;
        trained.values(&mut other).map(|_| ())?;
        panic!("{function} was not called, or nobody looked at its answer");
    };
    let functions = [
        "cuCtxGetCurrent",
        "cuCtxSetCurrent",
        "cuStreamCreate",
        "cuMemAlloc_v2",
        "cuMemAllocHost_v2",
        "cuMemsetD8Async",
        "cuMemcpyHtoDAsync_v2",
        "cuMemcpyDtoHAsync_v2",
        "cuEventCreate",
        "cuEventRecord",
        "cuEventSynchronize",
        "cuStreamWaitEvent",
        "cuStreamSynchronize",
        "cuLaunchKernel",
    ];
    for function in functions {
        for (code, text) in CODES {
            fake.answer(function, code, 0);
            let error = in_order(function).expect_err("an answer");
            assert!(names(&error, code, text), "{function}: {error:?}");
        }
    }
}

/// Nobody can be told what goes wrong when something is dropped; nothing else must go wrong then.
#[test]
fn of_dropping() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    for function in ["cuStreamIsCapturing", "cuEventQuery", "cuEventRecord", "cuStreamDestroy_v2", "cuCtxSetCurrent"] {
        for (code, _) in CODES {
            let queue = driver.queue().expect("a stream");
            fake.answer(function, code, 0);
            drop(queue);
            let mut queue = driver.queue().or_else(|_| driver.queue()).expect("a stream");
            let done = Trained::new(&driver, &mut queue, Method::Fused).and_then(|mut trained| {
                trained.group(&mut queue, &rows(1))?;
                trained.step(&mut queue)?;
                trained.values(&mut queue)
            });
            // An answer that was not asked for yet may come now.
            assert!(done.is_ok() || matches!(done, Err(Error::Driver { code: got, .. }) if got == code), "{function}");
        }
    }
    // Streams whose destruction failed are left over.
    drop(driver);
    assert!(fake.faults().iter().all(|fault| fault.contains("is released with")), "nothing else is wrong");
}
