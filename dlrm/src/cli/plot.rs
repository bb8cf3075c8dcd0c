//! `dlrm plot`: curves of runs from their logs.

use std::fs;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use dlrm::plot::{Curves, Quantity};

/// Draw curves of training runs, from the logs that `dlrm train --log` writes.
///
/// Several runs go in one picture, an SVG file. Iterations that a resumed run tells again replace those told before.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm plot run.jsonl -o loss.svg
  dlrm plot dense.jsonl tt.jsonl --what auc -o auc.svg
  dlrm plot a.jsonl b.jsonl --name 'rank 16' --name 'rank 32' --what rate -o rate.svg"
)]
pub(super) struct Args {
    /// Logs, one of each run
    #[arg(required = true, value_name = "RUN.jsonl")]
    logs: Vec<PathBuf>,
    /// What to draw
    #[arg(long, value_enum, default_value_t = Quantity::Loss)]
    what: Quantity,
    /// Names of the runs, in order [default: those of the files]
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// File to write
    #[arg(short, long, value_name = "FILE.svg")]
    output: PathBuf,
    /// Pixels across
    #[arg(long, default_value_t = 900)]
    width: u32,
    /// Pixels down
    #[arg(long, default_value_t = 520)]
    height: u32,
}

pub(super) fn run(args: &Args) -> super::Result {
    if let Some(log) = args.logs.iter().find(|log| super::same_file(log, &args.output)) {
        return Err(format!("{} is read: write to another file", log.display()).into());
    }
    let mut runs = Vec::with_capacity(args.logs.len());
    for (number, path) in args.logs.iter().enumerate() {
        let of_file = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        runs.push((args.name.get(number).cloned().unwrap_or_else(of_file), Curves::read(path)?));
    }
    let svg = Curves::chart(args.what, &runs).svg(args.width, args.height)?;
    fs::write(&args.output, svg).map_err(|error| format!("{}: {error}", args.output.display()))?;
    Ok(())
}
