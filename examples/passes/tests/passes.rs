//! Passes: kept, dropped, larger than any before, of many threads at once.

use std::sync::Arc;

use ttcore::{Bags, Error, Mode, Offsets, Pooling, TableConfig, TtShape};
use ttcore_cpu::{Cpu, Threads};
use ttcore_passes::{Pass, Table};

const ROWS: u64 = 60;
const DIM: usize = 4;

fn table() -> (Arc<Table<f64>>, Vec<f64>) {
    let config = TableConfig::tt(TtShape::with_rank(ROWS, &[3, 4, 5], &[1, 2, 2], 3).expect("a shape"));
    let mut params = vec![0.0; config.table().parameters()];
    config.draw(7, &mut params);
    (Table::new(Cpu::new().expect("a CPU"), Threads::one(), config).expect("a table"), params)
}

/// So many bags of two lookups each, other ones for another seed.
fn rows(bags: usize, seed: u64) -> Vec<u64> {
    (0..2 * bags as u64).map(|j| (j * 7 + seed * 13) % ROWS).collect()
}

fn forward(table: &Arc<Table<f64>>, params: &[f64], rows: &[u64], mode: Mode) -> (Pass<f64>, Vec<f64>) {
    let offsets: Vec<u64> = (0..rows.len() as u64).step_by(2).collect();
    let bags = Bags::new(ROWS, rows, Offsets::Starts(&offsets), Pooling::Mean, None).expect("bags");
    let mut out = vec![0.0; offsets.len() * DIM];
    let mut pass = table.group(bags, mode).expect("group");
    pass.forward(params, &mut out).expect("forward");
    (pass, out)
}

/// Gradients of the loss `|out|^2 / 2`.
fn backward(pass: &Pass<f64>, params: &[f64], out: &[f64]) -> Vec<f64> {
    let mut grads = vec![0.0; params.len()];
    pass.backward(params, Some(&mut grads), out, None).expect("backward");
    grads
}

#[test]
fn passes_wait_for_their_backward_in_any_order_while_there_is_more_room_made() {
    let (table, params) = table();
    let sizes = [1, 3, 2, 40, 5];
    // Each alone, in a table of its own.
    let alone = sizes.map(|bags| {
        let (table, _) = self::table();
        let (pass, out) = forward(&table, &params, &rows(bags, bags as u64), Mode::Train);
        backward(&pass, &params, &out)
    });
    let passes = sizes.map(|bags| forward(&table, &params, &rows(bags, bags as u64), Mode::Train));
    for ((pass, out), want) in passes.iter().zip(&alone).rev() {
        assert_eq!(&backward(pass, &params, out), want);
        // And again, as a graph that is kept may ask.
        assert_eq!(&backward(pass, &params, out), want);
    }
    assert!(alone.iter().flatten().any(|&grad| grad != 0.0));
}

#[test]
fn memory_of_a_pass_serves_the_next() {
    let (table, params) = table();
    assert_eq!(table.spare_batches(), 0);
    for round in 0..20 {
        drop(forward(&table, &params, &rows(3, round), Mode::Train));
        assert_eq!(table.spare_batches(), 1);
    }
    let kept = [1, 2, 3].map(|seed| forward(&table, &params, &rows(3, seed), Mode::Train));
    assert_eq!(table.spare_batches(), 0);
    drop(kept);
    assert_eq!(table.spare_batches(), 3);
    // What is refused gives its memory back, too.
    let bags = Bags::new(ROWS + 1, &[0u32], Offsets::Starts(&[0]), Pooling::Sum, None).expect("bags");
    let refused = table.group(bags, Mode::Train).map(drop);
    assert_eq!(refused, Err(Error::Rows { table: 0, got: ROWS + 1, want: ROWS }));
    assert_eq!(table.spare_batches(), 3);
}

#[test]
fn backwards_that_would_be_wrong_are_refused() {
    let (table, params) = table();
    let rows = rows(2, 1);
    let refused = |pass: &Pass<f64>, out: &[f64]| {
        let mut grads = vec![0.0; params.len()];
        let error = pass.backward(&params, Some(&mut grads), out, None).expect_err("refused");
        assert!(grads.iter().all(|&grad| grad == 0.0));
        error.to_string()
    };
    let (pass, out) = forward(&table, &params, &rows, Mode::Evaluate);
    assert_eq!(refused(&pass, &out), "backward needs a forward in training mode before it");
    let (pass, out) = forward(&table, &params, &rows, Mode::Train);
    assert_eq!(
        refused(&pass, &out[1..]),
        format!("gradient of the output has {} numbers, not {}", out.len() - 1, out.len())
    );
    table.parameters_changed();
    assert_eq!(refused(&pass, &out), "the parameters changed after this forward: run it again");
}

#[test]
fn many_threads_use_a_table_at_once() {
    let (table, params) = table();
    let step = |seed: u64| {
        let (pass, out) = forward(&table, &params, &rows(1 + seed as usize % 9, seed), Mode::Train);
        (backward(&pass, &params, &out), out)
    };
    let want: Vec<_> = (0..40).map(step).collect();
    std::thread::scope(|scope| {
        let threads = [0, 1, 2].map(|_| scope.spawn(|| (0..40).map(step).collect::<Vec<_>>()));
        for thread in threads {
            assert_eq!(thread.join().expect("a thread that ends well"), want);
        }
    });
    assert!(table.spare_batches() <= 4);
}
