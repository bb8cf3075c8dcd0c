//! Division by a number that is known long before.

/// A divisor with its reciprocal: for numbers of 32 bits, dividing takes a multiplication instead of a division, which is
/// several times slower. (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divisor {
    divisor: u64,
    /// `2^64 / divisor`, rounded up; 0 where that does not serve: for 1, and for more than 32 bits.
    reciprocal: u64,
}

impl Divisor {
    /// A divisor that is not zero.
    pub(crate) fn new(divisor: u64) -> Self {
        let short = u32::try_from(divisor).is_ok();
        Self { divisor, reciprocal: if short { (u64::MAX / divisor).wrapping_add(1) } else { 0 } }
    }

    /// The divisor.
    pub(crate) fn get(self) -> u64 {
        self.divisor
    }

    /// Quotient and remainder.
    #[inline(always)]
    pub(crate) fn divide(self, number: u64) -> (u64, u64) {
        if self.reciprocal == 0 || number > u64::from(u32::MAX) {
            return (number / self.divisor, number % self.divisor);
        }
        let quotient = ((u128::from(self.reciprocal) * u128::from(number)) >> 64) as u64;
        (quotient, number - quotient * self.divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_division() {
        let short = u64::from(u32::MAX);
        let numbers = [0, 1, 2, 3, 199, 200, 201, 10_131_226, short / 2, short - 1, short, short + 1, u64::MAX - 1];
        let divisors = [1, 2, 3, 5, 7, 16, 199, 250, 641, 65_535, 65_536, 65_537, 1 << 31, short, short + 1, u64::MAX];
        for divisor in divisors {
            let fast = Divisor::new(divisor);
            let near = (0..4).flat_map(|k| [k * (divisor / 4), (short / divisor).saturating_sub(k) * divisor]);
            for number in numbers.into_iter().chain(near).flat_map(|n| [n, n.wrapping_sub(1), n.wrapping_add(1)]) {
                assert_eq!(fast.divide(number), (number / divisor, number % divisor), "{number} / {divisor}");
            }
        }
    }
}
