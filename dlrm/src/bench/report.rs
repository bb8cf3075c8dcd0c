//! What a measurement gives.

use serde::Serialize;

use super::{Counts, Order, Settings, Workload};

/// What computed: names for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// The backend.
    pub backend: String,
    /// The instructions it chose.
    pub isa: String,
    /// Threads it computed on; the machine's matrix product takes as many.
    pub threads: usize,
}

/// Medians over the batches, in seconds a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timings {
    pub(super) forward: f64,
    pub(super) step: f64,
    pub(super) sgd_step: f64,
    pub(super) group: f64,
    pub(super) validate: f64,
    pub(super) dense_forward: Option<f64>,
    pub(super) dense_step: Option<f64>,
    pub(super) machine_gflops: f64,
}

/// Everything a measurement gives: one JSON object with these keys and those of [`Host`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What computed.
    #[serde(flatten)]
    pub host: Host,
    /// Rows of the table.
    pub rows: u64,
    /// Numbers of a row.
    pub dim: usize,
    /// Row factors of the cores.
    pub row_factors: Vec<usize>,
    /// Column factors of the cores.
    pub col_factors: Vec<usize>,
    /// The largest TT-rank.
    pub rank: usize,
    /// Bags of a batch.
    pub bags: usize,
    /// Mean lookups of a bag.
    pub pooling: f64,
    /// Lookups of a batch.
    pub lookups: usize,
    /// Batches timed.
    pub batches: usize,
    /// Zipf exponent of the popularity, where it is known.
    pub zipf: Option<f64>,
    /// Which row has a popularity rank, where it is known.
    pub order: Option<Order>,
    /// Seed of new parameters, and of the lookups where they were not read from a file.
    pub seed: u64,
    /// Different rows of a batch, mean.
    pub unique_rows: f64,
    /// Different prefixes of `d - 1` digits of a batch, mean.
    pub unique_pairs: f64,
    /// Group and forward, in evaluation.
    pub forward_ns_per_lookup: f64,
    /// Group, forward, backward and the default rule of cores, AdaGrad-Norm.
    pub step_ns_per_lookup: f64,
    /// The same with SGD, element by element.
    pub sgd_step_ns_per_lookup: f64,
    /// The part of a step that finds what is the same in a batch.
    pub group_ns_per_lookup: f64,
    /// Checking indices and offsets, which comes before a step and is not in its time.
    pub validate_ns_per_lookup: f64,
    /// The same as a share of the time of a step.
    pub validate_share: f64,
    /// [`Report::forward_ns_per_lookup`] of a dense table, if it was measured.
    pub dense_forward_ns_per_lookup: Option<f64>,
    /// [`Report::sgd_step_ns_per_lookup`] of a dense table, if it was measured.
    pub dense_step_ns_per_lookup: Option<f64>,
    /// Operations of a step without any done twice: [`Counts::step_flops`]. None unless there are three cores.
    pub flops_per_step: Option<f64>,
    /// These operations by the time of a step, in 10^9 a second.
    pub gflops: Option<f64>,
    /// What a large matrix product reaches on as many threads, in 10^9 operations a second.
    pub machine_gflops: f64,
    /// `gflops / machine_gflops`.
    pub gflops_share: Option<f64>,
    /// Bytes of a batch of the TT table and the work on it.
    pub workspace_bytes: usize,
    /// Bytes of the cores.
    pub table_bytes: usize,
    /// Bytes of a dense table of the same rows, measured or not.
    pub dense_table_bytes: u128,
}

impl Report {
    pub(super) fn new(
        settings: &Settings,
        workload: &Workload,
        host: Host,
        workspace_bytes: usize,
        timings: Timings,
    ) -> Self {
        let (shape, lookups) = (&settings.shape, workload.lookups());
        let counts = Counts::new(workload, shape);
        let ns_per_lookup = |seconds: f64| seconds * 1e9 / lookups as f64;
        let flops_per_step = counts.step_flops(shape);
        let gflops = flops_per_step.map(|flops| flops / timings.step / 1e9);
        Self {
            host,
            rows: shape.rows(),
            dim: shape.dim(),
            row_factors: shape.row_factors().to_vec(),
            col_factors: shape.col_factors().to_vec(),
            rank: shape.ranks().iter().copied().max().unwrap_or(1),
            bags: workload.bags(),
            pooling: lookups as f64 / workload.bags() as f64,
            lookups,
            batches: workload.batches(),
            zipf: workload.drawn().map(|(zipf, _)| zipf),
            order: workload.drawn().map(|(_, order)| order),
            seed: settings.seed,
            unique_rows: counts.rows,
            unique_pairs: counts.pairs,
            forward_ns_per_lookup: ns_per_lookup(timings.forward),
            step_ns_per_lookup: ns_per_lookup(timings.step),
            sgd_step_ns_per_lookup: ns_per_lookup(timings.sgd_step),
            group_ns_per_lookup: ns_per_lookup(timings.group),
            validate_ns_per_lookup: ns_per_lookup(timings.validate),
            validate_share: timings.validate / timings.step,
            dense_forward_ns_per_lookup: timings.dense_forward.map(ns_per_lookup),
            dense_step_ns_per_lookup: timings.dense_step.map(ns_per_lookup),
            flops_per_step,
            gflops,
            machine_gflops: timings.machine_gflops,
            gflops_share: gflops.map(|gflops| gflops / timings.machine_gflops),
            workspace_bytes,
            table_bytes: shape.parameters() * size_of::<f32>(),
            dense_table_bytes: shape.dense_parameters() * size_of::<f32>() as u128,
        }
    }
}
