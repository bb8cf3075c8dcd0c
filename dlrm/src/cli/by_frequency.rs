//! Log loss by how often rows occur in training, as a table for people.

use std::io::{self, Write};

use dlrm::frequency::{Bucket, ByFrequency};

use super::report;

pub(super) fn print(out: &mut impl Write, by: &ByFrequency) -> io::Result<()> {
    let lines = report::grouped(by.training_lines as u64);
    let tables = match by.tables.len() {
        1 => "largest table".to_owned(),
        tables => format!("{tables} largest tables"),
    };
    writeln!(out, "By how often a row of the {tables} occurs in the {lines} training lines")?;
    table(out, "lookups", &by.by_frequency)?;
    writeln!(out, "By the rarest of these rows that a line has")?;
    table(out, "lines", &by.by_rarest_row)?;
    writeln!(
        out,
        "\nA row is learned from the lines that have it: of one that occurs never or seldom, the model knows little. Log\n\
         loss: lower is better. Positive is the share of ones among the labels, predicted what the model makes of it."
    )
}

fn table(out: &mut impl Write, counted: &str, buckets: &[Bucket]) -> io::Result<()> {
    writeln!(out, "  {:<14} {counted:>13}   share   log loss   positive   predicted", "occurs")?;
    for bucket in buckets {
        let name = match (bucket.from, bucket.to) {
            (0, Some(0)) => "never".to_owned(),
            (from, Some(to)) => format!("{from} to {to}"),
            (from, None) => format!("{from} or more"),
        };
        row(out, &name, bucket)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, bucket: &Bucket) -> io::Result<()> {
    let (count, share) = (report::grouped(bucket.count.get()), bucket.share * 100.0);
    let loss = bucket.log_loss.map_or("-".to_owned(), |loss| format!("{loss:.4}"));
    let [label, prediction] = [bucket.mean_label, bucket.mean_prediction]
        .map(|mean| mean.map_or("-".to_owned(), |mean| format!("{:.2}%", mean * 100.0)));
    writeln!(out, "  {name:<14} {count:>13}  {share:>5.1}%   {loss:>8}   {label:>8}   {prediction:>9}")
}
