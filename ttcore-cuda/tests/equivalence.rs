//! Both methods of this backend, on the host-compiled kernels, agree with each other and with every backend of the host.

// The race detector has tests of its own, and would take hours for these.
#![cfg(not(feature = "race"))]

use ttcore::Reference;
use ttcore_conformance::{Device, bits};
use ttcore_cpu::{Cpu, Isa, Threads};
use ttcore_cuda::{Cuda, Element, Emulator, Method};

fn fused<F: Element>() -> Cuda<F, Emulator> {
    Cuda::new(Emulator)
}

fn batched<F: Element>() -> Cuda<F, Emulator> {
    fused().with_method(Method::Batched)
}

macro_rules! pairs {
    ($float:ident) => {
        mod $float {
            use super::*;

            ttcore_conformance::equivalence! {
                fused: fused::<$float>(), ();
                batched: batched::<$float>(), ();
                // Chunks of a few lookups, so that bags cross from one to the next.
                batched_by_3: batched::<$float>().with_chunk(3), ();
                reference: Reference::<$float>::new(), ();
                portable: Cpu::<$float>::with_isa(Isa::Portable), Threads::one();
                avx2: Cpu::<$float>::with_isa(Isa::Avx2), Threads::new(2).expect("threads");
                avx512: Cpu::<$float>::with_isa(Isa::Avx512), Threads::new(3).expect("threads");
            }

            #[test]
            fn fused_has_the_same_bits_in_every_run() {
                bits::same_bits(&[(); 2].map(|()| Device::new(fused::<$float>(), ())));
            }

            #[test]
            fn batched_has_the_same_bits_in_every_run() {
                bits::same_bits(&[(); 2].map(|()| Device::new(batched::<$float>(), ())));
            }
        }
    };
}

pairs!(f32);
pairs!(f64);
