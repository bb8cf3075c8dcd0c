//! Every pair of the backends that need no device agrees, and each gives the same bits in every run, on any number of threads.

use ttcore::Reference;
use ttcore_conformance::{Device, bits};
use ttcore_cpu::{Cpu, Element, Isa, Threads};

fn threads(count: usize) -> Threads {
    Threads::new(count).expect("threads")
}

/// Where an instruction set is missing, the next below stands for it.
macro_rules! pairs {
    ($float:ident) => {
        mod $float {
            use super::*;

            ttcore_conformance::equivalence! {
                reference: Reference::<$float>::new(), ();
                portable: Cpu::<$float>::with_isa(Isa::Portable), Threads::one();
                portable_3: Cpu::<$float>::with_isa(Isa::Portable), threads(3);
                avx2: Cpu::<$float>::with_isa(Isa::Avx2), Threads::one();
                avx2_2: Cpu::<$float>::with_isa(Isa::Avx2), threads(2);
                avx512: Cpu::<$float>::with_isa(Isa::Avx512), Threads::one();
                avx512_8: Cpu::<$float>::with_isa(Isa::Avx512), threads(8);
            }

            #[test]
            fn reference_has_the_same_bits_in_every_run() {
                bits::same_bits(&[(); 2].map(|()| Device::new(Reference::<$float>::new(), ())));
            }

            #[test]
            fn portable_has_the_same_bits_on_any_threads() {
                same_bits::<$float>(Isa::Portable);
            }

            #[test]
            fn avx2_has_the_same_bits_on_any_threads() {
                same_bits::<$float>(Isa::Avx2);
            }

            #[test]
            fn avx512_has_the_same_bits_on_any_threads() {
                same_bits::<$float>(Isa::Avx512);
            }
        }
    };
}

pairs!(f32);
pairs!(f64);

fn same_bits<F: Element>(isa: Isa) {
    bits::same_bits(&[1, 1, 2, 3, 8].map(|count| Device::new(Cpu::<F>::with_isa(isa), threads(count))));
}
