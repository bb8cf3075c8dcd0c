//! What a layer is compared with: the same forward and backward, called from Rust; and how calls are timed.

use std::time::Instant;

use ttcore::backend::Sink;
use ttcore::embedding::{Batch, Session, Worker};
use ttcore::{Bags, Error, Mode, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Threads};

/// Bags of one lookup each.
pub(crate) const BAGS: usize = 128;
const BATCHES: u64 = 16;
const ROUNDS: usize = 10_000;

/// The tables: one of a real model, whose cores are 1.9 MB, and one that is next to nothing, so that what each call costs
/// besides is what is left.
pub(crate) fn shapes() -> Result<[TtShape; 2], Error> {
    Ok([TtShape::paper(10_131_227, 16, 3, 32)?, TtShape::paper(1000, 16, 3, 2)?])
}

/// Different batches, used in turn.
pub(crate) struct Batches(Vec<Vec<u64>>);

impl Batches {
    pub(crate) fn new(rows: u64) -> Self {
        // Weyl's sequence: spread over the table, and the same in every run.
        let row = |at: u64| ((u128::from(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(rows)) >> 64) as u64;
        let batch = |batch: u64| (0..BAGS as u64).map(|bag| row(1 + batch * BAGS as u64 + bag)).collect();
        Self((0..BATCHES).map(batch).collect())
    }

    pub(crate) fn of(&self, round: usize) -> &[u64] {
        &self.0[round % self.0.len()]
    }
}

/// A session and what its caller owns, once for all calls.
pub(crate) struct RustCall {
    session: Session<Cpu<f32>>,
    threads: Threads,
    worker: Worker<Cpu<f32>>,
    batch: Batch<Cpu<f32>>,
    rows: u64,
    params: Vec<f32>,
    grads: Vec<f32>,
    out: Vec<f32>,
    ones: Vec<f32>,
}

impl RustCall {
    pub(crate) fn new(shape: &TtShape) -> Result<Self, Box<dyn std::error::Error>> {
        let (config, mut threads) = (TableConfig::tt(shape.clone()), Threads::one());
        let mut params = vec![0.0; shape.parameters()];
        config.draw(42, &mut params);
        let session = Session::new(Cpu::new()?, &mut threads, vec![config], BAGS, BAGS)?;
        let (worker, batch) = (session.worker(&mut threads)?, session.batch(&mut threads)?);
        let (grads, out) = (vec![0.0; params.len()], vec![0.0; BAGS * shape.dim()]);
        let ones = vec![1.0; out.len()];
        Ok(Self { session, threads, worker, batch, rows: shape.rows(), params, grads, out, ones })
    }

    /// Groups, computes forward, and gradients of the sum of the output, from zeros.
    pub(crate) fn call(&mut self, rows: &[u64]) -> Result<(), Error> {
        let Self { session, threads, worker, batch, params, grads, out, ones, .. } = self;
        let bags = Bags::one_per_bag(self.rows, rows, None)?;
        session.group(threads, batch, [bags], Mode::Train)?;
        session.forward(threads, worker, batch, [&params[..]], out)?;
        grads.fill(0.0);
        let sink = Sink::Accumulate { params: &params[..], grads: &mut grads[..] };
        session.backward(threads, worker, batch, [sink], ones, None)
    }
}

/// The median of what calls take, in us, each of the functions in turn, so that all meet the same machine.
pub(crate) fn medians<const N: usize>(mut calls: [&mut dyn FnMut(usize); N]) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    for round in 0..ROUNDS + ROUNDS / 10 {
        for (call, times) in calls.iter_mut().zip(&mut times) {
            let start = Instant::now();
            call(round);
            // The first tenth warms up.
            if round >= ROUNDS / 10 {
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
