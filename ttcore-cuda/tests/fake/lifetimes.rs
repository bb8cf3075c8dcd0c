//! What is dropped when, on which thread; what GPU and driver there are.

use std::thread;

use ttcore_cuda::{Driver, Error, Method};

use crate::controls::Fake;
use crate::step::{Trained, rows, waited};

/// In an order nobody would choose, on a thread that has no context, with work that nobody waited for.
#[test]
fn anything_is_dropped_anywhere() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let mut queue = driver.queue().expect("a queue");
    let mut trained = Trained::new(&driver, &mut queue, Method::Batched).expect("a table");
    trained.group(&mut queue, &rows(1)).expect("a group");
    trained.step(&mut queue).expect("a step");
    let event = queue.event().expect("an event");
    assert!(fake.waiting(queue.stream()) > 0);
    thread::spawn(move || {
        drop(driver);
        drop(queue);
        drop(trained);
        drop(event);
    })
    .join()
    .expect("a thread that ends well");
    // The fake complains of what is left over.
    assert_eq!(fake.faults(), Vec::<String>::new());
}

/// The kernels outlive work on a caller's stream whose queue is gone.
#[test]
fn kernels_are_unloaded_behind_their_work() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let mut queue = driver.queue().expect("a queue");
    let mut trained = Trained::new(&driver, &mut queue, Method::Fused).expect("a table");
    trained.group(&mut queue, &rows(1)).expect("a group");
    trained.step(&mut queue).expect("a step");
    drop(queue);
    drop(trained);
    drop(driver);
    assert_eq!(fake.faults(), Vec::<String>::new());
}

/// NVRTC does not know the GPU: it gets PTX. The driver is older than NVRTC: machine code runs all the same.
#[test]
fn gpus_and_drivers_of_other_versions() {
    let fake = Fake::new();
    fake.gpu(90, 12_090);
    let want = waited(&Driver::new(0).expect("a GPU"), Method::Fused, &[rows(1)]);
    for (capability, version) in [(999, 12_090), (80, 12_000), (90, 13_020), (75, 11_040)] {
        fake.gpu(capability, version);
        let driver = Driver::new(0).unwrap_or_else(|error| panic!("{capability}, {version}: {error}"));
        assert_eq!(waited(&driver, Method::Fused, &[rows(1)]), want, "{capability}, {version}");
    }
    fake.gpu(20, 12_090);
    let error = Driver::new(0).expect_err("no compiler for that");
    assert!(matches!(&error, Error::Compile { log } if log.contains("this GPU is 20")), "{error}");
}

#[test]
fn there_is_one_gpu() {
    let _fake = Fake::new();
    assert_eq!(Driver::new(1).expect_err("one"), Error::NoSuchDevice { ordinal: 1, devices: 1 });
    assert_eq!(Driver::new(0).expect("a GPU").name().expect("a name"), "fake GPU");
}
