//! What an iteration of a whole model costs.
//!
//! Random samples of a preset's shape; a batch is used once, as in training. The batches are in memory: reading them is no
//! part of an iteration. A few iterations come before those that are timed, and where rows are cached, as many as make the
//! popular ones known; then they are loaded. The learning rate is so small that no number ever leaves its range.

use std::time::Instant;

use serde::{Serialize, Serializer};
use ttcore::{CoreRule, Error, TableConfig, TtShape};

use super::batches::Batches;
use super::{Host, Order, WARM_UP, WorkloadError, machine_gflops, median};
use crate::memory::{CORES, largest_tables};
use crate::model::{CrossSize, DensePart, Dlrm, Engine, Feature, Lookup, ModelConfig, Phases, StepError};
use crate::presets::Preset;

/// Learning rate of the steps.
const LR: f64 = 0.01;

/// Lookups in a table that make its popular rows known.
const COUNTED: usize = 20_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Sizes of tables and layers.
    pub preset: Preset,
    /// Samples of a batch.
    pub batch: usize,
    /// How many of the largest tables are in TT form.
    pub tt_tables: usize,
    /// Their TT-rank.
    pub tt_rank: usize,
    /// The update rule of their cores, if they have one of their own.
    pub core_rule: CoreRule,
    /// Fraction of their rows that is cached uncompressed.
    pub cache_fraction: f64,
    /// Exponent of the popularity of rows.
    pub zipf: f64,
    /// Which row has a popularity rank.
    pub order: Order,
    /// Iterations that are timed.
    pub iterations: usize,
    /// Decides all draws.
    pub seed: u64,
}

impl Default for Settings {
    /// The Kaggle model as the paper compresses it.
    fn default() -> Self {
        Self {
            preset: Preset::Kaggle,
            batch: Preset::Kaggle.batch_size(),
            tt_tables: 7,
            tt_rank: 32,
            core_rule: CoreRule::ADAGRAD_NORM,
            cache_fraction: 0.0,
            zipf: 1.05,
            order: Order::Scattered,
            iterations: 30,
            seed: 0,
        }
    }
}

impl Settings {
    /// The model.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`] for a setting out of range, or a table that cannot be made.
    pub fn model(&self) -> Result<ModelConfig, WorkloadError> {
        let must = |name, must| Err(WorkloadError::Setting { name, must });
        for (name, value) in [("batch size", self.batch), ("number of iterations", self.iterations)] {
            if value == 0 {
                return must(name, "at least 1");
            }
        }
        if !(0.0..=1.0).contains(&self.cache_fraction) {
            return must("fraction of cached rows", "between 0 and 1");
        }
        let (preset, compressed) = (self.preset, self.compressed());
        let table = |(table, &rows): (usize, &u64)| {
            let config = match compressed.contains(&table) {
                true => self.tensor_train(rows),
                false => TableConfig::dense(rows, preset.embedding_dim()),
            };
            config.map_err(|error| WorkloadError::Table { table, error })
        };
        let tables = preset.table_rows().iter().enumerate().map(table).collect::<Result<Vec<_>, _>>()?;
        let direct = |table: &TableConfig| Feature { categories: table.rows(), lookup: Lookup::Direct, longest: 1 };
        let features = tables.iter().map(direct).collect();
        let mlps = (preset.bottom().to_vec(), preset.top().to_vec());
        let cross = preset.cross().map(|(layers, rank)| CrossSize { layers, rank });
        ModelConfig::with_interaction(preset.embedding_dim(), mlps, tables, features, cross)
            .map_err(WorkloadError::Model)
    }

    fn tensor_train(&self, rows: u64) -> Result<TableConfig, Error> {
        let slots = (rows as f64 * self.cache_fraction).ceil() as usize;
        let shape = TtShape::paper(rows, self.preset.embedding_dim(), CORES, self.tt_rank)?;
        TableConfig::tt(shape).with_core_rule(self.core_rule).with_cache(slots)
    }

    /// Numbers of the tables in TT form, the largest first.
    pub fn compressed(&self) -> Vec<usize> {
        largest_tables(self.preset.table_rows(), self.tt_tables)
    }

    /// Batches that a run takes.
    pub fn batches(&self) -> usize {
        self.warm_up() + self.iterations
    }

    fn warm_up(&self) -> usize {
        let counted = if self.cache_fraction > 0.0 { COUNTED / self.batch.max(1) } else { 0 };
        counted.max(WARM_UP)
    }

    /// Operations of the MLPs, and of a cross network, for one sample: forward, and backward to the weights of all layers and to the inputs of all
    /// but the first.
    pub fn mlp_flops(&self) -> usize {
        let (bottom, top) = (self.preset.bottom(), self.preset.top());
        let products: usize =
            [bottom, top].iter().flat_map(|sizes| sizes.windows(2)).map(|pair| pair[0] * pair[1]).sum();
        let cross = self.preset.cross().map_or(0, |(layers, rank)| 2 * layers * rank * top[0]);
        2 * (3 * (products + cross) - bottom[0] * bottom[1])
    }
}

/// Everything a measurement gives: one JSON object with these keys and those of [`Host`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What computed.
    #[serde(flatten)]
    pub host: Host,
    /// Sizes of tables and layers.
    pub preset: Preset,
    /// Samples of a batch.
    pub batch: usize,
    /// How many tables are in TT form.
    pub tt_tables: usize,
    /// Which.
    pub tt_table_numbers: Vec<usize>,
    /// Their TT-rank.
    pub tt_rank: usize,
    /// Whether their cores are trained element by element, without a rule of their own.
    pub element_wise: bool,
    /// Fraction of their rows that is cached.
    pub cache_fraction: f64,
    /// Share of the lookups in tables with a cache that found their row there.
    pub hit_rate: Option<f64>,
    /// Exponent of the popularity of rows.
    pub zipf: f64,
    /// Which row has a popularity rank.
    pub order: Order,
    /// Iterations timed.
    pub iterations: usize,
    /// Seed of all draws.
    pub seed: u64,
    /// Median time of an iteration.
    pub ms_per_iteration: f64,
    /// Samples a second at that time.
    pub samples_per_second: f64,
    /// Median time of each phase, in milliseconds: see [`Phases`]. On a GPU of iterations that wait at the end of each
    /// phase, and so take longer than the others.
    #[serde(serialize_with = "map")]
    pub phases: Vec<(&'static str, f64)>,
    /// Operations of the MLPs for one sample.
    pub mlp_flops: usize,
    /// What a large matrix product reaches on as many threads, in 10^9 operations a second.
    pub machine_gflops: f64,
    /// Time the MLPs alone would take at that rate.
    pub mlp_floor_ms: f64,
    /// Mean loss of the iterations timed.
    pub loss: f64,
    /// Bytes of the tables, caches included.
    pub table_bytes: u128,
    /// Bytes of the tables if all were dense.
    pub dense_table_bytes: u128,
    /// Bytes of one batch of the tables and the work on it.
    pub workspace_bytes: usize,
    /// Bytes of all batches.
    pub workload_bytes: usize,
    /// Most memory the process ever had, where the system says.
    pub peak_rss_bytes: Option<u64>,
}

/// Measures training of `config`, the [model](Settings::model) of `settings`, on [batches](Settings::batches); `tell` hears
/// what is going on.
///
/// # Errors
///
/// [`StepError::Backend`] with [`Error::TooLarge`] or the backend's own; [`StepError::NonFinite`] if the model diverges.
pub fn run<B: Engine<Float = f32>>(
    backend: B,
    queue: &mut B::Queue,
    (settings, config): (&Settings, ModelConfig),
    batches: &Batches,
    host: Host,
    mut tell: impl FnMut(&str),
) -> Result<Report, StepError<B::Error>> {
    tell("drawing the model");
    let mut model = Dlrm::new(backend, queue, config, settings.batch, settings.seed)?;
    tell("measuring iterations");
    let warm_up = settings.warm_up().min(batches.len());
    for number in 0..warm_up {
        model.train_step(queue, batches.samples(number), LR)?;
    }
    if settings.cache_fraction > 0.0 {
        model.tables().refresh(queue)?;
    }
    model.tables().statistics();
    let timed = warm_up..batches.len();
    let (mut times, mut losses) = (Vec::with_capacity(timed.len()), 0.0);
    let mut phases = model.phases().named().map(|(name, _)| (name, Vec::with_capacity(timed.len())));
    for number in timed.clone() {
        let samples = batches.samples(number);
        let start = Instant::now();
        losses += model.train_step(queue, samples, LR)?;
        // On another machine the update may still be under way.
        model.tables().backend().synchronize(queue)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if !B::Dense::ASYNC {
            note(&mut phases, model.phases());
        }
    }
    if B::Dense::ASYNC {
        // Times of phases take waiting for each: the iterations above went without.
        model.watch_phases();
        for number in timed.clone() {
            model.train_step(queue, batches.samples(number), LR)?;
            note(&mut phases, model.phases());
        }
    }
    let peak_rss_bytes = peak_rss();
    tell("measuring the machine");
    let machine_gflops = machine_gflops(host.threads);

    let (ms_per_iteration, tables) = (median(&mut times), model.tables().statistics());
    let traffic = tables.iter().filter_map(|table| table.traffic);
    let (hits, lookups) =
        traffic.fold((0, 0), |(hits, lookups), traffic| (hits + traffic.hits, lookups + traffic.lookups));
    let workspace = model.tables().workspace();
    Ok(Report {
        host,
        preset: settings.preset,
        batch: settings.batch,
        tt_tables: settings.compressed().len(),
        tt_table_numbers: settings.compressed(),
        tt_rank: settings.tt_rank,
        element_wise: settings.core_rule == CoreRule::ElementWise,
        cache_fraction: settings.cache_fraction,
        hit_rate: (lookups > 0).then(|| hits as f64 / lookups as f64),
        zipf: settings.zipf,
        order: settings.order,
        iterations: timed.len(),
        seed: settings.seed,
        ms_per_iteration,
        samples_per_second: settings.batch as f64 / ms_per_iteration * 1e3,
        phases: phases.into_iter().map(|(name, mut times)| (name, median(&mut times))).collect(),
        mlp_flops: settings.mlp_flops(),
        machine_gflops,
        mlp_floor_ms: (settings.batch * settings.mlp_flops()) as f64 / machine_gflops / 1e6,
        loss: losses / timed.len() as f64,
        table_bytes: tables.iter().map(|table| table.bytes.parameters() as u128).sum(),
        dense_table_bytes: tables.iter().map(|table| table.bytes.uncompressed).sum(),
        workspace_bytes: workspace.group + workspace.saved + workspace.scratch,
        workload_bytes: batches.bytes(),
        peak_rss_bytes,
    })
}

/// Takes note of the times of an iteration, in milliseconds.
fn note(phases: &mut [(&'static str, Vec<f64>); 10], times: Phases) {
    for ((_, list), (_, time)) in phases.iter_mut().zip(times.named()) {
        list.push(time.as_secs_f64() * 1e3);
    }
}

/// Names and values as a map, in their order.
fn map<S: Serializer>(values: &[(&'static str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().copied())
}

/// Most memory this process ever had, on Linux.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_the_kaggle_layers() {
        let products = 13 * 512 + 512 * 256 + 256 * 64 + 64 * 16 + 367 * 512 + 512 * 256 + 256;
        assert_eq!(Settings::default().mlp_flops(), 6 * products - 2 * 13 * 512);
    }

    #[test]
    fn settings_out_of_range_and_tables() {
        let refused = |settings: Settings| settings.model().expect_err("refused").to_string();
        assert!(refused(Settings { batch: 0, ..Settings::default() }).contains("batch size"));
        assert!(refused(Settings { iterations: 0, ..Settings::default() }).contains("iterations"));
        assert!(refused(Settings { cache_fraction: f64::NAN, ..Settings::default() }).contains("cached rows"));
        assert!(refused(Settings { tt_rank: 0, ..Settings::default() }).contains("table 2: "));
        let model = Settings { tt_tables: 2, cache_fraction: 1e-4, ..Settings::default() }.model().expect("a model");
        let tables = model.tables().iter().enumerate().filter(|(_, config)| config.table().cores().is_some());
        let tables: Vec<_> = tables.map(|(table, config)| (table, config.table().dense_rows())).collect();
        assert_eq!(tables, [(2, 1014), (11, 836)]);
    }
}
