//! Bytes shared among tables.

/// What a table needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// Uncompressed: what its share is in proportion to.
    pub(super) dense: u128,
    /// The least that it can be held in.
    pub(super) least: u128,
}

/// A share of `bytes` for each table, in proportion to its size, but at least the least; that sum if there are too few.
pub(super) fn share(bytes: u128, needs: &[Need]) -> Result<Vec<u128>, u128> {
    let least = needs.iter().map(|need| need.least).sum();
    if least > bytes {
        return Err(least);
    }
    // Whoever would get too little gets the least, and the others share what is left, until nobody does.
    let mut fixed = vec![false; needs.len()];
    loop {
        let sum = |of: &dyn Fn(&Need) -> u128, which| -> u128 {
            needs.iter().zip(&fixed).filter(|(_, fixed)| **fixed == which).map(|(need, _)| of(need)).sum()
        };
        let (left, weights) = (bytes - sum(&|need| need.least, true), sum(&|need| need.dense, false).max(1));
        let shares = needs.iter().zip(&fixed).map(|(need, &fixed)| {
            if fixed { need.least } else { (left as f64 / weights as f64 * need.dense as f64) as u128 }
        });
        let shares: Vec<u128> = shares.collect();
        let short = shares.iter().zip(needs).map(|(&share, need)| share < need.least);
        let before = fixed.clone();
        fixed.iter_mut().zip(short).for_each(|(fixed, short)| *fixed |= short);
        if fixed == before {
            return Ok(shares);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_in_proportion_but_at_least_the_least() {
        let needs = [(800, 10), (150, 10), (50, 20)].map(|(dense, least)| Need { dense, least });
        assert_eq!(share(1000, &needs), Ok(vec![800, 150, 50]));
        // A twentieth of 100 is less than 20; the others share 80.
        assert_eq!(share(100, &needs), Ok(vec![67, 12, 20]));
        assert_eq!(share(40, &needs), Ok(vec![10, 10, 20]));
        assert_eq!(share(39, &needs), Err(40));
    }
}
