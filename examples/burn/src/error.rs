//! What a layer refuses.

use std::fmt;

use burn::tensor::{DType, PrimitiveConversionError};
use ttcore_cpu::IsaError;

/// What a layer refuses. burn has no error type for modules: they panic, where these are returned.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A batch or a configuration, with position and value.
    Table(ttcore::Error),
    /// The environment variable `TTCORE_ISA` does not name an instruction set that this machine has.
    Isa(IsaError),
    /// A tensor has another length than it must have.
    Length {
        /// Which tensor.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The length it must have.
        want: usize,
    },
    /// A tensor is of a type that there are no kernels for, or not of that of the cores.
    DType {
        /// Which tensor.
        what: &'static str,
        /// Its type.
        got: DType,
    },
    /// A tensor is on another backend than `Flex`, or two tensors have different strategies of checkpointing.
    Backend(PrimitiveConversionError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => error.fmt(f),
            Self::Isa(error) => error.fmt(f),
            Self::Length { what, got, want } => write!(f, "{what} have {got} numbers, not {want}"),
            Self::DType { what, got } => write!(f, "{what} cannot be of type {got:?}"),
            Self::Backend(
                PrimitiveConversionError::BackendMismatch(what) | PrimitiveConversionError::KindMismatch(what),
            ) => write!(f, "not a tensor this layer can use: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Table(error) => Some(error),
            Self::Isa(error) => Some(error),
            Self::Length { .. } | Self::DType { .. } | Self::Backend(_) => None,
        }
    }
}

impl From<ttcore::Error> for Error {
    fn from(error: ttcore::Error) -> Self {
        Self::Table(error)
    }
}

impl From<ttcore::BagsError> for Error {
    fn from(error: ttcore::BagsError) -> Self {
        Self::Table(error.into())
    }
}

impl From<IsaError> for Error {
    fn from(error: IsaError) -> Self {
        Self::Isa(error)
    }
}

impl From<PrimitiveConversionError> for Error {
    fn from(error: PrimitiveConversionError) -> Self {
        Self::Backend(error)
    }
}
