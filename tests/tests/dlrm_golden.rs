//! The golden training runs of a whole model, on the backends of the host.

use ttcore::Reference;
use ttcore_cpu::{Cpu, Threads};
use ttcore_tests::dlrm_golden::training;

#[test]
fn reference() {
    training(|| (Reference::<f64>::new(), ()));
    training(|| (Reference::<f32>::new(), ()));
}

#[test]
fn cpu() {
    let threads = || Threads::new(2).expect("threads");
    training(|| (Cpu::<f64>::new().expect("a backend"), threads()));
    training(|| (Cpu::<f32>::new().expect("a backend"), threads()));
}
