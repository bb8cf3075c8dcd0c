//! The kernels compile for GPUs, wherever NVRTC is found: it needs no GPU. Elsewhere, what the missing library answers.

use ttcore_cuda::Error;
use ttcore_cuda::device::Kernel;
use ttcore_cuda::nvrtc::{self, Image};

/// A compute capability no NVRTC of version 12 or later has dropped or lacks.
const CAPABILITIES: [(i32, i32); 3] = [(7, 5), (8, 0), (9, 0)];

/// One that no NVRTC knows.
const FUTURE: (i32, i32) = (99, 0);

/// A driver's major.
const DRIVER: i32 = 12;

/// Whether a file holds the name of every kernel, as a text of its own.
fn has_all(image: &[u8], text: impl Fn(&str) -> String) {
    for kernel in Kernel::ALL {
        for double in [false, true] {
            let name = text(&kernel.entry(double).to_string_lossy());
            assert!(image.windows(name.len()).any(|window| window == name.as_bytes()), "{name} is missing");
        }
    }
}

#[test]
fn every_kernel_compiles() {
    if !nvrtc::available() {
        assert_ne!(std::env::var("TTCORE_NVRTC").as_deref(), Ok("required"), "NVRTC is not found");
        let error = nvrtc::compile(CAPABILITIES[0], DRIVER).expect_err("there is no library");
        assert_eq!(error, Error::NoLibrary { library: "NVRTC", file: "libnvrtc.so" });
        assert!(error.to_string().contains("install the CUDA toolkit"));
        return;
    }
    for capability in CAPABILITIES {
        let image = nvrtc::compile(capability, DRIVER).unwrap_or_else(|error| panic!("{error}"));
        let Image::Code(code) = &*image else { panic!("machine code is known for {capability:?}") };
        assert!(code.starts_with(b"\x7fELF"));
        has_all(code, |name| format!("\0.text.{name}\0"));
    }
    // What comes after gets PTX of the newest that is known.
    let image = nvrtc::compile(FUTURE, DRIVER).unwrap_or_else(|error| panic!("{error}"));
    let Image::Ptx(ptx) = &*image else { panic!("nobody has machine code for {FUTURE:?}") };
    assert_eq!(ptx.last(), Some(&0));
    has_all(ptx, |name| format!(".entry {name}("));
    let error = nvrtc::compile((1, 0), DRIVER).expect_err("no such GPU is supported");
    assert!(matches!(&error, Error::Compile { log } if log.contains("this GPU is 10")), "{error}");
}
