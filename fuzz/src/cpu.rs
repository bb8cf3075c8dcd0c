//! The CPU backend against the reference: the same tables, batches and update rule, in `f64`.

use std::cell::RefCell;

use arbitrary::{Arbitrary, Result, Unstructured};
use ttcore::{Layout, Pooling, Reference, Rule, Table, TtShape, Update};
use ttcore_cpu::{Cpu, Threads};
use ttcore_tests::batch::{Batch, IndexType};
use ttcore_tests::case::Case;
use ttcore_tests::harness::Harness;
use ttcore_tests::sinks::{RULES, applied};
use ttcore_tests::tolerance::assert_close;
use ttcore_tests::{Device, equivalence, oracle};

use crate::numbers::decode;

/// Rows of a table, padding included, columns and ranks, at most: the oracle goes through them number by number.
const MOST_ROWS: usize = 1 << 8;
const MOST_COLUMNS: usize = 16;
const MOST_RANK: usize = 6;
/// Bags of a batch, and lookups of a bag, at most.
const MOST_BAGS: usize = 5;
const MOST_LOOKUPS: usize = 5;

/// Tables, a batch for each, and a rule.
#[derive(Debug)]
struct Input {
    case: Case,
    rule: Rule,
    multiplier: f64,
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
        let batches: Vec<Batch> = tables.iter().map(|table| batch(u, table, bags)).collect::<Result<_>>()?;
        let (mut columns, mut stride) = (Vec::new(), 0);
        for table in &tables {
            let column = stride + u.int_in_range(0..=2)?;
            columns.push(column);
            stride = column + table.dim();
        }
        let spare: usize = u.int_in_range(0..=2)?;
        let lookups = batches.iter().map(Batch::lookups).max().unwrap_or(0) + spare;
        let layout = Layout::with_columns(tables, columns, stride + spare, bags + spare, lookups);
        let layout = layout.map_err(|_| arbitrary::Error::IncorrectFormat)?;
        Ok(Self { case: Case { layout, batches, seed }, rule, multiplier, parallel })
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
    Ok(Batch { weights, pooling, index_type, with_last: u.arbitrary()?, ..sums })
}

/// The reference, and the backend on one thread and on a pool of two, which is made once.
type Devices = (Device<Reference<f64>>, [Device<Cpu<f64>>; 2]);

thread_local! {
    static DEVICES: RefCell<Devices> = RefCell::new((
        Device::new(Reference::new(), ()),
        [Threads::one(), Threads::new(2).expect("threads")].map(|threads| Device::new(Cpu::new().expect("a backend"), threads)),
    ));
}

/// Forward, backward, an SGD step and a step of a rule, on both.
pub fn run(data: &[u8]) {
    let Some(Input { case, rule, multiplier, parallel }) = decode(data) else { return };
    DEVICES.with_borrow(|(reference, cpu)| {
        let mut cpu = Harness::of(&cpu[usize::from(parallel)], &case);
        let params = equivalence::step(&case, &mut Harness::of(reference, &case), &mut cpu, case.params());
        by_rule(&case, &mut cpu, params, Update { rule, lr: 0.125, core_lr_multiplier: multiplier, step: 2 });
    });
}

/// A rule applied in backward does to parameters and state what it does to the gradients afterwards.
fn by_rule(case: &Case, cpu: &mut Harness<'_, Cpu<f64>>, mut params: Vec<Vec<f64>>, update: Update) {
    let planes = update.rule.state_per_parameter();
    let state = |params: &Vec<f64>| oracle::absolute(&case.values(40, planes * params.len()));
    let mut state: Vec<Vec<f64>> = params.iter().map(state).collect();
    let grad_out = case.values(41, case.outputs());
    cpu.forward(&params, case.bags());
    let grads = cpu.grads(&params, &grad_out);
    let sums = oracle::backward(case, &params, &grad_out).params;
    let wanted: Vec<_> = (case.layout.tables().iter().enumerate())
        .map(|(t, table)| applied::<f64>(table, &update, &params[t], &state[t], &grads[t], &sums[t].scale))
        .collect();
    cpu.update(&mut params, &mut state, update, &grad_out);
    for (t, (want_params, want_state)) in wanted.iter().enumerate() {
        assert_close::<f64>("parameters", &params[t], want_params, case.terms());
        assert_close::<f64>("state", &state[t], want_state, case.terms());
    }
}
