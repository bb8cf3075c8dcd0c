//! The CPU backend passes the suite, with every instruction set this machine has.

use ttcore_cpu::{Cpu, Isa, Threads};

ttcore_conformance::conformance!(portable_f64, Cpu::<f64>::with_isa(Isa::Portable), Threads::one());
ttcore_conformance::conformance!(portable_f32, Cpu::<f32>::with_isa(Isa::Portable), Threads::one());
// Where an instruction set is missing, the next below is tested again.
ttcore_conformance::conformance!(avx2_f64, Cpu::<f64>::with_isa(Isa::Avx2), Threads::new(2).expect("threads"));
ttcore_conformance::conformance!(avx2_f32, Cpu::<f32>::with_isa(Isa::Avx2), Threads::new(3).expect("threads"));
ttcore_conformance::conformance!(avx512_f64, Cpu::<f64>::with_isa(Isa::Avx512), Threads::one());
ttcore_conformance::conformance!(avx512_f32, Cpu::<f32>::with_isa(Isa::Avx512), Threads::new(2).expect("threads"));
