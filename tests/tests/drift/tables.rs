//! Tables alone, with a smooth loss: a factorisation machine.
//!
//! The logit of a sample is `sum_i <1, e_i> + sum_{i<j} <e_i, e_j>` over its pooled embeddings `e_i`, and the loss its cross
//! entropy. Nothing in it jumps, so small differences stay small.

use rand_core::Rng;
use ttcore::embedding::Batch as Grouped;
use ttcore::init::{CoreInit, Scale};
use ttcore::{Backend, Bags, EmbeddingBagCollection, Mode, Offsets, Pooling, Real, Rule, TableConfig, TtShape};
use ttcore_conformance::case::rng;

use super::{Training, convert, wide};

const SAMPLES: usize = 32;
/// Lookups of each sample in each table.
const LOOKUPS: usize = 3;
const DIM: usize = 8;
/// Steps after which the cache chooses its rows.
const REFRESHES: [u64; 2] = [100, 500];
/// The number of the batch that is only predicted.
const HELD_OUT: u64 = 1 << 40;

/// Trains of two and three cores, one with a cache, and a dense table.
fn configs(rule: Rule) -> Vec<TableConfig> {
    // Entries all alike: rules of elements fit them.
    let init = CoreInit::default().with_scale(Scale::Calibrated);
    let shape = |rows, m: &[usize], n: &[usize]| TtShape::with_rank(rows, m, n, 6).expect("a shape");
    let tt = |rows, m: &[usize], n: &[usize]| TableConfig::tt(shape(rows, m, n)).with_init(init);
    let tables = [
        tt(200, &[5, 6, 7], &[2, 2, 2]),
        tt(90, &[4, 5, 5], &[2, 2, 2]).with_cache(8).expect("a cache"),
        tt(60, &[8, 8], &[2, 4]),
        TableConfig::dense(30, DIM).expect("a table"),
    ];
    tables.map(|table| table.with_rule(rule)).to_vec()
}

pub(super) struct Tables<B: Backend> {
    tables: EmbeddingBagCollection<B>,
    queue: B::Queue,
    batch: Grouped<B>,
}

impl<B: Backend> Tables<B> {
    pub(super) fn new((backend, mut queue): (B, B::Queue), rule: Rule) -> Self {
        let tables = EmbeddingBagCollection::new(backend, &mut queue, configs(rule), SAMPLES, SAMPLES * LOOKUPS, 1);
        let tables = tables.expect("small tables");
        let batch = tables.batch(&mut queue).expect("memory");
        Self { tables, queue, batch }
    }

    /// The embeddings of the samples of a batch, `[samples][tables DIM]`, and the labels.
    fn embed(&mut self, number: u64, mode: Mode) -> (Vec<B::Float>, Vec<f64>) {
        let mut rng = rng(number, 0);
        let mut uniform = || (rng.next_u64() % 1024) as f64 / 1024.0;
        let rows: Vec<u64> = self.tables.configs().map(TableConfig::rows).collect();
        // Some rows are popular.
        let mut row = |rows: u64| (uniform() * uniform() * rows as f64) as u64;
        let indices: Vec<Vec<u64>> =
            rows.iter().map(|&rows| (0..SAMPLES * LOOKUPS).map(|_| row(rows)).collect()).collect();
        let weights: Vec<B::Float> = (0..SAMPLES * LOOKUPS).map(|_| B::Float::of(0.5 + uniform())).collect();
        // Every row has an effect on the label.
        let effect = |sample: usize| {
            let lookups = indices.iter().flat_map(|rows| &rows[sample * LOOKUPS..][..LOOKUPS]);
            lookups.map(|&row| (row as f64 * 1.7).sin()).sum::<f64>()
        };
        let labels = (0..SAMPLES).map(|sample| f64::from(uniform() < 1.0 / (1.0 + (-effect(sample)).exp()))).collect();

        let starts: Vec<u64> = (0..SAMPLES).map(|sample| (sample * LOOKUPS) as u64).collect();
        let bags = indices.iter().zip(&rows).enumerate().map(|(table, (indices, &rows))| {
            let (pooling, weights) =
                if table == 0 { (Pooling::Sum, Some(&weights[..])) } else { (Pooling::Mean, None) };
            Bags::new(rows, indices, Offsets::Starts(&starts), pooling, weights).expect("bags")
        });
        let bags: Vec<Bags<'_, B::Float>> = bags.collect();
        let Self { tables, queue, batch, .. } = self;
        tables.group(queue, batch, bags, mode).expect("group");
        let mut host = vec![B::Float::default(); SAMPLES * tables.layout().stride()];
        let mut out = tables.backend().alloc(queue, host.len()).expect("memory");
        tables.forward(queue, batch, B::view_mut(&mut out)).expect("forward");
        tables.backend().download(queue, B::view(&out), &mut host).expect("memory");
        (host, labels)
    }
}

/// The probability of a sample with these embeddings, `[tables DIM]`, and the sum of its embeddings, `[DIM]`.
fn predict<F: Real>(embeddings: &[F]) -> (F, [F; DIM]) {
    let mut sums = [F::zero(); DIM];
    let (mut logit, mut squares) = (F::zero(), F::zero());
    for embedding in embeddings.chunks_exact(DIM) {
        for (sum, &e) in sums.iter_mut().zip(embedding) {
            *sum += e;
            logit += e;
            squares += e * e;
        }
    }
    let square = sums.iter().map(|&sum| sum * sum).sum::<F>();
    logit += F::of(0.5) * (square - squares);
    (dlrm::model::sigmoid(logit), sums)
}

impl<B: Backend> Training for Tables<B> {
    fn step(&mut self, number: u64, lr: f64) {
        let (mut embeddings, labels) = self.embed(number, Mode::Train);
        let stride = self.tables.layout().stride();
        // Embeddings become their gradients.
        for (embeddings, &label) in embeddings.chunks_exact_mut(stride).zip(&labels) {
            let (probability, sums) = predict(embeddings);
            let grad = (probability - B::Float::of(label)) / B::Float::of(SAMPLES as f64);
            for embedding in embeddings.chunks_exact_mut(DIM) {
                for (e, &sum) in embedding.iter_mut().zip(&sums) {
                    *e = grad * (B::Float::of(1.0) + sum - *e);
                }
            }
        }
        let Self { tables, queue, batch, .. } = self;
        let mut grad = tables.backend().alloc(queue, embeddings.len()).expect("memory");
        tables.backend().upload(queue, &embeddings, B::view_mut(&mut grad)).expect("memory");
        tables.step(queue, batch, B::view(&grad), lr, None).expect("step");
        if REFRESHES.contains(&number) {
            tables.refresh(queue).expect("refresh");
        }
    }

    fn outputs(&mut self) -> Vec<f64> {
        let (embeddings, _) = self.embed(HELD_OUT, Mode::Evaluate);
        embeddings.chunks_exact(self.tables.layout().stride()).map(|sample| predict(sample).0.as_f64()).collect()
    }

    fn parameters(&mut self) -> Vec<Vec<f64>> {
        let Self { tables, queue, .. } = self;
        (0..tables.configs().len()).map(|t| wide(&tables.parameters(queue, t).expect("parameters"))).collect()
    }

    fn set_parameters(&mut self, parameters: &[Vec<f64>]) {
        let Self { tables, queue, .. } = self;
        for (t, values) in parameters.iter().enumerate() {
            tables.set_parameters(queue, t, &convert(values)).expect("parameters that fit");
        }
    }
}
