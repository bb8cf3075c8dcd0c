//! Streams: the queue's own and the caller's.

use std::ffi::c_void;
use std::ptr;

use ttcore_cuda::{Driver, Method};

use crate::controls::{Fake, function, set_current};
use crate::step::{Trained, rows, waited};

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

/// A stream of the caller's, which the caller destroys.
pub(crate) fn foreign_stream(driver: &Driver) -> *mut c_void {
    // The caller has the primary context, as PyTorch has.
    let context = primary(driver);
    set_current(context);
    let mut stream = ptr::null_mut();
    // SAFETY: the type of the driver's function, which writes a handle.
    let made =
        unsafe { function::<unsafe extern "C" fn(*mut *mut c_void, u32) -> u32>("cuStreamCreate")(&mut stream, 0) };
    assert_eq!(made, 0);
    set_current(ptr::null_mut());
    stream
}

/// Destroys a caller's stream.
pub(crate) fn destroy(driver: &Driver, stream: *mut c_void) {
    set_current(primary(driver));
    // SAFETY: the type of the driver's function; the stream is not used any more.
    assert_eq!(unsafe { function::<unsafe extern "C" fn(*mut c_void) -> u32>("cuStreamDestroy_v2")(stream) }, 0);
    set_current(ptr::null_mut());
}

/// The primary context, of which the fake has one.
pub(crate) fn primary(_driver: &Driver) -> *mut c_void {
    let mut context = ptr::null_mut();
    // SAFETY: the types of the driver's functions; retained once and released once, while the driver holds it.
    unsafe {
        let retain = function::<unsafe extern "C" fn(*mut *mut c_void, i32) -> u32>("cuDevicePrimaryCtxRetain");
        assert_eq!(retain(&mut context, 0), 0);
        assert_eq!(function::<unsafe extern "C" fn(i32) -> u32>("cuDevicePrimaryCtxRelease_v2")(0), 0);
    }
    context
}

#[test]
fn of_its_own_do_not_block() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let queue = driver.queue().expect("a queue");
    assert_eq!(fake.flags(queue.stream()), NON_BLOCKING);
}

#[test]
fn of_the_caller_are_used_and_no_other() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let want = [Method::Fused, Method::Batched].map(|method| waited(&driver, method, &[rows(3), rows(4)]));
    let (made, waits) = (foreign_stream(&driver), fake.calls("cuCtxSynchronize"));
    // Null is the legacy default stream.
    for stream in [made, ptr::null_mut()] {
        for (method, want) in [Method::Fused, Method::Batched].into_iter().zip(&want) {
            let streams = fake.calls("cuStreamCreate");
            // SAFETY: it lives longer than the queue, and so does all memory that is used on it.
            let mut queue = unsafe { driver.queue_on(stream) };
            assert_eq!(queue.stream(), stream);
            let mut trained = Trained::new(&driver, &mut queue, method).expect("a table");
            for batch in [rows(3), rows(4)] {
                trained.group(&mut queue, &batch).expect("a group");
                trained.step(&mut queue).expect("a step");
            }
            assert!(fake.waiting(stream) > 0, "work is on the stream");
            assert_eq!(fake.calls("cuStreamCreate"), streams, "there is no other stream");
            assert_eq!(&trained.values(&mut queue).expect("numbers"), want);
        }
    }
    destroy(&driver, made);
    assert_eq!(fake.calls("cuCtxSynchronize"), waits, "nobody else's streams are waited for");
}

/// Work of others, on another stream, begins behind this, and this behind it.
#[test]
fn wait_for_each_other() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let (mut first, mut second) = (driver.queue().expect("a queue"), driver.queue().expect("a queue"));
    let mut trained = Trained::new(&driver, &mut first, Method::Fused).expect("a table");
    trained.group(&mut first, &rows(5)).expect("a group");
    trained.step(&mut first).expect("a step");
    let event = first.event().expect("an event");
    first.record(&event).expect("recorded");
    second.wait(&event).expect("waits");
    assert!(fake.waiting(first.stream()) > 0, "nobody waited here");
    // Only the second is waited for, by the copy to the host.
    let got = trained.values(&mut second).expect("numbers");
    assert_eq!(got, waited(&driver, Method::Fused, &[rows(5)]));
}
