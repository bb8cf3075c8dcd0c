//! The two rules that choose the factors of a shape.
//!
//! [`paper_row_factors`] is the paper's rule (it reproduces Table 2): factors as equal as possible, whatever the padding
//! costs. [`smallest_row_factors`] minimises the parameters for a bounded padding. Columns are split by
//! [`column_factors`]. Explicit factors are always accepted by [`TtShape::new`](crate::TtShape::new).

use alloc::vec::Vec;

use num_traits::Float;

use crate::shape::ShapeError;

/// Largest prime the trial division looks for. Numbers up to its square (about 4.4e12) are factored completely; above,
/// a part without smaller primes is kept in one piece.
const LARGEST_PRIME: u64 = 1 << 21;

/// Cores a rule finds factors for: a 64-bit number does not have more factors above 1.
const MAX_CORES: usize = 64;

/// Nodes the search for the smallest factors visits at most, a fraction of a second.
const SEARCH_NODES: u32 = 1 << 22;

/// Nodes the search for the most balanced factors visits at most, a fraction of a second.
const BALANCED_NODES: u32 = 1 << 17;

/// Row factors by the paper's rule, `cores` of them, ascending (paper, Table 2).
///
/// For every `k` from 0 to one less than the number of decimal digits of `rows`, the rows are rounded up to a multiple of `10^k` and
/// split into integer factors `f` of the highest entropy `-sum_j p_j ln p_j`, `p_j = f_j / sum(f)`. The `k` of the
/// highest entropy wins, the smallest on ties. The search is exhaustive up to a fixed effort, which real tables do not
/// reach (tested up to 228 million rows and 16 cores); beyond, the most balanced factors found by then are taken.
///
/// ```
/// use ttcore::factor::paper_row_factors;
///
/// assert_eq!(paper_row_factors(10_131_227, 3)?, [200, 220, 250]);
/// assert_eq!(paper_row_factors(286_181, 3)?, [53, 72, 75]);
/// # Ok::<(), ttcore::ShapeError>(())
/// ```
///
/// # Errors
///
/// [`ShapeError::NoRows`], [`ShapeError::TooFewCores`], [`ShapeError::TooManyCores`], or [`ShapeError::Overflow`] for a factor beyond `usize`.
pub fn paper_row_factors(rows: u64, cores: usize) -> Result<Vec<usize>, ShapeError> {
    check(rows, cores)?;
    let mut best = Split::none();
    let mut effort = BALANCED_NODES;
    let mut multiple = 1u64;
    for _ in 0..=rows.ilog10() {
        // Rounding beyond 64 bits ends the search: such factors could not be used.
        let Some(rounded) = rows.checked_next_multiple_of(multiple) else { break };
        let split = most_balanced(rounded, cores, &mut effort);
        if split.entropy > best.entropy {
            best = split;
        }
        multiple = multiple.saturating_mul(10);
    }
    best.into_factors()
}

/// Column factors: the exact split of `dim` into `cores` factors of the highest entropy, ascending.
///
/// `16 -> 2,2,4`, `64 -> 4,4,4`, `128 -> 4,4,8`. A prime dimension gives `1,1,dim`.
///
/// # Errors
///
/// [`ShapeError::Zero`] for no columns, [`ShapeError::TooFewCores`], [`ShapeError::TooManyCores`].
pub fn column_factors(dim: usize, cores: usize) -> Result<Vec<usize>, ShapeError> {
    if dim == 0 {
        return Err(ShapeError::Zero { what: "embedding dimension", position: 0 });
    }
    check(dim as u64, cores)?;
    most_balanced(dim as u64, cores, &mut { BALANCED_NODES }).into_factors()
}

/// Row factors with the fewest parameters `sum_k m_k R_{k-1} n_k R_k`, with `m_1 .. m_d` between `rows` and
/// `rows (1 + max_padding)`.
///
/// Factors come in core order, not sorted: the middle cores, which cost `R^2` a row, get the smaller ones. The search is
/// exhaustive up to a fixed effort (4 million nodes), which a bound of 1% or more does not reach for realistic tables.
///
/// # Errors
///
/// [`ShapeError::NoFactorisation`] if nothing was found within the bound; [`ShapeError`] for lengths that do not match.
pub fn smallest_row_factors(
    rows: u64,
    col_factors: &[usize],
    ranks: &[usize],
    max_padding: f64,
) -> Result<Vec<usize>, ShapeError> {
    let d = col_factors.len();
    check(rows, d)?;
    if ranks.len() != d + 1 {
        return Err(ShapeError::LengthMismatch { row_factors: d, col_factors: d, ranks: ranks.len() });
    }
    let costs: Vec<f64> = (0..d).map(|k| ranks[k] as f64 * col_factors[k] as f64 * ranks[k + 1] as f64).collect();
    let mut search = Smallest {
        rows,
        // Beyond 2^53 the product rounds.
        limit: ((rows as f64 * (1.0 + max_padding.max(0.0))).min(u64::MAX as f64) as u64).max(rows),
        costs: &costs,
        factors: alloc::vec![0; d],
        best: f64::INFINITY,
        best_factors: None,
        nodes: 0,
    };
    search.descend(0, 1, 0.0);
    search.best_factors.ok_or(ShapeError::NoFactorisation { rows, max_padding })
}

fn check(rows: u64, cores: usize) -> Result<(), ShapeError> {
    if rows == 0 {
        return Err(ShapeError::NoRows);
    }
    if cores < 2 {
        return Err(ShapeError::TooFewCores { cores });
    }
    if cores > MAX_CORES {
        return Err(ShapeError::TooManyCores { cores });
    }
    Ok(())
}

/// A split of a number into factors, with the entropy of the normalised factors.
struct Split {
    entropy: f64,
    factors: Vec<u64>,
}

impl Split {
    fn none() -> Self {
        Self { entropy: f64::NEG_INFINITY, factors: Vec::new() }
    }

    fn into_factors(self) -> Result<Vec<usize>, ShapeError> {
        let fit = self.factors.into_iter().map(usize::try_from).collect::<Result<_, _>>();
        fit.map_err(|_| ShapeError::Overflow { what: "row factor" })
    }
}

/// The split of `number` into `parts` factors with the highest entropy, ascending; or the best that is found before
/// `effort`, which counts down nodes, is at its end.
fn most_balanced(number: u64, parts: usize, effort: &mut u32) -> Split {
    let divisors = divisors(number);
    // There is always one.
    let mut factors = alloc::vec![1; parts];
    factors[parts - 1] = number;
    let best = Split { entropy: entropy(&factors), factors };
    let mut search = Balanced { divisors: &divisors, chosen: Vec::with_capacity(parts), best, effort };
    search.descend(number, parts, 1);
    search.best
}

/// Branch and bound over ascending factors, the most balanced first so that the bound bites at once.
struct Balanced<'a> {
    divisors: &'a [u64],
    chosen: Vec<u64>,
    best: Split,
    effort: &'a mut u32,
}

impl Balanced<'_> {
    fn descend(&mut self, left: u64, parts: usize, smallest: u64) {
        if parts == 1 {
            self.chosen.push(left);
            let entropy = entropy(&self.chosen);
            if entropy > self.best.entropy {
                self.best = Split { entropy, factors: self.chosen.clone() };
            }
            self.chosen.pop();
            return;
        }
        let divisors = self.divisors;
        let largest = divisors.partition_point(|&f| f.checked_pow(parts as u32).is_some_and(|power| power <= left));
        let start = divisors.partition_point(|&f| f < smallest);
        for &f in divisors[start.min(largest)..largest].iter().rev() {
            if left.is_multiple_of(f) && *self.effort > 0 {
                *self.effort -= 1;
                self.chosen.push(f);
                if self.bound(left / f, parts - 1) > self.best.entropy {
                    self.descend(left / f, parts - 1, f);
                }
                self.chosen.pop();
            }
        }
    }

    /// No completion of the chosen factors, with sum `a` and entropy `h`, by `parts` factors with product `left` has a
    /// higher entropy than this.
    ///
    /// With the rest summing to `s`, the entropy is at most `H(a/(a+s)) + a/(a+s) h + s/(a+s) ln(parts)`, which rises
    /// in `s` up to `a parts / e^h` and falls after; and `s` is at least `parts left^(1/parts)`, where all are equal.
    fn bound(&self, left: u64, parts: usize) -> f64 {
        let a = self.chosen.iter().map(|&f| f as f64).sum::<f64>();
        let h = entropy(&self.chosen);
        let parts = parts as f64;
        let s = (parts * Float::powf(left as f64, 1.0 / parts)).max(a * parts / Float::exp(h));
        let (p, q) = (a / (a + s), s / (a + s));
        // The rounding of the logarithms must not cut off the best branch.
        p * (h - Float::ln(p)) + q * (Float::ln(parts) - Float::ln(q)) + 1e-9
    }
}

/// `-sum p ln p` of the normalised factors.
fn entropy(factors: &[u64]) -> f64 {
    let sum = factors.iter().map(|&f| f as f64).sum::<f64>();
    factors.iter().map(|&f| f as f64 / sum).map(|p| -p * Float::ln(p)).sum()
}

/// All divisors of `number`, ascending, by trial division up to [`LARGEST_PRIME`].
fn divisors(number: u64) -> Vec<u64> {
    let mut divisors = alloc::vec![1u64];
    let mut left = number;
    let mut take = |prime: u64, left: &mut u64| {
        let known = divisors.len();
        let mut power = 1;
        while left.is_multiple_of(prime) {
            *left /= prime;
            power *= prime;
            for i in 0..known {
                divisors.push(divisors[i] * power);
            }
        }
    };
    take(2, &mut left);
    let mut prime = 3;
    while prime <= LARGEST_PRIME && prime * prime <= left {
        take(prime, &mut left);
        prime += 2;
    }
    if left > 1 {
        let rest = left;
        take(rest, &mut left);
    }
    divisors.sort_unstable();
    divisors
}

/// Branch and bound over all factors but the last, which is the smallest that reaches the rows.
struct Smallest<'a> {
    rows: u64,
    limit: u64,
    costs: &'a [f64],
    factors: Vec<usize>,
    best: f64,
    best_factors: Option<Vec<usize>>,
    nodes: u32,
}

impl Smallest<'_> {
    fn descend(&mut self, k: usize, product: u64, cost: f64) {
        let left = self.rows.div_ceil(product);
        if k + 1 == self.costs.len() {
            let total = cost + left as f64 * self.costs[k];
            let fits = product.checked_mul(left).is_some_and(|padded| padded <= self.limit);
            if let (true, true, Ok(factor)) = (fits, total < self.best, usize::try_from(left)) {
                self.factors[k] = factor;
                self.best = total;
                self.best_factors = Some(self.factors.clone());
            }
            return;
        }
        // The continuous optimum spends the same on every core left.
        let equal_share = geometric_mean(&self.costs[k..], left as f64) / self.costs[k];
        let centre = (Float::round(equal_share) as u64).clamp(1, left);
        // Outward from the optimum: the first infeasibly expensive factor on a side ends that side.
        let (mut below, mut above) = (Some(centre), centre.checked_add(1));
        while below.is_some() || above.is_some() {
            for side in [&mut below, &mut above] {
                let Some(factor) = *side else { continue };
                let next = self.visit(k, product, cost, factor);
                let step = if factor <= centre { factor.checked_sub(1) } else { factor.checked_add(1) };
                *side = step.filter(|&f| next && f >= 1 && f <= left);
            }
        }
    }

    /// Tries one factor for core `k`; false if it and all factors further out cost more than the best known.
    fn visit(&mut self, k: usize, product: u64, cost: f64, factor: u64) -> bool {
        self.nodes += 1;
        let Some(product) = product.checked_mul(factor).filter(|&p| p <= self.limit) else { return false };
        let cost = cost + factor as f64 * self.costs[k];
        let rest = &self.costs[k + 1..];
        let left = self.rows as f64 / product as f64;
        let bound = cost + rest.len() as f64 * geometric_mean(rest, left);
        let (Ok(own), true, true) = (usize::try_from(factor), bound < self.best, self.nodes < SEARCH_NODES) else {
            return false;
        };
        self.factors[k] = own;
        self.descend(k + 1, product, cost);
        true
    }
}

/// What each of the cores costs if `rows` are split so that all cost the same: the least their sum can be, divided by
/// their number (inequality of the means).
fn geometric_mean(costs: &[f64], rows: f64) -> f64 {
    let log = costs.iter().map(|&c| Float::ln(c)).sum::<f64>() + Float::ln(rows);
    Float::exp(log / costs.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_2_of_the_paper() {
        let expected: [(u64, [usize; 3]); 8] = [
            (10_131_227, [200, 220, 250]),
            (8_351_593, [200, 200, 209]),
            (7_046_547, [200, 200, 200]),
            (5_461_306, [166, 175, 188]),
            (2_202_608, [125, 130, 136]),
            (286_181, [53, 72, 75]),
            (142_572, [50, 52, 55]),
            (1_333_352, [125, 125, 128]),
        ];
        for (rows, factors) in expected {
            assert_eq!(paper_row_factors(rows, 3).unwrap(), factors, "{rows}");
        }
    }

    #[test]
    fn columns() {
        assert_eq!(column_factors(16, 3).unwrap(), [2, 2, 4]);
        assert_eq!(column_factors(64, 3).unwrap(), [4, 4, 4]);
        assert_eq!(column_factors(128, 3).unwrap(), [4, 4, 8]);
        assert_eq!(column_factors(17, 2).unwrap(), [1, 17]);
        assert!(column_factors(0, 3).is_err());
    }

    #[test]
    fn the_bound_cuts_nothing_off() {
        fn exhaustive(number: u64, parts: usize, smallest: u64, chosen: &mut Vec<u64>, best: &mut f64) {
            if parts == 1 {
                chosen.push(number);
                *best = best.max(entropy(chosen));
                chosen.pop();
                return;
            }
            for f in (smallest..=number).filter(|f| number.is_multiple_of(*f)) {
                chosen.push(f);
                exhaustive(number / f, parts - 1, 1, chosen, best);
                chosen.pop();
            }
        }
        for number in (1..200).chain([720, 1024, 2310, 5040]) {
            for parts in 2..=4 {
                let mut best = f64::NEG_INFINITY;
                exhaustive(number, parts, 1, &mut Vec::new(), &mut best);
                let found = most_balanced(number, parts, &mut { BALANCED_NODES });
                assert_eq!(found.factors.iter().product::<u64>(), number);
                assert!((found.entropy - best).abs() < 1e-12, "{number} in {parts}: {} {best}", found.entropy);
            }
        }
    }

    #[test]
    fn smallest_is_the_smallest_within_the_padding() {
        let (cols, ranks) = ([2usize, 2, 4], [1usize, 8, 8, 1]);
        let cost = |m: [u64; 3]| m[0] * 16 + m[1] * 128 + m[2] * 32;
        for (rows, padding) in [(1000u64, 0.0), (1009, 0.05), (997, 0.01), (4321, 0.1), (1, 0.0)] {
            let mut best = None;
            for a in 1..=rows {
                for b in 1..=rows.div_ceil(a) {
                    let c = rows.div_ceil(a * b);
                    if (a * b * c) as f64 <= rows as f64 * (1.0 + padding) {
                        best = best.into_iter().chain([cost([a, b, c])]).min();
                    }
                }
            }
            let found =
                smallest_row_factors(rows, &cols, &ranks, padding).map(|m| cost([0, 1, 2].map(|k| m[k] as u64)));
            assert_eq!(found.ok(), best, "{rows} rows, {padding}");
        }
        let shape = crate::TtShape::smallest(10_131_227, 16, 3, 32, 0.01).unwrap();
        let paper = crate::TtShape::paper(10_131_227, 16, 3, 32).unwrap();
        assert!(shape.padding() <= 0.01 && shape.parameters() < paper.parameters() / 2);
    }

    #[test]
    fn real_tables_are_searched_to_the_end() {
        let most = |cores: usize| {
            let nodes = |rows: &u64| {
                let mut left = BALANCED_NODES;
                for k in 0..=rows.ilog10() {
                    most_balanced(rows.next_multiple_of(10u64.pow(k)), cores, &mut left);
                }
                BALANCED_NODES - left
            };
            [3, 1460, 286_181, 2_202_608, 7_046_547, 10_131_227, 39_884_407, 40_000_000, 227_605_432]
                .iter()
                .map(nodes)
                .max()
        };
        assert!((2..=16).all(|cores| most(cores) < Some(BALANCED_NODES / 2)));
    }

    #[test]
    fn extremes_end() {
        for rows in [1, 2, 9, 10, 11, 1_000_000_000_000, u64::MAX - 58, u64::MAX] {
            for cores in [2, 3, 6, 40, 64] {
                let factors = paper_row_factors(rows, cores).unwrap();
                assert!(factors.iter().map(|&f| f as u128).product::<u128>() >= u128::from(rows), "{rows} {cores}");
            }
        }
        assert_eq!(paper_row_factors(0, 3), Err(ShapeError::NoRows));
        assert_eq!(paper_row_factors(5, usize::MAX), Err(ShapeError::TooManyCores { cores: usize::MAX }));
        assert_eq!(column_factors(16, 64).unwrap().len(), 64);
        assert_eq!(paper_row_factors(5, 1), Err(ShapeError::TooFewCores { cores: 1 }));
        assert!(smallest_row_factors(u64::MAX, &[2, 2, 2], &[1, 4, 4, 1], 0.0).is_err());
    }
}
