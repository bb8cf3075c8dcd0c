//! The caller's structs, as they were when the caller was compiled.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::error::{Outcome, TTC_ALIGNMENT, TTC_STRUCT_SIZE, ttc_error};
use crate::handle::null;

/// A struct that C passes by pointer.
///
/// # Safety
///
/// It is `repr(C)`, begins with its size as `u32`, has no padding behind its last field, and all zeros are a value of it.
pub(crate) unsafe trait Record: Copy {
    const NAME: &'static str;

    /// What the caller says its size is.
    fn size(&self) -> usize;
}

macro_rules! records {
    ($($record:ident),* $(,)?) => {$(
        // SAFETY: it is repr(C) with a size in front; integers, floating point numbers and raw pointers may all be zero.
        unsafe impl crate::record::Record for $record {
            const NAME: &'static str = stringify!($record);

            fn size(&self) -> usize {
                self.size as usize
            }
        }
    )*};
}
pub(crate) use records;

/// Sizes beyond this are no sizes of structs.
const LARGEST: usize = 4096;

/// A struct of the caller's. One that was compiled with a later header is longer: what this library does not know must be
/// zero.
///
/// # Safety
///
/// NULL, or memory that begins with the number of bytes that there are, all of them set.
pub(crate) unsafe fn record<T: Record>(pointer: *const T, what: &str) -> Outcome<T> {
    if pointer.is_null() {
        return Err(null(what));
    }
    aligned(pointer, what)?;
    // SAFETY: not NULL and aligned, so there are at least the four bytes of the size.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    let known = size_of::<T>();
    let wrong = |problem: &str| {
        let message = format!("{what}: {size} is not the size of a {}, {known}{problem}", T::NAME);
        Err(ttc_error::new(TTC_STRUCT_SIZE, message).value(size))
    };
    if size < known || size > LARGEST {
        return wrong("");
    }
    if size > known {
        // SAFETY: the caller says that there are so many bytes.
        let all = unsafe { std::slice::from_raw_parts(pointer.cast::<MaybeUninit<u8>>(), size) };
        // SAFETY: behind what is known are fields of a later header, which the caller has set.
        if all[known..].iter().any(|byte| unsafe { byte.assume_init() } != 0) {
            return wrong(", and it uses fields that are not known here");
        }
    }
    // SAFETY: aligned and long enough, and a record is what the trait says.
    Ok(unsafe { pointer.read() })
}

/// Writes a struct of results to the caller.
///
/// # Safety
///
/// As for [`record`], and nothing else uses the memory meanwhile.
pub(crate) unsafe fn fill<T: Record>(pointer: *mut T, what: &str, result: impl FnOnce(T) -> T) -> Outcome {
    // SAFETY: the caller's.
    let given = unsafe { record(pointer.cast_const(), what) }?;
    // SAFETY: checked by reading it.
    unsafe { pointer.write(result(given)) };
    Ok(())
}

/// That a pointer may point at what it points at.
pub(crate) fn aligned<T>(pointer: *const T, what: &str) -> Outcome {
    if pointer.is_aligned() {
        return Ok(());
    }
    let message = format!("{what} at {pointer:p} is not aligned to {} bytes", align_of::<T>());
    Err(ttc_error::new(TTC_ALIGNMENT, message).value(pointer.addr() as u64))
}

/// An array of structs, one for each table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a, T> {
    start: *const T,
    /// Bytes from one to the next: the size of the first.
    stride: usize,
    len: usize,
    what: &'static str,
    array: PhantomData<&'a [T]>,
}

impl<T: Record> Records<'_, T> {
    /// # Safety
    ///
    /// For the lifetime, NULL or `len` structs of one size, as [`record`] wants them.
    pub(crate) unsafe fn new(start: *const T, len: usize, what: &'static str) -> Outcome<Self> {
        let stride = match len {
            0 => 0,
            _ if start.is_null() => return Err(null(what)),
            // SAFETY: the caller's.
            _ => unsafe { record(start, what) }.map_err(|error| error.of_table(0))?.size(),
        };
        Ok(Self { start, stride, len, what, array: PhantomData })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Outcome<T>> {
        (0..self.len).map(|number| self.get(number).map_err(|error| error.of_table(number)))
    }

    /// Where struct `number` is.
    pub(crate) fn place(&self, number: usize) -> *const T {
        self.start.wrapping_byte_add(number * self.stride)
    }

    fn get(&self, number: usize) -> Outcome<T> {
        // SAFETY: there are `len` structs, as the one said who made this, each as far from the next as the first is long.
        let record = unsafe { record(self.place(number), self.what) }?;
        if record.size() == self.stride {
            return Ok(record);
        }
        let message = format!("{} {number} has another size than the first", self.what);
        Err(ttc_error::new(TTC_STRUCT_SIZE, message).value(record.size()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{TTC_NULL, ttc_error_code, ttc_error_value};

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Known {
        size: u32,
        field: u32,
    }
    records!(Known);

    #[repr(C)]
    #[derive(Clone, Copy, Debug)]
    struct Later {
        size: u32,
        field: u32,
        new: u64,
    }

    fn read<T>(given: &T) -> Result<Known, (u32, i64)> {
        let mut value = -1;
        // SAFETY: a value that begins with its size, or so it says; an error that is there, and a place to write to.
        unsafe {
            record::<Known>(std::ptr::from_ref(given).cast(), "given").map_err(|error| {
                ttc_error_value(&*error, &mut value);
                (ttc_error_code(&*error), value)
            })
        }
    }

    #[test]
    fn structs_of_other_sizes() {
        let known = Known { size: 8, field: 3 };
        assert_eq!(read(&known), Ok(known));
        for size in [0, 4, 7, 5000, u32::MAX] {
            assert_eq!(read(&Known { size, field: 3 }), Err((TTC_STRUCT_SIZE, size.into())));
        }
        // Of a later header: what is new must not be used.
        let later = Later { size: 16, field: 3, new: 0 };
        assert_eq!(read(&later), Ok(Known { size: 16, field: 3 }));
        assert_eq!(read(&Later { new: 1 << 63, ..later }), Err((TTC_STRUCT_SIZE, 16)));

        let odd = [[8u32, 1], [0, 0]];
        // SAFETY: no struct is read at an odd place.
        let error = unsafe { record::<Known>(odd.as_ptr().cast::<Known>().byte_add(1), "given") }.unwrap_err();
        // SAFETY: as above.
        let null = unsafe { record::<Known>(std::ptr::null(), "given") }.unwrap_err();
        // SAFETY: errors that are there.
        assert_eq!(unsafe { (ttc_error_code(&*error), ttc_error_code(&*null)) }, (TTC_ALIGNMENT, TTC_NULL));
    }

    #[test]
    fn arrays_of_later_structs() {
        let array = [1, 2, 3].map(|field| Later { size: 16, field, new: 0 });
        // SAFETY: there are so many.
        let records = unsafe { Records::<Known>::new(array.as_ptr().cast(), 3, "array") }.unwrap();
        let fields: Vec<u32> = records.iter().map(|record| record.unwrap().field).collect();
        assert_eq!(fields, [1, 2, 3]);
        let mixed = [Known { size: 8, field: 1 }, Known { size: 12, field: 2 }, Known { size: 0, field: 0 }];
        // SAFETY: there are so many; the second lies, and is long enough to be looked at.
        let records = unsafe { Records::new(mixed.as_ptr(), 2, "array") }.unwrap();
        assert_eq!(records.iter().filter(Result::is_err).count(), 1);
        // SAFETY: there are none.
        assert_eq!(unsafe { Records::<Known>::new(std::ptr::null(), 0, "array") }.unwrap().len(), 0);
    }
}
