//! The same bits, however rows come and whatever the number of threads.

mod common;

use common::noise;
use rayon::ThreadPoolBuilder;
use ttcore::Real;
use ttcore_decompose::{Compress, Rows, SliceRows, SourceError, Target, Weights};

/// Hands over 1, 2, 3, .. rows at a time.
struct Growing<'a, F>(SliceRows<'a, F>, usize);

impl<F: Real> Rows<F> for Growing<'_, F> {
    fn rows(&self) -> u64 {
        self.0.rows()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.0.rewind()
    }

    fn read(&mut self, out: &mut [F]) -> Result<usize, SourceError> {
        self.1 = self.1 % 1000 + 1;
        let numbers = out.len().min(self.1 * self.0.dim());
        self.0.read(&mut out[..numbers])
    }
}

/// Large enough for several batches, tiles and panels.
fn bits_do_not_depend_on_threads_or_blocks<F: Real>() {
    let (m, n) = ([30, 40, 35], [2, 2, 4]);
    let rows = 30 * 40 * 35 - 1234;
    let table: Vec<F> = noise(rows * 16, 1).into_iter().map(F::of).collect();
    let weights = Weights::of_counts(&m, (0..rows).map(|row| 1.0 + 1e3 / (1.0 + row as f64))).unwrap();
    let kept: Vec<u64> = (0..300).collect();
    for target in [Target::Rank(7), Target::Error(0.9), Target::Bytes(60_000)] {
        let compress = Compress::new(&m, &n, target).weights(weights.clone()).rows_kept(&kept).refills(1);
        let source = || SliceRows::new(&table, 16).unwrap();
        let mut first = None;
        for threads in [1, 2, 3, 8] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for block in [1, 17, 150, 10_000, usize::MAX] {
                // One block size for all threads is enough, and all of them for two.
                if threads != 2 && block != usize::MAX {
                    continue;
                }
                // At another place in memory, too.
                let moved: Vec<F> = std::iter::once(F::zero()).chain(table.iter().copied()).collect();
                let out = pool.install(|| match block {
                    17 => compress.run(&mut Growing(source(), 0)),
                    150 => compress.run(&mut SliceRows::new(&moved[1..], 16).unwrap().with_block(150)),
                    _ => compress.run(&mut source().with_block(block)),
                });
                let out = out.unwrap();
                let (cores, report) = first.get_or_insert_with(|| (out.cores.clone(), out.report.clone()));
                assert_eq!(out.cores, *cores, "{threads} threads, blocks of {block}");
                assert_eq!(out.report, *report, "{threads} threads, blocks of {block}");
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_blocks_f32() {
    bits_do_not_depend_on_threads_or_blocks::<f32>();
}

#[test]
fn bits_do_not_depend_on_threads_or_blocks_f64() {
    bits_do_not_depend_on_threads_or_blocks::<f64>();
}
