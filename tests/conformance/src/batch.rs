//! A batch that owns what `Bags` borrows, in any of the forms `Bags` takes.

use std::ops::Range;

use ttcore::{Bags, BagsError, Index, Offsets, Pooling, Real};

/// The integers indices and offsets are given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexType {
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
}

impl IndexType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::I32, Self::I64, Self::U32, Self::U64];
}

/// The forms offsets are given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `Offsets::WithLast`.
    WithLast,
    /// `Offsets::Starts`.
    Starts,
    /// `Offsets::Window`.
    Window,
    /// `Offsets::OnePerBag`, for batches that are so.
    OnePerBag,
}

impl Form {
    /// Those that any batch can be given in.
    pub const ANY: [Self; 3] = [Self::WithLast, Self::Starts, Self::Window];
}

/// Where windows begin.
const WINDOW_BASE: i64 = 1000;

/// A batch of one table.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Row of each lookup.
    pub indices: Vec<i64>,
    /// Start of each bag, and the number of lookups.
    pub offsets: Vec<i64>,
    /// Per-sample weights.
    pub weights: Option<Vec<f64>>,
    /// How bags are pooled.
    pub pooling: Pooling,
    /// The integers indices are given in.
    pub index_type: IndexType,
    /// The integers offsets are given in.
    pub offset_type: IndexType,
    /// The form `Bags` is given offsets in.
    pub form: Form,
}

impl Batch {
    /// Sums of bags without weights.
    pub fn sum(bags: &[Vec<i64>]) -> Self {
        let mut offsets = vec![0];
        for bag in bags {
            offsets.push(offsets[offsets.len() - 1] + bag.len() as i64);
        }
        Self {
            indices: bags.concat(),
            offsets,
            weights: None,
            pooling: Pooling::Sum,
            index_type: IndexType::I64,
            offset_type: IndexType::I64,
            form: Form::WithLast,
        }
    }

    /// Number of bags.
    pub fn bags(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of lookups.
    pub fn lookups(&self) -> usize {
        self.indices.len()
    }

    /// The lookups of bag `b`.
    pub fn bag(&self, b: usize) -> Range<usize> {
        self.offsets[b] as usize..self.offsets[b + 1] as usize
    }

    /// Weight of lookup `j`.
    pub fn weight(&self, j: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[j])
    }

    /// What the sum of bag `b` is multiplied by.
    pub fn scale(&self, b: usize) -> f64 {
        match self.pooling {
            Pooling::Sum => 1.0,
            Pooling::Mean => 1.0 / self.bag(b).len().max(1) as f64,
        }
    }

    /// The same bags pooled otherwise.
    pub fn pooled(&self, pooling: Pooling) -> Self {
        Self { pooling, ..self.clone() }
    }

    /// The same bags with these weights.
    pub fn weighted(&self, weights: Vec<f64>) -> Self {
        Self { weights: Some(weights), ..self.clone() }
    }

    /// A batch of the same form with bags of `(row, weight)`.
    pub fn rebagged(&self, bags: &[Vec<(i64, f64)>]) -> Self {
        let rows: Vec<Vec<i64>> = bags.iter().map(|bag| bag.iter().map(|lookup| lookup.0).collect()).collect();
        let sums = Self::sum(&rows);
        Self {
            indices: sums.indices,
            offsets: sums.offsets,
            weights: Some(bags.iter().flatten().map(|lookup| lookup.1).collect()),
            ..self.clone()
        }
    }

    /// The bags as `(row, weight)`.
    pub fn unbagged(&self) -> Vec<Vec<(i64, f64)>> {
        let bag = |b| self.bag(b).map(|j| (self.indices[j], self.weight(j))).collect();
        (0..self.bags()).map(bag).collect()
    }

    /// The numbers in the types they are given to `Bags` in.
    ///
    /// # Panics
    ///
    /// If a number does not fit, or the batch not the form.
    pub fn host<F: Real>(&self) -> HostBatch<F> {
        assert!(self.form != Form::OnePerBag || (0..self.bags()).all(|b| self.bag(b) == (b..b + 1)));
        let entries = match self.form {
            Form::WithLast => self.offsets.clone(),
            Form::Starts => self.offsets[..self.bags()].to_vec(),
            Form::Window => self.offsets.iter().map(|offset| WINDOW_BASE + offset).collect(),
            Form::OnePerBag => Vec::new(),
        };
        fn all<I: TryFrom<i64, Error: std::fmt::Debug>>(from: &[i64]) -> Vec<I> {
            from.iter().map(|&x| I::try_from(x).expect("an index of this type")).collect()
        }
        let integers = |from: &[i64], integers| match integers {
            IndexType::I32 => Integers::I32(all(from)),
            IndexType::I64 => Integers::I64(all(from)),
            IndexType::U32 => Integers::U32(all(from)),
            IndexType::U64 => Integers::U64(all(from)),
        };
        let (indices, offsets) = (integers(&self.indices, self.index_type), integers(&entries, self.offset_type));
        let weights = self.weights.as_ref().map(|weights| weights.iter().map(|&a| F::of(a)).collect());
        HostBatch { indices, offsets, weights, pooling: self.pooling, form: self.form }
    }
}

/// A [`Batch`] in the types it is given to `Bags` in.
#[derive(Debug)]
pub struct HostBatch<F> {
    indices: Integers,
    offsets: Integers,
    weights: Option<Vec<F>>,
    pooling: Pooling,
    form: Form,
}

/// A list of integers.
#[derive(Debug)]
enum Integers {
    I32(Vec<i32>),
    I64(Vec<i64>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl<F: Real> HostBatch<F> {
    /// The bags, for a table with `rows` rows.
    ///
    /// # Errors
    ///
    /// As [`Bags::new`].
    pub fn bags(&self, rows: u64) -> Result<Bags<'_, F>, BagsError> {
        match &self.indices {
            Integers::I32(indices) => self.over(rows, indices),
            Integers::I64(indices) => self.over(rows, indices),
            Integers::U32(indices) => self.over(rows, indices),
            Integers::U64(indices) => self.over(rows, indices),
        }
    }

    fn over<'a, I: Index>(&'a self, rows: u64, indices: &'a [I]) -> Result<Bags<'a, F>, BagsError> {
        macro_rules! new {
            ($entries:expr) => {{
                let offsets = match self.form {
                    Form::WithLast => Offsets::WithLast($entries),
                    Form::Starts => Offsets::Starts($entries),
                    Form::Window => Offsets::Window($entries),
                    Form::OnePerBag => Offsets::OnePerBag,
                };
                Bags::new(rows, indices, offsets, self.pooling, self.weights.as_deref())
            }};
        }
        match &self.offsets {
            Integers::I32(entries) => new!(entries),
            Integers::I64(entries) => new!(entries),
            Integers::U32(entries) => new!(entries),
            Integers::U64(entries) => new!(entries),
        }
    }
}
