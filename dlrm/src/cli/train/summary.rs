//! The summary of a run, for a person.

use std::io::{self, Write};

use dlrm::train::{KeptDense, Optimizer, Outcome, TableSummary};

use crate::cli::report;

pub(super) fn print(outcome: &Outcome) -> io::Result<()> {
    let mut out = io::stdout().lock();
    tables(&mut out, outcome)?;
    training(&mut out, outcome)?;
    writeln!(out, "On lines it was not trained on")?;
    report::metrics(&mut out, "test", &outcome.test)?;
    report::metrics(&mut out, "validation", &outcome.validation)?;
    if let Some(best) = &outcome.best {
        let end = outcome.iterations;
        let when = if best.iteration == end {
            "at the end".to_owned()
        } else {
            format!("after iteration {} of {end}", best.iteration)
        };
        report::metrics(&mut out, "best test", &best.test)?;
        writeln!(out, "                {when}")?;
    }
    match &outcome.model {
        Some(model) => writeln!(out, "The model is in {}", model.display())?,
        None => writeln!(out, "The model was not kept: --checkpoint-dir DIR keeps it")?,
    }
    if outcome.test.lines == 0 {
        return writeln!(
            out,
            "\nNothing was held out to test the model on: of less than seven lines all train. How good it is on others is not\n\
             known."
        );
    }
    writeln!(
        out,
        "\nLog loss: lower is better. Accuracy: predicting \"no\" for every test line gives {:.2}%.\n\
         AUC: 0.5 is guessing, 1 is perfect. The best test accuracy was chosen on the lines it is measured on, which\n\
         flatters it a little; the reference model reports it, so both are here.",
        (1.0 - outcome.test.positives as f64 / outcome.test.lines as f64) * 100.0
    )
}

fn tables(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let line = |bytes: u128| format!("{:>12}", report::bytes(bytes));
    writeln!(out, "Embedding tables")?;
    writeln!(out, "  uncompressed  {}", line(outcome.dense_bytes))?;
    let ranks = || outcome.tables.iter().filter_map(|table| table.ranks.as_ref()?.iter().max());
    let up_to = if ranks().all(|&rank| rank == outcome.tt_rank) { "" } else { "up to " };
    write!(out, "  as trained    {}   {}", line(outcome.compressed_bytes), report::ratio(outcome.ratio))?;
    match outcome.tt_tables {
        0 => writeln!(out, ": no table as a tensor train")?,
        tables => writeln!(
            out,
            ": {tables} of {} tables as tensor trains of rank {up_to}{}",
            outcome.tables.len(),
            outcome.tt_rank
        )?,
    }
    for (number, table) in outcome.tables.iter().enumerate() {
        if let (Some(factors), Some(ranks)) = (&table.row_factors, &table.ranks) {
            let inner = &ranks[1..ranks.len() - 1];
            let (rows, factors, inner) = (table.rows, report::factors(factors), report::factors(inner));
            writeln!(out, "    table {number:<4} {rows:>12} rows   factors {factors}   ranks {inner}")?;
        }
    }
    let shared = outcome.tables.iter().filter(|table| table.shared.is_some()).count();
    if shared > 0 {
        writeln!(out, "  in {shared} of them categories share rows (--table-method)")?;
    }
    let own_rows: u64 = outcome.tables.iter().map(|table| table.own_rows).sum();
    if own_rows > 0 {
        writeln!(out, "  own rows      {own_rows:>12}   of the most popular categories, beside the tensor trains")?;
    }
    if !outcome.kept_dense.is_empty() {
        let table = |kept: &KeptDense| format!("{} ({} rows)", kept.table, kept.rows);
        let tables: Vec<String> = outcome.kept_dense.iter().map(table).collect();
        writeln!(
            out,
            "  uncompressed all the same, as they would hardly get smaller (--tt-min-ratio): tables {}",
            tables.join(", ")
        )?;
    }
    if let Some(cache) = &outcome.cache {
        writeln!(
            out,
            "  cached rows   {}   of these, for {} rows; their counters, {}, are needed in training alone",
            line(cache.bytes as u128),
            cache.rows,
            report::bytes(cache.counter_bytes as u128)
        )?;
        writeln!(out, "  {:.1}% of the lookups of these tables were of cached rows", cache.hit_rate * 100.0)?;
    }
    if outcome.state_bytes > 0 {
        writeln!(out, "  optimiser     {}   its state, needed in training alone", line(outcome.state_bytes as u128))?;
    }
    let of_tables = |value: fn(&TableSummary) -> Option<f64>| outcome.tables.iter().filter_map(value);
    if let (Optimizer::Sgd, Some((low, high))) = (outcome.optimizer, range(of_tables(|table| table.step))) {
        writeln!(
            out,
            "  a step of SGD on the new cores moves a row {low:.1e} to {high:.1e} times as far as in a dense table"
        )?;
    }
    Ok(())
}

fn training(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(out, "Training")?;
    match outcome.resumed_at {
        None => writeln!(
            out,
            "  {} samples in {:.1} s, {:.0} a second",
            outcome.samples, outcome.seconds, outcome.samples_per_second
        )?,
        Some(iteration) => writeln!(
            out,
            "  {} samples; those after iteration {iteration} in {:.1} s, {:.0} a second",
            outcome.samples, outcome.seconds, outcome.samples_per_second
        )?,
    }
    if outcome.skipped_batches > 0 {
        writeln!(out, "  {} batches skipped: a number of them was not finite", outcome.skipped_batches)?;
    }
    writeln!(
        out,
        "  loss {:.4} in the first tenth of the iterations, {:.4} in the last",
        outcome.loss_first, outcome.loss_last
    )
}

/// The smallest and the largest value.
fn range(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    Some((values.clone().min_by(f64::total_cmp)?, values.max_by(f64::total_cmp)?))
}
