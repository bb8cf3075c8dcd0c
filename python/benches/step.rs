//! A step of tables by Rust alone: what `overhead.py` compares Python with.
//!
//! `step TABLES ROWS BAGS THREADS BATCHES` prints two medians in microseconds: of forward and backward with fresh gradients, and
//! of forward and a fused step of SGD. One lookup a bag, drawn from all rows; cores of rank 32, 16 columns.

use std::time::Instant;

use ttcore::backend::Sink;
use ttcore::embedding::{Session, TableMut};
use ttcore::{Bags, Mode, Rule, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Threads};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let &[tables, rows, bags, threads, batches] = &numbers[..] else {
        return Err("step TABLES ROWS BAGS THREADS BATCHES".into());
    };
    let config = TableConfig::tt(TtShape::paper(rows as u64, 16, 3, 32)?).with_rule(Rule::Sgd);
    let parameters = config.table().parameters();
    let mut threads = Threads::new(threads)?;
    let session = Session::new(Cpu::<f32>::new()?, &mut threads, vec![config.clone(); tables], bags, bags)?;
    let (mut worker, mut batch) = (session.worker(&mut threads)?, session.batch(&mut threads)?);
    let mut params = vec![vec![0.0f32; parameters]; tables];
    params.iter_mut().zip(0..).for_each(|(params, seed)| config.draw(seed, params));
    let (mut grads, mut out) = (vec![vec![0.0f32; parameters]; tables], vec![0.0f32; bags * 16 * tables]);
    let grad_out = vec![1e-3f32; out.len()];
    // SplitMix64.
    let mut state = 0u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % rows as u64) as i64
    };
    for fused in [false, true] {
        let mut times = Vec::with_capacity(batches);
        for _ in 0..batches {
            let lists: Vec<Vec<i64>> = (0..tables).map(|_| (0..bags).map(|_| draw()).collect()).collect();
            let start = Instant::now();
            let lists =
                lists.iter().map(|list| Bags::one_per_bag(rows as u64, list, None)).collect::<Result<Vec<_>, _>>()?;
            session.group(&mut threads, &mut batch, lists.iter().copied(), Mode::Train)?;
            session.forward(
                &mut threads,
                &mut worker,
                &mut batch,
                params.iter().map(|params| &params[..]),
                &mut out,
            )?;
            if fused {
                let tables = params.iter_mut().map(|params| TableMut { params: &mut params[..], state: &mut [][..] });
                session.step(&mut threads, &mut worker, &batch, tables, &grad_out, 1e-3, None)?;
            } else {
                let sinks = params.iter().zip(&mut grads);
                let sinks = sinks.map(|(params, grads)| Sink::Overwrite { params: &params[..], grads: &mut grads[..] });
                session.backward(&mut threads, &mut worker, &batch, sinks, &grad_out, None)?;
            }
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        println!("{:.2}", times[times.len() / 2]);
    }
    Ok(())
}
