//! What a person sees of a run.

use std::io::{self, IsTerminal};
use std::time::Duration;

use dlrm::tensorboard::EventFile;
use dlrm::train::{Event, Observer, OnNonFinite, Part, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::Interrupt;
use super::log::Log;

/// Progress on standard error, a bar on a terminal and lines elsewhere, and what happens in a log.
pub(super) struct Console {
    bar: Option<ProgressBar>,
    shown: Shown,
    iterations: u64,
    /// Mean loss of some iterations up to the last.
    loss: Option<f64>,
    log: Option<Log>,
    tensorboard: Option<EventFile>,
    interrupt: Interrupt,
}

/// What the bar shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Training,
    Counting,
    Evaluating(Part),
}

/// Samples of a run that nobody wants to lose.
const LONG: u64 = 1_000_000;

/// How much the last loss counts in the mean that is shown.
const NEWEST: f64 = 0.01;

impl Console {
    /// a console that also writes to a log.
    pub(super) fn new(interrupt: Interrupt, log: Option<Log>) -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self { bar, shown: Shown::Training, iterations: 0, loss: None, log, tensorboard: None, interrupt }
    }

    /// The same, with scalars in an event file too.
    pub(super) fn with_tensorboard(self, tensorboard: Option<EventFile>) -> Self {
        Self { tensorboard, ..self }
    }

    /// Removes the bar.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    fn show(bar: &ProgressBar, template: &str, len: u64, done: u64) {
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(len);
        bar.set_position(done);
        // The rate and the time left are of what is shown now.
        bar.reset_eta();
    }

    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Skipped { checkpoint, reason } => {
                self.say(&format!("warning: skipping checkpoint {}: {reason}", checkpoint.display()));
            }
            Event::Start { settings, data, iterations, iteration, resumed, kept, .. } => {
                if let Some(path) = resumed {
                    let from = format!("going on from {} after iteration {iteration} of {iterations}", path.display());
                    self.say(&from);
                }
                if !*kept && settings.batch_size.min(data.lines) as u64 * (iterations - iteration) >= LONG {
                    self.say("note: the model of this run is not kept; --checkpoint-dir keeps it");
                }
                if let Some(cache) = settings.cache.filter(|cache| cache.warmup >= *iterations) {
                    self.say(&format!(
                        "warning: the cache is first filled after iteration {}, which this run does not go beyond: see \
                         --cache-warmup",
                        cache.warmup
                    ));
                }
            }
            Event::NonFinite { iteration, sample, row, reason, action: OnNonFinite::Skip, skipped, .. } => {
                self.say(&format!(
                    "warning: skipping the batch of iteration {iteration}, {skipped} skipped so far: sample {sample} (row \
                     {row}): {reason}"
                ));
            }
            Event::Train { iteration, loss, lr, samples_per_second, hit_rate, .. } if self.bar.is_none() => {
                let hits = hit_rate.map_or(String::new(), |rate| format!(", cache hits {:.1}%", rate * 100.0));
                self.say(&format!(
                    "iteration {iteration} of {}: loss {loss:.4}, lr {lr:.3e}, {samples_per_second:.0} samples/s{hits}",
                    self.iterations
                ));
            }
            Event::Eval { split, evaluation, .. } if evaluation.lines == 0 => {
                self.say(&format!(
                    "{split}: no lines were held out for this, so nothing is known of how good the model is there"
                ));
            }
            Event::Eval { iteration, split, evaluation, best, .. } => {
                let auc = evaluation.auc.map_or("none".to_owned(), |auc| format!("{auc:.4}"));
                self.say(&format!(
                    "iteration {iteration}, {split}: accuracy {:.3}%, log loss {:.4}, AUC {auc}{}",
                    evaluation.accuracy * 100.0,
                    evaluation.log_loss,
                    if *best { ", the best so far" } else { "" }
                ));
            }
            Event::Checkpoint { path, .. } => self.say(&format!("wrote {}", path.display())),
            _ => {}
        }
    }
}

impl Observer for Console {
    fn progress(&mut self, progress: Progress) {
        if let Progress::Train { loss, .. } = progress {
            self.loss = Some(self.loss.map_or(loss, |mean| mean + NEWEST * (loss - mean)));
        }
        let Some(bar) = &self.bar else { return };
        match progress {
            Progress::Train { iteration, iterations, .. } => {
                if self.shown != Shown::Training || bar.length() != Some(iterations) {
                    let template = "training {wide_bar} {pos}/{len} iterations, {per_sec}, {msg}, {eta} left";
                    Self::show(bar, template, iterations, iteration);
                    self.shown = Shown::Training;
                }
                bar.set_position(iteration);
                bar.set_message(format!("loss {:.4}", self.loss.unwrap_or(f64::NAN)));
            }
            Progress::Count { done, lines } => {
                if self.shown != Shown::Counting {
                    let template = "counting rows {wide_bar} {pos}/{len} training lines, {eta} left";
                    Self::show(bar, template, lines as u64, done as u64);
                    self.shown = Shown::Counting;
                }
                bar.set_position(done as u64);
            }
            Progress::Evaluate { part, done, lines } => {
                if self.shown != Shown::Evaluating(part) {
                    let template = format!("evaluating {part} {{wide_bar}} {{pos}}/{{len}} lines, {{eta}} left");
                    Self::show(bar, &template, lines as u64, done as u64);
                    self.shown = Shown::Evaluating(part);
                }
                bar.set_position(done as u64);
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Event::Start { iterations, .. } = event {
            self.iterations = *iterations;
        }
        self.tell(event);
        if let Some(log) = &mut self.log {
            log.write(event)?;
        }
        match &mut self.tensorboard {
            Some(events) => events.event(event),
            None => Ok(()),
        }
    }

    fn stop(&self) -> bool {
        self.interrupt.wanted()
    }
}
