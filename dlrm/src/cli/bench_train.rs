//! `dlrm bench train`: what an iteration of a whole model costs.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use dlrm::bench::train::{self, Report, Settings};
use dlrm::bench::{Batches, Host};
use dlrm::presets::Preset;
use dlrm::train::CoreRuleName;
use ttcore::Reference;
use ttcore_cpu::{Cpu, Threads};

use super::backend::{BackendArg, BackendArgs};
use super::bench::{OrderArg, Progress};
use super::report;

/// Measure one training iteration of a whole model, phase by phase, on random samples.
///
/// Times are medians over the iterations, in 32-bit floating point with SGD, cores with AdaGrad-Norm. Reading data is not
/// measured: the batches are in memory.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm bench train                                   Criteo Kaggle, its seven largest tables as tensor trains
  dlrm bench train --batch 2048 --threads 1
  dlrm bench train --tt-tables 0                     all tables dense: 2.2 GB, twice that while they are drawn
  dlrm bench train --tt-rule element-wise            cores trained with SGD like all else
  dlrm bench train --cache-fraction 0.0001           with the most popular rows uncompressed
  dlrm bench train --save-workload batches.safetensors --json"
)]
pub(super) struct Args {
    /// Sizes of tables and layers: kaggle, terabyte, mlperf or dcnv2
    #[arg(long, default_value_t = Settings::default().preset)]
    preset: Preset,
    /// Samples of a batch [default: the preset's]
    #[arg(long)]
    batch: Option<usize>,
    /// How many of the largest tables are held as tensor trains
    #[arg(long, default_value_t = Settings::default().tt_tables)]
    tt_tables: usize,
    /// Their TT-rank
    #[arg(long, default_value_t = Settings::default().tt_rank)]
    tt_rank: usize,
    /// How their cores are trained
    #[arg(long, value_enum, default_value_t = CoreRuleName::AdagradNorm)]
    tt_rule: CoreRuleName,
    /// Fraction of their rows that is cached uncompressed
    #[arg(long, default_value_t = Settings::default().cache_fraction)]
    cache_fraction: f64,
    /// Popularity: rank k is looked up in proportion to 1 / k^ZIPF; 0 is uniform
    #[arg(long, default_value_t = Settings::default().zipf)]
    zipf: f64,
    /// Which row has a popularity rank
    #[arg(long, value_enum, default_value_t = OrderArg::Scattered)]
    order: OrderArg,
    /// Iterations that are timed, after a few that are not
    #[arg(long, default_value_t = Settings::default().iterations)]
    iterations: usize,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    backend: BackendArgs,
    /// Write the batches to a safetensors file, for dlrm/benches/pytorch_dlrm.py
    #[arg(long, value_name = "FILE")]
    save_workload: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> super::Result {
    let &Args { preset, tt_tables, tt_rank, cache_fraction, zipf, iterations, seed, .. } = args;
    let batch = args.batch.unwrap_or(preset.batch_size());
    let order = args.order.into();
    let core_rule = args.tt_rule.core_rule();
    let settings =
        Settings { preset, batch, tt_tables, tt_rank, core_rule, cache_fraction, zipf, order, iterations, seed };
    let config = settings.model()?;
    let batches = Batches::generate(&settings, settings.batches())?;
    if let Some(path) = &args.save_workload {
        batches.save(path, &settings)?;
    }
    let (threads, progress, model) = (args.backend.threads(), Progress::new(), (&settings, config));
    let tell = |doing: &str| progress.tell(doing);
    let report = match args.backend.backend {
        BackendArg::Cpu => {
            let (backend, mut queue) = (Cpu::<f32>::new()?, Threads::new(threads)?);
            let host = Host { backend: "cpu".into(), isa: backend.isa().to_string(), threads: queue.count() };
            // From one of the threads, as a training loop would.
            let threads = queue.clone();
            threads.install(|| train::run(backend, &mut queue, model, &batches, host, tell))?
        }
        BackendArg::Reference => {
            let host = Host { backend: "reference".into(), isa: "portable".into(), threads };
            train::run(Reference::new(), &mut (), model, &batches, host, tell)?
        }
        #[cfg(feature = "cuda")]
        BackendArg::Cuda => {
            let (backend, mut queue) = super::backend::cuda(threads)?;
            let host = Host { backend: "cuda".into(), isa: "none".into(), threads };
            train::run(backend, &mut queue, model, &batches, host, tell)?
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

fn print(r: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let threads = if r.host.threads == 1 { "thread" } else { "threads" };
    let (bytes, dense) = (report::bytes(r.table_bytes), report::bytes(r.dense_table_bytes));
    writeln!(out, "Model     {}: tables of {bytes}, {dense} if all were dense", r.preset)?;
    if r.tt_table_numbers.is_empty() {
        writeln!(out, "          no tensor trains")?;
    } else {
        writeln!(
            out,
            "          tensor trains of rank {}{}: tables {}",
            r.tt_rank,
            if r.element_wise { ", trained element by element" } else { "" },
            report::factors(&r.tt_table_numbers)
        )?;
    }
    if let Some(rate) = r.hit_rate {
        writeln!(
            out,
            "          {}% of their rows cached, for {:.1}% of their lookups",
            r.cache_fraction * 1e2,
            rate * 1e2
        )?;
    }
    writeln!(
        out,
        "Batches   {} of {} samples, Zipf {}, {}, {} in all",
        r.iterations,
        r.batch,
        r.zipf,
        r.order.name(),
        report::bytes(r.workload_bytes as u128)
    )?;
    writeln!(out, "Backend   {} ({}), {} {threads}\n", r.host.backend, r.host.isa, r.host.threads)?;

    writeln!(out, "An iteration takes {:.3} ms: {:.0} samples a second.", r.ms_per_iteration, r.samples_per_second)?;
    for (name, time) in &r.phases {
        let share = time / r.ms_per_iteration * 100.0;
        writeln!(out, "  {:<22} {time:>9.3} ms {share:>6.1}%", name.replace('_', " "))?;
    }
    writeln!(
        out,
        "The MLPs need {:.2} million operations a sample, {:.3} ms at a large matrix product's {:.1} GFLOP/s.",
        r.mlp_flops as f64 / 1e6,
        r.mlp_floor_ms,
        r.machine_gflops
    )?;
    write!(out, "Working memory of the tables: {}.", report::bytes(r.workspace_bytes as u128))?;
    match r.peak_rss_bytes {
        Some(peak) => writeln!(out, " Most memory ever: {}.", report::bytes(peak.into())),
        None => writeln!(out),
    }
}
