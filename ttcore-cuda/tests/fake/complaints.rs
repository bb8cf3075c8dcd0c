//! The fake is worth something only if it complains: of one fault each.

use std::ffi::c_void;
use std::ptr;

use ttcore_cuda::Driver;

use crate::controls::{Fake, function, set_current};
use crate::streams::primary;

type Memory = u64;

/// Calls a function of the driver whose answer is of no interest.
macro_rules! call {
    ($name:ident($($value:expr => $type:ty),*)) => {{
        // SAFETY: the types of the driver's function; the fake looks up whatever it is given.
        let _: u32 = unsafe { function::<unsafe extern "C" fn($($type),*) -> u32>(stringify!($name))($($value),*) };
    }};
}

/// Memory of the fake GPU.
fn allocate(bytes: usize) -> Memory {
    let mut at = 0;
    call!(cuMemAlloc_v2(&mut at => *mut Memory, bytes => usize));
    at
}

/// A stream of the fake GPU.
fn stream() -> *mut c_void {
    let mut stream = ptr::null_mut();
    call!(cuStreamCreate(&mut stream => *mut *mut c_void, 1 => u32));
    stream
}

#[test]
fn each_fault_is_noticed() {
    let fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let context = primary(&driver);
    let none = ptr::without_provenance_mut::<c_void>(0x1000);
    let word = [0u8; 16];
    let from = word.as_ptr().cast::<c_void>();
    let faults: [(&str, &dyn Fn()); 8] = [
        ("without its context", &|| {
            set_current(ptr::null_mut());
            allocate(1);
        }),
        ("a context that is none", &|| call!(cuCtxSetCurrent(none => *mut c_void))),
        ("on a stream that is none", &|| call!(cuStreamSynchronize(none => *mut c_void))),
        ("memory that is none is freed", &|| call!(cuMemFree_v2(0x1000 => Memory))),
        ("to what is not memory", &|| {
            let at = allocate(8);
            call!(cuMemcpyHtoDAsync_v2(at => Memory, from => *const c_void, 16 => usize, stream() => *mut c_void));
        }),
        ("that are not memory", &|| {
            call!(cuMemsetD8Async(0x1000 => Memory, 0 => u8, 8 => usize, stream() => *mut c_void));
        }),
        ("was freed before it was copied", &|| {
            let (mut pinned, stream) = (ptr::null_mut(), stream());
            call!(cuMemAllocHost_v2(&mut pinned => *mut *mut c_void, 8 => usize));
            call!(cuMemcpyHtoDAsync_v2(allocate(8) => Memory, pinned => *const c_void, 8 => usize, stream => *mut c_void));
            call!(cuMemFreeHost(pinned => *mut c_void));
            call!(cuStreamSynchronize(stream => *mut c_void));
        }),
        ("all streams of the context are waited for", &|| call!(cuCtxSynchronize())),
    ];
    for (what, fault) in faults {
        set_current(context);
        fault();
        let said = fake.faults();
        assert!(said.len() == 1 && said[0].contains(what), "{what}: {said:?}");
    }
    set_current(ptr::null_mut());
    // What the faults left over.
    drop(driver);
    assert!(fake.faults().iter().all(|fault| fault.contains("is released with")), "nothing else is wrong");
}
