//! `dlrm train`: the main job.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use dlrm::data::{Dataset, Synthetic};
use dlrm::presets::Preset;
use dlrm::train::{Outcome, Progress, TableSummary, TrainSettings, TtSettings, train};
use indicatif::{ProgressBar, ProgressStyle};
use ttcore::Reference;
use ttcore::init::{CoreInit, Entries, Scale};
use ttcore_cpu::{Cpu, Threads};

use super::backend::{BackendArg, BackendArgs};
use super::report;

/// Train a model and evaluate it on lines held out.
///
/// Reads a file in the format of the Criteo Kaggle challenge (label, 13 integers, 26 hexadecimal categories, separated
/// by tabs, maybe compressed), or a directory that `dlrm prepare` made of such files, or makes such lines itself. The
/// first six sevenths of the lines train; of the last, the first half tests and the second validates.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  dlrm train                                         on lines it makes itself
  dlrm train --data train.txt --tt-tables 7 --tt-rank 32
  dlrm train --data prepared/ --tt-tables 0          uncompressed, for comparison
  dlrm train --json > run.json                       for a program to read")]
pub(super) struct Args {
    /// File or prepared directory to train on; without it, lines are made from the seed
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// How many lines to make
    #[arg(long, default_value_t = 60_000, conflicts_with = "data")]
    lines: u64,
    /// Sizes of embeddings and layers: kaggle, terabyte or mlperf
    #[arg(long, default_value_t = Preset::Kaggle)]
    preset: Preset,
    /// How many of the largest tables are held as tensor trains
    #[arg(long, default_value_t = 7)]
    tt_tables: usize,
    /// Their TT-rank
    #[arg(long, default_value_t = 8)]
    tt_rank: usize,
    /// Distribution of the entries of new cores
    #[arg(long, value_enum, default_value_t = InitArg::SampledGaussian)]
    tt_init: InitArg,
    /// Scale of new cores: so that the table has the variance of a dense one, or as in the published code
    #[arg(long, value_enum, default_value_t = ScaleArg::Calibrated)]
    tt_scale: ScaleArg,
    /// What the learning rate is multiplied by for cores
    #[arg(long, default_value_t = 1.0)]
    tt_lr_multiplier: f64,
    /// Samples in a batch [default: the preset's]
    #[arg(long)]
    batch_size: Option<usize>,
    /// How often to go through the training lines
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Learning rate of SGD [default: the preset's]
    #[arg(long)]
    lr: Option<f64>,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    backend: BackendArgs,
    /// End standard output with one JSON object instead of a summary
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum InitArg {
    SampledGaussian,
    Gaussian,
    Uniform,
    Signs,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScaleArg {
    Calibrated,
    Paper,
}

impl Args {
    fn settings(&self) -> TrainSettings {
        let entries = match self.tt_init {
            InitArg::SampledGaussian => Entries::SampledGaussian,
            InitArg::Gaussian => Entries::Gaussian,
            InitArg::Uniform => Entries::Uniform,
            InitArg::Signs => Entries::Signs,
        };
        let scale = match self.tt_scale {
            ScaleArg::Calibrated => Scale::Calibrated,
            ScaleArg::Paper => Scale::Paper,
        };
        TrainSettings {
            preset: self.preset,
            tt: TtSettings {
                tables: self.tt_tables,
                rank: self.tt_rank,
                init: CoreInit { entries, scale },
                lr_multiplier: self.tt_lr_multiplier,
            },
            batch_size: self.batch_size.unwrap_or(self.preset.batch_size()),
            epochs: self.epochs,
            lr: self.lr.unwrap_or(self.preset.learning_rate()),
            seed: self.seed,
        }
    }
}

pub(super) fn run(args: &Args) -> super::Result {
    let settings = args.settings();
    let spinner = ProgressBar::new_spinner().with_message(match &args.data {
        Some(path) => format!("reading {}", path.display()),
        None => format!("making {} lines from seed {}", args.lines, args.seed),
    });
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let data = match &args.data {
        Some(path) => Dataset::open(path)?,
        None => Dataset::synthetic(&Synthetic { lines: args.lines, seed: args.seed, ..Synthetic::default() })?,
    };
    spinner.finish_and_clear();
    eprintln!("{} lines, {} categories in 26 tables", data.len(), data.table_rows().iter().sum::<u64>());

    let mut meter = Meter::new();
    let tell = |progress| meter.tell(progress);
    let outcome = match args.backend.backend {
        BackendArg::Cpu => {
            let mut queue = Threads::new(args.backend.threads())?;
            let (backend, threads) = (Cpu::<f32>::new()?, queue.clone());
            // From one of the threads: no operation has to hand its work over first.
            threads.install(|| train(backend, &mut queue, &data, &settings, tell))?
        }
        BackendArg::Reference => train(Reference::<f32>::new(), &mut (), &data, &settings, tell)?,
    };
    meter.finish();
    if args.json {
        report::json(&outcome)?
    } else {
        summarise(&outcome)?
    }
    Ok(())
}

/// Progress on standard error: a bar on a terminal, a line now and then elsewhere.
struct Meter {
    bar: Option<ProgressBar>,
    /// Sum and number of losses since the last line.
    losses: (f64, usize),
    printed: usize,
}

impl Meter {
    fn new() -> Self {
        Self { bar: io::stderr().is_terminal().then(ProgressBar::no_length), losses: (0.0, 0), printed: 0 }
    }

    fn tell(&mut self, progress: Progress) {
        let Progress { iteration, iterations, loss, samples } = progress;
        self.losses = (self.losses.0 + loss, self.losses.1 + 1);
        let mean = self.losses.0 / self.losses.1 as f64;
        let tenths = iteration * 10 / iterations;
        if let Some(bar) = &self.bar {
            if iteration == 1 {
                let template = "training {wide_bar} {pos}/{len} iterations, {per_sec}, {msg}, {eta} left";
                bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_length(iterations as u64);
            }
            bar.set_position(iteration as u64);
            bar.set_message(format!("loss {mean:.4}"));
        } else if tenths > self.printed {
            eprintln!("iteration {iteration} of {iterations}: {samples} samples, loss {mean:.4}");
        }
        if tenths > self.printed {
            (self.printed, self.losses) = (tenths, (0.0, 0));
        }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn summarise(outcome: &Outcome) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (dense, compressed) = (report::bytes(outcome.dense_bytes), report::bytes(outcome.compressed_bytes));
    writeln!(out, "Embedding tables")?;
    writeln!(out, "  uncompressed  {dense:>12}")?;
    writeln!(
        out,
        "  as trained    {compressed:>12}   {:.2} times smaller: {} of {} tables as tensor trains of rank {}",
        outcome.ratio,
        outcome.tt_tables,
        outcome.tables.len(),
        outcome.tt_rank
    )?;
    let of_tables = |value: fn(&TableSummary) -> Option<f64>| outcome.tables.iter().filter_map(value);
    if let Some((low, high)) = range(of_tables(|table| table.step)) {
        writeln!(
            out,
            "  a step of SGD on the new cores moves a row {low:.1e} to {high:.1e} times as far as in a dense table"
        )?;
    }
    writeln!(out, "Training")?;
    writeln!(
        out,
        "  {} samples in {:.1} s, {:.0} a second",
        outcome.samples, outcome.seconds, outcome.samples_per_second
    )?;
    writeln!(
        out,
        "  loss {:.4} in the first tenth of the iterations, {:.4} in the last",
        outcome.loss_first, outcome.loss_last
    )?;
    writeln!(out, "On lines it was not trained on")?;
    for (name, evaluation) in [("test", &outcome.test), ("validation", &outcome.validation)] {
        let auc = evaluation.auc.map_or("none (one class only)".to_string(), |auc| format!("{auc:.4}"));
        writeln!(
            out,
            "  {name:<10}  {:>6} lines   log loss {:.4}   accuracy {:.2}%   AUC {auc}",
            evaluation.lines,
            evaluation.log_loss,
            evaluation.accuracy * 100.0
        )?;
    }
    writeln!(
        out,
        "\nLog loss: lower is better. Accuracy: predicting \"no\" for every test line gives {:.2}%.\n\
         AUC: 0.5 is guessing, 1 is perfect.",
        (1.0 - outcome.test.positives as f64 / outcome.test.lines.max(1) as f64) * 100.0
    )
}

/// The smallest and the largest value.
fn range(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    Some((values.clone().min_by(f64::total_cmp)?, values.max_by(f64::total_cmp)?))
}
