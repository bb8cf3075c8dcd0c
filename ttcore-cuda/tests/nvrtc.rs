//! The kernels compile for GPUs, wherever NVRTC is found: it needs no GPU. Elsewhere, what the missing library answers.

use ttcore_cuda::device::Kernel;
use ttcore_cuda::{Error, nvrtc};

/// A compute capability no NVRTC of version 12 or later has dropped or lacks.
const CAPABILITIES: [(i32, i32); 3] = [(7, 5), (8, 0), (9, 0)];

#[test]
fn every_kernel_compiles() {
    if !nvrtc::available() {
        let error = nvrtc::compile(CAPABILITIES[0]).expect_err("there is no library");
        assert_eq!(error, Error::NoLibrary { library: "NVRTC", file: "libnvrtc.so" });
        assert!(error.to_string().contains("install the CUDA toolkit"));
        return;
    }
    for capability in CAPABILITIES {
        let ptx = nvrtc::compile(capability).unwrap_or_else(|error| panic!("{error}"));
        for kernel in Kernel::ALL {
            for double in [false, true] {
                let name = kernel.entry(double).to_string_lossy();
                assert!(ptx.contains(&format!(".entry {name}(")), "{name} is missing");
            }
        }
    }
    let error = nvrtc::compile((1, 0)).expect_err("no such GPU is supported");
    assert!(matches!(&error, Error::Compile { log } if log.contains("gpu-architecture")), "{error}");
}
