//! The caller captures a step in a graph, and replays it after each group.

use std::ffi::c_void;
use std::ptr;

use ttcore_cuda::{Driver, Method};

use crate::controls::{Fake, function, set_current};
use crate::step::{Rows, Trained, rows, waited};
use crate::streams::{destroy, foreign_stream, primary};

/// Calls a function of the driver in the primary context, as the caller's.
fn call<T: Copy>(driver: &Driver, name: &str, with: impl FnOnce(T) -> u32) {
    set_current(primary(driver));
    // SAFETY: each caller below names the type of the driver's function.
    assert_eq!(with(unsafe { function::<T>(name) }), 0, "{name}");
    set_current(ptr::null_mut());
}

type Stream = *mut c_void;
type Graph = *mut c_void;

#[test]
fn gives_the_same_bits_as_steps() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let stream = foreign_stream(&driver);
    // SAFETY: the stream lives longer than the queue, and so does all memory that is used on it.
    let mut queue = unsafe { driver.queue_on(stream) };
    let mut trained = Trained::new(&driver, &mut queue, Method::Fused).expect("a table");
    let batches: [Rows; 4] = [rows(1), rows(2), rows(1), rows(9)];
    trained.group(&mut queue, &batches[0]).expect("a group");

    let (mut graph, mut instance): (Graph, Graph) = (ptr::null_mut(), ptr::null_mut());
    call::<unsafe extern "C" fn(Stream, i32) -> u32>(&driver, "cuStreamBeginCapture_v2", |begin| {
        // SAFETY: the stream is one; mode 0 is `CU_STREAM_CAPTURE_MODE_GLOBAL`.
        unsafe { begin(stream, 0) }
    });
    trained.step(&mut queue).expect("a step that is captured");
    call::<unsafe extern "C" fn(Stream, *mut Graph) -> u32>(&driver, "cuStreamEndCapture", |end| {
        // SAFETY: writes the graph.
        unsafe { end(stream, &mut graph) }
    });
    call::<unsafe extern "C" fn(*mut Graph, Graph, u64) -> u32>(&driver, "cuGraphInstantiateWithFlags", |make| {
        // SAFETY: writes the instance.
        unsafe { make(&mut instance, graph, 0) }
    });
    let step = ["fused_pairs_f32", "fused_pool_f32", "fused_middle_f32", "fused_outer_f32"];
    let launches = || step.map(|kernel| fake.calls(&format!("launch {kernel}")));
    let captured = launches();
    for (i, batch) in batches.iter().enumerate() {
        if i > 0 {
            trained.group(&mut queue, batch).expect("a group");
        }
        call::<unsafe extern "C" fn(Graph, Stream) -> u32>(&driver, "cuGraphLaunch", |launch| {
            // SAFETY: the instance was made above.
            unsafe { launch(instance, stream) }
        });
    }
    assert!(captured.iter().all(|&count| count > 0), "{captured:?}");
    assert_eq!(launches(), captured, "steps are not started kernel by kernel any more");
    assert_eq!(trained.values(&mut queue).expect("numbers"), waited(&driver, Method::Fused, &batches));

    for (name, graph) in [("cuGraphExecDestroy", instance), ("cuGraphDestroy", graph)] {
        // SAFETY: made above, and not used any more.
        call::<unsafe extern "C" fn(Graph) -> u32>(&driver, name, |destroy| unsafe { destroy(graph) });
    }
    drop((trained, queue));
    destroy(&driver, stream);
}
