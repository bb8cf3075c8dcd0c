//! The calling thread's context is the caller's.

use std::ptr;

use ttcore_cuda::{Driver, Method};

use crate::controls::{Fake, current, set_current};
use crate::step::{Trained, rows, waited};

#[test]
fn is_as_before_after_every_call() {
    let fake = Fake::new();
    for context in [ptr::null_mut(), fake.context()] {
        set_current(context);
        let as_before = |what: &str| assert_eq!(current(), context, "{what}");
        let driver = Driver::new(0).expect("a GPU");
        as_before("open");
        let mut queue = driver.queue().expect("a queue");
        as_before("a queue");
        let mut trained = Trained::new(&driver, &mut queue, Method::Fused).expect("a table");
        as_before("memory and copies");
        trained.group(&mut queue, &rows(0)).expect("a group");
        as_before("a group");
        trained.step(&mut queue).expect("a step");
        as_before("a step");
        let event = queue.event().expect("an event");
        queue.record(&event).expect("recorded");
        queue.wait(&event).expect("waited");
        event.synchronize().expect("waited");
        as_before("events");
        let values = trained.values(&mut queue).expect("numbers");
        as_before("copies back");
        assert_eq!(values, waited(&driver, Method::Fused, &[rows(0)]));
        drop((trained, queue, event));
        as_before("drops");
        drop(driver);
        as_before("the GPU");
        set_current(ptr::null_mut());
    }
}

#[test]
fn of_a_failed_call_too() {
    let fake = Fake::new();
    set_current(fake.context());
    let driver = Driver::new(0).expect("a GPU");
    for function in ["cuMemAlloc_v2", "cuStreamCreate", "cuMemsetD8Async", "cuLaunchKernel"] {
        fake.answer(function, 226, 0);
        let failed = driver.queue().and_then(|mut queue| {
            let mut trained = Trained::new(&driver, &mut queue, Method::Fused)?;
            trained.group(&mut queue, &rows(0))?;
            trained.step(&mut queue)
        });
        assert!(failed.is_err(), "{function}");
        assert_eq!(current(), fake.context(), "{function}");
    }
    set_current(ptr::null_mut());
}
