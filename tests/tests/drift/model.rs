//! A whole small DLRM.

use dlrm::model::{Dlrm, Engine, ModelConfig, Samples};
use rand_core::Rng;
use ttcore::init::{CoreInit, Scale};
use ttcore::{Rule, TableConfig, TtShape};
use ttcore_conformance::case::rng;
use ttcore_cpu::Isa;

use super::{Training, convert, wide};

const SAMPLES: usize = 32;
const FEATURES: usize = 4;
const DIM: usize = 8;
/// The number of the batch that is only predicted.
const HELD_OUT: u64 = 1 << 40;

/// Two tensor trains of three cores, one of two, and a dense table.
fn config(rule: Rule) -> ModelConfig {
    // Entries all alike: rules of elements fit them.
    let init = CoreInit::default().with_scale(Scale::Calibrated);
    let shape = |rows, m: &[usize], n: &[usize]| TtShape::with_rank(rows, m, n, 6).expect("a shape");
    let tt = |rows, m: &[usize], n: &[usize]| TableConfig::tt(shape(rows, m, n)).with_init(init);
    let tables = [
        tt(200, &[5, 6, 7], &[2, 2, 2]),
        tt(90, &[4, 5, 5], &[2, 2, 2]),
        tt(60, &[8, 8], &[2, 4]),
        TableConfig::dense(30, DIM).expect("a table"),
    ];
    let tables = tables.map(|table| table.with_rule(rule)).to_vec();
    let config = ModelConfig::new(DIM, vec![FEATURES, 16, DIM], vec![DIM + 10, 16, 1], tables);
    config.expect("a model").with_rule(rule)
}

pub(super) struct Model<B: Engine> {
    model: Dlrm<B>,
    queue: B::Queue,
    seed: u64,
}

/// Dense features, a row for each table, and labels.
struct Batch {
    dense: Vec<f64>,
    indices: Vec<Vec<u32>>,
    labels: Vec<f64>,
}

impl<B: Engine> Model<B> {
    /// A model whose dense part is computed by an instruction set; the seed is that of its numbers and of the batches.
    pub(super) fn new((backend, mut queue): (B, B::Queue), isa: Isa, rule: Rule, seed: u64) -> Self {
        let model = Dlrm::new(backend, &mut queue, config(rule), SAMPLES, seed).expect("a model").with_isa(isa);
        Self { model, queue, seed }
    }

    fn batch(&self, number: u64) -> Batch {
        let mut rng = rng(self.seed, number);
        let mut uniform = || (rng.next_u64() % 1024) as f64 / 1024.0;
        let dense: Vec<f64> = (0..SAMPLES * FEATURES).map(|_| uniform() * 2.0 - 1.0).collect();
        // Some rows are popular.
        let mut row = |rows: u64| (uniform() * uniform() * rows as f64) as u32;
        let rows = self.model.config().tables().iter().map(TableConfig::rows);
        let indices: Vec<Vec<u32>> = rows.map(|rows| (0..SAMPLES).map(|_| row(rows)).collect()).collect();
        // Every row and feature has an effect on the label.
        let effect = |sample: usize| {
            let rows = indices.iter().map(|rows| (f64::from(rows[sample]) * 1.7).sin());
            2.0 * (rows.sum::<f64>() + dense[sample * FEATURES..][..FEATURES].iter().sum::<f64>())
        };
        let labels = (0..SAMPLES).map(|sample| f64::from(uniform() < 1.0 / (1.0 + (-effect(sample)).exp()))).collect();
        Batch { dense, indices, labels }
    }
}

impl<B: Engine> Training for Model<B> {
    fn step(&mut self, number: u64, lr: f64) {
        let Batch { dense, indices, labels } = self.batch(number);
        let (dense, labels) = (convert(&dense), convert(&labels));
        let samples = Samples::new(&dense, &indices, &labels);
        self.model.train_step(&mut self.queue, samples, lr).expect("a step");
    }

    fn outputs(&mut self) -> Vec<f64> {
        let Batch { dense, indices, labels } = self.batch(HELD_OUT);
        let (dense, labels) = (convert(&dense), convert(&labels));
        let samples = Samples::new(&dense, &indices, &labels);
        wide(self.model.predict(&mut self.queue, samples).expect("predictions"))
    }

    fn parameters(&mut self) -> Vec<Vec<f64>> {
        let Self { model, queue, .. } = self;
        let layers = model.mlps(queue).expect("the layers").into_iter().flat_map(|mlp| mlp.layers());
        let mut all: Vec<Vec<f64>> = layers.flat_map(|layer| [wide(&layer.weight), wide(&layer.bias)]).collect();
        for table in 0..model.config().tables().len() {
            all.push(wide(&model.tables().parameters(queue, table).expect("parameters")));
        }
        all
    }

    fn set_parameters(&mut self, parameters: &[Vec<f64>]) {
        let Self { model, queue, .. } = self;
        let mut parameters = parameters.iter().map(|values| convert(values));
        let mut next = || parameters.next().expect("as many tensors");
        for layer in model.mlps(queue).expect("the layers").into_iter().flat_map(|mlp| mlp.layers_mut()) {
            layer.weight.copy_from_slice(&next());
            layer.bias.copy_from_slice(&next());
        }
        for table in 0..model.config().tables().len() {
            model.tables().set_parameters(queue, table, &next()).expect("parameters that fit");
        }
    }
}
