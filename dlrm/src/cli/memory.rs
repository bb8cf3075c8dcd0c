//! `dlrm memory`: what whole models take.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use dlrm::memory::ModelMemory;
use dlrm::presets::Preset;

use super::report;

/// Show the memory of a model's embedding tables with the largest in TT form (fp32, without optimiser state).
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm memory                                   Criteo Kaggle (paper, Figure 5)
  dlrm memory --preset terabyte --json
  dlrm memory --preset mlperf --tables 5,8 --rank 32"
)]
pub(super) struct Args {
    /// Which model: kaggle, terabyte, mlperf or dcnv2
    #[arg(long, default_value_t = Preset::Kaggle)]
    preset: Preset,
    /// How many of the largest tables are in TT form
    #[arg(long, value_delimiter = ',', default_values_t = [3, 5, 7])]
    tables: Vec<usize>,
    /// TT-ranks
    #[arg(long = "rank", value_name = "RANK", value_delimiter = ',', default_values_t = [8, 16, 32, 64])]
    ranks: Vec<usize>,
    /// Print a list of objects instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> super::Result {
    let mut models = Vec::with_capacity(args.tables.len() * args.ranks.len());
    for &tables in &args.tables {
        for &rank in &args.ranks {
            models.push(ModelMemory::new(args.preset.table_rows(), args.preset.embedding_dim(), tables, rank)?);
        }
    }
    if args.json {
        report::json(&models)?
    } else {
        print(args.preset, &models)?
    }
    Ok(())
}

fn print(preset: Preset, models: &[ModelMemory]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if let Some(model) = models.first() {
        let (dim, bytes) = (preset.embedding_dim(), report::bytes(model.dense_bytes));
        writeln!(out, "{preset}: 26 tables of dimension {dim}, {bytes} uncompressed\n")?;
    }
    writeln!(out, "{:>9} {:>5} {:>12} {:>10}", "TT tables", "rank", "compressed", "ratio")?;
    for model in models {
        let bytes = report::bytes(model.compressed_bytes);
        writeln!(out, "{:>9} {:>5} {:>12} {:>9.2}x", model.tt_tables, model.rank, bytes, model.ratio)?;
    }
    Ok(())
}
