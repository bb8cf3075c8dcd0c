//! The command line: one file a command. The backend is chosen here, once.

mod backend;
mod bench;
mod bench_train;
mod by_frequency;
mod console;
mod data;
mod eval;
mod export;
mod inspect;
mod interrupt;
mod log;
mod memory;
mod meter;
mod paper;
mod plot;
mod predict;
mod prepare;
mod report;
mod shapes;
mod synth;
mod train;

use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dlrm::paper::PaperError;
use dlrm::predict::PredictError;
use dlrm::train::TrainError;

/// Deep learning recommendation model (DLRM) with tensor-train compressed embedding tables (TT-Rec).
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // The largest, and made once.
    Train(Box<train::Args>),
    Eval(eval::Args),
    Export(export::Args),
    Predict(predict::Args),
    Inspect(inspect::Args),
    Prepare(prepare::Args),
    Synth(Box<synth::Args>),
    Shapes(shapes::Args),
    Memory(memory::Args),
    Paper(paper::Args),
    Plot(plot::Args),
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Runs the command given, and says in one line what went wrong.
pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Prepare(args) => prepare::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Shapes(args) => shapes::run(&args),
        Command::Memory(args) => memory::run(&args),
        Command::Paper(args) => paper::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Bench(bench) => bench::run(&bench),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => usage.exit(),
            Err(error) => {
                eprintln!("error: {error}");
                if is_interrupt(error.as_ref()) { ExitCode::from(interrupt::EXIT) } else { ExitCode::FAILURE }
            }
        },
    }
}

/// Whether whoever reads our output has had enough, as `head` does.
fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Whether the user stopped us.
fn is_interrupt(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(TrainError::Interrupted { .. }))
        || matches!(error.downcast_ref(), Some(PaperError::Interrupted))
        || matches!(error.downcast_ref(), Some(PredictError::Interrupted))
}

/// The most threads that can be asked for: starting tens of thousands stops the machine.
const MOST_THREADS: usize = 1024;

/// A number of threads, for clap.
fn threads(text: &str) -> std::result::Result<NonZeroUsize, String> {
    let threads = text.parse::<NonZeroUsize>().ok().filter(|threads| threads.get() <= MOST_THREADS);
    threads.ok_or_else(|| format!("not a number of threads from 1 to {MOST_THREADS}"))
}

/// Threads to go through data on, all cores if their number is not given.
fn pool(threads: Option<NonZeroUsize>) -> std::result::Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, NonZeroUsize::get)).build()
}

/// Whether two paths are of one file, which is there.
fn same_file(a: &Path, b: &Path) -> bool {
    a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}

/// What a command ends with.
type Result = std::result::Result<(), Box<dyn std::error::Error>>;
