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
    /// Its size in version 1 of the interface; what was added since is zero for who was compiled before. To be given for a
    /// struct that grows.
    const FIRST: usize = size_of::<Self>();

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

/// A struct of the caller's. One that was compiled with an earlier header is shorter: the rest is zero. One that was compiled
/// with a later header is longer: what this library does not know must be zero.
///
/// # Safety
///
/// NULL, or memory that begins with the number of bytes that there are, all of them set.
#[inline]
pub(crate) unsafe fn record<T: Record>(pointer: *const T, what: &str) -> Outcome<T> {
    // SAFETY: the caller's.
    let size = unsafe { size(pointer, what) }?;
    if size == size_of::<T>() {
        // SAFETY: aligned and long enough, and a record is what the trait says.
        return Ok(unsafe { pointer.read() });
    }
    // SAFETY: the caller's.
    unsafe { of_another_size(pointer, what, size) }
}

/// The size a struct begins with.
///
/// # Safety
///
/// NULL, or memory of at least those four bytes.
unsafe fn size<T>(pointer: *const T, what: &str) -> Outcome<usize> {
    if pointer.is_null() {
        return Err(null(what));
    }
    aligned(pointer, what)?;
    // SAFETY: not NULL and aligned, and the caller's.
    Ok(unsafe { pointer.cast::<u32>().read() } as usize)
}

/// A struct of a caller that was compiled with another header, or is wrong.
///
/// # Safety
///
/// As for [`record`], with the size that it begins with.
#[cold]
unsafe fn of_another_size<T: Record>(pointer: *const T, what: &str, size: usize) -> Outcome<T> {
    let known = size_of::<T>();
    let wrong = |problem: &str| {
        let message = format!("{what}: {size} is not the size of a {}, {known}{problem}", T::NAME);
        Err(ttc_error::new(TTC_STRUCT_SIZE, message).value(size))
    };
    if size < T::FIRST || size > LARGEST {
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
    let mut record = MaybeUninit::<T>::zeroed();
    // SAFETY: there are as many bytes on both sides; a record is what the trait says, its fields those of the caller or zero.
    unsafe {
        copy_prefix(pointer, record.as_mut_ptr(), size);
        Ok(record.assume_init())
    }
}

/// Copies the first bytes of a record, all of it if there are more.
///
/// # Safety
///
/// There are so many on both sides, or a whole record.
unsafe fn copy_prefix<T>(from: *const T, to: *mut T, bytes: usize) {
    // SAFETY: the caller's; bytes that were not set stay so.
    unsafe {
        let (from, to) = (from.cast::<MaybeUninit<u8>>(), to.cast::<MaybeUninit<u8>>());
        to.copy_from_nonoverlapping(from, bytes.min(size_of::<T>()));
    }
}

/// Writes a struct of results to the caller.
///
/// # Safety
///
/// As for [`record`], and nothing else uses the memory meanwhile.
pub(crate) unsafe fn fill<T: Record>(pointer: *mut T, what: &str, result: impl FnOnce(T) -> T) -> Outcome {
    // SAFETY: the caller's.
    let given = unsafe { record(pointer.cast_const(), what) }?;
    let result = result(given);
    // SAFETY: checked by reading it; no more is written than the caller knows.
    unsafe { copy_prefix(&raw const result, pointer, given.size()) };
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
        // Whether it is a size is seen when the first is looked at, which comes before the others.
        // SAFETY: the caller's.
        let stride = if len == 0 { 0 } else { unsafe { size(start, what) }? };
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

    /// What `Known` becomes one day.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Grown {
        size: u32,
        field: u32,
        new: u64,
    }
    // SAFETY: integers, in C's order, with no padding behind.
    unsafe impl Record for Grown {
        const NAME: &'static str = "Grown";
        const FIRST: usize = size_of::<Known>();

        fn size(&self) -> usize {
            self.size as usize
        }
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
        let later = Grown { size: 16, field: 3, new: 0 };
        assert_eq!(read(&later), Ok(Known { size: 16, field: 3 }));
        assert_eq!(read(&Grown { new: 1 << 63, ..later }), Err((TTC_STRUCT_SIZE, 16)));

        // Of an earlier one: there is no more than was known then, to read and to write.
        #[repr(align(8))]
        struct Early([Known; 2]);
        let mut early = Early([Known { size: 8, field: 3 }, Known { size: 5, field: 6 }]);
        let pointer = std::ptr::from_mut(&mut early).cast::<Grown>();
        // SAFETY: a struct that says how long it is, which is filled to its length.
        unsafe {
            assert_eq!(record(pointer, "early").ok(), Some(Grown { size: 8, field: 3, new: 0 }));
            assert!(fill(pointer, "early", |given| Grown { field: 4, new: u64::MAX, ..given }).is_ok());
        }
        assert_eq!(early.0, [Known { size: 8, field: 4 }, Known { size: 5, field: 6 }]);

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
        let array = [1, 2, 3].map(|field| Grown { size: 16, field, new: 0 });
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
