//! The CPU backend against the reference: the same tables, batches and update rule, in `f64`.

use std::cell::RefCell;

use arbitrary::{Arbitrary, Result, Unstructured};
use ttcore::{Layout, Pooling, Reference, Table, TtShape, Update};
use ttcore_conformance::batch::{Batch, Form, IndexType};
use ttcore_conformance::case::Case;
use ttcore_conformance::properties::steps::Story;
use ttcore_conformance::rules::{CORE_RULES, RULES};
use ttcore_conformance::{Device, equivalence};
use ttcore_cpu::{Cpu, Threads};

use crate::numbers::decode;

/// Rows of a table, padding included, columns and ranks, at most: the oracle goes through them number by number.
const MOST_ROWS: usize = 1 << 8;
const MOST_COLUMNS: usize = 16;
const MOST_RANK: usize = 6;
/// Features of a table, bags of each, and lookups of a bag, at most.
const MOST_FEATURES: usize = 3;
const MOST_BAGS: usize = 5;
const MOST_LOOKUPS: usize = 5;

/// Tables, a batch for each, and a rule.
#[derive(Debug)]
struct Input {
    story: Story,
    parallel: bool,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (seed, rule) = (u.arbitrary()?, *u.choose(&RULES)?);
        let multiplier = *u.choose(&[1.0, 0.25, 3.0])?;
        // A pool costs time, so it is not always asked.
        let parallel = u.ratio(1, 4)?;
        let bags = u.int_in_range(0..=MOST_BAGS)?;
        let tables: Vec<Table> = (0..u.int_in_range(1..=2)?).map(|_| table(u)).collect::<Result<_>>()?;
        let (mut batches, mut columns, mut stride) = (Vec::new(), Vec::new(), 0);
        for table in &tables {
            let mut places = Vec::new();
            for _ in 0..u.int_in_range(1..=MOST_FEATURES)? {
                let column = stride + u.int_in_range(0..=2)?;
                places.push(column);
                stride = column + table.dim();
            }
            if u.arbitrary()? {
                places.reverse();
            }
            batches.push(batch(u, table, places.len() * bags)?);
            columns.push(places);
        }
        let spare: usize = u.int_in_range(0..=2)?;
        let lookups = batches.iter().map(Batch::lookups).max().unwrap_or(0) + spare;
        let layout = Layout::with_features(tables, columns, stride + spare, bags + spare, lookups);
        let layout = layout.map_err(|_| arbitrary::Error::IncorrectFormat)?;
        let core_rule = *u.choose(&CORE_RULES)?;
        let updates = vec![Update { rule, core_rule, core_lr_multiplier: multiplier, ..Update::sgd(0.125) }];
        Ok(Self { story: Story { case: Case { layout, batches, seed }, updates }, parallel })
    }
}

fn table(u: &mut Unstructured<'_>) -> Result<Table> {
    let made = match u.int_in_range(0..=3u8)? {
        0 => Table::dense(u.int_in_range(1..=30)?, u.int_in_range(1..=MOST_COLUMNS)?),
        1 => Table::cached(shape(u)?, u.int_in_range(1..=5)?),
        _ => Some(Table::tt(shape(u)?)),
    };
    made.ok_or(arbitrary::Error::IncorrectFormat)
}

/// Factors as large as what is left for them allows.
fn shape(u: &mut Unstructured<'_>) -> Result<TtShape> {
    let d = u.int_in_range(2..=6)?;
    let (mut m, mut n, mut ranks) = (Vec::new(), Vec::new(), vec![1]);
    let (mut rows, mut columns) = (1, 1);
    for k in 1..=d {
        m.push(u.int_in_range(1..=(MOST_ROWS / rows).min(24))?);
        n.push(u.int_in_range(1..=(MOST_COLUMNS / columns).min(9))?);
        ranks.push(if k == d { 1 } else { u.int_in_range(1..=if d > 3 { 3 } else { MOST_RANK })? });
        (rows, columns) = (rows * m[k - 1], columns * n[k - 1]);
    }
    // Every other table fills its factors.
    let rows = if u.arbitrary()? { rows } else { u.int_in_range(1..=rows)? };
    TtShape::new(rows as u64, &m, &n, &ranks).map_err(|_| arbitrary::Error::IncorrectFormat)
}

fn batch(u: &mut Unstructured<'_>, table: &Table, bags: usize) -> Result<Batch> {
    let addresses = table.addresses();
    let few: bool = u.arbitrary()?;
    let mut lists = Vec::new();
    for _ in 0..bags {
        let lookups = u.int_in_range(0..=MOST_LOOKUPS)?;
        // Of few rows, so that they come again, or of all.
        let row = |u: &mut Unstructured<'_>| match few {
            true => Ok((i64::from(u.int_in_range(0..=4u8)?) * 7) % addresses as i64),
            false => u.int_in_range(0..=addresses as i64 - 1),
        };
        lists.push((0..lookups).map(|_| row(u)).collect::<Result<Vec<i64>>>()?);
    }
    let sums = Batch::sum(&lists);
    let weight = |u: &mut Unstructured<'_>| Ok(f64::from(u.int_in_range(-8..=8i8)?) / 4.0);
    let weights = match u.arbitrary()? {
        true => Some((0..sums.lookups()).map(|_| weight(u)).collect::<Result<Vec<f64>>>()?),
        false => None,
    };
    let pooling = *u.choose(&[Pooling::Sum, Pooling::Mean])?;
    let index_type = *u.choose(&IndexType::ALL)?;
    let form = if u.arbitrary()? { Form::WithLast } else { Form::Starts };
    Ok(Batch { weights, pooling, index_type, offset_type: index_type, form, ..sums })
}

/// The reference, and the backend on one thread and on a pool of two, which is made once.
type Devices = (Device<Reference<f64>>, [Device<Cpu<f64>>; 2]);

thread_local! {
    static DEVICES: RefCell<Devices> = RefCell::new((
        Device::new(Reference::new(), ()),
        [Threads::one(), Threads::new(2).expect("threads")].map(|threads| Device::new(Cpu::new().expect("a backend"), threads)),
    ));
}

/// A few steps by a rule, on both.
pub fn run(data: &[u8]) {
    let Some(Input { story, parallel }) = decode(data) else { return };
    DEVICES.with_borrow(|(reference, cpu)| equivalence::agree(&story, reference, &cpu[usize::from(parallel)]));
}
