//! What a test asks of the fake driver, which is the `libcuda.so.1` that the program finds: see `fake/driver.cpp`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::Library;

/// The fake, for one test at a time. When it is dropped there must not have been faults.
pub(crate) struct Fake {
    _alone: MutexGuard<'static, ()>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    // SAFETY: the fake has no initialisers that do harm.
    LIBRARY.get_or_init(|| unsafe { Library::new("libcuda.so.1") }.expect("the fake driver in LD_LIBRARY_PATH"))
}

/// A function of the fake, or of the driver that it plays.
///
/// # Safety
///
/// It has the type.
pub(crate) unsafe fn function<T: Copy>(name: &str) -> T {
    // SAFETY: the caller's.
    *unsafe { library().get::<T>(name.as_bytes()) }.unwrap_or_else(|error| panic!("not the fake driver: {error}"))
}

type Call = unsafe extern "C" fn(*const c_char) -> u32;
type OfStream = unsafe extern "C" fn(*mut c_void) -> u32;

impl Fake {
    /// The fake, as after starting.
    pub(crate) fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let this = Self { _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner) };
        // SAFETY: the type of the fake's function.
        unsafe { function::<unsafe extern "C" fn() -> u32>("ttcore_fake_reset")() };
        this
    }

    /// What it complained of since it was last asked.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut text = [0u8; 4096];
        // SAFETY: the type of the fake's function, which writes so many bytes with an end.
        unsafe {
            function::<unsafe extern "C" fn(*mut c_char, u32) -> u32>("ttcore_fake_faults")(
                text.as_mut_ptr().cast(),
                4096,
            )
        };
        let text = CStr::from_bytes_until_nul(&text).expect("an end").to_string_lossy().into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Makes a function answer a code, once, so many calls from now.
    pub(crate) fn answer(&self, name: &str, code: u32, after: u32) {
        let name = CString::new(name).expect("a name");
        // SAFETY: the type of the fake's function; the name is read during the call.
        unsafe {
            function::<unsafe extern "C" fn(*const c_char, u32, u32) -> u32>("ttcore_fake_answer")(
                name.as_ptr(),
                code,
                after,
            )
        };
    }

    /// How often a function was called so far.
    pub(crate) fn calls(&self, name: &str) -> u32 {
        let name = CString::new(name).expect("a name");
        // SAFETY: as above.
        unsafe { function::<Call>("ttcore_fake_calls")(name.as_ptr()) }
    }

    /// How much work waits on a stream.
    pub(crate) fn waiting(&self, stream: *mut c_void) -> u32 {
        // SAFETY: the type of the fake's function, which knows its streams.
        unsafe { function::<OfStream>("ttcore_fake_waiting")(stream) }
    }

    /// The flags a stream was made with.
    pub(crate) fn flags(&self, stream: *mut c_void) -> u32 {
        // SAFETY: as above.
        unsafe { function::<OfStream>("ttcore_fake_flags")(stream) }
    }

    /// A context of somebody else.
    pub(crate) fn context(&self) -> *mut c_void {
        // SAFETY: the type of the fake's function.
        unsafe { function::<unsafe extern "C" fn() -> *mut c_void>("ttcore_fake_context")() }
    }

    /// What the next GPU that is opened can do, in tenths, and the driver's version, in thousands.
    pub(crate) fn gpu(&self, capability: u32, version: u32) {
        // SAFETY: the type of the fake's function.
        unsafe { function::<unsafe extern "C" fn(u32, u32) -> u32>("ttcore_fake_gpu")(capability, version) };
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.gpu(90, 12_090);
        if !std::thread::panicking() {
            assert_eq!(self.faults(), Vec::<String>::new());
        }
    }
}

/// Makes a context the thread's.
pub(crate) fn set_current(context: *mut c_void) {
    // SAFETY: the type of the driver's function.
    assert_eq!(unsafe { function::<OfStream>("cuCtxSetCurrent")(context) }, 0);
}

/// The thread's context.
pub(crate) fn current() -> *mut c_void {
    let mut context = std::ptr::null_mut();
    // SAFETY: the type of the driver's function.
    let get = unsafe { function::<unsafe extern "C" fn(*mut *mut c_void) -> u32>("cuCtxGetCurrent") };
    // SAFETY: writes a handle.
    assert_eq!(unsafe { get(&mut context) }, 0);
    context
}
