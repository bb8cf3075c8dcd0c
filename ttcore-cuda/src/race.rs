//! The emulator's race detector: with the feature `race` every load and store of the kernels is checked, and a launch that
//! does what no kernel may is [`Error::Race`].
//!
//! Checked are, for each launch: that no thread reads or writes what another writes with no barrier between them, or what
//! another block writes at all; that every address is inside of an allocation or of shared memory, and a multiple of what is
//! accessed there; that shared memory is read after it was written; that all threads of a block wait at the same barriers.
//! Not checked: lists of one allocation against each other, and what the host does.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};

use crate::device::{Device, Kernel};
use crate::emulator::{Emulator, ttcore_emulator_launch};
use crate::error::Error;

unsafe extern "C" {
    fn ttcore_race_remember(at: *const c_void, bytes: usize);
    fn ttcore_race_forget(at: *const c_void);
    fn ttcore_race_finding() -> *const c_char;
    fn ttcore_race_has_run(kernel: *const c_char) -> bool;
    fn ttcore_race_skip(file: *const c_char, line: u32) -> u64;
    fn ttcore_emulator_barriers() -> u32;
}

/// Kernels may use this memory from now on.
pub(crate) fn remember(at: NonNull<u8>, bytes: usize) {
    // SAFETY: only the address is kept.
    unsafe { ttcore_race_remember(at.as_ptr().cast(), bytes) }
}

/// Kernels must not use it any more.
pub(crate) fn forget(at: NonNull<u8>) {
    // SAFETY: only the address is used.
    unsafe { ttcore_race_forget(at.as_ptr().cast()) }
}

/// What the last launch of this thread found.
pub(crate) fn finding() -> Result<(), Error> {
    // SAFETY: a text of this thread, which its next launch changes.
    let finding = unsafe { CStr::from_ptr(ttcore_race_finding()) }.to_string_lossy();
    if finding.is_empty() { Ok(()) } else { Err(Error::Race { finding: finding.into_owned() }) }
}

/// Whether a kernel has run in this process, for `f64` if `double`.
pub fn has_run(kernel: Kernel, double: bool) -> bool {
    // SAFETY: the text is read during the call only.
    unsafe { ttcore_race_has_run(kernel.entry(double).as_ptr()) }
}

/// How many barriers the kernels' source has.
pub fn barriers() -> u32 {
    // SAFETY: a number.
    unsafe { ttcore_emulator_barriers() }
}

/// From now on, in all threads, threads pass the barrier in this line of a file of `kernels/` without waiting, as if it were
/// missing; of line 0, none. Returns how often they passed the one before so.
pub fn skip_barrier(file: &str, line: u32) -> u64 {
    let file = CString::new(file).unwrap_or_default();
    // SAFETY: the text is copied.
    unsafe { ttcore_race_skip(file.as_ptr(), line) }
}

/// Of emulator/faults.cu.
#[repr(C)]
struct FaultArgs {
    numbers: u64,
    len: u64,
}

/// Runs a kernel that does what no kernel may, so that tests see that it is found: one of emulator/faults.cu, by its name
/// behind `fault_`.
///
/// # Errors
///
/// [`Error::Race`]; [`Error::Driver`] if there is no such kernel.
pub fn launch_fault(name: &str) -> Result<(), Error> {
    let entry = CString::new(format!("fault_{name}_f32")).unwrap_or_default();
    let len = 255;
    let memory = Emulator.allocate(&mut (), len * size_of::<f32>())?;
    let args = FaultArgs { numbers: Emulator::address(&memory), len: len as u64 };
    let shared = (64 * size_of::<f32>()) as u32;
    // SAFETY: the arguments are those of these kernels, which are ended before what they must not do.
    let found = unsafe { ttcore_emulator_launch(entry.as_ptr(), 2, 64, shared, ptr::from_ref(&args).cast()) };
    finding()?;
    let answer = format!("there is no kernel {}", entry.to_string_lossy());
    if found { Ok(()) } else { Err(Error::Driver { call: "start a kernel", code: 500, answer }) }
}
