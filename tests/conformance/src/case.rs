//! Random cases: tables, where their output goes, and a batch for each.
//!
//! Every number is a small multiple of a power of two, so that it is the same in `f32` and `f64`, and so are the simple
//! combinations of two that linearity needs.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use ttcore::{Layout, Pooling, Table, TtShape};

use crate::batch::{Batch, Form, IndexType};

/// Bags of a random batch, at most, and lookups of a bag.
const SMALL: (usize, usize) = (6, 6);
/// The same of a large batch.
const LARGE: (usize, usize) = (120, 12);

/// Tables in one layout, and a batch for each.
#[derive(Clone, Debug)]
pub struct Case {
    /// The tables, their features and the columns of these.
    pub layout: Layout,
    /// One for each table, of equally many bags a feature.
    pub batches: Vec<Batch>,
    /// What parameters and gradients are drawn from.
    pub seed: u64,
}

impl Case {
    /// A case of one table.
    pub fn single(table: Table, batch: Batch, seed: u64) -> Self {
        let layout = Layout::new(vec![table], batch.bags(), batch.lookups()).expect("one small table");
        Self { layout, batches: vec![batch], seed }
    }

    /// The case of table `t` alone, with the bags of all its features as those of one.
    pub fn only(&self, t: usize) -> Self {
        Self::single(self.layout.tables()[t].clone(), self.batches[t].clone(), self.seed)
    }

    /// The same tables with other batches of no more bags and lookups.
    pub fn with_batches(&self, batches: Vec<Batch>) -> Self {
        Self { batches, ..self.clone() }
    }

    /// Another batch of the same tables: the bags in the opposite order, of rows counted from the other end.
    pub fn mirrored(&self) -> Self {
        let mirror = |(batch, table): (&Batch, &Table)| {
            let mut bags = batch.unbagged();
            bags.reverse();
            for lookup in bags.iter_mut().flatten() {
                lookup.0 = table.addresses() as i64 - 1 - lookup.0;
            }
            batch.rebagged(&bags)
        };
        self.with_batches(self.batches.iter().zip(self.layout.tables()).map(mirror).collect())
    }

    /// Bags of each feature, one for each output row.
    pub fn bags(&self) -> usize {
        self.batches[0].bags() / self.layout.features()[0].count()
    }

    /// Numbers of the output.
    pub fn outputs(&self) -> usize {
        self.bags() * self.layout.stride()
    }

    /// Numbers of stream `stream` of this case's seed: see [`values`].
    pub fn values(&self, stream: u64, len: usize) -> Vec<f64> {
        values(self.seed, stream, len)
    }

    /// Parameters for each table.
    pub fn params(&self) -> Vec<Vec<f64>> {
        let table = |(t, table): (usize, &Table)| self.values(100 + t as u64, table.parameters());
        self.layout.tables().iter().enumerate().map(table).collect()
    }

    /// Some gradient of the output, also in columns of no table.
    pub fn grad_out(&self) -> Vec<f64> {
        self.values(1, self.outputs())
    }

    /// Where bag `b` of table `t` goes in the output.
    pub fn pooled(&self, t: usize, b: usize) -> Range<usize> {
        let (feature, row) = (b / self.bags(), b % self.bags());
        let start = row * self.layout.stride() + self.layout.features()[t].columns()[feature];
        start..start + self.layout.tables()[t].dim()
    }

    /// The numbers of an output that are those of table `t`, bag by bag.
    pub fn of_table(&self, t: usize, out: &[f64]) -> Vec<f64> {
        (0..self.batches[t].bags()).flat_map(|b| &out[self.pooled(t, b)]).copied().collect()
    }

    /// How many roundings a product passes through on its way to an output or a gradient, at most: it is added up over
    /// the lookups, the columns and every bond of the cores, and it has a factor of every core, the output's gradient,
    /// the weight and the scale of a mean.
    pub fn terms(&self) -> usize {
        let table = |table: &Table, batch: &Batch| {
            let bonds = table.cores().map_or(0, |shape| {
                shape.ranks().iter().skip(1).zip(shape.col_factors()).map(|(rank, n)| rank * n + 1).sum()
            });
            batch.lookups() + table.dim() + bonds + 3
        };
        self.layout.tables().iter().zip(&self.batches).map(|(t, b)| table(t, b)).max().unwrap_or(0)
    }
}

/// Numbers of one stream of a seed: of absolute value 1/4 to 1, so that a product of several is never negligible, in
/// steps of 2^-10.
pub fn values(seed: u64, stream: u64, len: usize) -> Vec<f64> {
    let mut rng = rng(seed, stream);
    let value = |word: u64| {
        let size = (256 + word % 769) as f64 / 1024.0;
        if word >> 63 == 0 { size } else { -size }
    };
    (0..len).map(|_| value(rng.next_u64())).collect()
}

/// A stream of random numbers.
pub fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Shapes of 2 to 6 cores: factors and ranks of 1, row factors larger than a slice, padding; at most about 2000 rows.
pub fn shape() -> impl Strategy<Value = TtShape> {
    // Largest row factor, column factor and rank for each number of cores: small enough to expand the whole table.
    let small = [(40, 6, 9), (12, 4, 6), (6, 3, 4), (4, 2, 3), (3, 2, 3)];
    let small = (2..=6usize).prop_flat_map(move |d| {
        let (m, n, rank) = small[d - 2];
        (vec(or_one(m), d), vec(or_one(n), d), vec(or_one(rank), d - 1))
    });
    prop_oneof![9 => small.prop_flat_map(padded).boxed(), 1 => wide().boxed()]
}

/// As wide as real tables, where vector instructions and blocking begin to matter.
fn wide() -> impl Strategy<Value = TtShape> {
    let columns = prop_oneof![Just(vec![2, 2, 4]), Just(vec![4, 4, 4]), Just(vec![4, 4, 8])];
    (vec(1..=8usize, 3), columns, vec(7..=18usize, 2)).prop_flat_map(padded)
}

/// Shapes of these row factors, column factors and ranks between the cores; every other one fills its factors.
fn padded((m, n, inner): (Vec<usize>, Vec<usize>, Vec<usize>)) -> impl Strategy<Value = TtShape> {
    any::<u64>().prop_map(move |padding| {
        let ranks: Vec<usize> = std::iter::once(1).chain(inner.iter().copied()).chain([1]).collect();
        let padded: u64 = m.iter().map(|&m| m as u64).product();
        let rows = if padding % 2 == 0 { padded } else { 1 + padding / 2 % padded };
        TtShape::new(rows, &m, &n, &ranks).expect("a valid shape")
    })
}

/// 1 more often than others: a factor or rank of 1 leaves something out of the formulas.
fn or_one(max: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(1), 3 => 1..=max]
}

/// Tables of all three makes.
pub fn table() -> impl Strategy<Value = Table> {
    prop_oneof![
        3 => shape().prop_map(Table::tt),
        2 => (shape(), 1..=5usize).prop_map(|(shape, slots)| Table::cached(shape, slots).expect("a small table")),
        1 => (1..=50u64, 1..=20usize).prop_map(|(rows, dim)| Table::dense(rows, dim).expect("a small table")),
    ]
}

/// One to three tables of any make, of one to three features, in any order of columns, with columns of no feature between
/// them.
pub fn cases() -> impl Strategy<Value = Case> {
    let tables = prop_oneof![2 => vec(table(), 1), 1 => vec(table(), 2..=3)];
    tables.prop_flat_map(cases_of)
}

/// Cases with so much to do that threads share it: of many tables, each of which is a task, or of many lookups.
pub fn crowded() -> impl Strategy<Value = Case> {
    let many = vec(table(), 8..=10).prop_flat_map(cases_of);
    let large = vec(wide().prop_map(Table::tt), 4).prop_flat_map(|tables| cases_up_to(LARGE, tables));
    prop_oneof![7 => many, 1 => large]
}

/// Cases of these tables.
pub fn cases_of(tables: Vec<Table>) -> impl Strategy<Value = Case> {
    cases_up_to(SMALL, tables)
}

/// Cases of these tables with one feature each.
pub fn cases_of_one_feature(tables: Vec<Table>) -> impl Strategy<Value = Case> {
    let features = vec![1; tables.len()];
    cases_with(SMALL, tables, features)
}

/// Cases of these tables with so many bags of a feature and lookups of a bag at most.
fn cases_up_to(sizes: (usize, usize), tables: Vec<Table>) -> impl Strategy<Value = Case> {
    let features = prop_oneof![3 => Just(1usize), 1 => Just(2), 1 => Just(3)];
    vec(features, tables.len()).prop_flat_map(move |features| cases_with(sizes, tables.clone(), features))
}

/// The same with so many features of each table.
fn cases_with(
    (bags, lookups): (usize, usize),
    tables: Vec<Table>,
    features: Vec<usize>,
) -> impl Strategy<Value = Case> {
    let all: usize = features.iter().sum();
    let counts = features.clone();
    let batches = (0..=bags)
        .prop_flat_map(move |bags| counts.iter().map(|count| raw_batch(count * bags, lookups)).collect::<Vec<_>>());
    let places = vec((any::<u64>(), 0..=2usize), all);
    let made = (batches, places, 0..=2usize, any::<u64>());
    made.prop_map(move |(raw, places, spare, seed)| {
        let batches: Vec<Batch> = raw.iter().zip(&tables).map(|(raw, table)| raw.batch(table)).collect();
        // Of all tables, one behind the other.
        let all = features.iter().enumerate().flat_map(|(t, &count)| (0..count).map(move |f| (t, f)));
        let mut order: Vec<_> = places.iter().zip(all).collect();
        order.sort_unstable();
        let mut columns: Vec<Vec<usize>> = features.iter().map(|&count| vec![0; count]).collect();
        let mut stride = 0;
        for (&(_, gap), (t, f)) in order {
            columns[t][f] = stride + gap;
            stride += gap + tables[t].dim();
        }
        let lookups = batches.iter().map(Batch::lookups).max().unwrap_or(0);
        let (bags, stride) = (batches[0].bags() / features[0] + spare, stride + spare);
        let layout = Layout::with_features(tables.clone(), columns, stride, bags, lookups + spare);
        Case { layout: layout.expect("disjoint columns"), batches, seed }
    })
}

/// Which row a lookup wants, of a table not known yet: such cases are reduced well.
#[derive(Clone, Copy, Debug)]
enum Pick {
    /// One of the first few: duplicates.
    Low(u64),
    /// One of the last few, next to the padding.
    High(u64),
    /// One of the few around the first dense row.
    Edge(u64),
    /// Any.
    Any(u64),
}

/// A batch for a table not known yet.
#[derive(Clone, Debug)]
struct RawBatch {
    bags: Vec<Vec<Pick>>,
    weights: Option<u64>,
    pooling: Pooling,
    index_type: IndexType,
    offset_type: IndexType,
    form: Form,
}

fn raw_batch(bags: usize, lookups: usize) -> impl Strategy<Value = RawBatch> {
    let pick = prop_oneof![
        (0..4u64).prop_map(Pick::Low),
        (0..4u64).prop_map(Pick::High),
        (0..4u64).prop_map(Pick::Edge),
        any::<u64>().prop_map(Pick::Any),
    ];
    let bag = prop_oneof![1 => Just(Vec::new()), 4 => vec(pick, 1..=lookups)];
    let pooling = prop_oneof![Just(Pooling::Sum), Just(Pooling::Mean)];
    let integers = || proptest::sample::select(IndexType::ALL.to_vec());
    let form = proptest::sample::select(Form::ANY.to_vec());
    let forms = (pooling, integers(), integers(), form);
    (vec(bag, bags), proptest::option::of(any::<u64>()), forms).prop_map(
        |(bags, weights, (pooling, index_type, offset_type, form))| RawBatch {
            bags,
            weights,
            pooling,
            index_type,
            offset_type,
            form,
        },
    )
}

impl RawBatch {
    fn batch(&self, table: &Table) -> Batch {
        let addresses = table.addresses();
        let row = |pick: &Pick| match *pick {
            Pick::Low(k) | Pick::Any(k) => k % addresses,
            Pick::High(k) => addresses - 1 - k % addresses,
            Pick::Edge(k) => (table.core_rows() + addresses - 2 % addresses + k) % addresses,
        };
        let bags: Vec<Vec<i64>> =
            self.bags.iter().map(|bag| bag.iter().map(|pick| row(pick) as i64).collect()).collect();
        let lookups = bags.iter().map(Vec::len).sum();
        // Quarters from -2 to 2: zeros and ones too.
        let weights = |seed: u64| {
            let mut rng = rng(seed, 0);
            (0..lookups).map(|_| (rng.next_u64() % 17) as f64 / 4.0 - 2.0).collect()
        };
        Batch {
            weights: self.weights.map(weights),
            pooling: self.pooling,
            index_type: self.index_type,
            offset_type: self.offset_type,
            form: self.form,
            ..Batch::sum(&bags)
        }
    }
}
