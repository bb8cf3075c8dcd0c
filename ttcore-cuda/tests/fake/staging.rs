//! Memory of the host is not written or freed before it is copied, also where nobody waits.

use ttcore_cuda::{Driver, Method};

use ttcore::backend::Backend;

use crate::controls::Fake;
use crate::step::{Trained, bags, rows, waited};

#[test]
fn of_a_group_that_is_filled_again() {
    let _fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let batches = [rows(1), rows(2), rows(3)];
    for method in [Method::Fused, Method::Batched] {
        let mut queue = driver.queue().expect("a queue");
        let mut trained = Trained::new(&driver, &mut queue, method).expect("a table");
        for batch in &batches {
            trained.group(&mut queue, batch).expect("a group");
            trained.step(&mut queue).expect("a step");
        }
        // One that is never used.
        trained.group(&mut queue, &rows(8)).expect("a group");
        trained.group(&mut queue, &rows(9)).expect("a group");
        assert_eq!(trained.values(&mut queue).expect("numbers"), waited(&driver, method, &batches), "{method:?}");
    }
}

#[test]
fn of_two_groups_in_turns() {
    let _fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let batches = [rows(1), rows(2), rows(3), rows(4)];
    let mut queue = driver.queue().expect("a queue");
    let mut beside = driver.queue().expect("a queue");
    let mut trained = Trained::new(&driver, &mut queue, Method::Fused).expect("a table");
    trained.group(&mut queue, &batches[0]).expect("a group");
    for i in 0..batches.len() {
        // The next batch is grouped on another stream, before this one is computed.
        if let Some(next) = batches.get(i + 1) {
            let Trained { backend, plan, other_group, .. } = &mut trained;
            backend.group(&mut beside, plan, [bags(next)], other_group).expect("a group");
        }
        trained.step(&mut queue).expect("a step");
        std::mem::swap(&mut trained.group, &mut trained.other_group);
    }
    assert_eq!(trained.values(&mut queue).expect("numbers"), waited(&driver, Method::Fused, &batches));
}

#[test]
fn of_an_input_that_is_dropped() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let mut queue = driver.queue().expect("a queue");
    let backend = ttcore_cuda::Cuda::<f32, _>::new(driver);
    let mut input = backend.input(&mut queue, 4).expect("memory");
    for i in 0..3 {
        input.load(&backend, &mut queue, &[&[i as f32; 3]]).expect("a copy");
    }
    let mut got = [0.0; 4];
    backend.download(&mut queue, input.view(), &mut got).expect("numbers");
    assert_eq!(got, [2.0, 2.0, 2.0, 0.0]);
    input.load(&backend, &mut queue, &[&[7.0; 4]]).expect("a copy");
    assert!(fake.waiting(queue.stream()) > 0);
    drop(input);
    backend.synchronize(&mut queue).expect("a wait");
}
