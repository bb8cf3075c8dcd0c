//! Validation of batches.

use arbitrary::Arbitrary;
use ttcore::{Bags, BagsError, Index, Offsets, Pooling};

use crate::numbers::{Int, decode};

#[derive(Arbitrary, Debug)]
struct Input {
    rows: Int,
    kind: Kind,
    indices: Vec<Int>,
    offsets: Vec<Int>,
    /// Brings the offsets into order, so that they are accepted more often.
    ordered: bool,
    with_last: bool,
    /// Of those with a last entry.
    window: bool,
    mean: bool,
    weights: Option<Vec<f32>>,
    /// As many weights as lookups.
    fitting: bool,
}

#[derive(Arbitrary, Debug)]
enum Kind {
    I32,
    I64,
    U32,
    U64,
}

/// Validates a batch and checks what comes out against the rules.
pub fn run(data: &[u8]) {
    let Some(mut input) = decode::<Input>(data) else { return };
    if input.ordered {
        let lookups = Int(input.indices.len() as i128);
        input.offsets.iter_mut().for_each(|offset| *offset = (*offset).min(lookups));
        input.offsets.push(Int(0));
        input.offsets.sort();
        if input.with_last {
            input.offsets.push(lookups);
            let base = if input.window { i128::from(input.rows.u64() % 100) } else { 0 };
            input.offsets.iter_mut().for_each(|offset| offset.0 += base);
        }
    }
    if let Some(weights) = input.weights.as_mut().filter(|_| input.fitting) {
        weights.resize(input.indices.len(), 0.5);
    }
    macro_rules! check {
        ($int:ty) => {{
            // What does not fit wraps: the rules hold for the numbers that are given.
            let all = |numbers: &[Int]| numbers.iter().map(|number| number.0 as $int).collect::<Vec<$int>>();
            check(&input, &all(&input.indices), &all(&input.offsets), input.indices.len() as $int)
        }};
    }
    match input.kind {
        Kind::I32 => check!(i32),
        Kind::I64 => check!(i64),
        Kind::U32 => check!(u32),
        Kind::U64 => check!(u64),
    }
}

/// `end_of_all` is the number of lookups.
fn check<I: Index>(input: &Input, indices: &[I], offsets: &[I], end_of_all: I) {
    let rows = input.rows.u64();
    let pooling = if input.mean { Pooling::Mean } else { Pooling::Sum };
    let form = match (input.with_last, input.window) {
        (true, true) => Offsets::Window(offsets),
        (true, false) => Offsets::WithLast(offsets),
        (false, _) => Offsets::Starts(offsets),
    };
    let weights = input.weights.as_deref();
    let result = Bags::new(rows, indices, form, pooling, weights);

    let lookups = indices.len();
    let row = |j: usize| indices[j].to_i128();
    let entry = |b: usize| offsets[b].to_i128();
    let is_row = |j: usize| row(j) >= 0 && row(j) < i128::from(rows);
    let base = if input.with_last && input.window { offsets.first().map_or(0, |first| first.to_i128()) } else { 0 };
    let bags = offsets.len() - usize::from(input.with_last && !offsets.is_empty());
    let bounds_are_right = match (offsets.len(), input.with_last) {
        (0, true) => false,
        (0, false) => lookups == 0,
        (entries, with_last) => {
            let rising = (1..entries).all(|b| entry(b - 1) <= entry(b));
            let last = entry(entries - 1) - base;
            let end = if with_last { last == lookups as i128 } else { last <= lookups as i128 };
            entry(0) == base && base >= 0 && rising && end
        }
    };
    let weights_fit =
        weights.is_none_or(|weights| weights.len() == lookups && weights.iter().all(|weight| weight.is_finite()));
    let valid = (0..lookups).all(is_row) && bounds_are_right && weights_fit;
    let batch = match result {
        Ok(batch) => batch,
        Err(error) => {
            assert!(!valid, "{error}: {input:?}");
            return points_at(error, rows, indices, offsets, weights.unwrap_or_default());
        }
    };

    assert!(valid, "{input:?}");
    assert_eq!((batch.rows(), batch.bags(), batch.lookups()), (rows, bags, lookups));
    assert!((0..lookups).all(|j| i128::from(batch.row(j)) == row(j)));
    let mut visited = Vec::new();
    batch.for_each_row(|row| visited.push(i128::from(row)));
    assert!(visited.into_iter().eq((0..lookups).map(row)));
    let at = |b: usize| (entry(b) - base) as usize;
    let end = |b: usize| if b + 1 < offsets.len() { at(b + 1) } else { lookups };
    let naive: Vec<_> = (0..bags).map(|b| at(b)..end(b)).collect();
    let mut seen = Vec::new();
    batch.for_each_bag(|bag| seen.push(bag));
    assert_eq!(seen, naive);
    for (b, bag) in naive.iter().enumerate() {
        assert_eq!(batch.bag(b), *bag);
        let count = if input.mean && !bag.is_empty() { bag.len() as f32 } else { 1.0 };
        assert_eq!(batch.scale(b), 1.0 / count);
    }
    if naive.iter().enumerate().all(|(b, bag)| *bag == (b..b + 1)) {
        let alone = Bags::one_per_bag(rows, indices, weights).expect("the same bags");
        assert_eq!((alone.bags(), alone.fingerprint()), (bags, batch.fingerprint()));
    }
    if base != 0 {
        return;
    }
    // The same bags in the other form.
    let (starts, with_last) = (&offsets[..bags], [&offsets[..bags], &[end_of_all]].concat());
    let form = if input.with_last { Offsets::Starts(starts) } else { Offsets::WithLast(&with_last) };
    let again = Bags::new(rows, indices, form, pooling, weights).expect("the same bags");
    assert_eq!((again.bags(), again.fingerprint()), (bags, batch.fingerprint()));
}

/// That an error names what is wrong.
fn points_at<I: Index>(error: BagsError, rows: u64, indices: &[I], offsets: &[I], given: &[f32]) {
    let entry = |at: usize| offsets[at].to_i128();
    match error {
        BagsError::IndexOutOfRange { position, index, rows: of } => {
            assert_eq!((indices[position].to_i128(), of), (index, rows));
            assert!(index < 0 || index >= i128::from(rows));
        }
        BagsError::NoOffsets => assert!(offsets.is_empty()),
        BagsError::LookupsWithoutBag { lookups } => {
            assert!(offsets.is_empty() && lookups == indices.len() && lookups > 0);
        }
        BagsError::NegativeOffset { offset } => assert!(entry(0) == offset && offset < 0),
        BagsError::FirstOffset { offset } => assert!(entry(0) == offset && offset != 0),
        BagsError::OffsetDecreases { position, previous, offset } => {
            assert_eq!((entry(position - 1), entry(position)), (previous, offset));
            assert!(offset < previous);
        }
        BagsError::OffsetOutOfRange { position, offset, base, lookups } => {
            assert!(entry(position) == offset && offset - base > lookups as i128 && lookups == indices.len());
        }
        BagsError::LastOffset { position, offset, base, lookups } => {
            assert!(position + 1 == offsets.len() && entry(position) == offset && offset - base != lookups as i128);
        }
        BagsError::WeightsLength { weights, lookups } => {
            assert!(weights == given.len() && lookups == indices.len() && weights != lookups);
        }
        BagsError::WeightNotFinite { position, value } => {
            let names = if given[position].is_nan() { "NaN" } else { "infinity" };
            assert!(!given[position].is_finite() && value.ends_with(names) && given.len() == indices.len());
        }
        other => panic!("an error that is not known here: {other}"),
    }
}
