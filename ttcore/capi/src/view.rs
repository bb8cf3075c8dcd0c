//! The caller's numbers, borrowed for one call.

use std::ffi::c_void;
use std::marker::PhantomData;

use ttcore_cpu::Element;

use crate::error::{Outcome, TTC_DTYPE, TTC_LENGTH, TTC_OVERLAP, ttc_error};
use crate::handle::null;
use crate::record::{aligned, records};

/// Numbers of 32 bits, `float`.
pub const TTC_F32: u32 = 1;
/// Numbers of 64 bits, `double`.
pub const TTC_F64: u32 = 2;

/// Numbers of the caller, to read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_view {
    /// `sizeof(ttc_view)`.
    pub size: u32,
    /// `TTC_F32` or `TTC_F64`, as the session's.
    pub dtype: u32,
    /// The first, the others behind it; may be NULL if there are none.
    pub data: *const c_void,
    /// How many.
    pub len: usize,
}

/// Numbers of the caller, to read and write.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ttc_view_mut {
    /// `sizeof(ttc_view_mut)`.
    pub size: u32,
    /// `TTC_F32` or `TTC_F64`, as the session's.
    pub dtype: u32,
    /// The first, the others behind it; may be NULL if there are none.
    pub data: *mut c_void,
    /// How many.
    pub len: usize,
}

records!(ttc_view, ttc_view_mut);

impl From<ttc_view_mut> for ttc_view {
    fn from(ttc_view_mut { size, dtype, data, len }: ttc_view_mut) -> Self {
        Self { size, dtype, data, len }
    }
}

impl ttc_view {
    /// The numbers.
    ///
    /// # Safety
    ///
    /// For `'a` they are there, as many as the view says, and nothing writes them.
    pub(crate) unsafe fn numbers<'a, F: Number>(self, what: &str) -> Outcome<&'a [F]> {
        let (data, len) = checked::<F>(self, what)?;
        // SAFETY: aligned, not NULL, as many as fit in memory; the rest is the caller's.
        Ok(unsafe { std::slice::from_raw_parts(data, len) })
    }
}

/// The types of numbers there are.
pub(crate) trait Number: Element {
    const DTYPE: u32;
}

impl Number for f32 {
    const DTYPE: u32 = TTC_F32;
}

impl Number for f64 {
    const DTYPE: u32 = TTC_F64;
}

/// The borrows of one call: every number that is written is borrowed once, and others as often as one likes.
#[derive(Debug, Default)]
pub(crate) struct Borrows {
    /// Disjoint and ascending.
    claims: Vec<Claim>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Claim {
    start: usize,
    end: usize,
    writes: bool,
}

impl Borrows {
    /// Begins a call.
    ///
    /// # Safety
    ///
    /// Until `'a` ends, all views it is given are of memory that is there, and that nothing outside of this call writes, or
    /// reads if the call writes it. The numbers borrowed in the call before are not used any more.
    pub(crate) unsafe fn begin<'a>(&mut self) -> Lender<'_, 'a> {
        self.claims.clear();
        Lender { claims: &mut self.claims, call: PhantomData }
    }
}

/// Lends numbers of the caller's for a call.
#[derive(Debug)]
pub(crate) struct Lender<'b, 'a> {
    claims: &'b mut Vec<Claim>,
    call: PhantomData<&'a mut [u8]>,
}

impl<'a> Lender<'_, 'a> {
    pub(crate) fn read<F: Number>(&mut self, view: impl Into<ttc_view>, what: &str) -> Outcome<&'a [F]> {
        let (data, len) = self.claim::<F>(view.into(), what, false)?;
        // SAFETY: aligned, not NULL, as many as fit in memory, there for 'a, and claimed.
        Ok(unsafe { std::slice::from_raw_parts(data, len) })
    }

    pub(crate) fn write<F: Number>(&mut self, view: ttc_view_mut, what: &str) -> Outcome<&'a mut [F]> {
        let (data, len) = self.claim::<F>(view.into(), what, true)?;
        // SAFETY: as in `read`; no other claim of the call has any of them.
        Ok(unsafe { std::slice::from_raw_parts_mut(data.cast_mut(), len) })
    }

    fn claim<F: Number>(&mut self, view: ttc_view, what: &str, writes: bool) -> Outcome<(*const F, usize)> {
        let (data, len) = checked::<F>(view, what)?;
        let (start, end) = (data.addr(), data.addr() + len * size_of::<F>());
        if start == end {
            return Ok((data, len));
        }
        let first = self.claims.partition_point(|claim| claim.end <= start);
        let overlapping = self.claims[first..].iter().take_while(|claim| claim.start < end).count();
        let others = first..first + overlapping;
        if self.claims[others.clone()].iter().any(|claim| writes || claim.writes) {
            return Err(ttc_error::new(TTC_OVERLAP, format!("{what} overlaps other memory of this call")));
        }
        // Several who read the same are one who reads all of it.
        let mut all = Claim { start, end, writes };
        for claim in &self.claims[others.clone()] {
            (all.start, all.end) = (all.start.min(claim.start), all.end.max(claim.end));
        }
        self.claims.splice(others, [all]);
        Ok((data, len))
    }
}

/// Where the numbers of a view are, if they can be numbers of this type: never NULL.
fn checked<F: Number>(view: ttc_view, what: &str) -> Outcome<(*const F, usize)> {
    let ttc_view { dtype, data, len, .. } = view;
    if dtype != F::DTYPE {
        let message = format!("{what} has numbers of type {dtype}, not {}", F::DTYPE);
        return Err(ttc_error::new(TTC_DTYPE, message).value(dtype));
    }
    if len == 0 {
        return Ok((std::ptr::NonNull::dangling().as_ptr(), 0));
    }
    if data.is_null() {
        return Err(null(what));
    }
    let data = data.cast::<F>();
    aligned(data, what)?;
    let bytes = len.checked_mul(size_of::<F>()).filter(|&bytes| bytes <= isize::MAX as usize);
    if bytes.and_then(|bytes| data.addr().checked_add(bytes)).is_none() {
        return Err(ttc_error::new(TTC_LENGTH, format!("{what} has {len} numbers, more than fit in memory")).value(len));
    }
    Ok((data, len))
}

/// The memory of an empty list, for a list of views with another lifetime.
pub(crate) fn recycle<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    // Collecting a list's own items in place keeps its memory.
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{TTC_ALIGNMENT, TTC_NULL, ttc_error_code};

    fn code<T>(result: Outcome<T>) -> u32 {
        // SAFETY: an error that is there.
        result.err().map_or(0, |error| unsafe { ttc_error_code(&*error) })
    }

    #[test]
    fn what_is_written_is_borrowed_once() {
        let mut numbers = [0.0f32; 16];
        let all = numbers.as_mut_ptr();
        let view = |start: usize, len: usize| {
            let data = all.wrapping_add(start).cast();
            ttc_view_mut { size: size_of::<ttc_view_mut>() as u32, dtype: TTC_F32, data, len }
        };
        let mut borrows = Borrows::default();
        // SAFETY: views of these numbers, which nothing else uses.
        let mut lender = unsafe { borrows.begin() };
        let mut steps = Vec::new();
        let list =
            [(8, 4, false), (10, 4, false), (0, 4, true), (4, 5, true), (4, 4, true), (13, 2, true), (14, 2, true)];
        for (start, len, writes) in list {
            steps.push(match writes {
                true => code(lender.write::<f32>(view(start, len), "numbers")),
                false => code(lender.read::<f32>(view(start, len), "numbers")),
            });
        }
        assert_eq!(steps, [0, 0, 0, TTC_OVERLAP, 0, TTC_OVERLAP, 0]);
        assert_eq!(code(lender.read::<f32>(view(3, 1), "numbers")), TTC_OVERLAP);
        assert_eq!(code(lender.write::<f32>(view(3, 0), "numbers")), 0, "nothing overlaps nothing");
        // SAFETY: as above; what was borrowed is not used any more.
        let mut again = unsafe { borrows.begin() };
        again.write::<f32>(view(3, 1), "numbers").unwrap()[0] = 2.0;
        assert_eq!(numbers[3], 2.0);
    }

    #[test]
    fn numbers_that_cannot_be() {
        let numbers = [0.0f64; 2];
        let data: *const c_void = numbers.as_ptr().cast();
        let view = ttc_view { size: 0, dtype: TTC_F64, data, len: 2 };
        let check = |view| code(checked::<f64>(view, "numbers"));
        assert_eq!(check(view), 0);
        assert_eq!(check(ttc_view { dtype: TTC_F32, ..view }), TTC_DTYPE);
        assert_eq!(check(ttc_view { data: std::ptr::null(), ..view }), TTC_NULL);
        assert_eq!(check(ttc_view { data: std::ptr::null(), len: 0, ..view }), 0);
        assert_eq!(check(ttc_view { data: data.wrapping_byte_add(4), ..view }), TTC_ALIGNMENT);
        assert_eq!(check(ttc_view { len: usize::MAX, ..view }), TTC_LENGTH);
        assert_eq!(check(ttc_view { len: usize::MAX / 8, ..view }), TTC_LENGTH);
    }
}
