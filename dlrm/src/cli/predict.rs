//! `dlrm predict`: a probability for each line.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args as ClapArgs;
use dlrm::data::Source;
use dlrm::model::Engine;
use dlrm::predict::{LineSettings, PredictError, Predicted, Predictor, predict_lines};
use serde::Serialize;
use ttcore::Reference;
use ttcore_cpu::{Cpu, Threads};

use super::backend::{BackendArg, BackendArgs};
use super::interrupt::Interrupt;
use super::meter::{Meter, Unit};
use super::report;

/// Predict a probability for each line.
///
/// Lines have the form of the Criteo challenges, with a label, which is not looked at, or without; plain or compressed with
/// gzip. They are gone through as a stream: memory does not grow with them. Categories are numbered by the model's own
/// vocabulary; what it does not know has no row, or the one of rare categories (dlrm prepare --min-count). The probability of a
/// line does not depend on the lines beside it: it is that of dlrm eval, bit for bit.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm predict --model model test.txt -o probabilities.txt
  dlrm predict --model run/final.safetensors day_23.gz --skip-bad > probabilities.txt
  zstd -dc test.zst | dlrm predict --model model -"
)]
pub(super) struct Args {
    /// Folder of `dlrm export`, or a checkpoint in the folder of its run
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Files to read, one after the other; - for standard input
    #[arg(required = true, value_name = "LINES")]
    files: Vec<PathBuf>,
    /// File to write to, one number a line; it appears when all is done [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Give a line that is malformed an empty line instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Lines that are predicted together; the result is the same for any number
    #[arg(long, default_value = "1024", value_name = "LINES")]
    batch_size: NonZeroUsize,
    #[command(flatten)]
    backend: BackendArgs,
    /// End standard error with one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// What was predicted.
#[derive(Serialize)]
struct Summary {
    #[serde(flatten)]
    predicted: Predicted,
    seconds: f64,
    lines_per_second: f64,
}

pub(super) fn run(args: &Args) -> super::Result {
    let output = args.output.as_deref();
    if let Some(path) = output.filter(|path| {
        args.files.iter().any(|file| super::same_file(file, path)) || super::same_file(&args.model, path)
    }) {
        return Err(format!("{} is read: write to another file", path.display()).into());
    }
    let interrupt = &Interrupt::catch()?;
    let summary = match args.backend.backend {
        BackendArg::Cpu => {
            let mut queue = Threads::new(args.backend.threads())?;
            let (backend, threads) = (Cpu::<f32>::new()?, queue.clone());
            threads.install(|| predict(args, interrupt, backend, &mut queue))
        }
        BackendArg::Reference => predict(args, interrupt, Reference::<f32>::new(), &mut ()),
        #[cfg(feature = "cuda")]
        BackendArg::Cuda => {
            let (backend, mut queue) = super::backend::cuda(args.backend.threads())?;
            predict(args, interrupt, backend, &mut queue)
        }
    };
    match summary {
        // Whoever reads has had enough.
        Err(PredictError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
        summary => Ok(tell(args, &summary?)?),
    }
}

fn predict<B: Engine>(
    args: &Args,
    interrupt: &Interrupt,
    backend: B,
    queue: &mut B::Queue,
) -> Result<Summary, PredictError> {
    let mut predictor = Predictor::open(backend, queue, &args.model, args.batch_size.get())?;
    let mut meter = Meter::new("predicting", Unit::Bytes);
    let start = Instant::now();
    let source = match args.files.as_slice() {
        [file] if file.as_os_str() == "-" => Source::Reader(Box::new(io::stdin()), Path::new("standard input")),
        files => Source::Files(files),
    };
    let settings = LineSettings { skip_bad: args.skip_bad };
    let go = |out: &mut dyn Write| {
        predict_lines(&mut predictor, queue, source, settings, out, |progress| {
            meter.tell(progress.read, progress.total);
            !interrupt.wanted()
        })
    };
    let predicted = match &args.output {
        None => go(&mut BufWriter::new(io::stdout().lock())),
        Some(path) => replace(path, go),
    };
    meter.finish();
    let (predicted, seconds) = (predicted?, start.elapsed().as_secs_f64());
    Ok(Summary { predicted, seconds, lines_per_second: predicted.lines as f64 / seconds })
}

fn tell(args: &Args, summary: &Summary) -> Result<(), serde_json::Error> {
    if args.json {
        eprintln!("{}", serde_json::to_string(&summary)?);
    } else {
        let Summary { predicted: Predicted { lines, skipped, unseen, cut }, seconds, lines_per_second } = *summary;
        let skipped =
            if skipped > 0 { format!(", {} of them skipped", report::grouped(skipped)) } else { String::new() };
        let cut = if cut > 0 { format!(", {} left out of long lists", report::grouped(cut)) } else { String::new() };
        eprintln!(
            "{} lines{skipped}, {} values unseen in training{cut}, {seconds:.1} s, {lines_per_second:.0} lines/s",
            report::grouped(lines),
            report::grouped(unseen)
        );
    }
    Ok(())
}

/// Writes a file under another name first, so that it is whole or not there.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<Predicted, PredictError>,
) -> Result<Predicted, PredictError> {
    // A pipe or a device is no file to be replaced.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let file = File::options().write(true).open(path).map_err(PredictError::Write)?;
        return write(&mut BufWriter::new(file));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let made = || {
        let file = File::create(&temporary).map_err(PredictError::Write)?;
        let mut out = BufWriter::new(file);
        let predicted = write(&mut out)?;
        out.into_inner().map_err(|error| PredictError::Write(error.into_error()))?;
        fs::rename(&temporary, path).map_err(PredictError::Write)?;
        Ok(predicted)
    };
    let outcome = made();
    if outcome.is_err() {
        // The first error says more than that this failed, too.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}
