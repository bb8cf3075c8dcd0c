//! The bounds checks of the products and of the transpose, once a call: the unsafe kernels rest on them.

/// Numbers from the first to the last element of `rows` x `cols` elements at `i * row + j * col`, both sides positive;
/// `usize::MAX`, which no slice has, if that overflows.
fn span(rows: usize, row: usize, cols: usize, col: usize) -> usize {
    let last = |sides: usize, stride: usize| (sides - 1).checked_mul(stride);
    let last = last(rows, row).zip(last(cols, col)).and_then(|(down, right)| down.checked_add(right));
    last.and_then(|last| last.checked_add(1)).unwrap_or(usize::MAX)
}

/// Panics unless all elements `a[i * row + p * col]`, i < m, p < k, are in `a`.
#[inline(always)]
pub(super) fn strided<F>(name: &str, a: &[F], (m, row): (usize, usize), (k, col): (usize, usize)) {
    if m > 0 && k > 0 {
        let needed = span(m, row, k, col);
        if needed > a.len() {
            short(name, a.len(), needed);
        }
    }
}

/// Panics unless `c` holds m rows of n numbers with stride `ldc >= n`.
#[inline(always)]
pub(super) fn output<F>(c: &[F], m: usize, n: usize, ldc: usize) {
    if m > 1 && ldc < n {
        overlap(n, ldc);
    }
    strided("C", c, (m, ldc), (n, 1));
}

/// Panics unless the slices have the same length.
#[inline(always)]
pub(super) fn same(name: &str, x: usize, y: usize) {
    if x != y {
        short(name, y, x);
    }
}

/// Panics unless both matrices have rows * cols numbers.
#[inline(always)]
pub(super) fn dense(rows: usize, cols: usize, from: usize, to: usize) {
    let numbers = rows.saturating_mul(cols);
    same("the matrix to transpose", numbers, from);
    same("the transpose", numbers, to);
}

/// The last row of n numbers of a matrix of that length whose rows begin every `stride` numbers.
#[inline(always)]
pub(super) fn last_row(length: usize, n: usize, stride: usize) -> usize {
    match length.checked_sub(n) {
        Some(rest) => rest.checked_div(stride).unwrap_or(usize::MAX),
        None => short("a row", length, n),
    }
}

/// Panics unless a row is not behind the last.
#[inline(always)]
pub(super) fn row(number: usize, last: usize) {
    if number > last {
        behind(number, last);
    }
}

// Out of the way of the small products, whose time counts.

#[cold]
#[inline(never)]
fn short(name: &str, length: usize, needed: usize) -> ! {
    panic!("{name} has {length} numbers, the sizes and strides need {needed}");
}

#[cold]
#[inline(never)]
fn behind(number: usize, last: usize) -> ! {
    panic!("there is no row {number}, {last} is the last");
}

#[cold]
#[inline(never)]
fn overlap(n: usize, ldc: usize) -> ! {
    panic!("rows of {n} numbers overlap with a stride of {ldc}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_spans_pass() {
        strided("A", &[0; 11], (2, 8), (3, 1));
        strided("A", &[0; 0], (0, 8), (3, 1));
        output(&[0; 7], 2, 3, 4);
        output(&[0; 3], 1, 3, 0);
        dense(2, 3, 6, 6);
    }

    #[test]
    #[should_panic = "need 11"]
    fn one_too_short() {
        strided("A", &[0; 10], (2, 8), (3, 1));
    }

    #[test]
    #[should_panic = "need"]
    fn overflow_is_too_long() {
        strided("A", &[0; 10], (usize::MAX, usize::MAX), (3, 1));
    }

    #[test]
    fn rows_in_a_matrix() {
        assert_eq!((last_row(11, 3, 4), last_row(10, 3, 4), last_row(3, 3, 4)), (2, 1, 0));
        row(2, last_row(11, 3, 4));
        assert_eq!(last_row(3, 3, 0), usize::MAX);
    }

    #[test]
    #[should_panic = "no row 2"]
    fn behind_the_last_row() {
        row(2, last_row(10, 3, 4));
    }

    #[test]
    #[should_panic = "overlap"]
    fn overlapping_rows() {
        output(&[0; 10], 2, 3, 2);
    }
}
