//! What can go wrong, on the way to a GPU and in a call.

use std::fmt;

/// An error of the CUDA backend.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// Something that is not computed on a GPU yet.
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// What every backend refuses.
    Contract(ttcore::Error),
    /// There is no driver, or no GPU that it can use.
    NoDevice {
        /// What the driver answered.
        answer: String,
    },
    /// A GPU with this number does not exist.
    NoSuchDevice {
        /// The number.
        ordinal: u32,
        /// GPUs there are.
        devices: u32,
    },
    /// A library of the CUDA toolkit cannot be loaded.
    NoLibrary {
        /// `"cuBLAS"` or `"NVRTC"`.
        library: &'static str,
        /// Its file.
        file: &'static str,
    },
    /// The driver refused a call, or an earlier kernel failed.
    Driver {
        /// What was tried.
        call: &'static str,
        /// The driver's answer, a `CUresult`: of this driver's version, so it may be one that no list here knows.
        code: u32,
        /// Its name, number and description, as the driver gives them.
        answer: String,
    },
    /// cuBLAS refused a call.
    Blas {
        /// What was tried.
        call: &'static str,
        /// Its answer.
        answer: String,
    },
    /// The kernels could not be compiled for this GPU.
    Compile {
        /// The compiler's log.
        log: String,
    },
    /// A size is too large for the kernels, which count in 32 bits.
    TooLarge {
        /// Which.
        what: &'static str,
        /// How large it is.
        size: usize,
    },
    /// The rule has no kernel.
    Rule {
        /// The rule.
        rule: ttcore::Rule,
    },
    /// The rule of cores has no kernel.
    CoreRule {
        /// The rule.
        rule: ttcore::CoreRule,
    },
    /// A kernel did what no kernel may: the emulator's race detector ended it.
    #[cfg(feature = "race")]
    Race {
        /// Which kernel, what, which threads, and where in the source.
        finding: String,
    },
}

impl From<ttcore::Error> for Error {
    fn from(error: ttcore::Error) -> Self {
        Self::Contract(error)
    }
}

impl From<ttcore::BagsError> for Error {
    fn from(error: ttcore::BagsError) -> Self {
        Self::Contract(error.into())
    }
}

impl From<ttcore::ShapeError> for Error {
    fn from(error: ttcore::ShapeError) -> Self {
        Self::Contract(error.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract(error) => error.fmt(f),
            Self::Unsupported { what } => write!(f, "{what} is not computed on a GPU yet"),
            Self::NoDevice { answer } => write!(
                f,
                "no usable NVIDIA GPU ({answer}): install the NVIDIA driver, check that `nvidia-smi` lists a GPU, or use \
                 the CPU backend"
            ),
            Self::NoSuchDevice { ordinal, devices } => {
                write!(f, "there is no GPU {ordinal}, only {devices}: choose one below, or check CUDA_VISIBLE_DEVICES")
            }
            Self::NoLibrary { library, file } => write!(
                f,
                "{library} ({file}) cannot be loaded: install the CUDA toolkit of version 12 or later, and put the folder \
                 of its libraries into LD_LIBRARY_PATH"
            ),
            Self::Driver { call, answer, .. } => write!(f, "the CUDA driver failed to {call}: {answer}"),
            Self::Blas { call, answer } => write!(f, "cuBLAS failed to {call}: {answer}"),
            Self::Compile { log } => write!(f, "the kernels do not compile for this GPU: {log}"),
            Self::TooLarge { what, size } => {
                write!(f, "{what} is {size}, more than the CUDA kernels can count: use smaller tables or batches")
            }
            Self::Rule { rule } => {
                write!(f, "the CUDA backend has no kernel for {rule:?}: accumulate gradients instead")
            }
            #[cfg(feature = "race")]
            Self::Race { finding } => write!(f, "the race detector: {finding}"),
            Self::CoreRule { rule } => {
                write!(f, "the CUDA backend has no kernel for cores by {rule:?}: accumulate gradients instead")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Contract(error) => Some(error),
            _ => None,
        }
    }
}
