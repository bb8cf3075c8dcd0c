//! Batches that kernels group have the lists that the host finds, bit for bit, whatever the tables, the batch and the chunks
//! that blocks take.

// The race detector has tests of its own, and would take hours for these.
#![cfg(not(feature = "race"))]

use ttcore::{Backend, Bags, Layout, Offsets, Pooling, Table, TtShape};
use ttcore_cuda::{Cuda, Element, Emulator, Grouping, Plan, TableLists};

/// Random numbers, the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(end)) >> 64) as u64
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// The bags of one table, with what they borrow.
struct Batch<F> {
    rows: Vec<i64>,
    starts: Vec<u32>,
    pooling: Pooling,
    weights: Option<Vec<F>>,
}

impl<F: Element> Batch<F> {
    /// So many bags of up to `lookups` lookups in all, most of them in some of the bags.
    fn new(draw: &mut Draw, table: &Table, bags: usize, lookups: usize) -> Self {
        let lookups = if bags == 0 { 0 } else { lookups };
        let mut starts: Vec<u32> = (0..bags).map(|_| draw.below(lookups as u64 + 1) as u32).collect();
        match draw.below(4) {
            // One in each, and what is left in the last.
            0 => starts.iter_mut().enumerate().for_each(|(bag, start)| *start = bag.min(lookups) as u32),
            // Many empty ones.
            1 => starts.iter_mut().for_each(|start| *start = *start / 8 * 8),
            _ => {}
        }
        starts.sort_unstable();
        starts.iter_mut().take(1).for_each(|first| *first = 0);
        // All rows, few of them, or rows close to each other.
        let (all, kind) = (table.addresses(), draw.below(4));
        let some: Vec<u64> = (0..5).map(|_| draw.below(all)).collect();
        let row = |draw: &mut Draw| match kind {
            0 => draw.one_of(&some),
            1 => draw.below(all.min(40)),
            2 if draw.below(2) == 0 => all - 1 - draw.below(all.min(9)),
            _ => draw.below(all),
        };
        let rows = (0..lookups).map(|_| row(draw) as i64).collect();
        let weights =
            (draw.below(2) == 0).then(|| (0..lookups).map(|_| F::of(draw.below(1 << 20) as f64 / 7e4 - 3.0)).collect());
        Self { rows, starts, pooling: draw.one_of(&[Pooling::Sum, Pooling::Mean]), weights }
    }

    fn bags(&self, table: &Table) -> Bags<'_, F> {
        let weights = self.weights.as_deref();
        Bags::new(table.addresses(), &self.rows, Offsets::Starts(&self.starts), self.pooling, weights).expect("bags")
    }
}

fn tt(rows: u64, m: [usize; 3], n: [usize; 3], r: [usize; 2]) -> TtShape {
    TtShape::new(rows, &m, &n, &[1, r[0], r[1], 1]).expect("a shape")
}

/// Tables of three cores of every kind, also with rows behind them, and such without cores.
fn makes() -> Vec<Table> {
    vec![
        Table::tt(tt(60, [4, 5, 3], [2, 2, 2], [3, 3])),
        // Units of few pairs, of several tiles of j1 and j2.
        Table::tt(tt(900, [9, 10, 10], [130, 2, 1], [3, 70])),
        Table::cached(tt(11_000, [20, 22, 25], [4, 4, 4], [8, 8]), 300).expect("a table"),
        // One i2 of many pairs; one pair of many rows; one row.
        Table::tt(tt(4400, [150, 1, 30], [4, 2, 2], [8, 6])),
        Table::tt(tt(1000, [1, 1, 1000], [2, 2, 2], [2, 2])),
        Table::tt(tt(1, [1, 1, 1], [2, 1, 2], [2, 2])),
        Table::tt(tt(11_000_000, [200, 220, 250], [2, 2, 2], [2, 4])),
        Table::dense(1, 3).expect("a table"),
        Table::dense(3000, 5).expect("a table"),
        Table::dense(70_000, 2).expect("a table"),
        // Keys, and rows, of more than 32 bits.
        Table::tt(tt(9_000_000_000, [2000, 2000, 2300], [1, 2, 2], [2, 2])),
    ]
}

/// Tables of one feature, or of up to three, for so many output rows and lookups.
fn layout(draw: &mut Draw, tables: Vec<Table>, shared: bool, bags: usize, lookups: usize) -> Layout {
    let mut columns = vec![Vec::new(); tables.len()];
    let mut stride = 0;
    for round in 0..3 {
        for (table, columns) in tables.iter().zip(&mut columns) {
            if round == 0 || shared && draw.below(2) == 0 {
                columns.push(stride);
                stride += table.dim();
            }
        }
    }
    Layout::with_features(tables, columns, stride, bags, lookups).expect("a layout")
}

/// Groups one batch after the other into the same group.
fn grouped<F: Element>(
    backend: &Cuda<F, Emulator>,
    layout: &Layout,
    batches: &[Vec<Batch<F>>],
) -> Vec<Vec<TableLists>> {
    let plan: Plan = backend.plan(&mut (), layout.clone()).expect("a plan");
    let mut group = backend.new_group(&mut (), &plan).expect("memory");
    let lists = batches.iter().map(|batch| {
        let bags = batch.iter().zip(layout.tables()).map(|(batch, table)| batch.bags(table));
        backend.group(&mut (), &plan, bags, &mut group).expect("a batch");
        for (t, _) in batch.iter().enumerate() {
            let mut ranges = Vec::new();
            Cuda::touched(&plan, &group, t, |range| ranges.push(range)).expect("a table");
            assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "ascending, with gaps");
        }
        backend.lists(&mut (), &plan, &group).expect("lists")
    });
    lists.collect()
}

/// What a batch touches, of each table.
fn touched<F: Element>(
    backend: &Cuda<F, Emulator>,
    layout: &Layout,
    batch: &[Batch<F>],
) -> Vec<Vec<std::ops::Range<usize>>> {
    let plan = backend.plan(&mut (), layout.clone()).expect("a plan");
    let mut group = backend.new_group(&mut (), &plan).expect("memory");
    let bags = batch.iter().zip(layout.tables()).map(|(batch, table)| batch.bags(table));
    backend.group(&mut (), &plan, bags, &mut group).expect("a batch");
    let of = |t| {
        let mut ranges = Vec::new();
        Cuda::touched(&plan, &group, t, |range| ranges.push(range)).expect("a table");
        ranges
    };
    (0..batch.len()).map(of).collect()
}

/// Compares both ways for batches of the layout's size and smaller ones.
fn compare<F: Element>(draw: &mut Draw, layout: &Layout, chunks: &[usize]) {
    let sizes = [
        (layout.bags(), layout.lookups()),
        (0, 0),
        (layout.bags().min(1), layout.lookups().min(1)),
        (layout.bags() / 2, layout.lookups() / 3),
    ];
    let batches: Vec<Vec<Batch<F>>> = sizes
        .into_iter()
        .map(|(bags, lookups)| {
            let tables = layout.tables().iter().zip(layout.features());
            tables.map(|(table, features)| Batch::new(draw, table, features.count() * bags, lookups)).collect()
        })
        .collect();
    let on_host = Cuda::<F, _>::new(Emulator).with_grouping(Grouping::Host);
    let want = grouped(&on_host, layout, &batches);
    for &chunk in chunks {
        let on_device = Cuda::<F, _>::new(Emulator).with_group_chunk(chunk);
        let got = grouped(&on_device, layout, &batches);
        for (batch, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_eq!(got.len(), want.len());
            for (t, (got, want)) in got.iter().zip(want).enumerate() {
                for (got, want) in got.lists.iter().zip(&want.lists) {
                    assert_eq!(got, want, "batch {batch}, table {t}, chunks of {chunk}");
                }
                assert_eq!(got, want);
            }
        }
        for batch in &batches {
            assert_eq!(touched(&on_device, layout, batch), touched(&on_host, layout, batch));
        }
    }
}

/// In chunks of all sizes, by blocks of few threads and of as many as on a GPU.
fn holds(seed: u64, shared: bool, bags: usize, lookups: usize, count: usize, chunks: &[usize]) {
    let draw = &mut Draw(seed);
    let makes = makes();
    let tables = (0..count).map(|t| makes[(t + seed as usize) % makes.len()].clone()).collect();
    let layout = layout(draw, tables, shared, bags, lookups);
    compare::<f32>(draw, &layout, chunks);
    compare::<f64>(draw, &layout, chunks);
}

#[test]
fn every_table_in_one_chunk() {
    holds(11, false, 30, 300, 11, &[1 << 14]);
    holds(22, true, 20, 300, 11, &[300, 65535]);
}

#[test]
fn every_table_in_several_chunks() {
    holds(33, true, 8, 60, 11, &[3, 32]);
    holds(44, false, 50, 500, 11, &[333]);
}

#[test]
fn more_tables_than_a_launch_takes() {
    holds(55, true, 6, 40, 75, &[16, 1 << 14]);
}

#[test]
fn layouts_without_room() {
    holds(66, true, 0, 0, 11, &[16]);
    holds(77, false, 3, 1, 11, &[1]);
    holds(78, false, 3, 5, 11, &[1]);
}

#[test]
fn thousands_of_lookups_by_full_blocks() {
    Emulator::set_most_threads(256);
    holds(88, false, 700, 5000, 7, &[1 << 14]);
    holds(99, true, 300, 5000, 7, &[1500]);
    // As many as a chunk may have, of few rows: more of one digit than a chunk counts in fewer bits.
    holds(100, false, 2000, 66_000, 1, &[65535, 100_000]);
    Emulator::set_most_threads(512);
    holds(110, true, 300, 3000, 11, &[1 << 14]);
}

#[test]
fn one_thread_finds_the_same() {
    Emulator::set_most_threads(1);
    holds(121, true, 10, 60, 11, &[16, 1 << 14]);
}
