//! Curves of runs, from the logs that `dlrm train --log` writes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chart::{Axis, Chart, Mark, Series, Shape};

/// What a curve shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Quantity {
    /// Mean loss of the training batches since the last line
    Loss,
    /// AUC on the test lines
    Auc,
    /// Log loss on the test lines
    LogLoss,
    /// Accuracy on the test lines
    Accuracy,
    /// Training samples a second
    Rate,
    /// Share of lookups served by the caches
    HitRate,
}

/// What one log has to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// The events, of the last time that each iteration was told.
    events: Vec<Value>,
}

/// A log that cannot be shown.
#[derive(Debug)]
#[non_exhaustive]
pub enum CurveError {
    /// It could not be read.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is not an event.
    Line {
        /// Of which log.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl Quantity {
    /// The axis it is measured on.
    pub fn axis(self) -> Axis {
        Axis::linear(match self {
            Self::Loss => "training loss",
            Self::Auc => "AUC, test lines",
            Self::LogLoss => "log loss, test lines",
            Self::Accuracy => "accuracy, test lines",
            Self::Rate => "training samples a second",
            Self::HitRate => "share of lookups served by the caches",
        })
    }

    /// The kind of event that has it, and its key there.
    fn key(self) -> (&'static str, &'static str) {
        match self {
            Self::Loss => ("train", "loss"),
            Self::Auc => ("eval", "auc"),
            Self::LogLoss => ("eval", "log_loss"),
            Self::Accuracy => ("eval", "accuracy"),
            Self::Rate => ("train", "samples_per_second"),
            Self::HitRate => ("train", "hit_rate"),
        }
    }
}

impl Curves {
    /// Reads a log. A last line that was cut off is left out; iterations that a resumed run tells again replace those told
    /// before.
    ///
    /// # Errors
    ///
    /// [`CurveError`], naming file and line.
    pub fn read(path: &Path) -> Result<Self, CurveError> {
        let text = std::fs::read_to_string(path).map_err(|error| CurveError::Io { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|(line, reason)| CurveError::Line { path: path.to_owned(), line, reason })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut events: Vec<Value> = Vec::new();
        let count = text.lines().count();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let event: Value = match serde_json::from_str(line) {
                Ok(event) => event,
                Err(_) if number + 1 == count && !text.ends_with('\n') => break,
                Err(error) => return Err((number + 1, error.to_string())),
            };
            let Some(kind) = event["kind"].as_str() else {
                return Err((number + 1, "this is no event of a training run: it has no `kind`".to_owned()));
            };
            if kind == "start" {
                let from = event["iteration"].as_u64().unwrap_or(0);
                // A run that begins anew in the same file is another one.
                events.retain(|event| from > 0 && event["iteration"].as_u64().is_some_and(|at| at <= from));
            }
            events.push(event);
        }
        Ok(Self { events })
    }

    /// `[iteration, value]` of a quantity.
    pub fn points(&self, quantity: Quantity) -> Vec<[f64; 2]> {
        let (kind, key) = quantity.key();
        let of = |event: &Value| {
            let wanted = event["kind"] == kind && event["split"] != "validation";
            wanted.then(|| Some([event["iteration"].as_f64()?, event[key].as_f64()?])).flatten()
        };
        self.events.iter().filter_map(of).collect()
    }

    /// A chart of a quantity of several runs, each with its name.
    pub fn chart(quantity: Quantity, runs: &[(String, Self)]) -> Chart {
        let axis = quantity.axis();
        let mut chart = Chart::new(axis.label.clone(), Axis::linear("iteration"), axis);
        for (number, (name, curves)) in runs.iter().enumerate() {
            let points = curves.points(quantity);
            let mark = if points.len() > 60 { Mark::Line } else { Mark::LineDots(Shape::of(number)) };
            chart.series.push(Series::new(name, mark, number, points));
        }
        chart
    }
}

impl fmt::Display for CurveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Line { path, line, reason } => write!(f, "{}, line {line}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for CurveError {}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"kind":"start","iteration":0}
{"kind":"train","iteration":10,"loss":0.7,"samples_per_second":100}
{"kind":"eval","iteration":10,"split":"test","auc":0.6}
{"kind":"eval","iteration":10,"split":"validation","auc":0.1}
{"kind":"train","iteration":20,"loss":0.6,"hit_rate":0.5}
{"kind":"start","iteration":10}
{"kind":"train","iteration":20,"loss":0.5}
{"kind":"tra"#;

    #[test]
    fn what_a_resumed_run_tells_again_replaces_what_was_told() {
        let curves = Curves::parse(LOG).unwrap();
        assert_eq!(curves.points(Quantity::Loss), [[10.0, 0.7], [20.0, 0.5]]);
        assert_eq!(curves.points(Quantity::Auc), [[10.0, 0.6]]);
        assert_eq!(curves.points(Quantity::Rate), [[10.0, 100.0]]);
        assert!(curves.points(Quantity::HitRate).is_empty());
    }

    #[test]
    fn what_is_no_log_is_named_by_its_line() {
        assert_eq!(Curves::parse("{\"kind\":\"start\"}\nhello\n").unwrap_err().0, 2);
        assert_eq!(
            Curves::parse("{}\n").unwrap_err(),
            (1, "this is no event of a training run: it has no `kind`".into())
        );
    }
}
