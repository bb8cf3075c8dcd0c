//! With the defaults, a model with compressed tables trains wherever the same model with uncompressed ones does: tables from
//! one row to 40 million, ranks 4 to 64, batches from one sample to 16,384, learning rates around the default, both rules.

use dlrm::model::{Dlrm, ModelConfig, Samples};
use rand_core::Rng;
use ttcore::{CoreRule, Rule, TableConfig, TtShape};
use ttcore_conformance::case::rng;
use ttcore_cpu::{Cpu, Threads};

const DIM: usize = 8;
/// Tables of a model.
const TABLES: usize = 3;
/// Rows that occur at most.
const DISTINCT: u64 = 500;
const ADAGRAD: Rule = Rule::Adagrad { eps: 1e-10 };

/// What is trained: in how many samples a batch, and with which rule and learning rate.
#[derive(Clone, Copy, Debug)]
struct Training {
    batch: usize,
    rule: Rule,
    lr: f64,
}

/// The mean loss of the last quarter of the steps, or why there was none. Tables of the model have `rows` rows, of which at
/// most [`DISTINCT`] occur, spread over the table. Labels are a coin for each row of the first table: nothing to generalise,
/// so that rows are driven as far as they go.
fn train(training: Training, rows: u64, occur: u64, config: &TableConfig) -> Result<f64, String> {
    let Training { batch, rule, lr } = training;
    let mut queue = Threads::one();
    let top = vec![DIM + (TABLES + 1) * TABLES / 2, 16, 1];
    let model = ModelConfig::new(DIM, vec![4, 16, DIM], top, vec![config.clone(); TABLES]).expect("a model");
    let mut model = Dlrm::new(Cpu::<f32>::new().expect("a backend"), &mut queue, model.with_rule(rule), batch, 5)
        .map_err(|error| error.to_string())?;
    let steps = (40_000 / batch).clamp(40, 1500);
    let spread = rows / occur;
    let mut losses = Vec::with_capacity(steps);
    for step in 0..steps {
        let mut rng = rng(step as u64, 0);
        let mut draw = |below: u64| rng.next_u64() % below;
        let dense: Vec<f32> = (0..batch * 4).map(|_| draw(1000) as f32 / 250.0).collect();
        // The smaller of two draws: some rows are much more frequent than others.
        let row: Vec<Vec<u64>> =
            (0..TABLES).map(|_| (0..batch).map(|_| draw(occur).min(draw(occur))).collect()).collect();
        let labels: Vec<f32> = row[0].iter().map(|&row| (row.wrapping_mul(0x9e37_79b9) >> 7 & 1) as f32).collect();
        let indices: Vec<Vec<u32>> =
            row.iter().map(|rows| rows.iter().map(|&row| (row * spread) as u32).collect()).collect();
        let samples = Samples::new(&dense, &indices, &labels);
        let loss = model.train_step(&mut queue, samples, lr);
        losses.push(loss.map_err(|error| format!("step {step}: {error}"))?);
    }
    match model.non_finite_parameter(&mut queue).map_err(|error| error.to_string())? {
        Some(name) => Err(format!("{name} is not finite")),
        None => Ok(losses[steps - steps / 4..].iter().sum::<f64>() / (steps / 4) as f64),
    }
}

/// The defaults of the trainer, at this rank.
fn compressed(rows: u64, rank: usize, rule: Rule) -> TableConfig {
    let config = TableConfig::tt(TtShape::paper(rows, DIM, 3, rank).expect("a shape"));
    let multiplier = if rule == Rule::Sgd { 1.0 } else { 10.0 };
    config.with_rule(rule).with_core_rule(CoreRule::ADAGRAD_NORM).with_core_lr_multiplier(multiplier)
}

fn compressed_tables_train_where_uncompressed_ones_do(rule: Rule, rates: [f64; 3]) {
    let (mut compared, mut number) = (0, 0);
    for lr in rates {
        for batch in [1, 16, 128, 2048, 16_384] {
            for rows in [1, 7, 1000, 100_000, 40_000_000] {
                let (training, occur) = (Training { batch, rule, lr }, rows.min(DISTINCT));
                // Three ranks and 25 sizes: with three rates, every rank meets every size.
                let rank = [4, 16, 64][number % 3];
                number += 1;
                let dense = TableConfig::dense(occur, DIM).expect("a table").with_rule(rule);
                let Ok(dense) = train(training, occur, occur, &dense) else { continue };
                let loss = train(training, rows, occur, &compressed(rows, rank, rule));
                let loss = loss.unwrap_or_else(|error| panic!("{training:?}, {rows} rows, rank {rank}: {error}"));
                // Not only finite: what lost its numbers to a wild step stays above a coin's 0.69.
                let most = 0.75_f64.max(1.1 * dense);
                assert!(loss < most, "{training:?}, {rows} rows, rank {rank}: {loss}, dense {dense}");
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "only {compared} of {number} trained uncompressed");
}

#[test]
fn with_sgd() {
    compressed_tables_train_where_uncompressed_ones_do(Rule::Sgd, [0.025, 0.1, 0.4]);
}

#[test]
fn with_adagrad() {
    compressed_tables_train_where_uncompressed_ones_do(ADAGRAD, [0.005, 0.02, 0.08]);
}

/// A layer as its user makes it, without a choice of its own, at a learning rate for dense tables.
#[test]
fn a_table_of_default_settings_learns_at_the_rate_of_a_dense_one() {
    let training = Training { batch: 128, rule: Rule::Sgd, lr: 0.1 };
    let dense = TableConfig::dense(DISTINCT, DIM).expect("a table");
    let dense = train(training, DISTINCT, DISTINCT, &dense).expect("a run");
    for rows in [1000, 1_000_000] {
        let tt = TableConfig::tt(TtShape::paper(rows, DIM, 3, 16).expect("a shape"));
        let tt = train(training, rows, DISTINCT, &tt).expect("a run");
        assert!(tt < dense + 0.02, "{rows} rows: {tt}, dense {dense}");
    }
}
