//! `dlrm eval`: metrics of a trained model.

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use dlrm::checkpoint::Checkpoint;
use dlrm::data::{Dataset, Numbering, Vocabulary};
use dlrm::frequency::{self, ByFrequency};
use dlrm::model::Engine;
use dlrm::train::{DataIdentity, Evaluation, Part, TrainError, Trainer};
use serde::Serialize;
use ttcore::Reference;
use ttcore_cpu::{Cpu, Threads};

use super::backend::{BackendArg, BackendArgs};
use super::console::Console;
use super::interrupt::Interrupt;
use super::{by_frequency, data, report};

/// Evaluate a trained model.
///
/// The model is made from the checkpoint alone. Lines may be any: they are numbered by the vocabulary that the run left beside
/// its checkpoints, and what that does not know has no row. A prepared directory must be numbered by the same vocabulary (dlrm
/// prepare --vocabulary). Without --data, the lines that a run without --data made are made again.
///
/// With --by-frequency, the log loss is told apart by how often a row of the largest tables occurs in the training lines:
/// how well does the model predict where it has seen little?
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm eval --checkpoint run/final.safetensors --data train.txt
  dlrm eval --checkpoint run/final.safetensors --data train.txt --split validation --json
  dlrm eval --checkpoint run/final.safetensors --data other.txt --split all
  dlrm eval --checkpoint run/final.safetensors --data train.txt --by-frequency --largest 3
  dlrm eval --checkpoint run/final.safetensors       of a run on lines that dlrm train made"
)]
pub(super) struct Args {
    /// Checkpoint of the model
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// File or prepared directory to evaluate on [default: lines made as in training]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Which of its lines
    #[arg(long, value_enum, default_value_t = Part::Test)]
    split: Part,
    /// Also log loss by how often rows of the largest tables occur in training
    #[arg(long)]
    by_frequency: bool,
    /// How many of the model's tables count as the largest
    #[arg(long, default_value = "7", value_name = "TABLES", requires = "by_frequency")]
    largest: NonZeroUsize,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Serialize)]
struct Evaluated<'a> {
    checkpoint: &'a PathBuf,
    /// Iterations the model was trained.
    iteration: u64,
    split: Part,
    /// Whether the data is what it was trained on.
    same_data: bool,
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(flatten)]
    by_frequency: Option<ByFrequency>,
}

/// What is evaluated.
#[derive(Clone, Copy)]
struct Wanted {
    split: Part,
    /// Of how many tables rare rows are told from others, if they are.
    largest: Option<usize>,
}

pub(super) fn run(args: &Args) -> super::Result {
    let mut checkpoint = Checkpoint::open(&args.checkpoint)?;
    checkpoint.verify()?;
    let trained_on = checkpoint.description().data.clone();
    let seed = checkpoint.description().settings.seed;
    let pool = args.backend.pool()?;
    let data = pool.install(|| numbered(args, &trained_on, seed)).map_err(|error| -> Box<dyn Error> { error })?;
    drop(pool);
    let identity = DataIdentity::of(&data);
    let same_data = identity.difference(&trained_on).is_none();
    if !same_data && args.data.is_none() {
        return Err("the model was not trained on lines that dlrm train made: give its data with --data".into());
    }
    if !identity.same_vocabulary(&trained_on) {
        return Err(unlike(args).into());
    }
    if !same_data && trained_on.vocabulary.is_none() {
        eprintln!("warning: the model was trained on other data, where the numbers of categories may mean others");
    }

    let mut console = Console::new(Interrupt::catch()?, None);
    let iteration = checkpoint.iteration();
    let wanted = Wanted { split: args.split, largest: args.by_frequency.then_some(args.largest.get()) };
    let evaluated = match args.backend.backend {
        BackendArg::Cpu => {
            let mut queue = Threads::new(args.backend.threads())?;
            let (backend, threads) = (Cpu::<f32>::new()?, queue.clone());
            threads.install(|| evaluate(backend, &mut queue, &data, identity, &mut checkpoint, wanted, &mut console))
        }
        BackendArg::Reference => {
            let backend = Reference::<f32>::new();
            evaluate(backend, &mut (), &data, identity, &mut checkpoint, wanted, &mut console)
        }
        #[cfg(feature = "cuda")]
        BackendArg::Cuda => {
            let (backend, mut queue) = super::backend::cuda(args.backend.threads())?;
            evaluate(backend, &mut queue, &data, identity, &mut checkpoint, wanted, &mut console)
        }
    };
    console.finish();
    let ((evaluation, by_frequency), split) = (evaluated?, args.split);
    if evaluation.lines == 0 {
        let held = "of less than seven lines none are held out; --split all evaluates on all";
        return Err(format!("there are no {split} lines: {held}").into());
    }
    if args.json {
        let checkpoint = &args.checkpoint;
        report::json(&Evaluated { checkpoint, iteration, split, same_data, evaluation, by_frequency })?;
    } else {
        print(split, &evaluation, by_frequency.as_ref())?;
    }
    Ok(())
}

/// The lines, numbered as those that the model was trained on, where they can be.
fn numbered(args: &Args, trained_on: &DataIdentity, seed: u64) -> Result<Dataset, Box<dyn Error + Send + Sync>> {
    let path = args.data.as_ref();
    let folder = args.checkpoint.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (Some(path), true) = (path.filter(|path| !path.is_dir()), folder.join(Vocabulary::FILE).exists())
        && let Some(vocabulary) = trained_on.open_vocabulary(folder)?
    {
        vocabulary.verify(folder)?;
        return Ok(data::read_numbered(path, vocabulary)?);
    }
    let data = data::read_or_make((path, None), trained_on.lines as u64, seed, Numbering::Appearance)?;
    // Lines of a model whose method needs it were numbered by popularity; a prepared directory is as it is.
    if path.is_none_or(|path| !path.is_dir()) && DataIdentity::of(&data).difference(trained_on).is_some() {
        let renumbered = data.by_popularity()?;
        if DataIdentity::of(&renumbered).difference(trained_on).is_none() {
            return Ok(renumbered);
        }
    }
    Ok(data)
}

/// What to do about lines that are numbered by another vocabulary.
fn unlike(args: &Args) -> String {
    let (checkpoint, folder) =
        (args.checkpoint.display(), args.checkpoint.parent().unwrap_or(Path::new(".")).display());
    match args.data.as_ref().filter(|path| path.is_dir()) {
        Some(path) => format!(
            "the categories of {} have other numbers than those that {checkpoint} was trained on: prepare its lines with \
             --vocabulary {folder}",
            path.display()
        ),
        None => format!(
            "{checkpoint} was trained on other lines, and {folder} does not have their {}, by which these could be numbered",
            Vocabulary::FILE
        ),
    }
}

fn print(split: Part, evaluation: &Evaluation, by_frequency: Option<&ByFrequency>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    report::metrics(&mut out, &split.to_string(), evaluation)?;
    if let Some(by) = by_frequency {
        by_frequency::print(&mut out, by)?;
    }
    out.flush()
}

fn evaluate<B: Engine>(
    backend: B,
    queue: &mut B::Queue,
    data: &Dataset,
    identity: DataIdentity,
    checkpoint: &mut Checkpoint,
    wanted: Wanted,
    console: &mut Console,
) -> Result<(Evaluation, Option<ByFrequency>), TrainError> {
    let settings = checkpoint.description().settings.clone();
    let mut trainer = Trainer::new(backend, queue, data, identity, settings)?;
    trainer.restore(queue, checkpoint)?;
    let iteration = checkpoint.iteration();
    let Wanted { split, largest } = wanted;
    let evaluated = match largest {
        None => trainer.evaluate(queue, split, console)?.map(|evaluation| (evaluation, None)),
        Some(largest) => frequency::evaluate(&mut trainer, queue, split, largest, console)?
            .map(|(evaluation, by_frequency)| (evaluation, Some(by_frequency))),
    };
    match evaluated.ok_or(TrainError::Interrupted { iteration, checkpoint: None })? {
        (Evaluation { lines, non_finite, .. }, _) if non_finite > 0 && non_finite == lines => {
            Err(TrainError::Predictions { part: split, non_finite, lines })
        }
        evaluated => Ok(evaluated),
    }
}
