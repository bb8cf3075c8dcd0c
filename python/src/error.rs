//! Errors as Python has them.

use pyo3::PyErr;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyValueError};
use ttcore::{BagsError, Error, ShapeError};

/// The exception that says the same: an index that is not a row is an `IndexError`, a stale batch a `RuntimeError`, what is
/// too large a `MemoryError`, all else a `ValueError`.
pub(crate) fn raise(error: Error) -> PyErr {
    let words = error.to_string();
    match error {
        Error::Bags { error: BagsError::IndexOutOfRange { .. }, .. } | Error::Row { .. } => {
            PyIndexError::new_err(words)
        }
        Error::Stale { .. } => PyRuntimeError::new_err(words),
        Error::TooLarge { .. } | Error::Shape(ShapeError::Overflow { .. }) => PyMemoryError::new_err(words),
        _ => PyValueError::new_err(words),
    }
}

/// As [`raise`], of what becomes one of the contract's errors.
pub(crate) fn raised<T, E: Into<Error>>(result: Result<T, E>) -> Result<T, PyErr> {
    result.map_err(|error| raise(error.into()))
}
