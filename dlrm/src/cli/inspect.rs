//! `dlrm inspect`: what the columns of a file seem to be.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use dlrm::data::columns::{Inspected, Kind, Schema};
use dlrm::data::inspect;

use super::report;

/// Show the columns of a file, CSV with their names in the first line or Parquet, and guess a schema to read it by.
///
/// The schema is a small file in TOML: which column is the label, which are numbers, and which are categories, of one value a row
/// or lists of them. Read it over before you use it: whole numbers are taken for numbers unless their name ends in "id", begins
/// with "cat", or is C and a number, and columns that are not named in it are not read.
#[derive(ClapArgs)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  dlrm inspect clicks.csv                            columns, and a schema
  dlrm inspect clicks.csv -o clicks.toml             write the schema
  dlrm prepare clicks.csv --schema clicks.toml -o clicks
  dlrm train --data clicks --checkpoint-dir run"
)]
pub(super) struct Args {
    /// File to look at; of Parquet where dlrm is built with --features parquet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the schema to this file, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Look at the first so many rows
    #[arg(long, default_value_t = 100_000, value_name = "ROWS")]
    rows: u64,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> super::Result {
    let inspected = inspect(&args.file, args.rows)?;
    if args.json {
        report::json(&inspected)?
    } else {
        print(&inspected)?
    }
    let Some(schema) = &inspected.schema else {
        return Err("no schema can be guessed: it takes a column that has just 0 and 1 in all rows, which is the label, and one of \
                    categories; see dlrm inspect --help"
            .into());
    };
    match &args.output {
        Some(path) => write(schema, path)?,
        None if !args.json => write!(io::stdout(), "\n{}", schema.to_toml())?,
        None => {}
    }
    Ok(())
}

/// Writes the schema, if it would not replace anything.
fn write(schema: &Schema, path: &Path) -> super::Result {
    let create = || {
        let mut file = File::create_new(path)?;
        file.write_all(schema.to_toml().as_bytes())
    };
    create().map_err(|error: io::Error| format!("{}: {error}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

fn print(inspected: &Inspected) -> io::Result<()> {
    let Inspected { rows, more, columns, schema } = inspected;
    let mut out = io::stdout().lock();
    let of = if *more { "the first " } else { "" };
    writeln!(out, "{} columns, {of}{} rows", columns.len(), report::grouped(*rows))?;
    let width = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0).clamp(6, 40);
    writeln!(
        out,
        "  {:<width$} {:<8} {:>12} {:>12} {:>8}   read as",
        "column", "values", "distinct", "missing", "longest"
    )?;
    for column in columns {
        let kind = match column.kind {
            Kind::Empty => "none",
            Kind::Binary => "0 and 1",
            Kind::Integer => "integers",
            Kind::Number => "numbers",
            Kind::Text => "texts",
            Kind::List => "lists",
            Kind::Part => "parts",
        };
        let (distinct, missing) = (report::grouped(column.distinct), report::grouped(column.missing));
        let longest = if column.longest > 1 { column.longest.to_string() } else { String::new() };
        let use_of = schema.as_ref().map_or("", |schema| use_of(schema, &column.name));
        writeln!(out, "  {:<width$} {kind:<8} {distinct:>12} {missing:>12} {longest:>8}   {use_of}", column.name)?;
    }
    out.flush()
}

/// What a column is read as.
fn use_of(schema: &Schema, name: &str) -> &'static str {
    if schema.label == name {
        return "label";
    }
    if schema.split.as_deref() == Some(name) {
        return "split";
    }
    if schema.dense.iter().any(|column| column.name == name) {
        return "dense";
    }
    match schema.categorical.iter().find(|column| column.name == name) {
        Some(column) if column.pooling.is_some() => "categorical, a list",
        Some(_) => "categorical",
        None => "",
    }
}
