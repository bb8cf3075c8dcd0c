//! `dlrm bench`: what things cost on this machine.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use dlrm::bench::{self, Generator, Host, Order, Report, Settings, Workload};
use dlrm::memory::CORES;
use indicatif::ProgressBar;
use ttcore::{Reference, TtShape};
use ttcore_cpu::{Cpu, Threads};

use super::backend::{BackendArg, BackendArgs};
use super::{bench_train, report};

/// Measure what things cost on this machine.
#[derive(Subcommand)]
pub(super) enum Bench {
    Embedding(EmbeddingArgs),
    Train(bench_train::Args),
}

pub(super) fn run(bench: &Bench) -> super::Result {
    match bench {
        Bench::Embedding(args) => embedding(args),
        Bench::Train(args) => bench_train::run(args),
    }
}

/// Measure one embedding table as a tensor train and as a dense table, on the same lookups.
///
/// Times are medians over the batches, in nanoseconds a lookup, in 32-bit floating point. A step is everything a
/// training iteration does with a table: finding what is the same in the batch, forward, backward and SGD.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm bench embedding                                    Criteo Kaggle's largest table
  dlrm bench embedding --zipf 0 --bags 16384 --rank 64
  dlrm bench embedding --pooling 10 --order sorted --no-dense --json
  dlrm bench embedding --rows 1000000 --dim 64            factors by the paper's rule
  dlrm bench embedding --save-workload lookups.safetensors
  dlrm bench embedding --workload lookups.safetensors     the same lookups, again or from elsewhere"
)]
pub(super) struct EmbeddingArgs {
    /// Rows of the table
    #[arg(long, default_value_t = Generator::default().rows)]
    rows: u64,
    /// Embedding dimension
    #[arg(long, default_value_t = 16)]
    dim: usize,
    /// Row factors of the cores, at least as many rows when multiplied [default: by the paper's rule, 200,220,250]
    #[arg(long, value_name = "FACTORS", value_delimiter = ',', requires = "col_factors")]
    row_factors: Option<Vec<usize>>,
    /// Column factors of the cores, the embedding dimension when multiplied [default: by the paper's rule, 2,2,4]
    #[arg(long, value_name = "FACTORS", value_delimiter = ',', requires = "row_factors")]
    col_factors: Option<Vec<usize>>,
    /// TT-rank
    #[arg(long, default_value_t = 32)]
    rank: usize,
    /// Bags of a batch
    #[arg(long, default_value_t = Generator::default().bags)]
    bags: usize,
    /// Lookups of a bag
    #[arg(long, default_value_t = Generator::default().pooling)]
    pooling: usize,
    /// Popularity: rank k is looked up in proportion to 1 / k^ZIPF; 0 is uniform
    #[arg(long, default_value_t = Generator::default().zipf)]
    zipf: f64,
    /// Which row has a popularity rank
    #[arg(long, value_enum, default_value_t = OrderArg::Scattered)]
    order: OrderArg,
    /// Batches that are timed, after a few that are not
    #[arg(long, default_value_t = Generator::default().batches)]
    batches: usize,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    backend: BackendArgs,
    /// Read the lookups from a safetensors file: `indices` [batches, lookups] and `offsets` [bags + 1], both int64
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bags", "pooling", "zipf", "order", "batches"])]
    workload: Option<PathBuf>,
    /// Write the lookups to such a file
    #[arg(long, value_name = "FILE")]
    save_workload: Option<PathBuf>,
    /// Leave out the dense table, which takes as much memory as it is large
    #[arg(long)]
    no_dense: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum OrderArg {
    /// Any: a random bijection
    Scattered,
    /// The rank itself: popular rows are neighbours and share more work
    Sorted,
}

impl From<OrderArg> for Order {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::Scattered => Self::Scattered,
            OrderArg::Sorted => Self::Sorted,
        }
    }
}

impl EmbeddingArgs {
    fn settings(&self) -> Result<Settings, Box<dyn std::error::Error>> {
        let shape = match (&self.row_factors, &self.col_factors) {
            (Some(rows), Some(columns)) => TtShape::with_rank(self.rows, rows, columns, self.rank)?,
            _ => TtShape::paper(self.rows, self.dim, CORES, self.rank)?,
        };
        if shape.dim() != self.dim {
            let factors = report::factors(shape.col_factors());
            return Err(format!("column factors {factors} make rows of {}, not {}", shape.dim(), self.dim).into());
        }
        Ok(Settings { shape, dense: !self.no_dense, seed: self.seed })
    }

    fn workload(&self) -> Result<Workload, bench::WorkloadError> {
        if let Some(path) = &self.workload {
            return Workload::load(path, self.rows);
        }
        let &Self { rows, bags, pooling, zipf, batches, seed, .. } = self;
        Workload::generate(&Generator { rows, bags, pooling, zipf, order: self.order.into(), batches, seed })
    }
}

fn embedding(args: &EmbeddingArgs) -> super::Result {
    let settings = args.settings()?;
    let workload = args.workload()?;
    if let Some(path) = &args.save_workload {
        workload.save(path)?;
    }
    let (threads, progress) = (args.backend.threads(), Progress::new());
    let tell = |doing: &str| progress.tell(doing);
    let report = match args.backend.backend {
        BackendArg::Cpu => {
            let (backend, mut queue) = (Cpu::<f32>::new()?, Threads::new(threads)?);
            let host = Host { backend: "cpu".into(), isa: backend.isa().to_string(), threads: queue.count() };
            // From one of the threads, as a training loop would.
            let threads = queue.clone();
            threads.install(|| bench::run(|| backend, &mut queue, &settings, &workload, host, tell))?
        }
        BackendArg::Reference => {
            let host = Host { backend: "reference".into(), isa: "portable".into(), threads };
            bench::run(Reference::new, &mut (), &settings, &workload, host, tell)?
        }
        #[cfg(feature = "cuda")]
        BackendArg::Cuda => {
            let (backend, mut queue) = super::backend::cuda(threads)?;
            let host = Host { backend: "cuda".into(), isa: "none".into(), threads };
            bench::run(|| backend.clone(), &mut queue, &settings, &workload, host, tell)?
        }
    };
    progress.finish();
    if args.json {
        report::json(&report)?
    } else {
        print(&report)?
    }
    Ok(())
}

/// What is going on, on standard error: one moving line on a terminal, one line each elsewhere.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new() -> Self {
        let spinner = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(spinner) = &spinner {
            // Redrawn seldom: the drawing thread runs beside what is measured.
            spinner.enable_steady_tick(Duration::from_millis(500));
        }
        Self(spinner)
    }

    pub(super) fn tell(&self, doing: &str) {
        match &self.0 {
            Some(spinner) => spinner.set_message(doing.to_string()),
            None => eprintln!("{doing}"),
        }
    }

    pub(super) fn finish(self) {
        if let Some(spinner) = self.0 {
            spinner.finish_and_clear();
        }
    }
}

fn print(r: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let factors = [&r.row_factors, &r.col_factors].map(|factors| report::factors(factors));
    let (table, dense) = (report::bytes(r.table_bytes as u128), report::bytes(r.dense_table_bytes));
    let popularity = match (r.zipf, r.order) {
        (Some(0.0), _) => ", uniform".to_string(),
        (Some(zipf), Some(order)) => format!(", Zipf {zipf}, {}", order.name()),
        _ => String::new(),
    };
    let threads = if r.host.threads == 1 { "thread" } else { "threads" };
    writeln!(out, "Table     {} rows of {}: {table} as a tensor train, {dense} dense", r.rows, r.dim)?;
    writeln!(out, "          row factors {}, column factors {}, rank {}", factors[0], factors[1], r.rank)?;
    writeln!(
        out,
        "Batches   {} of {} bags, {} lookups ({} a bag){popularity}",
        r.batches, r.bags, r.lookups, r.pooling
    )?;
    writeln!(out, "          on average {:.1} different rows, {:.1} different pairs", r.unique_rows, r.unique_pairs)?;
    writeln!(out, "Backend   {} ({}), {} {threads}\n", r.host.backend, r.host.isa, r.host.threads)?;

    writeln!(out, "Nanoseconds a lookup              tensor train        dense")?;
    let rows = [
        ("forward", r.forward_ns_per_lookup, r.dense_forward_ns_per_lookup),
        ("step (forward, backward, SGD)", r.sgd_step_ns_per_lookup, r.dense_step_ns_per_lookup),
    ];
    for (name, train, dense) in rows {
        let dense = dense.map_or("not measured".into(), |dense| format!("{dense:.1}"));
        writeln!(out, "  {name:<30} {train:>13.1} {dense:>12}")?;
    }
    writeln!(out, "  {:<30} {:>13.1}", "step with AdaGrad-Norm", r.step_ns_per_lookup)?;
    writeln!(out, "  {:<30} {:>13.1}", "merging duplicates, in a step", r.group_ns_per_lookup)?;
    let share = r.validate_share * 100.0;
    writeln!(
        out,
        "  {:<30} {:>13.1} {share:>11.2}% of a step",
        "checking the indices, before", r.validate_ns_per_lookup
    )?;

    writeln!(out)?;
    if let (Some(flops), Some(gflops), Some(share)) = (r.flops_per_step, r.gflops, r.gflops_share) {
        writeln!(out, "A step needs {:.1} million operations: {gflops:.2} GFLOP/s,", flops / 1e6)?;
        writeln!(out, "{:.1}% of a large matrix product's {:.1} GFLOP/s.", share * 100.0, r.machine_gflops)?;
    } else {
        writeln!(out, "A large matrix product runs at {:.1} GFLOP/s.", r.machine_gflops)?;
    }
    writeln!(out, "Working memory of a batch: {}.", report::bytes(r.workspace_bytes as u128))
}
