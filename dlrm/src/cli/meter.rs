//! Progress of going through data, on standard error: a bar on a terminal, a line for each tenth elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::report;

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Bytes,
    Lines,
}

impl Unit {
    fn template(self) -> &'static str {
        match self {
            Self::Bytes => {
                "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left"
            }
            Self::Lines => "{msg} {wide_bar} {human_pos}/{human_len} lines, {per_sec}, {eta} left",
        }
    }

    fn text(self, amount: u64) -> String {
        match self {
            Self::Bytes => report::bytes(amount.into()),
            Self::Lines => format!("{} lines", report::grouped(amount)),
        }
    }
}

/// How far something is.
pub(super) struct Meter {
    what: &'static str,
    unit: Unit,
    bar: Option<ProgressBar>,
    /// Tenths told.
    tenths: u64,
}

impl Meter {
    pub(super) fn new(what: &'static str, unit: Unit) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(unit.template()).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::no_length().with_style(style).with_message(what)
        });
        Self { what, unit, bar, tenths: 0 }
    }

    /// So much is done; without a total only a terminal is told.
    pub(super) fn tell(&mut self, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        } else if let Some(total) = total {
            let tenths = (u128::from(done) * 10 / u128::from(total.max(1))) as u64;
            if tenths > self.tenths {
                self.tenths = tenths;
                eprintln!("{}: {} of {}", self.what, self.unit.text(done), self.unit.text(total));
            }
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
