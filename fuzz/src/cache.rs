//! The cache: its bookkeeping against a naive one, and a layer with a cache against a map of rows.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use ttcore::cache::CacheState;
use ttcore::{FrequencyCache, Reference, Rule, TtShape};
use ttcore_conformance::cache::{Lookups, Operation, Story, tell};
use ttcore_cpu::{Cpu, Threads};

use crate::numbers::{Int, decode};

/// Rows of the table.
const ROWS: u64 = 40;

#[derive(Arbitrary, Debug)]
enum Input {
    Bookkeeping { slots: u8, counted: u8, operations: Vec<Step> },
    Layer(LayerInput),
}

/// What is done with the bookkeeping.
#[derive(Arbitrary, Debug)]
enum Step {
    Count(u8),
    Refresh,
    /// Back to its own state, which changes nothing.
    Again,
    Restore {
        slots: Vec<Option<Int>>,
        counts: Vec<(Int, Int)>,
    },
}

#[derive(Debug)]
struct LayerInput(Story, bool);

impl<'a> Arbitrary<'a> for LayerInput {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (m, n, ranks) = *u.choose(&[
            (&[4usize, 5][..], &[2usize, 3][..], &[1usize, 3, 1][..]),
            (&[2, 3, 4], &[2, 1, 2], &[1, 2, 3, 1]),
        ])?;
        let shape = TtShape::new(19, m, n, ranks).map_err(|_| arbitrary::Error::IncorrectFormat)?;
        let (slots, seed, cpu) = (u.int_in_range(1..=5)?, u.arbitrary()?, u.arbitrary()?);
        let rule = if u.arbitrary()? { Rule::Sgd } else { Rule::Adagrad { eps: 1.0 } };
        let operations = (0..u.int_in_range(1..=16)?).map(|_| operation(u)).collect::<Result<_>>()?;
        Ok(Self(Story { shape, slots, rule, operations, seed }, cpu))
    }
}

fn operation(u: &mut Unstructured<'_>) -> Result<Operation> {
    let kind = u.int_in_range(0..=3u8)?;
    if kind == 0 {
        return Ok(Operation::Refresh);
    }
    let most = if u.arbitrary()? { 4 } else { 18 };
    let rows: Vec<u64> = (0..u.int_in_range(0..=8)?).map(|_| u.int_in_range(0..=most)).collect::<Result<_>>()?;
    let split = u.int_in_range(0..=rows.len())?;
    let lookups = Lookups { rows, split, weighted: u.arbitrary()?, mean: u.arbitrary()? };
    Ok(if kind == 1 { Operation::Evaluate(lookups) } else { Operation::Train(lookups) })
}

/// Does what the input says, and compares after each step.
pub fn run(data: &[u8]) {
    match decode(data) {
        Some(Input::Bookkeeping { slots, counted, operations }) => {
            bookkeeping(usize::from(slots % 8), usize::from(counted % 16), &operations);
        }
        Some(Input::Layer(LayerInput(story, true))) => {
            tell(&story, Cpu::<f64>::new().expect("a backend"), Threads::one());
        }
        Some(Input::Layer(LayerInput(story, false))) => tell(&story, Reference::<f64>::new(), ()),
        None => {}
    }
}

/// The bookkeeping in its simplest form: sorted lists.
struct Naive {
    slots: Vec<Option<u64>>,
    counts: BTreeMap<u64, u64>,
    most: usize,
}

impl Naive {
    fn halve(&mut self) {
        self.counts = self.counts.iter().map(|(&row, &count)| (row, count / 2)).filter(|&(_, n)| n > 0).collect();
    }

    fn count(&mut self, row: u64) {
        while !self.counts.contains_key(&row) && self.counts.len() >= self.most {
            self.halve();
        }
        let count = self.counts.entry(row).or_default();
        *count = count.saturating_add(1);
    }

    /// The most frequent rows stay where they are, or go to the first free slots in ascending order.
    fn refresh(&mut self) {
        let mut ranking: Vec<u64> =
            (0..ROWS).filter(|row| self.counts.contains_key(row) || self.slots.contains(&Some(*row))).collect();
        ranking.sort_by_key(|row| (Reverse(self.counts.get(row).copied().unwrap_or(0)), *row));
        ranking.truncate(self.slots.len());
        for slot in &mut self.slots {
            *slot = slot.filter(|row| ranking.contains(row));
        }
        ranking.sort_unstable();
        ranking.retain(|row| !self.slots.contains(&Some(*row)));
        let mut new = ranking.into_iter();
        self.slots.iter_mut().filter(|slot| slot.is_none()).for_each(|slot| *slot = new.next());
        self.halve();
    }

    fn state(&self) -> CacheState {
        CacheState::new(self.slots.clone(), self.counts.iter().map(|(&row, &n)| (row, n)).collect())
    }
}

fn bookkeeping(slots: usize, counted: usize, steps: &[Step]) {
    let mut cache = FrequencyCache::new(slots, counted).expect("a small cache");
    let mut naive = Naive { slots: vec![None; slots], counts: BTreeMap::new(), most: counted.max(slots).max(1) };
    for step in steps {
        let before = naive.state();
        match step {
            Step::Count(row) => {
                let row = u64::from(*row) % ROWS;
                cache.count(row);
                naive.count(row);
            }
            Step::Refresh => {
                let refresh = cache.refresh();
                naive.refresh();
                assert!(refresh.load.iter().all(|&(row, slot)| naive.slots[slot] == Some(row)));
                assert!(refresh.evicted.iter().all(|row| before.slots.contains(&Some(*row))));
                assert_eq!(refresh.kept + refresh.load.len(), naive.slots.iter().flatten().count());
                assert_eq!(refresh.kept + refresh.evicted.len(), before.slots.iter().flatten().count());
            }
            Step::Again => cache.restore(&before, ROWS).expect("its own state"),
            Step::Restore { slots, counts } => {
                let slots: Vec<_> = slots.iter().map(|row| row.map(Int::u64)).collect();
                let counts: Vec<_> = counts.iter().map(|&(row, count)| (row.u64(), count.u64())).collect();
                restore(&mut cache, &mut naive, CacheState::new(slots, counts));
            }
        }
        assert_eq!(cache.state(), naive.state());
        for row in 0..ROWS {
            let slot = naive.slots.iter().position(|&held| held == Some(row));
            assert_eq!(cache.slot(row), slot);
            assert_eq!(cache.address(row, ROWS), slot.map_or(row, |slot| ROWS + slot as u64));
        }
    }
}

/// A state is taken exactly if it fits; otherwise nothing changes.
fn restore(cache: &mut FrequencyCache, naive: &mut Naive, state: CacheState) {
    let mut held: Vec<u64> = state.slots.iter().flatten().copied().collect();
    held.sort_unstable();
    let fits = state.slots.len() == naive.slots.len()
        && state.counts.len() <= naive.most
        && held.iter().chain(state.counts.iter().map(|(row, _)| row)).all(|&row| row < ROWS)
        && held.windows(2).all(|pair| pair[0] != pair[1]);
    match cache.restore(&state, ROWS) {
        Ok(()) => {
            assert!(fits, "{state:?}");
            naive.slots = state.slots;
            naive.counts = state.counts.into_iter().collect();
        }
        Err(error) => assert!(!fits, "{error}: {state:?}"),
    }
}
