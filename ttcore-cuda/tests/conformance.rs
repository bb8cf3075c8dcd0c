//! The backend passes the suite on the host-compiled kernels.

use ttcore::Reference;
use ttcore_cuda::device::Kernel;
use ttcore_cuda::{Cuda, Emulator};
use ttcore_tests::{Device, equivalence};

// Chunks of a few lookups, so that bags cross from one to the next.
ttcore_tests::conformance!(batched_f64, Cuda::<f64, _>::new(Emulator).with_chunk(3), ());
ttcore_tests::conformance!(batched_f32, Cuda::<f32, _>::new(Emulator), ());

#[test]
fn agrees_with_the_reference() {
    equivalence::agree(&Device::new(Reference::<f64>::new(), ()), &Device::new(Cuda::<f64, _>::new(Emulator), ()));
    equivalence::agree(&Device::new(Reference::<f32>::new(), ()), &Device::new(Cuda::<f32, _>::new(Emulator), ()));
}

#[test]
fn every_kernel_is_found() {
    for kernel in Kernel::ALL {
        for double in [false, true] {
            let name = kernel.entry(double);
            assert!(Emulator::has(name), "{name:?}");
        }
    }
    assert!(!Emulator::has(c"pool"));
}
