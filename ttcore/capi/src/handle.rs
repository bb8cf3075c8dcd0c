//! The boundary: no panic leaves it, and no handle is used by two calls that exclude each other.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::thread;

use crate::error::{Outcome, TTC_BUSY, TTC_NULL, TTC_PANIC, TTC_POISONED, ttc_error};

/// Runs the body of a function that C calls: its error, or NULL.
pub(crate) fn call(body: impl FnOnce() -> Outcome) -> *mut ttc_error {
    // What a panic leaves half done is in handles, which are poisoned then, or among the caller's numbers.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => std::ptr::null_mut(),
        Ok(Err(error)) => Box::into_raw(error),
        Err(payload) => {
            let error = ttc_error::new(TTC_PANIC, format!("a bug: {}", text(&*payload)));
            // Dropping what was thrown may panic again.
            std::mem::forget(payload);
            Box::into_raw(error)
        }
    }
}

fn text(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

/// What is behind an opaque pointer.
///
/// # Safety
///
/// NULL, or a pointer to a live value, for as long as `'a`.
pub(crate) unsafe fn required<'a, T>(pointer: *const T, what: &str) -> Outcome<&'a T> {
    // SAFETY: the caller's, as said above.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(what))
}

/// The error of a pointer that must not be NULL.
pub(crate) fn null(what: &str) -> Box<ttc_error> {
    ttc_error::new(TTC_NULL, format!("{what} is NULL"))
}

/// The value of a handle. Two calls that exclude each other are refused, the second, instead of waiting; after a panic all
/// are.
#[derive(Debug)]
pub(crate) struct Guarded<T> {
    what: &'static str,
    value: RwLock<T>,
    poisoned: AtomicBool,
}

/// A value in use.
#[derive(Debug)]
pub(crate) struct InUse<'a, G> {
    guard: G,
    poisoned: &'a AtomicBool,
    /// Whether the thread was unwinding when the call came: that was none of it.
    unwinding: bool,
}

impl<T> Guarded<T> {
    pub(crate) fn new(what: &'static str, value: T) -> Self {
        Self { what, value: RwLock::new(value), poisoned: AtomicBool::new(false) }
    }

    /// For a call that others may run beside.
    pub(crate) fn shared(&self) -> Outcome<InUse<'_, RwLockReadGuard<'_, T>>> {
        self.in_use(self.value.try_read())
    }

    /// For a call that is alone.
    pub(crate) fn exclusive(&self) -> Outcome<InUse<'_, RwLockWriteGuard<'_, T>>> {
        self.in_use(self.value.try_write())
    }

    fn in_use<'a, G>(&'a self, guard: Result<G, TryLockError<G>>) -> Outcome<InUse<'a, G>> {
        let what = self.what;
        match guard {
            Ok(guard) if !self.poisoned.load(Ordering::Acquire) => {
                Ok(InUse { guard, poisoned: &self.poisoned, unwinding: thread::panicking() })
            }
            Err(TryLockError::WouldBlock) => {
                Err(ttc_error::new(TTC_BUSY, format!("the {what} is in use in another call")))
            }
            _ => Err(ttc_error::new(TTC_POISONED, format!("a call panicked while it had this {what}: free it"))),
        }
    }
}

impl<G> Drop for InUse<'_, G> {
    fn drop(&mut self) {
        if !self.unwinding && thread::panicking() {
            self.poisoned.store(true, Ordering::Release);
        }
    }
}

impl<G: Deref> Deref for InUse<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for InUse<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ttc_error_code, ttc_error_free, ttc_error_message};

    /// A function as C sees it.
    extern "C" fn increase(handle: &Guarded<u32>, fail: bool, exclusive: bool) -> *mut ttc_error {
        call(|| {
            if exclusive {
                *handle.exclusive()? += 1;
                let _held = handle.exclusive()?;
                assert!(!fail, "asked to fail");
            } else {
                let _held = handle.shared()?;
                assert!(!fail, "asked to fail");
            }
            Ok(())
        })
    }

    fn code(error: *mut ttc_error) -> (u32, String) {
        // SAFETY: an error of this call, freed once; its message is text that ends with a zero.
        unsafe {
            let message = std::ffi::CStr::from_ptr(ttc_error_message(error)).to_str().unwrap().to_owned();
            let code = ttc_error_code(error);
            ttc_error_free(error);
            (code, message)
        }
    }

    #[test]
    fn a_panic_is_an_error_and_poisons() {
        for exclusive in [false, true] {
            let handle = Guarded::new("number", 0);
            assert_eq!(code(increase(&handle, false, exclusive)).0, 0);
            assert_eq!(code(increase(&handle, true, exclusive)), (TTC_PANIC, "a bug: asked to fail".to_owned()));
            for exclusive in [false, true] {
                let (code, message) = code(increase(&handle, false, exclusive));
                assert_eq!((code, message.contains("number")), (TTC_POISONED, true), "{message}");
            }
        }
        assert_eq!(text(&3), "a panic without a message");
    }

    #[test]
    fn calls_that_exclude_each_other_are_refused() {
        let handle = Guarded::new("number", 0);
        let held = handle.shared().unwrap();
        assert_eq!(code(increase(&handle, false, false)).0, 0);
        assert_eq!(code(increase(&handle, false, true)).0, TTC_BUSY);
        drop(held);
        let held = handle.exclusive().unwrap();
        assert_eq!(code(increase(&handle, false, false)).0, TTC_BUSY);
        drop(held);
        assert_eq!(code(increase(&handle, false, true)).0, 0);
    }

    #[test]
    fn a_call_of_a_thread_that_unwinds_anyway_does_not_poison() {
        struct CallsWhenDropped<'a>(&'a Guarded<u32>);
        impl Drop for CallsWhenDropped<'_> {
            fn drop(&mut self) {
                assert!(increase(self.0, false, false).is_null());
            }
        }
        let handle = Guarded::new("number", 0);
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            let _calls = CallsWhenDropped(&handle);
            panic!("of someone else");
        }));
        assert!(thrown.is_err());
        assert_eq!(code(increase(&handle, false, false)).0, 0);
    }
}
