//! DLPack's table of functions: how a framework tells other libraries where a tensor lies, without a Python call.
//!
//! The layout is that of `dlpack.h` 1.3, of which only what is read here has names.

use std::ffi::{c_int, c_void};

use pyo3::prelude::*;
use pyo3::types::PyType;

/// `DLTensor`: borrowed, for as long as the Python object keeps its memory.
#[repr(C)]
pub(crate) struct DlTensor {
    pub(crate) data: *mut c_void,
    pub(crate) device_type: c_int,
    pub(crate) device_id: c_int,
    pub(crate) ndim: c_int,
    pub(crate) code: u8,
    pub(crate) bits: u8,
    pub(crate) lanes: u16,
    pub(crate) shape: *const i64,
    /// In elements; null for a contiguous tensor.
    pub(crate) strides: *const i64,
    pub(crate) byte_offset: u64,
}

/// `DLPackExchangeAPI`.
#[repr(C)]
struct Table {
    major: u32,
    _minor: u32,
    _previous: *const c_void,
    _functions: [*const c_void; 3],
    describe: Option<Describe>,
    _current_work_stream: *const c_void,
}

type Describe = unsafe extern "C" fn(*mut c_void, *mut DlTensor) -> c_int;

/// How tensors of one framework are described.
#[derive(Clone, Copy)]
pub(crate) struct Exchange(Describe);

impl Exchange {
    /// That of a type, if it has one of a version known here.
    pub(crate) fn of(kind: &Bound<'_, PyType>) -> Option<Self> {
        let capsule = kind.getattr("__dlpack_c_exchange_api__").ok()?;
        let capsule = capsule.cast_into::<pyo3::types::PyCapsule>().ok()?;
        let table = capsule.pointer_checked(Some(c"dlpack_exchange_api")).ok()?.cast::<Table>();
        // SAFETY: a capsule of this name holds such a table, which lives as long as the process; the number read first is at
        // the same place in all versions, and what follows is as declared in those of the same number.
        unsafe { ((*table.as_ptr()).major == 1).then(|| (*table.as_ptr()).describe).flatten().map(Self) }
    }

    /// Where the tensor lies.
    ///
    /// # Safety
    ///
    /// The object is an instance of the type the table was taken from.
    pub(crate) unsafe fn describe(self, tensor: &Bound<'_, PyAny>) -> PyResult<DlTensor> {
        let mut described = DlTensor {
            data: std::ptr::null_mut(),
            device_type: 0,
            device_id: 0,
            ndim: 0,
            code: 0,
            bits: 0,
            lanes: 0,
            shape: std::ptr::null(),
            strides: std::ptr::null(),
            byte_offset: 0,
        };
        // SAFETY: the caller vouches for the type, `Bound` for the interpreter, and `described` is all that is written to.
        match unsafe { (self.0)(tensor.as_ptr().cast(), &mut described) } {
            0 => Ok(described),
            _ => Err(PyErr::fetch(tensor.py())),
        }
    }
}
