//! After the first round, calls from C allocate nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use ttcore_capi::*;

/// The system's allocator, counting on the thread of the test: the harness has others.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TABLES: usize = 3;
/// Miri takes its time.
const BAGS: usize = if cfg!(miri) { 1 } else { 20 };
const LOOKUPS: usize = 4 * BAGS;
const DIM: usize = 8;

/// A struct of zeros with its size.
macro_rules! zeroed {
    ($record:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        // SAFETY: a struct of integers, numbers and pointers, which may all be zero.
        let mut record: $record = unsafe { std::mem::zeroed() };
        record.size = size_of::<$record>() as u32;
        $(record.$field = $value;)*
        record
    }};
}

fn view(data: &[f64]) -> ttc_view {
    zeroed!(ttc_view { dtype: TTC_F64, data: data.as_ptr().cast(), len: data.len() })
}

fn view_mut(data: &mut [f64]) -> ttc_view_mut {
    zeroed!(ttc_view_mut { dtype: TTC_F64, data: data.as_mut_ptr().cast(), len: data.len() })
}

fn must(error: *mut ttc_error) {
    // SAFETY: NULL, or an error that is there.
    assert_eq!(unsafe { ttc_error_code(error) }, 0, "a call that is right was refused");
}

#[test]
fn calls_allocate_nothing() {
    // Miri knows no roots. What it watches else is all of the boundary.
    let kind = if cfg!(miri) { TTC_SGD } else { TTC_ADAGRAD_NORM };
    let rule = zeroed!(ttc_rule { kind: kind, eps: 1e-10 });
    let factors: [(&[usize], &[usize]); TABLES] =
        [(&[8, 8, 8], &[2, 2, 2]), (&[20, 25], &[2, 4]), (&[5, 10, 10], &[2, 1, 4])];
    let tables: [ttc_table; TABLES] = std::array::from_fn(|number| {
        let (row_factors, col_factors) = factors[number];
        zeroed!(ttc_table {
            kind: TTC_TENSOR_TRAIN,
            rows: 500,
            dim: DIM,
            cores: row_factors.len(),
            row_factors: row_factors.as_ptr(),
            col_factors: col_factors.as_ptr(),
            rank: 4,
            cache_slots: if number == 2 { 10 } else { 0 },
            rule: &rule,
        })
    });
    let options = zeroed!(ttc_options { dtype: TTC_F64, bags: BAGS, lookups: LOOKUPS, threads: 1 });
    let (mut session, mut worker, mut batch) = (null_mut(), null_mut(), null_mut());
    // SAFETY: lists are as long as they say, places are places.
    unsafe {
        must(ttc_session_new(tables.as_ptr(), TABLES, &options, &mut session));
        must(ttc_worker_new(session, &mut worker));
        must(ttc_batch_new(session, &mut batch));
    }
    let [mut params, mut state]: [[Vec<f64>; TABLES]; 2] = Default::default();
    for table in 0..TABLES {
        let mut sizes = zeroed!(ttc_sizes {});
        // SAFETY: as above.
        must(unsafe { ttc_session_sizes(session, table, &mut sizes) });
        (params[table], state[table]) = (vec![0.5; sizes.parameters], vec![0.0; sizes.state]);
    }
    let params = params.each_mut().map(|params| view_mut(params));
    let state = state.each_mut().map(|state| view_mut(state));
    let read: [ttc_view; TABLES] = params.map(Into::into);
    let mut grads: [Vec<f64>; TABLES] = read.map(|params| vec![0.0; params.len]);
    let grads = grads.each_mut().map(|grads| view_mut(grads));
    let sinks: [ttc_sink; TABLES] = std::array::from_fn(|number| {
        zeroed!(ttc_sink { kind: TTC_ACCUMULATE, params: &params[number], memory: &grads[number] })
    });
    let (mut out, mut weights) = (vec![0.0; BAGS * TABLES * DIM], vec![0.0; TABLES * LOOKUPS]);
    let grad_out = vec![1.0; out.len()];
    let (out, grad_out, grad_weights) = (view_mut(&mut out), view(&grad_out), view_mut(&mut weights));
    let offsets: Vec<i32> = (0..BAGS as i32).map(|b| b * 4).collect();

    let round = || {
        for seed in 0..3i64 {
            let indices: [i64; LOOKUPS] = std::array::from_fn(|j| (j as i64 * (seed + 7) + seed) % 500);
            let bags: [ttc_bags; TABLES] = std::array::from_fn(|number| {
                zeroed!(ttc_bags {
                    index_type: TTC_I64,
                    offset_type: TTC_I32,
                    // One of the tables skips lookups.
                    skip: if number == 1 { TTC_SKIP_PADDING } else { 0 },
                    indices: indices.as_ptr().cast::<c_void>(),
                    lookups: LOOKUPS,
                    offsets: offsets.as_ptr().cast::<c_void>(),
                    offsets_len: BAGS,
                })
            });
            // SAFETY: all that is pointed at is here, as long as it says, and used by one call at a time.
            unsafe {
                must(ttc_group(session, batch, bags.as_ptr(), TABLES, TTC_TRAIN));
                must(ttc_observe(session, batch));
                must(ttc_forward(session, worker, batch, read.as_ptr(), TABLES, &out));
                must(ttc_backward(session, worker, batch, sinks.as_ptr(), TABLES, &grad_out, &grad_weights));
                let (params, state) = (params.as_ptr(), state.as_ptr());
                must(ttc_step(session, worker, batch, params, state, TABLES, &grad_out, 0.01, &grad_weights));
            }
        }
    };
    round();
    let before = ALLOCATIONS.get();
    assert!(before > 0, "the allocator counts");
    round();
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations of a round");
    // SAFETY: each is freed once.
    unsafe {
        ttc_batch_free(batch);
        ttc_worker_free(worker);
        ttc_session_free(session);
    }
}
