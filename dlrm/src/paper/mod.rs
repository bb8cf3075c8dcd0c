//! The paper's figures and tables by one command, and what a tensor train is worth at equal bytes.
//!
//! ```text
//! Item      one figure or table: the runs it wants, and what they show     items
//! Scope     how large runs are, and on which lines                         scope
//! Work      a run, as plain data: TrainRun, TimeRun                        work, time
//! Executor  runs what is not finished                                      execute
//! Store     finished runs, a JSON object a line, used again                store, fingerprint
//! Found     pictures, numbers and verdicts on claims                       found, claims
//! page      all of it as files and one page                                page
//! ```
//!
//! An item asks for its runs in stages: what it asks for may depend on runs that are finished, as a learning rate is chosen
//! before it is used. Items that want the same run share it.

mod claims;
mod execute;
mod fingerprint;
mod found;
mod items;
mod page;
mod scope;
mod store;
mod time;
mod work;

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::ValueEnum;
use ttcore_cpu::Cpu;
use twox_hash::XxHash3_64;

pub use claims::Claim;
pub use execute::Watch;
pub use found::{Found, Judged, Numbers, Picture, Verdict};
pub use items::Item;
pub use scope::{Budget, Scope};
pub use store::{Machine, Record};
pub use time::{TimeResult, TimeRun, Timed};
pub use work::{Lines, Outcome, TrainResult, TrainRun, Work};

use crate::bench::machine_gflops;
use crate::data::{Dataset, RowError};
use claims::Claims;
use execute::Executor;
use scope::{Known, Machines};
use store::{Program, Store};

/// What is asked for.
#[derive(Debug)]
pub struct Options {
    /// The items, in any order.
    pub items: Vec<Item>,
    /// How large the runs are.
    pub budget: Budget,
    /// Seeds of each; those of the budget if not given.
    pub seeds: Option<u64>,
    /// Lines instead of planted ones, with a name for titles.
    pub data: Option<(String, Dataset)>,
    /// Where everything goes.
    pub folder: PathBuf,
    /// The command, for the page.
    pub command: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The claims of the items asked for.
    pub judged: Vec<Judged>,
    /// The page.
    pub page: PathBuf,
}

/// Why there is no page.
#[derive(Debug)]
#[non_exhaustive]
pub enum PaperError {
    /// A file could not be read or written.
    Io(io::Error),
    /// Something could not be run, or shown.
    Run(String),
    /// The user stopped it; what is finished is kept.
    Interrupted,
}

impl fmt::Display for PaperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Run(reason) => f.write_str(reason),
            Self::Interrupted => f.write_str("interrupted: finished runs are kept, and the same command goes on"),
        }
    }
}

impl std::error::Error for PaperError {}

impl From<io::Error> for PaperError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs what is not finished of the items, and writes what all finished items of the folder show.
///
/// # Errors
///
/// [`PaperError`].
pub fn run(options: Options, watch: &dyn Watch) -> Result<Report, PaperError> {
    let Options { items, budget, seeds, data, folder, command } = options;
    fs::create_dir_all(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    let claims = Claims::read().map_err(PaperError::Run)?;
    watch.begin("measuring the machine");
    let program = program()?;
    let mut store = Store::open(&folder.join("runs.jsonl"))?;
    let damaged = |error: RowError| PaperError::Run(error.to_string());
    let (name, given) = match data {
        // A prepared directory stays mapped.
        Some((name, data)) if data.is_by_popularity().map_err(damaged)? => (Some(name), Some(Arc::new(data))),
        Some((name, data)) => (Some(name), Some(Arc::new(data.by_popularity().map_err(damaged)?))),
        None => (None, None),
    };
    let scope = Scope::new(budget, seeds, name.zip(given.as_deref()));
    loop {
        let known = Known { program: &program, store: &store, given: given.as_deref(), of_any: None };
        let wanted: Vec<Work> = items.iter().flat_map(|item| item.plan(&scope, &known)).collect();
        if wanted.iter().all(|work| known.outcome(work).is_some()) {
            break;
        }
        Executor { program: &program, store: &mut store, given: given.clone(), watch }.run(&wanted)?;
    }
    let known = Known { program: &program, store: &store, given: given.as_deref(), of_any: None };
    let mut shown = Vec::new();
    for &item in Item::value_variants() {
        if items.contains(&item) {
            shown.push((item, item.show(&scope, &known, &claims).map_err(PaperError::Run)?));
            continue;
        }
        // Those of other calls, too, so that the page has all there is.
        let machines = Machines::default();
        let known = Known { of_any: Some(&machines), ..known };
        if item.has_runs() && item.plan(&scope, &known).iter().all(|work| known.outcome(work).is_some()) {
            let mut found = item.show(&scope, &known, &claims).map_err(PaperError::Run)?;
            let machines = machines.into_inner().into_iter().collect::<Vec<_>>().join("; ");
            found.notes.push(format!("From runs on {machines}."));
            shown.push((item, found));
        }
    }
    let page = page::write(&folder, &page::Made { command, scope: &scope, machine: &program.machine }, &shown)?;
    let judged = shown.into_iter().filter(|(item, _)| items.contains(item)).flat_map(|(_, found)| found.judged);
    Ok(Report { judged: judged.collect(), page })
}

fn program() -> Result<Program, PaperError> {
    let executable = fs::read(std::env::current_exe()?)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let isa = Cpu::<f32>::new().map_err(|error| PaperError::Run(error.to_string()))?.isa().to_string();
    let machine = Machine { processor: processor(), threads, isa, gflops: machine_gflops(threads) };
    Ok(Program {
        fingerprints: fingerprint::fingerprints().map_err(PaperError::Run)?,
        executable: XxHash3_64::oneshot(&executable),
        machine,
    })
}

/// The processor's own name, where the system says it in the manner of Linux.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}
