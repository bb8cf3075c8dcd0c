//! How figures are written for people, and objects for programs.

use std::io::{self, Write};

use dlrm::train::Evaluation;
use serde::Serialize;

/// Bytes with three or more digits, in decimal units: `18.41 MB`.
pub(super) fn bytes(bytes: u128) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.2} {unit}") }
}

/// A number with its digits in groups of three: `45,840,617`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How much smaller something is, in words: never "0.5 times smaller".
pub(super) fn ratio(ratio: f64) -> String {
    match ratio {
        1.0 => "as large".to_owned(),
        0.0..1.0 => format!("{:.2} times larger", 1.0 / ratio),
        _ => format!("{ratio:.2} times smaller"),
    }
}

/// Factors as the paper writes them: `200,220,250`.
pub(super) fn factors(factors: &[usize]) -> String {
    factors.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// One line of metrics.
pub(super) fn metrics(out: &mut impl Write, name: &str, evaluation: &Evaluation) -> io::Result<()> {
    let left_out = match evaluation.non_finite {
        _ if evaluation.lines == 0 => return writeln!(out, "  {name:<10}    none   no lines were held out for this"),
        0 => String::new(),
        all if all == evaluation.lines => return writeln!(out, "  {name:<10}  {all:>6} lines   no finite prediction"),
        some => format!("   without {some} lines whose prediction is not finite"),
    };
    let auc = evaluation.auc.map_or("none (one class only)".to_string(), |auc| format!("{auc:.4}"));
    writeln!(
        out,
        "  {name:<10}  {:>6} lines   log loss {:.4}   accuracy {:.2}%   AUC {auc}{left_out}",
        evaluation.lines,
        evaluation.log_loss,
        evaluation.accuracy * 100.0
    )
}

/// Writes a value as JSON and a line end.
pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}
