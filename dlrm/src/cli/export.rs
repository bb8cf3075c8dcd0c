//! `dlrm export`: a trained model and its vocabulary as one folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use dlrm::checkpoint::{Checkpoint, CheckpointError, CheckpointErrorKind};
use dlrm::data::Vocabulary;
use serde::Serialize;

use super::report;

/// Write a trained model as one folder that predicts and can be moved.
///
/// The folder has the parameters, without what only training needs, and the vocabulary: which number each category has. The
/// vocabulary is that which the run left beside its checkpoints, unless --vocabulary says where it is.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm train --data train.txt --checkpoint-dir run
  dlrm export --checkpoint run/final.safetensors -o model
  dlrm predict --model model test.txt -o probabilities.txt"
)]
pub(super) struct Args {
    /// Checkpoint of the model
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Folder to write to; a model that is there already is replaced
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Folder of the vocabulary: a prepared directory or that of a run [default: the checkpoint's]
    #[arg(long, value_name = "DIR")]
    vocabulary: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What was written.
#[derive(Serialize)]
struct Exported<'a> {
    model: &'a Path,
    model_bytes: u64,
    vocabulary: PathBuf,
    vocabulary_bytes: u64,
    /// Iterations the model was trained.
    iteration: u64,
}

pub(super) fn run(args: &Args) -> super::Result {
    let mut checkpoint = Checkpoint::open(&args.checkpoint)?;
    checkpoint.verify()?;
    let beside = || args.checkpoint.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = args.vocabulary.as_deref().unwrap_or_else(beside);
    let vocabulary = checkpoint.description().data.open_vocabulary(folder)?;
    let none = || CheckpointError { path: args.checkpoint.clone(), kind: CheckpointErrorKind::NoVocabulary };
    let vocabulary = vocabulary.ok_or_else(none)?;
    vocabulary.verify(folder)?;
    let target = checkpoint.export(&vocabulary, &args.output)?;
    let exported = Exported {
        model: &target.path,
        model_bytes: std::fs::metadata(&target.path)?.len(),
        vocabulary: args.output.join(Vocabulary::FILE),
        vocabulary_bytes: vocabulary.as_bytes().len() as u64,
        iteration: checkpoint.iteration(),
    };
    if args.json {
        return Ok(report::json(&exported)?);
    }
    let mut out = io::stdout().lock();
    for (path, bytes) in [(exported.model, exported.model_bytes), (&exported.vocabulary, exported.vocabulary_bytes)] {
        writeln!(out, "{:>12}   {}", report::bytes(bytes.into()), path.display())?;
    }
    writeln!(out, "\nTo predict with it: dlrm predict --model {} LINES", args.output.display())?;
    Ok(())
}
