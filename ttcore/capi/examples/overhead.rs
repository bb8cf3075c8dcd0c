//! What a call by C costs over the same call by Rust: `cargo run --release -p ttcore-capi --example overhead`.
//!
//! Both work on the smallest batch there is, so that the difference is not lost in the work: one table of 8 x 4, one lookup,
//! one thread. Blocks of calls alternate; each figure is the median block's.

use std::ptr::{null, null_mut};
use std::time::Instant;

use ttcore::embedding::{Session, TableMut};
use ttcore::{Bags, Mode, Offsets, Pooling, Rule, TableConfig, TtShape};
use ttcore_capi::*;
use ttcore_cpu::{Cpu, Threads};

/// Calls in a block, and blocks.
const CALLS: u32 = 2000;
const BLOCKS: usize = 400;
const LR: f64 = 1e-3;

/// Nanoseconds a call of each, the median of blocks.
fn compare(mut one: impl FnMut(), mut other: impl FnMut()) -> [f64; 2] {
    let time = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    let mut blocks: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..BLOCKS {
        blocks[0].push(time(&mut one));
        blocks[1].push(time(&mut other));
    }
    blocks.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[BLOCKS / 2]
    })
}

fn must(error: *mut ttc_error) {
    assert!(error.is_null(), "a call that is right was refused");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (row_factors, col_factors) = ([2, 2, 2], [1, 2, 2]);
    let config = TableConfig::tt(TtShape::with_rank(8, &row_factors, &col_factors, 2)?).with_rule(Rule::Sgd);
    let mut params = vec![0.0f32; config.table().parameters()];
    config.draw(42, &mut params);
    let mut c_params = params.clone();
    let (indices, offsets) = ([5i64], [0i64]);
    let (mut out, mut c_out) = ([0.0f32; 4], [0.0f32; 4]);
    let grad = [1.0f32; 4];

    let queue = &mut Threads::one();
    let session = Session::new(Cpu::<f32>::new()?, queue, vec![config], 1, 1)?;
    let (mut worker, mut batch) = (session.worker(queue)?, session.batch(queue)?);

    let rule = ttc_rule { size: size_of::<ttc_rule>() as u32, kind: TTC_SGD, eps: 0.0, beta1: 0.0, beta2: 0.0 };
    // SAFETY: a table of zeros is one, of integers, numbers and pointers.
    let mut table: ttc_table = unsafe { std::mem::zeroed() };
    (table.size, table.kind, table.rows, table.dim) = (size_of::<ttc_table>() as u32, TTC_TENSOR_TRAIN, 8, 4);
    (table.cores, table.rank, table.rule) = (3, 2, &rule);
    (table.row_factors, table.col_factors) = (row_factors.as_ptr(), col_factors.as_ptr());
    // SAFETY: as for the table, twice.
    let (mut options, mut bags): (ttc_options, ttc_bags) = unsafe { std::mem::zeroed() };
    (options.size, options.dtype, options.threads) = (size_of::<ttc_options>() as u32, TTC_F32, 1);
    (options.bags, options.lookups) = (1, 1);
    (bags.size, bags.index_type, bags.offset_type) = (size_of::<ttc_bags>() as u32, TTC_I64, TTC_I64);
    (bags.indices, bags.lookups) = (indices.as_ptr().cast(), 1);
    (bags.offsets, bags.offsets_len) = (offsets.as_ptr().cast(), 1);
    let view_mut = |numbers: &mut [f32]| ttc_view_mut {
        size: size_of::<ttc_view_mut>() as u32,
        dtype: TTC_F32,
        data: numbers.as_mut_ptr().cast(),
        len: numbers.len(),
    };
    let view = |numbers: &[f32]| ttc_view {
        size: size_of::<ttc_view>() as u32,
        dtype: TTC_F32,
        data: numbers.as_ptr().cast(),
        len: numbers.len(),
    };
    // Kept as pointers: what is behind them is looked at when all calls are over.
    let (c_grad, c_state, c_out_view) = (view(&grad), view_mut(&mut []), view_mut(&mut c_out));
    let c_params_mut = view_mut(&mut c_params);
    let c_params_view = ttc_view { data: c_params_mut.data, ..view(&params) };
    let (c_params_list, c_state_list, c_bags) = (&raw const c_params_mut, &raw const c_state, &raw const bags);
    let (mut c_session, mut c_worker, mut c_batch) = (null_mut(), null_mut(), null_mut());
    // SAFETY: all that is pointed at is here until the end, as long as it says, and used by one call at a time.
    unsafe {
        must(ttc_session_new(&table, 1, &options, &mut c_session));
        must(ttc_worker_new(c_session, &mut c_worker));
        must(ttc_batch_new(c_session, &mut c_batch));
    }

    println!(
        "nanoseconds, median of {BLOCKS} blocks of {CALLS}\n{:<28} {:>7} {:>7} {:>11}",
        "", "Rust", "C", "difference"
    );
    let print = |what: &str, [rust, c]: [f64; 2]| println!("{what:<28} {rust:>7.0} {c:>7.0} {:>11.0}", c - rust);

    let queue = std::cell::RefCell::new(Threads::one());
    let group = |batch: &mut _| {
        let bags = Bags::new(8, &indices, Offsets::Starts(&offsets), Pooling::Sum, None).expect("bags");
        session.group(&mut queue.borrow_mut(), batch, [bags], Mode::Train).expect("group");
    };
    // SAFETY: as above, for each of the calls.
    let c_group = || unsafe { must(ttc_group(c_session, c_batch, c_bags, 1, TTC_TRAIN)) };
    print("group", compare(|| group(&mut batch), c_group));
    let forward = |worker: &mut _, batch: &mut _, params: &[f32], out: &mut [f32]| {
        session.forward(&mut queue.borrow_mut(), worker, batch, [params], out).expect("forward");
    };
    // SAFETY: as above.
    let c_forward = || unsafe { must(ttc_forward(c_session, c_worker, c_batch, &c_params_view, 1, &c_out_view)) };
    print("forward", compare(|| forward(&mut worker, &mut batch, &params, &mut out), c_forward));
    let both = compare(
        || {
            forward(&mut worker, &mut batch, &params, &mut out);
            let tables = [TableMut { params: &mut params[..], state: &mut [][..] }];
            session.step(&mut queue.borrow_mut(), &mut worker, &batch, tables, &grad, LR, None).expect("step");
        },
        || {
            c_forward();
            // SAFETY: as above.
            unsafe {
                let (worker, batch, grad) = (c_worker, c_batch, &c_grad);
                must(ttc_step(c_session, worker, batch, c_params_list, c_state_list, 1, grad, LR, null()));
            }
        },
    );
    print("forward and step, two calls", both);
    assert_eq!((params, out), (c_params, c_out), "both have done the same");
    // SAFETY: each is freed once.
    unsafe {
        ttc_batch_free(c_batch);
        ttc_worker_free(c_worker);
        ttc_session_free(c_session);
    }
    Ok(())
}
