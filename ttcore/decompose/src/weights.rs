//! How much rows count: weights that are products over digits.

use crate::error::Error;

/// Weights of rows: that of row `i` is `a_1(i_1) a_2(i_2) .. a_d(i_d)`, each from 0 up.
///
/// The error is then the sum over rows of weight times squared difference. Weights of this form cost nothing: the table is
/// scaled by their roots, digit by digit, and slices are divided by them afterwards. Slices of weight zero are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    digits: Vec<Vec<f64>>,
}

impl Weights {
    /// From the weights of each digit: `d` lists, of `m_1 .. m_d` numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Weight`] for one that is negative, NaN or infinite, [`Error::NoWeight`] where all of a digit are zero.
    pub fn new(digits: Vec<Vec<f64>>) -> Result<Self, Error> {
        for (core, weights) in digits.iter().enumerate() {
            if let Some(digit) = weights.iter().position(|a| !a.is_finite() || *a < 0.0) {
                return Err(Error::Weight { core, digit, value: weights[digit] });
            }
            if !weights.is_empty() && weights.iter().all(|&a| a == 0.0) {
                return Err(Error::NoWeight { core });
            }
        }
        Ok(Self { digits })
    }

    /// The marginals of how often rows are used: `a_k(i)` is the mean of `counts` over the rows whose digit `k` is `i`,
    /// divided by that over all rows, so that the mean weight of a digit is 1. `counts` begins with row 0; rows behind its
    /// last count for nothing.
    ///
    /// A digit that no row with a count has gets weight 0: add a little to all counts where those rows matter.
    ///
    /// # Errors
    ///
    /// [`Error::Weight`], which names row counts as the digit of core 0, and [`Error::NoWeight`].
    pub fn of_counts(row_factors: &[usize], counts: impl IntoIterator<Item = f64>) -> Result<Self, Error> {
        let mut digits: Vec<Vec<f64>> = row_factors.iter().map(|&m| vec![0.0; m]).collect();
        let (mut total, mut now) = (0.0, vec![0; row_factors.len()]);
        for (row, count) in counts.into_iter().enumerate() {
            if !count.is_finite() || count < 0.0 {
                return Err(Error::Weight { core: 0, digit: row, value: count });
            }
            for (sums, &digit) in digits.iter_mut().zip(&now) {
                // A row behind all of the shape's has no digits: its count is nobody's.
                if let Some(sum) = sums.get_mut(digit) {
                    *sum += count;
                }
            }
            total += count;
            // Counts up, the last digit first.
            for k in (0..now.len()).rev() {
                now[k] += 1;
                if now[k] < row_factors[k] || k == 0 {
                    break;
                }
                now[k] = 0;
            }
        }
        for (sums, &m) in digits.iter_mut().zip(row_factors) {
            sums.iter_mut().for_each(|sum| *sum *= if total > 0.0 { m as f64 / total } else { 0.0 });
        }
        Self::new(digits)
    }

    /// The weights of each digit.
    pub fn digits(&self) -> &[Vec<f64>] {
        &self.digits
    }

    /// The roots of the weights, for a shape's row factors.
    pub(crate) fn roots(&self, row_factors: &[usize]) -> Result<Vec<Vec<f64>>, Error> {
        if self.digits.len() != row_factors.len() {
            return Err(Error::WeightsCores { given: self.digits.len(), wanted: row_factors.len() });
        }
        for (core, (weights, &wanted)) in self.digits.iter().zip(row_factors).enumerate() {
            if weights.len() != wanted {
                return Err(Error::WeightsLength { core, given: weights.len(), wanted });
            }
        }
        Ok(self.digits.iter().map(|weights| weights.iter().map(|a| a.sqrt()).collect()).collect())
    }
}

/// What slices are multiplied by to undo `roots`.
pub(crate) fn inverse(roots: &[f64]) -> Vec<f64> {
    roots.iter().map(|&root| if root > 0.0 { 1.0 / root } else { 0.0 }).collect()
}
