//! Golden vectors: what PyTorch computes in `f64`, one bag of one table a file.
//!
//! They come with this crate, or are read from the directory that the environment variable `TTCORE_GOLDEN` names. The
//! limits on the error are part of the vectors: see [`limit`].

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ttcore::{Backend, Bags, Layout, Pooling, Real, Rule, Table, TtShape, Update};

use crate::batch::Batch;
use crate::case::Case;
use crate::device::{Device, nearest};
use crate::harness::Harness;
use crate::oracle::UNWRITTEN;
use crate::tolerance::assert_error;

/// What the names of golden files begin with, one for each kind.
pub const KINDS: [&str; 2] = ["tt_", "dlrm_"];

/// Names of files and what is in them.
macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../golden/", $name)))),+]
    };
}

/// The vectors that come with the suite: names of files, and their text.
pub const FILES: &[(&str, &str)] = files![
    "tt_d2_sum.json",
    "tt_d3_mean.json",
    "tt_d3_mean_weighted.json",
    "tt_d3_r16.json",
    "tt_d3_sum.json",
    "tt_d3_sum_weighted.json",
    "tt_d4_sum.json",
    "tt_random0.json",
    "tt_random1.json",
    "tt_random2.json",
    "tt_random3.json",
];

/// The largest [`error`](crate::tolerance::error) of a tensor of one bag: 1e-12 in `f64`, 1e-4 in `f32`.
pub fn limit<F: Real>() -> f64 {
    if F::epsilon().as_f64() < 1e-12 { 1e-12 } else { 1e-4 }
}

/// The golden cases of a kind, with the names of the files they come from: those in `ours`, or in the directory that
/// `TTCORE_GOLDEN` names, which may leave a kind out.
///
/// # Panics
///
/// As [`cases_in`].
pub fn cases<T: DeserializeOwned>(kind: &str, ours: &[(&str, &str)]) -> Vec<(PathBuf, T)> {
    match std::env::var_os("TTCORE_GOLDEN") {
        Some(directory) => cases_in(Path::new(&directory), kind),
        None => ours.iter().map(|(name, text)| case(PathBuf::from(name), text)).collect(),
    }
}

/// The golden cases of a kind in a directory. If there are only others, none, and a line on standard output says so.
///
/// # Panics
///
/// If the directory cannot be read or has no case of any kind; if a file of this kind is not a case, with its name.
pub fn cases_in<T: DeserializeOwned>(directory: &Path, kind: &str) -> Vec<(PathBuf, T)> {
    let at = directory.display();
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("golden directory {at}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("golden directory {at}: {error}")).file_name())
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".json") && KINDS.iter().any(|kind| name.starts_with(kind)))
        .collect();
    names.sort_unstable();
    assert!(!names.is_empty(), "golden directory {at}: no {}*.json", KINDS.join("*.json and no "));
    names.retain(|name| name.starts_with(kind));
    if names.is_empty() {
        println!("golden directory {at}: no {kind}*.json, nothing to check");
    }
    let read = |name| {
        let path = directory.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        case(path, &text)
    };
    names.into_iter().map(read).collect()
}

fn case<T: DeserializeOwned>(path: PathBuf, text: &str) -> (PathBuf, T) {
    let case = serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, case)
}

/// One file.
#[derive(Clone, Debug, Deserialize)]
struct Golden {
    rows: u64,
    row_factors: Vec<usize>,
    col_factors: Vec<usize>,
    ranks: Vec<usize>,
    pooling: GoldenPooling,
    cores: Vec<Vec<f64>>,
    indices: Vec<i64>,
    offsets: Vec<i64>,
    weights: Option<Vec<f64>>,
    output: Vec<f64>,
    grad_output: Vec<f64>,
    grad_cores: Vec<Vec<f64>>,
    grad_weights: Option<Vec<f64>>,
    sgd: Step,
    adagrad: Step,
    full_table: Option<Vec<f64>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GoldenPooling {
    Sum,
    Mean,
}

/// One step of a rule, and the cores and state after it.
#[derive(Clone, Debug, Deserialize)]
struct Step {
    lr: f64,
    #[serde(default)]
    eps: f64,
    #[serde(default)]
    state: Vec<Vec<f64>>,
    cores: Vec<Vec<f64>>,
}

/// A golden case, its table, and its numbers as near as a backend's float has them.
struct Vectors {
    name: String,
    golden: Golden,
    case: Case,
    params: [Vec<f64>; 1],
}

/// The cases of single bags, checked to belong together.
fn vectors<F: Real>() -> Vec<Vectors> {
    cases(KINDS[0], FILES)
        .into_iter()
        .map(|(path, golden)| Vectors::new::<F>(path.display().to_string(), golden))
        .collect()
}

impl Vectors {
    fn new<F: Real>(name: String, golden: Golden) -> Self {
        let shape = TtShape::new(golden.rows, &golden.row_factors, &golden.col_factors, &golden.ranks)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let batch = Batch {
            indices: golden.indices.clone(),
            offsets: golden.offsets.clone(),
            weights: golden.weights.as_deref().map(nearest::<F>),
            pooling: match golden.pooling {
                GoldenPooling::Sum => Pooling::Sum,
                GoldenPooling::Mean => Pooling::Mean,
            },
            ..Batch::sum(&[])
        };
        let host = batch.host::<F>();
        let bags: Bags<'_, F> = host.bags(golden.rows).unwrap_or_else(|error| panic!("{name}: {error}"));
        let numbers = [golden.cores.concat().len(), golden.grad_output.len(), golden.output.len()];
        let wanted = [shape.parameters(), bags.bags() * shape.dim(), bags.bags() * shape.dim()];
        assert_eq!(numbers, wanted, "{name}: numbers of the cores, grad_output and output");
        let params = [nearest::<F>(&golden.cores.concat())];
        Self { case: Case::single(Table::tt(shape), batch, 0), name, golden, params }
    }

    fn grad_out<F: Real>(&self) -> Vec<f64> {
        nearest::<F>(&self.golden.grad_output)
    }

    /// A backend that has just run forward, and the output.
    fn forward<'d, B: Backend>(&self, device: &'d Device<B>) -> (Harness<'d, B>, Vec<f64>) {
        let mut harness = Harness::of(device, &self.case);
        let out = harness.forward(&self.params, self.case.bags());
        (harness, out)
    }

    /// The same bags as those of so many features, the last of them first in the output; nothing if they are not as many of
    /// each.
    fn of_features(&self, count: usize) -> Option<Self> {
        let (table, batch) = (&self.case.layout.tables()[0], &self.case.batches[0]);
        let columns = (0..count).rev().map(|place| place * (table.dim() + 1)).collect();
        let (stride, bags) = (count * (table.dim() + 1), batch.bags() / count);
        let layout = Layout::with_features(vec![table.clone()], vec![columns], stride, bags, batch.lookups());
        let case = Case { layout: layout.expect("one small table"), ..self.case.clone() };
        let name = format!("{}, {count} features", self.name);
        (bags * count == batch.bags()).then(|| Self {
            name,
            golden: self.golden.clone(),
            case,
            params: self.params.clone(),
        })
    }

    /// Gradients of the cores, of each core by itself.
    fn check_core_gradients<B: Backend>(&self, grads: &[f64]) {
        let shape = self.case.layout.tables()[0].cores().expect("golden tables have cores");
        assert_eq!(self.golden.grad_cores.len(), shape.cores(), "{}: grad_cores", self.name);
        for (k, want) in self.golden.grad_cores.iter().enumerate() {
            self.assert::<B::Float>(&format!("gradient of core {k}"), &grads[shape.core_range(k)], want);
        }
    }

    fn assert<F: Real>(&self, tensor: &str, got: &[f64], want: &[f64]) {
        assert_error(&format!("{}: {tensor}", self.name), got, want, limit::<F>());
    }

    /// One fused step: its cores and its state.
    fn check_step<B: Backend>(&self, device: &Device<B>, name: &str, rule: Rule, step: &Step) {
        let (mut harness, _) = self.forward(device);
        let mut params = self.params.clone();
        let mut state = [vec![0.0; rule.state_per_parameter() * self.params[0].len()]];
        let update = Update { rule, ..Update::sgd(step.lr) };
        harness.update(&mut params, &mut state, update, &self.grad_out::<B::Float>());
        self.assert::<B::Float>(&format!("cores after {name}"), &params[0], &step.cores.concat());
        self.assert::<B::Float>(&format!("state after {name}"), &state[0], &step.state.concat());
    }
}

/// The pooled output.
pub fn output<B: Backend>(device: &Device<B>) {
    for vectors in vectors::<B::Float>() {
        let (_, out) = vectors.forward(device);
        vectors.assert::<B::Float>("output", &out, &vectors.golden.output);
    }
}

/// Every row of the table.
pub fn full_table<B: Backend>(device: &Device<B>) {
    for vectors in vectors::<B::Float>() {
        if let Some(table) = &vectors.golden.full_table {
            let rows: Vec<u64> = (0..vectors.golden.rows).collect();
            let got = Harness::of(device, &vectors.case).expand(0, &vectors.params[0], &rows);
            vectors.assert::<B::Float>("full table", &got, table);
        }
    }
}

/// Gradients of the cores, of each core by itself.
pub fn core_gradients<B: Backend>(device: &Device<B>) {
    for vectors in vectors::<B::Float>() {
        let (mut harness, _) = vectors.forward(device);
        let grads = harness.grads(&vectors.params, &vectors.grad_out::<B::Float>());
        vectors.check_core_gradients::<B>(&grads[0]);
    }
}

/// Output and gradients of the bags as those of several features.
pub fn several_features<B: Backend>(device: &Device<B>) {
    for (one, count) in vectors::<B::Float>().iter().flat_map(|vectors| [(vectors, 2), (vectors, 3)]) {
        let Some(vectors) = one.of_features(count) else { continue };
        let (case, golden) = (&vectors.case, &vectors.golden);
        let (mut harness, out) = vectors.forward(device);
        vectors.assert::<B::Float>("output", &case.of_table(0, &out), &golden.output);
        let mut grad_out = vec![UNWRITTEN; case.outputs()];
        for (b, grads) in vectors.grad_out::<B::Float>().chunks(case.layout.tables()[0].dim()).enumerate() {
            grad_out[case.pooled(0, b)].copy_from_slice(grads);
        }
        vectors.check_core_gradients::<B>(&harness.grads(&vectors.params, &grad_out)[0]);
        if let Some(want) = &golden.grad_weights {
            let got = harness.weight_grads(&vectors.params, &grad_out, golden.indices.len());
            vectors.assert::<B::Float>("gradient of the weights", &got, want);
        }
    }
}

/// Gradients of the per-sample weights.
pub fn weight_gradients<B: Backend>(device: &Device<B>) {
    for vectors in vectors::<B::Float>() {
        if let Some(want) = &vectors.golden.grad_weights {
            let (mut harness, _) = vectors.forward(device);
            let grad_out = vectors.grad_out::<B::Float>();
            let got = harness.weight_grads(&vectors.params, &grad_out, vectors.golden.indices.len());
            vectors.assert::<B::Float>("gradient of the weights", &got, want);
        }
    }
}

/// One step of stochastic gradient descent.
pub fn sgd<B: Backend>(device: &Device<B>) {
    for vectors in vectors::<B::Float>() {
        vectors.check_step(device, "SGD", Rule::Sgd, &vectors.golden.sgd);
    }
}

/// One step of Adagrad.
pub fn adagrad<B: Backend>(device: &Device<B>) {
    for vectors in vectors::<B::Float>() {
        let step = &vectors.golden.adagrad;
        vectors.check_step(device, "Adagrad", Rule::Adagrad { eps: step.eps }, step);
    }
}
