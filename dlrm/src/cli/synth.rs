//! `dlrm synth`: files of lines drawn from a planted model.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use clap::Args as ClapArgs;
use dlrm::data::{CATEGORICAL, Effects, Planted, Synthetic};
use dlrm::presets::{DCNV2_VALUES, Preset};
use serde::Serialize;

use super::meter::{Meter, Unit};
use super::report;

/// Write a file of lines like Criteo's, drawn from a planted model whose best possible AUC is known.
///
/// A line's label depends on some of its counts and on its categories where they are popular, for a given share on those
/// of the largest tables: a model that does not learn these loses, and by how much is printed. With --effects vectors, what
/// a category of a largest table means depends on the one it comes with, so its row must be learned as a vector. The same settings give the
/// same bytes; files of the same settings and seed, but other lines, share the planted model.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm synth -o lines.tsv
  dlrm synth -o day_0 --lines 2000000 --cardinalities kaggle --scale 0.1
  dlrm synth -o day_1 --lines 1000000 --cardinalities kaggle --scale 0.1 --first-line 2000000
  dlrm prepare day_0 day_1 -o days                   day_1 is held out
  dlrm synth -o lines.tsv --effects vectors --head 10000
  dlrm synth -o lists.csv --multi-hot                and lists.csv.toml: dlrm prepare lists.csv --schema lists.csv.toml -o lists
  dlrm synth -o lines.tsv.gz --largest 7 --largest-share 0.8 --json"
)]
pub(super) struct Args {
    /// File to write; compressed if its name ends with .gz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How many lines
    #[arg(long, default_value_t = 100_000)]
    lines: u64,
    /// Number of the first line, to continue a file: as many as the files before have
    #[arg(long, default_value_t = 0, value_name = "N")]
    first_line: u64,
    /// Most categories of each feature: those of kaggle, terabyte, mlperf or dcnv2, or 26 numbers separated by commas
    #[arg(long, default_value = "kaggle", value_name = "PRESET|LIST")]
    cardinalities: Cardinalities,
    /// What they are multiplied by
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    scale: f64,
    /// Exponent of the categories' popularity: 0 is uniform, more is more skewed
    #[arg(long, default_value_t = Synthetic::default().zipf, value_name = "EXPONENT")]
    zipf: f64,
    /// Seed of the planted model and of all draws
    #[arg(long, default_value_t = Synthetic::default().seed)]
    seed: u64,
    /// Standard deviation of the logit: more is easier to predict
    #[arg(long, default_value_t = Synthetic::default().signal, value_name = "DEVIATION")]
    signal: f64,
    /// How many tables count as the largest
    #[arg(long, default_value_t = Synthetic::default().largest, value_name = "TABLES")]
    largest: usize,
    /// Share of the logit's variance that comes from the largest tables
    #[arg(long, default_value_t = Synthetic::default().largest_share, value_name = "SHARE")]
    largest_share: f64,
    /// How many of a feature's most popular categories have an effect
    #[arg(long, default_value_t = Synthetic::default().head, value_name = "CATEGORIES")]
    head: u32,
    /// How the categories of the largest tables have their effect
    #[arg(long, value_enum, default_value_t = Effects::default())]
    effects: Effects,
    /// Write CSV with so many values of each feature in a line, as lists, and FILE.toml, its schema, beside it: those of dcnv2, 214
    /// in all, or 26 numbers separated by commas
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "dcnv2", value_name = "dcnv2|LIST")]
    multi_hot: Option<MultiHot>,
    /// Threads; the result is the same for any number [default: all cores]
    #[arg(long, value_parser = super::threads)]
    threads: Option<NonZeroUsize>,
    /// Replace the file if it is there already
    #[arg(long)]
    force: bool,
    /// Print one JSON object instead of a summary
    #[arg(long)]
    json: bool,
}

/// The numbers of categories of the 26 features.
#[derive(Clone)]
struct Cardinalities([u64; CATEGORICAL]);

impl FromStr for Cardinalities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(preset) = text.parse::<Preset>() {
            return Ok(Self(*preset.table_rows()));
        }
        let numbers: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
        let numbers = numbers.map_err(|_| "want kaggle, terabyte, mlperf, dcnv2 or a list of numbers".to_string())?;
        let count = numbers.len();
        numbers.try_into().map(Self).map_err(|_| format!("got {count} numbers, want {CATEGORICAL}"))
    }
}

/// The numbers of values of the 26 features.
#[derive(Clone)]
struct MultiHot([u32; CATEGORICAL]);

impl FromStr for MultiHot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Preset::Dcnv2.name() {
            return Ok(Self(DCNV2_VALUES));
        }
        let numbers: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
        let numbers = numbers.map_err(|_| "want dcnv2 or a list of numbers".to_string())?;
        let count = numbers.len();
        numbers.try_into().map(Self).map_err(|_| format!("got {count} numbers, want {CATEGORICAL}"))
    }
}

/// What was written.
#[derive(Serialize)]
struct Summary<'a> {
    file: &'a Path,
    settings: &'a Synthetic,
    #[serde(flatten)]
    planted: Planted,
    /// Bytes of the file.
    file_bytes: u64,
    seconds: f64,
    lines_per_second: f64,
}

pub(super) fn run(args: &Args) -> super::Result {
    if !(args.scale.is_finite() && args.scale > 0.0) {
        return Err(format!("--scale {} is not a number above 0", args.scale).into());
    }
    let settings = Synthetic {
        lines: args.lines,
        first_line: args.first_line,
        seed: args.seed,
        // Rounded up: a table keeps at least one row. A float to integer cast saturates, and too many are refused.
        cardinalities: args.cardinalities.0.map(|rows| (rows as f64 * args.scale).ceil() as u64),
        zipf: args.zipf,
        signal: args.signal,
        largest: args.largest,
        largest_share: args.largest_share,
        head: args.head,
        effects: args.effects,
        multi_hot: args.multi_hot.as_ref().map(|values| values.0),
    };
    let (path, pool) = (&args.output, super::pool(args.threads)?);
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let gzip = path.extension().is_some_and(|extension| extension == "gz");
    let start = Instant::now();
    let mut meter = Meter::new("writing", Unit::Lines);
    let (planted, file_bytes) = write(path, args.force, |out| {
        pool.install(|| settings.write(out, gzip, |lines| meter.tell(lines, Some(settings.lines))))
    })
    .map_err(failed)?;
    if let Some(schema) = settings.schema() {
        let mut toml = path.as_os_str().to_owned();
        toml.push(".toml");
        let toml = PathBuf::from(toml);
        write(&toml, args.force, |out| out.write_all(schema.to_toml().as_bytes()))
            .map_err(|error| format!("{}: {error}", toml.display()))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    meter.finish();
    let lines_per_second = planted.lines as f64 / seconds;
    let summary = Summary { file: path, settings: &settings, planted, file_bytes, seconds, lines_per_second };
    if args.json {
        report::json(&summary)?
    } else {
        print(&summary)?
    }
    Ok(())
}

/// Writes a file under a temporary name and renames it, so that an interrupted run leaves no short file; something that is
/// there and no plain file, such as a pipe, is written as it is. Gives the file's size, too.
fn write<T>(path: &Path, force: bool, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<(T, u64)> {
    let existing = fs::metadata(path).ok();
    if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
        let mut file = File::options().write(true).open(path)?;
        return Ok((write(&mut file)?, 0));
    }
    if existing.is_some() && !force {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "is there already; replace it with --force"));
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let outcome = File::create(&temporary).and_then(|mut file| {
        let written = write(&mut file)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        fs::rename(&temporary, path)?;
        Ok((written, size))
    });
    if outcome.is_err() {
        // The error says more than that this failed, too.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

fn print(summary: &Summary<'_>) -> io::Result<()> {
    let Summary { file, settings, planted, file_bytes, seconds, lines_per_second } = summary;
    let mut out = io::stdout().lock();
    let (lines, bytes) = (report::grouped(planted.lines), report::bytes((*file_bytes).into()));
    writeln!(out, "Written to {}", file.display())?;
    writeln!(out, "  {lines} lines, {bytes} in {seconds:.1} s, {lines_per_second:.0} lines a second")?;
    let positives = planted.positives as f64 / planted.lines.max(1) as f64 * 100.0;
    writeln!(out, "  {positives:.2}% positive")?;
    writeln!(out, "Best possible AUC on these lines (0.5 is guessing, 1 is perfect)")?;
    let area = |auc: Option<f64>| auc.map_or("none (one class only)".to_string(), |auc| format!("{auc:.4}"));
    writeln!(out, "  {:<39} {}", "knowing everything", area(planted.bayes_auc))?;
    let without = format!("without the {} largest tables' features", planted.largest.len());
    writeln!(out, "  {without:<39} {}", area(planted.bayes_auc_without_largest))?;
    let next = settings.first_line + settings.lines;
    writeln!(out, "\nTo continue it in another file: the same options and --first-line {next}")
}
