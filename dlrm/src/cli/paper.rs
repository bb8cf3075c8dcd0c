//! `dlrm paper`: the paper's figures and tables, measured again.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Args as ClapArgs, ValueEnum};
use dlrm::data::Dataset;
use dlrm::paper::{self, Budget, Item, Judged, Options, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::data;
use super::interrupt::Interrupt;

/// Measure the figures and tables of the TT-Rec paper again, and what else could be done with the same bytes.
///
/// Each item is a plan of runs; finished runs are kept in DIR/runs.jsonl, one JSON object a line, and used again as long as
/// the program would come to the same numbers, so that an interrupted command goes on. What they show is written to DIR: an
/// SVG file for each figure, a CSV file for its numbers, and index.html, a page that needs nothing else. Claims of the paper's
/// text end as reproduced, not reproduced, or not testable here; tolerances were fixed before the runs.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm paper --budget quick                     everything, small: about 5 minutes on two cores
  dlrm paper table2 fig5                        what needs no run
  dlrm paper fig6a rivals --seeds 5 -o results
  dlrm paper rivals --data ratings --name \"MovieLens 1M\" --budget standard
  dlrm paper --list                             what there is"
)]
pub(super) struct Args {
    /// Figures and tables [default: all]
    #[arg(value_enum, value_name = "ITEM")]
    items: Vec<Item>,
    /// Prepared directory, or file of lines, to train on instead of planted lines
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// What these lines are called in titles [default: the name of the file]
    #[arg(long, requires = "data")]
    name: Option<String>,
    /// Seeds of each, from 1 [default: the budget's]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// How large the runs are
    #[arg(long, value_enum, default_value_t = Budget::Quick)]
    budget: Budget,
    /// Folder for everything
    #[arg(short, long, value_name = "DIR", default_value = "paper")]
    output: PathBuf,
    /// Say what items there are
    #[arg(long)]
    list: bool,
    /// End standard output with one JSON object instead of a summary
    #[arg(long)]
    json: bool,
}

/// Follows the runs on standard error: one bar on a terminal, a line now and then elsewhere.
struct Follow {
    bar: Option<ProgressBar>,
    interrupt: Interrupt,
    planned: AtomicU64,
    done: AtomicU64,
    start: Instant,
    /// When a line was last written.
    told: Mutex<Instant>,
}

/// Seconds between two lines.
const EVERY: u64 = 30;

impl Follow {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{percent:>3}% {wide_bar} {elapsed} gone, {eta} left  {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let (interrupt, now) = (Interrupt::catch()?, Instant::now());
        let zero = || AtomicU64::new(0);
        Ok(Self { bar, interrupt, planned: zero(), done: zero(), start: now, told: Mutex::new(now) })
    }

    fn line(&self) {
        let Ok(mut told) = self.told.try_lock() else { return };
        if told.elapsed().as_secs() < EVERY {
            return;
        }
        *told = Instant::now();
        let (done, planned) = (self.done.load(Ordering::Relaxed), self.planned.load(Ordering::Relaxed).max(1));
        let share = done as f64 / planned as f64;
        let left = self.start.elapsed().as_secs_f64() * (1.0 - share) / share.max(1e-6);
        eprintln!("{:.0}% done, about {:.0} minutes left", 100.0 * share, left / 60.0);
    }
}

impl Watch for Follow {
    fn plan(&self, weight: u64) {
        self.planned.fetch_add(weight, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc_length(weight);
        }
    }

    fn done(&self, weight: u64) {
        self.done.fetch_add(weight, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => bar.inc(weight),
            None => self.line(),
        }
    }

    fn begin(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    fn stop(&self) -> bool {
        self.interrupt.wanted()
    }
}

/// What came of it, for a program.
#[derive(Serialize)]
struct Summary {
    page: PathBuf,
    claims: Vec<Claimed>,
}

#[derive(Serialize)]
struct Claimed {
    name: String,
    item: String,
    verdict: &'static str,
    because: String,
}

pub(super) fn run(args: &Args) -> super::Result {
    if args.list {
        let mut out = io::stdout().lock();
        return Ok(Item::value_variants()
            .iter()
            .try_for_each(|item| writeln!(out, "{:<8}  {}", format!("{item:?}").to_lowercase(), item.title()))?);
    }
    let given = args.data.as_ref().map(|path| {
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok::<(String, Dataset), Box<dyn std::error::Error>>((args.name.clone().unwrap_or(name), data::read(path)?))
    });
    let items = if args.items.is_empty() { Item::value_variants().to_vec() } else { args.items.clone() };
    let options = Options {
        items,
        budget: args.budget,
        seeds: args.seeds,
        data: given.transpose()?,
        folder: args.output.clone(),
        command: command(),
    };
    let follow = Follow::new()?;
    let report = paper::run(options, &follow);
    if let Some(bar) = &follow.bar {
        bar.finish_and_clear();
    }
    let report = report?;
    if args.json {
        let claim = |judged: Judged| Claimed {
            name: judged.claim.name,
            item: judged.claim.item,
            verdict: judged.verdict.name(),
            because: judged.because,
        };
        let claims = report.judged.into_iter().map(claim).collect();
        super::report::json(&Summary { page: report.page, claims })?;
        return Ok(());
    }
    let mut out = io::stdout().lock();
    for Judged { claim, verdict, because } in &report.judged {
        writeln!(out, "{:<17} {:<7} {}\n{:25} here: {because}", verdict.name(), claim.item, claim.says, "")?;
    }
    writeln!(out, "The page is {}", report.page.display())?;
    Ok(())
}

/// The command as it was given, with the name of the program alone.
fn command() -> String {
    std::iter::once("dlrm".to_owned()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}
