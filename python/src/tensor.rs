//! Tensors of PyTorch, as addresses.

use std::fmt;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::exchange::Exchange;
use crate::numbers::Numbers;

/// `torch.Tensor`, and how its instances are described.
static TENSOR: PyOnceLock<(Py<PyType>, Option<Exchange>)> = PyOnceLock::new();

/// Dimensions of the tensors there are here: parameters 1, batches and outputs up to 3.
const MAX_DIMS: usize = 4;

/// Says what a tensor is: called once, with `torch.Tensor`. `exchange=False` has every tensor asked by its attributes.
#[pyfunction]
#[pyo3(signature = (kind, exchange = true))]
pub(crate) fn tensor_type(kind: &Bound<'_, PyType>, exchange: bool) {
    let found = if exchange { Exchange::of(kind) } else { None };
    TENSOR.get_or_init(kind.py(), || (kind.clone().unbind(), found));
}

/// What numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F64,
    I32,
    I64,
}

impl Kind {
    fn of(code: u8, bits: u8) -> Option<Self> {
        // kDLInt is 0, kDLFloat 2.
        match (code, bits) {
            (0, 32) => Some(Self::I32),
            (0, 64) => Some(Self::I64),
            (2, 32) => Some(Self::F32),
            (2, 64) => Some(Self::F64),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        if matches!(self, Self::F32 | Self::I32) { 4 } else { 8 }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "torch.float32",
            Self::F64 => "torch.float64",
            Self::I32 => "torch.int32",
            Self::I64 => "torch.int64",
        })
    }
}

/// Types that tensors have numbers of.
pub(crate) trait Number: Copy + Send + Sync + 'static {
    const KIND: Kind;
}

macro_rules! number {
    ($($number:ty, $kind:ident;)*) => {$(impl Number for $number { const KIND: Kind = Kind::$kind; })*};
}
number! { f32, F32; f64, F64; i32, I32; i64, I64; }

/// A tensor in memory of the CPU.
pub(crate) struct Tensor {
    what: &'static str,
    data: *mut u8,
    kind: Kind,
    dims: usize,
    shape: [usize; MAX_DIMS],
    strides: [usize; MAX_DIMS],
}

impl Tensor {
    /// Of a Python object, by the name of the argument that it came as.
    pub(crate) fn of(what: &'static str, object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let Some((class, exchange)) = TENSOR.get(py) else {
            return Err(PyRuntimeError::new_err("no type of tensors is known: import torch first"));
        };
        if !object.is_instance(class.bind(py))? {
            let kind = object.get_type();
            return Err(PyTypeError::new_err(format!("{what} must be a torch.Tensor, not {}", kind.name()?)));
        }
        match exchange {
            // SAFETY: it is an instance of the type that the table is of.
            Some(exchange) => unsafe { Self::by_exchange(what, object, *exchange) },
            None => Self::by_attributes(what, object),
        }
    }

    /// # Safety
    ///
    /// As [`Exchange::describe`].
    unsafe fn by_exchange(what: &'static str, object: &Bound<'_, PyAny>, exchange: Exchange) -> PyResult<Self> {
        // SAFETY: the caller's.
        let Ok(found) = (unsafe { exchange.describe(object) }) else {
            // What cannot be described has an attribute that says why.
            return Self::by_attributes(what, object);
        };
        // kDLCPU
        if found.device_type != 1 {
            return Err(other_device(what, object));
        }
        let kind = Kind::of(found.code, found.bits).filter(|_| found.lanes == 1);
        let kind = kind.ok_or_else(|| other_type(what, object))?;
        let dims = usize::try_from(found.ndim).ok().filter(|&dims| dims <= MAX_DIMS);
        let dims = dims.ok_or_else(|| too_many_dims(what, found.ndim as usize))?;
        let mut tensor =
            Self { what, data: found.data.cast(), kind, dims, shape: [1; MAX_DIMS], strides: [1; MAX_DIMS] };
        for dim in 0..dims {
            // SAFETY: so many numbers are there, none negative; strides are null for a contiguous tensor alone.
            tensor.shape[dim] = unsafe { *found.shape.add(dim) } as usize;
        }
        for dim in (0..dims).rev() {
            tensor.strides[dim] = match found.strides.is_null() {
                true => tensor.shape[dim + 1..dims].iter().product(),
                // SAFETY: as above.
                false => unsafe { *found.strides.add(dim) as usize },
            };
        }
        // Null for a tensor without numbers.
        tensor.data = tensor.data.wrapping_add(found.byte_offset as usize);
        Ok(tensor)
    }

    /// The same by Python calls, for versions of PyTorch that have no such table.
    fn by_attributes(what: &'static str, object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if object.getattr("device")?.getattr("type")?.extract::<String>()? != "cpu" {
            return Err(other_device(what, object));
        }
        let name = object.getattr("dtype")?.str()?;
        let kind = match &*name.to_cow()? {
            "torch.float32" => Kind::F32,
            "torch.float64" => Kind::F64,
            "torch.int32" => Kind::I32,
            "torch.int64" => Kind::I64,
            _ => return Err(other_type(what, object)),
        };
        let sizes: Vec<usize> = object.getattr("shape")?.extract()?;
        let steps: Vec<usize> = object.call_method0("stride")?.extract()?;
        if sizes.len() > MAX_DIMS || steps.len() != sizes.len() {
            return Err(too_many_dims(what, sizes.len()));
        }
        let address: usize = object.call_method0("data_ptr")?.extract()?;
        let (mut shape, mut strides) = ([1; MAX_DIMS], [1; MAX_DIMS]);
        shape[..sizes.len()].copy_from_slice(&sizes);
        strides[..steps.len()].copy_from_slice(&steps);
        let data = std::ptr::with_exposed_provenance_mut(address);
        Ok(Self { what, data, kind, dims: sizes.len(), shape, strides })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape[..self.dims]
    }

    fn strides(&self) -> &[usize] {
        &self.strides[..self.dims]
    }

    pub(crate) fn len(&self) -> usize {
        self.shape().iter().product()
    }

    fn contiguous(&self) -> bool {
        let mut want = 1;
        self.shape().iter().zip(self.strides()).rev().all(|(&size, &stride)| {
            let right = size == 1 || stride == want;
            want *= size;
            right
        }) || self.len() == 0
    }

    /// Its numbers, if they are of this type and lie one behind the other.
    pub(crate) fn numbers<T: Number>(&self) -> PyResult<Numbers<T>> {
        let what = self.what;
        if self.kind != T::KIND {
            return Err(PyTypeError::new_err(format!("{what} must be of type {}, not {}", T::KIND, self.kind)));
        }
        if !self.contiguous() {
            return Err(PyValueError::new_err(format!("{what} must be contiguous")));
        }
        let aligned = self.data.cast::<T>().is_aligned();
        if self.len() > 0 && (self.data.is_null() || !aligned) {
            return Err(PyValueError::new_err(format!("{what} has no numbers in memory, or none that are aligned")));
        }
        // SAFETY: of this length and aligned, as was seen.
        Ok(unsafe { Numbers::new(self.data.cast(), self.len()) })
    }

    /// Whole numbers of either type, of one dimension or two and any strides, appended to a list.
    ///
    /// They are copied before anything is checked: another thread may write the tensor meanwhile.
    pub(crate) fn copy_integers(&self, to: &mut Vec<i64>) -> PyResult<()> {
        let what = self.what;
        if !matches!(self.kind, Kind::I32 | Kind::I64) {
            let kind = self.kind;
            return Err(PyTypeError::new_err(format!("{what} must be of type torch.int32 or torch.int64, not {kind}")));
        }
        let (rows, columns, row_stride, stride) = match self.dims {
            1 => (1, self.shape[0], 0, self.strides[0]),
            2 => (self.shape[0], self.shape[1], self.strides[0], self.strides[1]),
            dims => return Err(PyValueError::new_err(format!("{what} must have 1 or 2 dimensions, not {dims}"))),
        };
        if self.len() == 0 {
            return Ok(());
        }
        if self.data.is_null() || !(self.data.addr()).is_multiple_of(self.kind.bytes()) {
            return Err(PyValueError::new_err(format!("{what} has no numbers in memory, or none that are aligned")));
        }
        for row in 0..rows {
            let places = (0..columns).map(|column| row * row_stride + column * stride);
            match self.kind {
                Kind::I32 => to.extend(places.map(|at| {
                    // SAFETY: the tensor has these elements, at these places, for as long as the interpreter is held: it is
                    // not given up here.
                    i64::from(unsafe { *self.data.cast::<i32>().add(at) })
                })),
                // SAFETY: as above.
                _ => to.extend(places.map(|at| unsafe { *self.data.cast::<i64>().add(at) })),
            }
        }
        Ok(())
    }
}

#[cold]
fn other_device(what: &str, object: &Bound<'_, PyAny>) -> PyErr {
    let device = object.getattr("device").and_then(|device| device.str()?.extract::<String>()).unwrap_or_default();
    PyValueError::new_err(format!("{what} is on {device}; these tables are on the CPU"))
}

#[cold]
fn other_type(what: &str, object: &Bound<'_, PyAny>) -> PyErr {
    let kind = object.getattr("dtype").and_then(|kind| kind.str()?.extract::<String>()).unwrap_or_default();
    PyTypeError::new_err(format!("{what} cannot be of type {kind}"))
}

#[cold]
fn too_many_dims(what: &str, dims: usize) -> PyErr {
    PyValueError::new_err(format!("{what} has {dims} dimensions, more than there are here"))
}
