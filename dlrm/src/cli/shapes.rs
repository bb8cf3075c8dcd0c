//! `dlrm shapes`: factors and sizes of compressed tables.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use dlrm::memory::{CORES, TableShape, largest_tables};
use dlrm::presets::Preset;
use ttcore::TtShape;

use super::report;

/// Show the shapes of compressed tables: of the largest tables of a preset, or of one table of any size.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm shapes                                    the seven largest tables of Criteo Kaggle (paper, Table 2)
  dlrm shapes --preset mlperf --rank 32
  dlrm shapes --rows 1000000000000 --dim 64      one table of a million million rows
  dlrm shapes --rows 10131227 --dim 16 --smallest 0.01"
)]
pub(super) struct Args {
    /// Model whose largest tables are shown: kaggle, terabyte, mlperf or dcnv2
    #[arg(long, default_value_t = Preset::Kaggle)]
    preset: Preset,
    /// How many of its largest tables
    #[arg(long, default_value_t = 7)]
    tables: usize,
    /// TT-ranks, one row of the table for each
    #[arg(long = "rank", value_name = "RANK", value_delimiter = ',', default_values_t = [16, 32, 64])]
    ranks: Vec<usize>,
    /// One table of this many rows instead of a preset's
    #[arg(long, requires = "dim")]
    rows: Option<u64>,
    /// Embedding dimension of that table
    #[arg(long, requires = "rows")]
    dim: Option<usize>,
    /// Number of cores
    #[arg(long, default_value_t = CORES)]
    cores: usize,
    /// The fewest parameters with at most this share of padding rows, instead of the paper's rule
    #[arg(long, value_name = "PADDING")]
    smallest: Option<f64>,
    /// Print a list of objects instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> super::Result {
    let tables: Vec<(u64, usize)> = match (args.rows, args.dim) {
        (Some(rows), Some(dim)) => vec![(rows, dim)],
        _ => {
            let rows = args.preset.table_rows();
            let largest = largest_tables(rows, args.tables).into_iter();
            largest.map(|table| (rows[table], args.preset.embedding_dim())).collect()
        }
    };
    let mut shapes = Vec::with_capacity(tables.len() * args.ranks.len());
    for (rows, dim) in tables {
        for &rank in &args.ranks {
            let shape = match args.smallest {
                Some(padding) => TtShape::smallest(rows, dim, args.cores, rank, padding)?,
                None => TtShape::paper(rows, dim, args.cores, rank)?,
            };
            shapes.push(TableShape::from(&shape));
        }
    }
    if args.json {
        report::json(&shapes)?
    } else {
        print(&shapes)?
    }
    Ok(())
}

fn print(shapes: &[TableShape]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:>13}  {:<16} {:<9} {:>4} {:>12} {:>10} {:>8}",
        "rows", "row factors", "columns", "rank", "parameters", "ratio", "padding"
    )?;
    for shape in shapes {
        writeln!(
            out,
            "{:>13}  {:<16} {:<9} {:>4} {:>12} {:>9.1}x {:>7.2}%",
            shape.rows,
            report::factors(&shape.row_factors),
            report::factors(&shape.col_factors),
            shape.rank,
            shape.parameters,
            shape.ratio,
            shape.padding * 100.0
        )?;
    }
    Ok(())
}
