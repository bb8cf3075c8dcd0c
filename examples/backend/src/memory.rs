//! Memory, and views of it.
//!
//! Operations never see how numbers are stored: they get them as `f64` and give them back so.

use std::ops::Range;

/// Owned numbers.
#[derive(Debug)]
pub struct Buffer(pub(crate) Vec<f32>);

/// Shared view of numbers.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(pub(crate) &'a [f32]);

/// Exclusive view of numbers.
#[derive(Debug)]
pub struct ViewMut<'a>(pub(crate) &'a mut [f32]);

impl View<'_> {
    /// How many.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// The numbers, in the first places of `to`, which are given back.
    pub(crate) fn read(self, to: &mut [f64]) -> &mut [f64] {
        let to = &mut to[..self.0.len()];
        to.iter_mut().zip(self.0).for_each(|(to, &x)| *to = f64::from(x));
        to
    }
}

impl ViewMut<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The same numbers, to read.
    pub(crate) fn as_view(&self) -> View<'_> {
        View(self.0)
    }

    /// Writes numbers to a range: each the nearest that there is.
    pub(crate) fn write(&mut self, range: Range<usize>, from: &[f64]) {
        self.0[range].iter_mut().zip(from).for_each(|(to, &x)| *to = x as f32);
    }
}
