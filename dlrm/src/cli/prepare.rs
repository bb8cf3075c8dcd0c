//! `dlrm prepare`: files of lines to a directory that training maps.

use std::io::{self, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args as ClapArgs;
use dlrm::data::{
    DataError, Dataset, Header, Ingested, Numbering, ReadSettings, Schema, Vocabulary, names_out_of_order, prepare,
};
use serde::Serialize;

use super::meter::{Meter, Unit};
use super::report;

/// Read files of lines once, index their categories and write them in a compact form to train on.
///
/// Reads files in the format of the Criteo challenges (label, 13 integers, 26 hexadecimal categories, separated by tabs),
/// plain or compressed with gzip. Of one file the first six sevenths of the lines train; of the last, the first half
/// tests and the second validates. Several files are days, in the order given: the last day is held out in the same way.
/// Memory does not grow with the files, but with the number of different categories: about 20 bytes for each. Which number
/// each category got stays with the data, and with models trained on it.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm prepare train.txt -o kaggle                   Criteo Kaggle
  dlrm prepare day_{0..23}.gz -o terabyte --max-ind-range 10000000 --sub-sample 0.875
  dlrm prepare train.txt -o kaggle --skip-bad        malformed lines are counted, not the end
  dlrm prepare new.txt -o new --vocabulary kaggle    numbers that mean the same, for a model of kaggle
  dlrm prepare clicks.csv --schema clicks.toml -o clicks  other columns: see dlrm inspect
  dlrm prepare --verify kaggle                       read it all and compare checksums
  dlrm train --data kaggle                           then train on it"
)]
pub(super) struct Args {
    /// Files to read, one after the other
    #[arg(required_unless_present = "verify", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Directory to write to
    #[arg(short, long, required_unless_present = "verify", value_name = "DIR")]
    output: Option<PathBuf>,
    /// Take category values modulo this number, so that no table has more rows
    #[arg(long, value_name = "N")]
    max_ind_range: Option<NonZeroU32>,
    /// Share of the negative lines to drop, of all files: 0.875 keeps one of eight
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    sub_sample: f64,
    /// Seed of what is dropped
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; the result is the same for any number [default: all cores]
    #[arg(long, value_parser = super::threads)]
    threads: Option<NonZeroUsize>,
    /// Skip and count lines that are malformed instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Which numbers categories get: `dlrm train --table-method` needs popular ones to come first
    #[arg(long, value_enum, default_value_t = Numbering::Appearance)]
    numbering: Numbering,
    /// Values that fewer training lines have share one row, and so does what is never seen in training; 1: every value has
    /// its own, and the embedding of what is never seen is zero
    #[arg(long, value_name = "N", default_value = "1")]
    min_count: NonZeroU32,
    /// Number values as this prepared directory, folder of checkpoints or exported model does, for a model trained on it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["max_ind_range", "numbering", "min_count"])]
    vocabulary: Option<PathBuf>,
    /// What the columns of the files are, CSV or Parquet, in TOML; dlrm inspect guesses one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["max_ind_range", "sub_sample", "seed", "vocabulary"])]
    schema: Option<PathBuf>,
    /// Replace a data set that is in the directory already
    #[arg(long)]
    force: bool,
    /// Check a prepared directory instead of making one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "output", "max_ind_range", "sub_sample", "seed", "skip_bad", "numbering", "min_count", "vocabulary", "schema", "force"])]
    verify: Option<PathBuf>,
    /// End standard output with one JSON object instead of a summary
    #[arg(long)]
    json: bool,
}

/// What was prepared.
#[derive(Serialize)]
struct Summary<'a> {
    directory: &'a Path,
    /// The last of several files, which tests and validates.
    held_out_file: Option<&'a Path>,
    #[serde(flatten)]
    header: &'a Header,
    fingerprint: String,
    seconds: f64,
    /// Text in 10^6 bytes a second.
    megabytes_per_second: f64,
    /// The first lines skipped.
    skipped_lines: Vec<String>,
}

/// What was checked.
#[derive(Serialize)]
struct Verified<'a> {
    directory: &'a Path,
    #[serde(flatten)]
    header: &'a Header,
    fingerprint: String,
}

pub(super) fn run(args: &Args) -> super::Result {
    match (&args.verify, &args.output) {
        (Some(directory), _) => verify(args, directory),
        (None, Some(directory)) => make(args, directory),
        (None, None) => unreachable!("clap asks for one of them"),
    }
}

fn make(args: &Args, directory: &Path) -> super::Result {
    let settings = ReadSettings {
        max_ind_range: args.max_ind_range,
        sub_sample: args.sub_sample,
        seed: args.seed,
        skip_bad: args.skip_bad,
        numbering: args.numbering,
        min_count: Some(args.min_count),
        vocabulary: args.vocabulary.as_ref().map(checked).transpose()?,
        schema: args.schema.as_ref().map(Schema::open).transpose()?.map(Arc::new),
    };
    if let Some((first, second)) = names_out_of_order(&args.files) {
        let (first, second, last) = (first.display(), second.display(), args.files.last().map(|file| file.display()));
        eprintln!(
            "warning: {second} comes after {first}: files are taken in the order given, and the last, {}, is held out",
            last.map(|last| last.to_string()).unwrap_or_default()
        );
    }
    let pool = super::pool(args.threads)?;
    let mut meter = Meter::new("reading", Unit::Bytes);
    let start = Instant::now();
    let ingested = pool.install(|| {
        prepare(&args.files, directory, &settings, args.force, |progress| meter.tell(progress.read, progress.total))
    });
    let seconds = start.elapsed().as_secs_f64();
    meter.finish();
    let Ingested { header, vocabulary, bad } = ingested?;
    let summary = Summary {
        directory,
        held_out_file: args.files.last().filter(|_| args.files.len() > 1).map(PathBuf::as_path),
        header: &header,
        fingerprint: format!("{:016x}", header.fingerprint()),
        seconds,
        megabytes_per_second: header.text_bytes as f64 / 1e6 / seconds,
        skipped_lines: bad.iter().map(ToString::to_string).collect(),
    };
    for line in &summary.skipped_lines {
        eprintln!("skipped {line}");
    }
    if header.skipped > summary.skipped_lines.len() as u64 {
        eprintln!("skipped {} lines in all", report::grouped(header.skipped));
    }
    if args.json {
        report::json(&summary)?
    } else {
        print(&summary, &vocabulary)?
    }
    Ok(())
}

/// The vocabulary of a folder, undamaged.
fn checked(folder: &PathBuf) -> Result<Arc<Vocabulary>, DataError> {
    let vocabulary = Vocabulary::open(folder)?;
    vocabulary.verify(folder)?;
    Ok(Arc::new(vocabulary))
}

fn verify(args: &Args, directory: &Path) -> super::Result {
    let data = Dataset::open_prepared(directory)?;
    let header = data.header();
    let mut meter = Meter::new("checking", Unit::Bytes);
    let lists = header.columns.as_ref().map_or(0, |columns| columns.bag_bytes);
    let outcome = data.verify(directory, |read| meter.tell(read, Some(header.bytes + lists)));
    meter.finish();
    outcome?;
    let verified = Verified { directory, header, fingerprint: format!("{:016x}", data.fingerprint()) };
    if args.json {
        report::json(&verified)?
    } else {
        let (rows, bytes) = (report::grouped(data.len() as u64), report::bytes(header.bytes.into()));
        let Verified { fingerprint, .. } = verified;
        writeln!(io::stdout(), "{}: {rows} lines, {bytes}, undamaged; fingerprint {fingerprint}", directory.display())?
    }
    Ok(())
}

fn print(summary: &Summary<'_>, vocabulary: &Vocabulary) -> io::Result<()> {
    let Summary { header, directory, seconds, megabytes_per_second, .. } = summary;
    let mut out = io::stdout().lock();
    writeln!(out, "Lines")?;
    let mut line = |name: &str, count: u64, note: &str| {
        writeln!(out, "{}", format!("  {name:<10} {:>15}   {note}", report::grouped(count)).trim_end())
    };
    let text = report::bytes(header.text_bytes.into());
    line("read", header.lines, &format!("{text} of text in {seconds:.1} s, {megabytes_per_second:.0} MB/s"))?;
    if header.skipped > 0 {
        line("skipped", header.skipped, "malformed")?;
    }
    if header.sub_sample > 0.0 {
        line("dropped", header.dropped, "negatives, by sub-sampling")?;
    }
    let positives = header.positives as f64 / header.rows as f64 * 100.0;
    line("kept", header.rows as u64, &format!("{positives:.2}% positive"))?;
    for (name, rows) in
        [("train", &header.split.train), ("test", &header.split.test), ("validate", &header.split.validation)]
    {
        line(&format!("  {name}"), rows.len() as u64, "")?;
    }
    if let Some(file) = summary.held_out_file {
        writeln!(out, "  held out, to test and to validate: {}", file.display())?;
    }
    let total: u64 = header.table_rows.iter().sum();
    let tables = header.table_rows.len();
    writeln!(out, "Categories: rows of the {tables} embedding tables, {} in all", report::grouped(total))?;
    match vocabulary.schema() {
        Some(schema) => {
            for ((column, &rows), longest) in
                schema.categorical.iter().zip(&header.table_rows).zip(vocabulary.longest())
            {
                let list =
                    if column.pooling.is_some() { format!("   lists of up to {longest}") } else { String::new() };
                writeln!(out, "  {:<20} {:>13}{list}", column.name, report::grouped(rows))?;
            }
        }
        None => {
            for first in (0..tables).step_by(4) {
                for (feature, &rows) in header.table_rows.iter().enumerate().skip(first).take(4) {
                    write!(out, "  C{:<2} {:>13}", feature + 1, report::grouped(rows))?;
                }
                writeln!(out)?;
            }
        }
    }
    if let Some(cut) = header.columns.as_ref().map(|columns| columns.cut).filter(|&cut| cut > 0) {
        writeln!(out, "  left out   {:>15}   values of lists that are longer than they may be", report::grouped(cut))?;
    }
    if let Some(known) = header.vocabulary.as_ref().filter(|known| known.given) {
        let (values, unseen) = (header.rows as u64 * tables as u64, known.unseen.iter().sum());
        let share = unseen as f64 / values as f64 * 100.0;
        writeln!(
            out,
            "  unseen     {:>15}   values that the vocabulary does not know, {share:.2}%",
            report::grouped(unseen)
        )?;
    }
    writeln!(out, "Written to {}", directory.display())?;
    let bytes = header.bytes + header.columns.as_ref().map_or(0, |columns| columns.bag_bytes);
    let each = bytes as f64 / header.rows as f64;
    writeln!(out, "  {}, {each:.0} bytes a line", report::bytes(bytes.into()))?;
    writeln!(out, "\nTo train on it: dlrm train --data {}", directory.display())
}
