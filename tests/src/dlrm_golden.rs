//! Golden training runs: a small DLRM trained by PyTorch in `f64`, one run a file.
//!
//! Read like the vectors of [`golden`](ttcore_conformance::golden). The loss of every batch, all predictions and all final weights
//! must come out.

use std::collections::BTreeMap;

use dlrm::model::{Dlrm, Engine, ModelConfig, Samples};
use serde::Deserialize;
use ttcore::{Real, Rule, TableConfig, TtShape};
use ttcore_conformance::golden::{KINDS, cases};
use ttcore_conformance::tolerance::assert_error;
use ttcore_cpu::Isa;

/// The runs that come with these tests.
pub const FILES: [(&str, &str); 2] = [
    ("dlrm_dense.json", include_str!("../golden/dlrm_dense.json")),
    ("dlrm_tt.json", include_str!("../golden/dlrm_tt.json")),
];

/// The largest [`error`](ttcore_conformance::tolerance::error) of a tensor of a run: 1e-10 in `f64`, 1e-4 in `f32`.
pub fn limit<F: Real>() -> f64 {
    if F::epsilon().as_f64() < 1e-12 { 1e-10 } else { 1e-4 }
}

/// One file.
#[derive(Clone, Debug, Deserialize)]
struct Golden {
    table_rows: Vec<u64>,
    dim: usize,
    mlp_bottom: Vec<usize>,
    mlp_top: Vec<usize>,
    batch: usize,
    lr: f64,
    /// Tables in TT form, by number.
    #[serde(default)]
    tt: BTreeMap<usize, Tt>,
    initial: Vec<Vec<f64>>,
    batches: Vec<GoldenBatch>,
    losses: Vec<f64>,
    predictions: Vec<Vec<f64>>,
    #[serde(rename = "final")]
    finally: Vec<Vec<f64>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Tt {
    row_factors: Vec<usize>,
    col_factors: Vec<usize>,
    ranks: Vec<usize>,
}

/// Dense features are as they come: the model sees `ln(x + 1)` of them.
#[derive(Clone, Debug, Deserialize)]
struct GoldenBatch {
    dense: Vec<f64>,
    indices: Vec<Vec<u32>>,
    labels: Vec<f64>,
}

impl Golden {
    fn config(&self) -> ModelConfig {
        let table = |(number, &rows): (usize, &u64)| match self.tt.get(&number) {
            None => TableConfig::dense(rows, self.dim).expect("a table"),
            Some(tt) => {
                let shape = TtShape::new(rows, &tt.row_factors, &tt.col_factors, &tt.ranks).expect("a shape");
                TableConfig::tt(shape).with_rule(Rule::Sgd)
            }
        };
        let tables = self.table_rows.iter().enumerate().map(table).collect();
        ModelConfig::new(self.dim, self.mlp_bottom.clone(), self.mlp_top.clone(), tables).expect("a model")
    }

    /// Tensors of the tables, of which a TT table has one a core, by their number behind those of the MLPs.
    fn tensors_of_tables(&self) -> Vec<usize> {
        (0..self.table_rows.len()).map(|table| self.tt.get(&table).map_or(1, |tt| tt.row_factors.len())).collect()
    }
}

/// Every golden run, from its initial weights, with the dense part on every instruction set of this machine.
///
/// # Panics
///
/// If a file is not a case, or something else comes out than in the file.
pub fn training<B: Engine>(make: impl Fn() -> (B, B::Queue)) {
    for (path, golden) in cases::<Golden>(KINDS[1], &FILES) {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let (backend, mut queue) = make();
            run(&format!("{}, {isa}", path.display()), &golden, backend, &mut queue, isa);
        }
    }
}

fn run<B: Engine>(name: &str, golden: &Golden, backend: B, queue: &mut B::Queue, isa: Isa) {
    let limit = limit::<B::Float>();
    let mut model = Dlrm::new(backend, queue, golden.config(), golden.batch, 0).expect("a model").with_isa(isa);
    load(&mut model, queue, golden);
    assert_eq!(golden.batches.len(), golden.losses.len(), "{name}: a loss for every batch");
    assert_eq!(golden.batches.len(), golden.predictions.len(), "{name}: predictions for every batch");

    let mut losses = Vec::new();
    for (number, (batch, predictions)) in golden.batches.iter().zip(&golden.predictions).enumerate() {
        let dense: Vec<f64> = batch.dense.iter().map(|&x| (x + 1.0).ln()).collect();
        let (dense, labels) = (convert(&dense), convert(&batch.labels));
        let samples = Samples::new(&dense, &batch.indices, &labels);
        losses.push(model.train_step(queue, samples, golden.lr).expect("a step"));
        let got: Vec<f64> =
            model.probabilities(queue, labels.len()).expect("predictions").iter().map(|p| p.as_f64()).collect();
        assert_error(&format!("{name}: predictions of batch {number}"), &got, predictions, limit);
    }
    assert_error(&format!("{name}: losses"), &losses, &golden.losses, limit);

    let got = tensors(&mut model, queue, golden);
    assert_eq!(got.len(), golden.finally.len(), "{name}: number of tensors");
    for (number, (got, want)) in got.iter().zip(&golden.finally).enumerate() {
        assert_error(&format!("{name}: final tensor {number}"), got, want, limit);
    }
}

/// Puts the initial tensors into a model.
fn load<B: Engine>(model: &mut Dlrm<B>, queue: &mut B::Queue, golden: &Golden) {
    let mut tensors = golden.initial.iter().map(|tensor| convert::<B::Float>(tensor));
    let mut next = || tensors.next().expect("enough tensors");
    for mlp in model.mlps(queue).expect("the layers") {
        for layer in mlp.layers_mut() {
            layer.weight.copy_from_slice(&next());
            layer.bias.copy_from_slice(&next());
        }
    }
    for (table, count) in golden.tensors_of_tables().into_iter().enumerate() {
        let values: Vec<B::Float> = (0..count).flat_map(|_| next()).collect();
        model.tables().set_parameters(queue, table, &values).expect("parameters that fit");
    }
}

/// The tensors of a model, in the order of the files.
fn tensors<B: Engine>(model: &mut Dlrm<B>, queue: &mut B::Queue, golden: &Golden) -> Vec<Vec<f64>> {
    let wide = |values: &[B::Float]| values.iter().map(|v| v.as_f64()).collect::<Vec<f64>>();
    let mut tensors = Vec::new();
    for mlp in model.mlps(queue).expect("the layers") {
        for layer in mlp.layers() {
            tensors.push(wide(&layer.weight));
            tensors.push(wide(&layer.bias));
        }
    }
    for table in 0..golden.table_rows.len() {
        let values = model.tables().parameters(queue, table).expect("parameters");
        let shape = model.config().tables()[table].table().cores().cloned();
        match shape {
            None => tensors.push(wide(&values)),
            Some(shape) => tensors.extend((0..shape.cores()).map(|k| wide(&values[shape.core_range(k)]))),
        }
    }
    tensors
}

fn convert<F: Real>(values: &[f64]) -> Vec<F> {
    values.iter().map(|&v| F::of(v)).collect()
}
