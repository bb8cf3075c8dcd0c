//! The options of `dlrm train`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, fs};

use clap::error::ErrorKind;
use clap::{Args as ClapArgs, ValueEnum};
use dlrm::budget::Method;
use dlrm::model::CrossSize;
use dlrm::presets::{DCNV2_CROSS, Preset};
use dlrm::train::{
    CacheSettings, CheckpointOptions, CoreRuleName, DenseInitName, InitName, LrPolicy, MIN_RATIO, OnNonFinite,
    Optimizer, RunOptions, ScaleName, TableFileError, TrainSettings, TtSettings, parse_tables,
};

use crate::cli::backend::BackendArgs;

/// Shown by -h, and first by --help.
macro_rules! examples {
    () => {
        "Examples:
  dlrm train                                         on lines it makes itself
  dlrm train --data train.txt --tt-tables 7 --tt-rank 32
  dlrm train --data prepared/ --tt-tables 0          uncompressed, for comparison
  dlrm train --data train.txt --cache-fraction 0.0001
  dlrm train --data train.txt --checkpoint-dir run --checkpoint-every 10000 --log run.jsonl
  dlrm train --data train.txt --checkpoint-dir run --checkpoint-every 10000 --log run.jsonl --resume
  dlrm train --data prepared/ --table-method hybrid --table-bytes 20MB
  dlrm train --json > run.json                       for a program to read"
    };
}

const LONG_HELP: &str = concat!(
    examples!(),
    "

A file for --tables has a section for each table it sets, named by its number from 0; all else is as the options say:
  [2]
  kind = \"tt\"                     # or \"dense\", which takes `frozen` alone
  rank = 32                       # or ranks = [16, 32], one for each bond between two cores
  row-factors = [200, 220, 250]   # their product is at least the rows of the table
  init = \"sampled-gaussian\"       # gaussian, uniform or signs
  scale = \"isometric\"             # calibrated or paper
  rule = \"adagrad-norm\"           # or element-wise; of the cores
  lr-multiplier = 10.0            # of the cores
  cache-fraction = 0.0001         # share of the rows held uncompressed; 0 for no cache
  frozen = false                  # true: not trained
  [20]
  method = \"hybrid\"              # instead of a kind: as --table-method, within so many bytes
  bytes = 1_000_000

Lines of a --log file have a `kind`: start (settings), train (iteration, loss and hit rate since the last such line,
lr, samples_per_second), refresh (of the cache), eval (metrics), checkpoint, skipped (a damaged checkpoint), non_finite
(a batch that nothing was updated with, and whether it was skipped or the run stopped), end. A run that was killed and
goes on tells its iterations since the checkpoint again, after another start.

Checkpoints are safetensors files, which Python reads too; final.safetensors is the trained model, for `dlrm eval`."
);

/// Train a model and evaluate it on lines held out.
///
/// Reads a file in the format of the Criteo Kaggle challenge (label, 13 integers, 26 hexadecimal categories, separated
/// by tabs, maybe compressed), or a directory that `dlrm prepare` made of such files, or makes such lines itself. Of one file
/// the first six sevenths of the lines train; of the last, the first half tests and the second validates. Of several that were
/// prepared the last is held out in the same way.
///
/// A prepared directory is mapped: removing it leaves a run as it is, but a file in it that is cut short ends the run at
/// once (SIGBUS), with the checkpoints written so far.
///
/// Exit codes: 0, 1 for an error, 2 for options that are not understood, 130 when interrupted.
#[derive(ClapArgs)]
#[command(after_help = examples!(), after_long_help = LONG_HELP, allow_negative_numbers = true)]
pub(in crate::cli) struct Args {
    /// File or prepared directory to train on; without it, lines are made from the seed
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(super) data: Option<PathBuf>,
    /// What the columns of the file are, where it is CSV or Parquet, in TOML; dlrm inspect guesses one
    #[arg(long, value_name = "FILE", requires = "data", help_heading = "Data")]
    pub(super) schema: Option<PathBuf>,
    /// How many lines to make
    #[arg(long, default_value_t = 2_000_000, conflicts_with = "data", help_heading = "Data")]
    pub(super) lines: u64,

    /// Sizes of embeddings and layers: kaggle, terabyte, mlperf or dcnv2
    #[arg(long, default_value_t = Preset::Kaggle, help_heading = "Model")]
    preset: Preset,
    /// Give tables the preset's rows where the data has fewer categories, as a part of the preset's data has [default: true
    /// for lines that are made here, else false]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Model")]
    preset_rows: Option<bool>,
    /// Layer sizes of the bottom MLP, from the 13 counts (or other dense features) to the embedding dimension, as in 13-512-256-64-16 [default: the
    /// preset's]
    #[arg(long, visible_alias = "arch-mlp-bot", value_name = "SIZES", help_heading = "Model")]
    bottom: Option<Sizes>,
    /// Layer sizes of the top MLP behind the interaction, as in 512-256-1 [default: the preset's]
    #[arg(long, visible_alias = "arch-mlp-top", value_name = "SIZES", help_heading = "Model")]
    top: Option<Sizes>,
    /// What comes between the bottom MLP with the tables and the top MLP [default: dot, dcn of dcnv2]
    #[arg(long, value_enum, help_heading = "Model")]
    interaction: Option<InteractionArg>,
    /// Layers of the cross network [default: 3]
    #[arg(long, value_name = "LAYERS", help_heading = "Model")]
    cross_layers: Option<usize>,
    /// Rank of its weights; one above (tables + 1) times the embedding dimension is of no use [default: 512]
    #[arg(long, value_name = "RANK", help_heading = "Model")]
    cross_rank: Option<usize>,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0, help_heading = "Model")]
    pub(super) seed: u64,

    /// How many of the largest tables are held as tensor trains, if they get smaller by --tt-min-ratio
    #[arg(long, default_value_t = 7, help_heading = "Compressed tables")]
    tt_tables: usize,
    /// How many times smaller a table must get to be compressed, cache and optimiser state included; 0: all are compressed
    #[arg(long, value_name = "RATIO", default_value_t = MIN_RATIO, help_heading = "Compressed tables")]
    tt_min_ratio: f64,
    /// Their TT-rank
    #[arg(long, default_value_t = 32, help_heading = "Compressed tables")]
    tt_rank: usize,
    /// Distribution of the entries of new cores
    #[arg(long, value_enum, default_value_t = InitName::SampledGaussian, help_heading = "Compressed tables")]
    tt_init: InitName,
    /// Scale of new cores
    #[arg(long, value_enum, default_value_t = ScaleName::Isometric, help_heading = "Compressed tables")]
    tt_scale: ScaleName,
    /// Update rule of the cores
    #[arg(long, value_enum, default_value_t = CoreRuleName::AdagradNorm, help_heading = "Compressed tables")]
    tt_rule: CoreRuleName,
    /// What the learning rate is multiplied by for cores, with adagrad-norm for cached rows too [default: 1; 10 with adagrad-norm beside --optimizer adagrad; 30 for
    /// calibrated cores with SGD element by element]
    #[arg(long, help_heading = "Compressed tables")]
    tt_lr_multiplier: Option<f64>,
    /// Leave the --tt-tables largest tables as they are drawn, for experiments
    #[arg(long, help_heading = "Compressed tables")]
    freeze_tt: bool,
    /// How the --tt-tables largest tables are made smaller
    #[arg(long, value_enum, default_value_t = Method::Tt, help_heading = "Compressed tables")]
    table_method: Method,
    /// Bytes for the --tt-tables largest tables, all together: the method takes what fits, a tensor train the largest rank
    /// [default: those of tensor trains of --tt-rank]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Compressed tables")]
    table_bytes: Option<u64>,
    /// Share of these bytes that a hybrid has for rows of their own [default: by how popular rows are]
    #[arg(long, value_name = "SHARE", help_heading = "Compressed tables")]
    own_rows_share: Option<f64>,
    /// Settings of single tables, which go before the others: see the example in --help
    #[arg(long, value_name = "FILE.toml", help_heading = "Compressed tables")]
    tables: Option<PathBuf>,
    /// Share of the rows of a compressed table, the most frequent, that are held uncompressed; the paper's is 0.0001
    #[arg(long, default_value_t = 0.0, help_heading = "Compressed tables")]
    cache_fraction: f64,
    /// Share of the iterations of all epochs before the cache is first filled
    #[arg(long, default_value_t = 0.1, help_heading = "Compressed tables")]
    cache_warmup: f64,
    /// Iterations from one choice of the cached rows to the next; 0 for no more than the first
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Compressed tables")]
    cache_refresh: u64,

    /// Samples in a batch [default: the preset's]
    #[arg(long, help_heading = "Optimisation")]
    batch_size: Option<usize>,
    /// How often to go through the training lines
    #[arg(long, default_value_t = 1, help_heading = "Optimisation")]
    epochs: usize,
    /// Stop after this many iterations; --resume goes on from there as if there had been no stop
    #[arg(long, value_name = "N", help_heading = "Optimisation")]
    max_iterations: Option<u64>,
    /// Update rule of all parameters [default: sgd, adagrad of dcnv2]
    #[arg(long, value_enum, help_heading = "Optimisation")]
    optimizer: Option<OptimizerArg>,
    /// Added to the root in Adagrad [default: 1e-10, 1e-8 of dcnv2]
    #[arg(long, help_heading = "Optimisation")]
    eps: Option<f64>,
    /// Learning rate [default: the preset's]
    #[arg(long, help_heading = "Optimisation")]
    lr: Option<f64>,
    /// Iterations in which the learning rate rises to its value
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Optimisation")]
    lr_warmup_steps: u64,
    /// The iteration from which the learning rate falls
    #[arg(long, value_name = "N", default_value_t = 0, requires = "lr_decay_steps", help_heading = "Optimisation")]
    lr_decay_start: u64,
    /// Iterations in which it falls, with the square of what is left of them; then it stays
    #[arg(long, alias = "lr-num-decay-steps", value_name = "N", default_value_t = 0, help_heading = "Optimisation")]
    lr_decay_steps: u64,

    /// What follows a number (of the batch, its loss or its gradient) that is NaN or infinite; nothing is updated with it
    #[arg(long, value_enum, default_value_t = OnNonFinite::Stop, help_heading = "Following and keeping a run")]
    on_non_finite: OnNonFinite,
    /// Evaluate on the test lines every N iterations; 0 for only at the end
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Following and keeping a run")]
    eval_every: u64,
    /// Tell loss and speed every N iterations [default: a tenth of all]
    #[arg(long, value_name = "N", help_heading = "Following and keeping a run")]
    log_every: Option<u64>,
    /// Add what happens to this file, one JSON object a line: see --help
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Following and keeping a run")]
    pub(super) log: Option<PathBuf>,
    /// Add loss, rate and metrics to an event file in this folder, for TensorBoard
    #[arg(long, value_name = "DIR", help_heading = "Following and keeping a run")]
    pub(super) tensorboard: Option<PathBuf>,
    /// Keep the state in this folder: at the end, when interrupted, and as --checkpoint-every says
    #[arg(long, value_name = "DIR", help_heading = "Following and keeping a run")]
    checkpoint_dir: Option<PathBuf>,
    /// Write a checkpoint every N iterations; 0 for none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "checkpoint_dir",
        help_heading = "Following and keeping a run"
    )]
    checkpoint_every: u64,
    /// How many checkpoints are kept, the newest
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        requires = "checkpoint_dir",
        help_heading = "Following and keeping a run"
    )]
    checkpoint_keep: usize,
    /// Go on from the newest whole checkpoint, bit for bit as if there had been no stop; start anew if there is none
    #[arg(long, requires = "checkpoint_dir", help_heading = "Following and keeping a run")]
    resume: bool,
    /// End standard output with one JSON object instead of a summary
    #[arg(long, help_heading = "Following and keeping a run")]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) backend: BackendArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum InteractionArg {
    /// Dot products of all pairs of features, as in the reference DLRM
    Dot,
    /// A low-rank cross network, as in MLPerf's DLRM-DCNv2
    Dcn,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimizerArg {
    /// Stochastic gradient descent
    Sgd,
    /// Adagrad, element-wise
    Adagrad,
}

/// Layer sizes, separated as in the reference: 13-512-256-64-16.
#[derive(Clone)]
struct Sizes(Vec<usize>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |part: &str| part.parse().map_err(|_| format!("{part:?} is not a size: write them as in 512-256-1"));
        text.split('-').map(size).collect::<Result<_, _>>().map(Self)
    }
}

/// A number of bytes, for clap: 1500000, 1.5MB.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => f64::NAN,
    };
    let bytes = digits.parse::<f64>().map_or(f64::NAN, |number| number * unit);
    if (0.0..1e18).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err("not a number of bytes: write it as 1500000, 1500kB or 1.5MB".to_owned())
    }
}

/// A file of tables that cannot be used.
#[derive(Debug)]
struct TablesError {
    path: PathBuf,
    error: TableFileError,
}

impl fmt::Display for TablesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for TablesError {}

impl Args {
    /// What is trained, and how.
    pub(super) fn settings(&self) -> Result<TrainSettings, Box<dyn std::error::Error>> {
        let tables = match &self.tables {
            None => BTreeMap::new(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                parse_tables(&text).map_err(|error| TablesError { path: path.clone(), error })?
            }
        };
        let preset_eps = self.preset.adagrad_eps();
        let of_preset = if preset_eps.is_some() { OptimizerArg::Adagrad } else { OptimizerArg::Sgd };
        let optimizer = match (self.optimizer.unwrap_or(of_preset), self.eps) {
            (OptimizerArg::Sgd, None) => Optimizer::Sgd,
            (OptimizerArg::Adagrad, eps) => Optimizer::Adagrad { eps: eps.or(preset_eps).unwrap_or(1e-10) },
            (OptimizerArg::Sgd, Some(_)) => {
                let message = "--eps belongs to --optimizer adagrad; SGD has none\n";
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message).into());
            }
        };
        Ok(TrainSettings {
            preset: self.preset,
            preset_rows: self.preset_rows.unwrap_or(self.data.is_none()),
            bottom: self.bottom.clone().map(|sizes| sizes.0),
            top: self.top.clone().map(|sizes| sizes.0),
            cross: self.cross()?,
            tt: TtSettings {
                tables: self.tt_tables,
                min_ratio: self.tt_min_ratio,
                rank: self.tt_rank,
                init: self.tt_init,
                scale: self.tt_scale,
                rule: self.tt_rule,
                lr_multiplier: self.tt_lr_multiplier,
                frozen: self.freeze_tt,
            },
            cache: CacheSettings {
                fraction: self.cache_fraction,
                warmup: self.cache_warmup,
                refresh: self.cache_refresh,
            },
            method: self.table_method,
            table_bytes: self.table_bytes,
            own_rows_share: self.own_rows_share,
            dense_init: DenseInitName::Uniform,
            tables,
            batch_size: self.batch_size.unwrap_or(self.preset.batch_size()),
            epochs: self.epochs,
            max_iterations: self.max_iterations,
            optimizer,
            lr: LrPolicy {
                base: self.lr.unwrap_or(self.preset.learning_rate()),
                warmup_steps: self.lr_warmup_steps,
                decay_start: self.lr_decay_start,
                decay_steps: self.lr_decay_steps,
            },
            seed: self.seed,
            ..TrainSettings::new(self.preset)
        })
    }

    /// The cross network in the place of the dot products, if there is one.
    fn cross(&self) -> Result<Option<CrossSize>, clap::Error> {
        let of_preset = self.preset.cross().map_or(InteractionArg::Dot, |_| InteractionArg::Dcn);
        match (self.interaction.unwrap_or(of_preset), self.cross_layers, self.cross_rank) {
            (InteractionArg::Dot, None, None) => Ok(None),
            (InteractionArg::Dot, ..) => {
                let message = "--cross-layers and --cross-rank belong to --interaction dcn\n";
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
            }
            (InteractionArg::Dcn, layers, rank) => {
                let (preset_layers, preset_rank) = self.preset.cross().unwrap_or(DCNV2_CROSS);
                Ok(Some(CrossSize { layers: layers.unwrap_or(preset_layers), rank: rank.unwrap_or(preset_rank) }))
            }
        }
    }

    /// How the run is followed and kept.
    pub(super) fn options(&self) -> RunOptions {
        RunOptions {
            eval_every: self.eval_every,
            log_every: self.log_every,
            on_non_finite: self.on_non_finite,
            checkpoints: self.checkpoint_dir.clone().map(|folder| CheckpointOptions {
                folder,
                every: self.checkpoint_every,
                keep: self.checkpoint_keep,
                resume: self.resume,
            }),
        }
    }
}
