//! The floating point types the mathematics is written for.

use core::fmt::{Debug, Display};
use core::iter::Sum;

use num_traits::{Float, FromPrimitive, NumAssign};

/// A floating point number that tables, gradients and optimiser state are made of: `f32` or `f64`.
///
/// The generic code accumulates in the type itself: an `f32` table has `f32` sums.
pub trait Real: Float + FromPrimitive + NumAssign + Sum + Default + Debug + Display + Send + Sync + 'static {
    /// Bytes of one number.
    const BYTES: usize = size_of::<Self>();

    /// The nearest number to `x`; beyond the range, infinity.
    fn of(x: f64) -> Self;

    /// The number as `f64`, exactly.
    fn as_f64(self) -> f64;
}

impl Real for f32 {
    fn of(x: f64) -> Self {
        x as f32
    }

    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(x: f64) -> Self {
        x
    }

    fn as_f64(self) -> f64 {
        self
    }
}
