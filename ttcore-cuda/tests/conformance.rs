//! The backend passes the suite on the host-compiled kernels.

// The race detector has tests of its own, and would take hours for these.
#![cfg(not(feature = "race"))]

use ttcore_cuda::device::Kernel;
use ttcore_cuda::{Cuda, Element, Emulator, Grouping, Method};

fn batched<F: Element>() -> Cuda<F, Emulator> {
    Cuda::new(Emulator).with_method(Method::Batched)
}

ttcore_conformance::conformance!(fused_f64, Cuda::<f64, _>::new(Emulator), ());
ttcore_conformance::conformance!(fused_f32, Cuda::<f32, _>::new(Emulator), ());
// Grouped on the host, and on the device by several blocks a table.
ttcore_conformance::conformance!(host_grouped_f64, Cuda::<f64, _>::new(Emulator).with_grouping(Grouping::Host), ());
ttcore_conformance::conformance!(host_grouped_f32, Cuda::<f32, _>::new(Emulator).with_grouping(Grouping::Host), ());
ttcore_conformance::conformance!(grouped_by_4_f64, Cuda::<f64, _>::new(Emulator).with_group_chunk(4), ());
// Chunks of a few lookups, so that bags cross from one to the next.
ttcore_conformance::conformance!(batched_f64, batched::<f64>().with_chunk(3), ());
ttcore_conformance::conformance!(batched_f32, batched::<f32>(), ());

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
