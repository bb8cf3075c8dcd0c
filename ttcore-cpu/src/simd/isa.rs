//! The instruction sets, and which of them to use.

use std::fmt;
use std::str::FromStr;

/// The environment variable that [`Isa::from_env`] reads.
const VARIABLE: &str = "TTCORE_ISA";

/// The instruction sets kernels exist for, from the weakest to the strongest.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Whatever the compiler targets.
    Portable,
    /// AVX2 and FMA of x86-64: vectors of 256 bits.
    Avx2,
    /// AVX-512F of x86-64: vectors of 512 bits.
    Avx512,
}

impl Isa {
    /// All of them, in ascending order.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Whether this machine has it.
    pub fn available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Isa::Avx2 => super::Avx2::detect().is_some(),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Isa::Avx512 => super::Avx512::detect().is_some(),
            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// The strongest that this machine has.
    pub fn best() -> Isa {
        Self::ALL.into_iter().rev().find(|isa| isa.available()).unwrap_or(Isa::Portable)
    }

    /// [`Self::best`], or the one named by the environment variable `TTCORE_ISA`: `portable`, `avx2` or `avx512`.
    ///
    /// # Errors
    ///
    /// [`IsaError`] if the variable names none, or one that this machine has not got.
    pub fn from_env() -> Result<Isa, IsaError> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::best()),
            Some(value) => Self::usable(&value.to_string_lossy()).map_err(|error| IsaError { variable: true, ..error }),
        }
    }

    /// The instruction set of that name, if it is available.
    fn usable(name: &str) -> Result<Isa, IsaError> {
        let isa: Isa = name.parse()?;
        if isa.available() { Ok(isa) } else { Err(IsaError { name: name.to_owned(), known: true, variable: false }) }
    }

    /// The name in `TTCORE_ISA`.
    fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Isa::Avx2 => "avx2+fma",
            other => other.name(),
        })
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        let found = Self::ALL.into_iter().find(|isa| isa.name() == name);
        found.ok_or_else(|| IsaError { name: name.to_owned(), known: false, variable: false })
    }
}

/// There is no instruction set of that name, or not on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    name: String,
    known: bool,
    /// Whether the name is the value of the environment variable.
    variable: bool,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = if self.known { "is not available on this machine" } else { "is not known" };
        if self.variable {
            write!(f, "{VARIABLE}: ")?;
        }
        write!(f, "instruction set {:?} {problem}; available here:", self.name)?;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            write!(f, " {}", isa.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for IsaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
            match Isa::usable(isa.name()) {
                Ok(found) => assert!(isa.available() && found == isa),
                Err(error) => assert!(!isa.available() && error.to_string().contains("not available"), "{error}"),
            }
        }
        assert_eq!(Isa::ALL.map(|isa| isa.to_string()), ["portable", "avx2+fma", "avx512"]);
        let error = "sse9".parse::<Isa>().unwrap_err().to_string();
        assert!(error.contains("\"sse9\"") && error.contains("available here: portable"), "{error}");
    }

    #[test]
    fn the_best_is_available() {
        assert!(Isa::best().available());
        assert!(Isa::ALL.into_iter().all(|isa| isa <= Isa::best() || !isa.available()));
    }
}
