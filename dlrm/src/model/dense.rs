//! The dense part of the model: everything but the tables.
//!
//! A batch is cut into chunks of samples. A chunk goes the whole way, forward through both MLPs and back, before the next
//! one on the same thread: what it leaves stays in the caches, and there is nothing to wait for between the layers. Then
//! the gradients of the weights are summed over the chunks, panel by panel of each layer.

use std::time::Instant;

use ttcore::{Mode, Update};
use ttcore_cpu::{Isa, Kernels, Work};

use super::cross::{Cross, CrossTrace};
use super::finite::{self, NonFinite, Quantity};
use super::gemm::{Machine, Number};
use super::interaction::{Interaction, Scratch};
use super::loss;
use super::mlp::{Mlp, Trace};
use super::parallel::{Parts, cut, cut_mut, for_each, join};
use super::phases::DenseClock;

/// Most samples of a chunk.
const LARGEST_CHUNK: usize = 64;

/// Chunks of a small batch, for as many threads.
const CHUNKS: usize = 4;

/// Both MLPs and the interaction, with memory for a batch.
pub(super) struct Dense<F> {
    pub(super) bottom: Mlp<F>,
    /// In the place of the dot products, if there is one.
    pub(super) cross: Option<Cross<F>>,
    pub(super) top: Mlp<F>,
    interaction: Interaction,
    chunks: Vec<Chunk<F>>,
    /// Samples of a chunk, but of the last one of a batch.
    rows: usize,
    pub(super) isa: Isa,
}

/// What some samples leave.
struct Chunk<F> {
    bottom: Trace<F>,
    cross: Option<CrossTrace<F>>,
    top: Trace<F>,
    interaction: Vec<F>,
    grad_interaction: Vec<F>,
    scratch: Scratch<F>,
    /// Sum over the samples.
    loss: f64,
    non_finite: Option<NonFinite>,
    clock: DenseClock,
}

/// A batch as the dense part sees it.
pub(super) struct Batch<'a, F> {
    /// `[B][bottom inputs]`.
    pub(super) dense: &'a [F],
    /// `[B]`.
    pub(super) labels: &'a [F],
    /// `[B][n N]`.
    pub(super) embedded: &'a [F],
    /// `[B][n N]`, to write in training.
    pub(super) grad_embedded: &'a mut [F],
    /// `[B]`, to write.
    pub(super) probabilities: &'a mut [F],
}

impl<F: Number> Dense<F> {
    pub(super) fn new(
        bottom: Mlp<F>,
        cross: Option<Cross<F>>,
        top: Mlp<F>,
        interaction: Interaction,
        largest_batch: usize,
    ) -> Self {
        let width = top.layers()[0].inputs();
        let rows = largest_batch.div_ceil(CHUNKS).clamp(1, LARGEST_CHUNK);
        let zeros = |len: usize| vec![F::zero(); len];
        let chunk = |_| Chunk {
            bottom: bottom.trace(rows),
            cross: cross.as_ref().map(|cross| cross.trace(rows)),
            top: top.trace(rows),
            interaction: zeros(rows * width),
            grad_interaction: zeros(rows * width),
            scratch: interaction.scratch(),
            loss: 0.0,
            non_finite: None,
            clock: DenseClock::default(),
        };
        let chunks = (0..largest_batch.div_ceil(rows)).map(chunk).collect();
        Self { bottom, cross, top, interaction, chunks, rows, isa: Isa::from_env().unwrap_or(Isa::best()) }
    }

    /// About how many numbers are held for each sample of the largest batch: outputs and gradients of all layers.
    pub(super) fn numbers_of_a_sample(
        bottom: &Mlp<F>,
        cross: Option<&Cross<F>>,
        top: &Mlp<F>,
        interaction: Interaction,
    ) -> usize {
        let outputs = |mlp: &Mlp<F>| mlp.layers().iter().map(|layer| layer.outputs()).sum::<usize>();
        let between = cross.map_or(2 * interaction.width(), Cross::numbers_of_a_sample);
        2 * (outputs(bottom) + outputs(top)) + between
    }

    /// Forward, and in training backward to the embeddings. Gives the sum of the losses, or in training the first number
    /// that is not finite, and the time of each phase.
    pub(super) fn pass(&mut self, batch: Batch<'_, F>, mode: Mode) -> (Result<f64, NonFinite>, DenseClock) {
        F::dispatch(self.isa, Pass { dense: self, batch, mode })
    }

    /// Applies a rule to both MLPs, after a pass over the batch whose dense features these are.
    pub(super) fn update(&mut self, update: &Update, dense: &[F]) {
        F::dispatch(self.isa, Step { dense: self, update, features: dense });
    }
}

/// [`Dense::pass`].
struct Pass<'d, 'a, F> {
    dense: &'d mut Dense<F>,
    batch: Batch<'a, F>,
    mode: Mode,
}

impl<F: Number> Work<F> for Pass<'_, '_, F> {
    type Output = (Result<f64, NonFinite>, DenseClock);

    fn run<K: Kernels<F>>(self, kernels: K) -> Self::Output {
        let Dense { bottom, cross, top, interaction, chunks, rows, isa } = self.dense;
        bottom.refresh(kernels);
        cross.iter_mut().for_each(|cross| cross.refresh(kernels));
        top.refresh(kernels);
        let samples = self.batch.labels.len();
        let chunks = &mut chunks[..samples.div_ceil(*rows)];
        let model = Model { bottom, cross: cross.as_ref(), top, interaction: *interaction, samples, mode: self.mode };
        let machine = Machine::new(*isa, kernels);
        let span = Span { interaction: *interaction, rows: *rows, chunks: &mut *chunks, batch: self.batch };
        for_each(span, &|span: Span<'_, F>| model.pass(machine, &mut span.chunks[0], span.batch));
        let non_finite = chunks.iter().enumerate().find_map(|(number, chunk)| {
            let found = chunk.non_finite?;
            Some(NonFinite { sample: number * *rows + found.sample, ..found })
        });
        let loss = non_finite.map_or_else(|| Ok(chunks.iter().map(|chunk| chunk.loss).sum()), Err);
        (loss, chunks.iter().map(|chunk| chunk.clock).sum())
    }
}

/// What all chunks share.
struct Model<'m, F> {
    bottom: &'m Mlp<F>,
    cross: Option<&'m Cross<F>>,
    top: &'m Mlp<F>,
    interaction: Interaction,
    /// Samples of the whole batch.
    samples: usize,
    mode: Mode,
}

impl<F: Number> Model<'_, F> {
    fn pass<K: Kernels<F>>(&self, machine: Machine<K>, chunk: &mut Chunk<F>, batch: Batch<'_, F>) {
        let Chunk { bottom, cross, top, interaction, grad_interaction, scratch, loss, non_finite, clock } = chunk;
        let Batch { dense, labels, embedded, grad_embedded, probabilities } = batch;
        let (rows, width) = (labels.len(), self.top.layers()[0].inputs());
        let mut cross = self.cross.zip(cross.as_mut());
        let (interaction, grad_interaction) = (&mut interaction[..rows * width], &mut grad_interaction[..rows * width]);
        let start = &mut Instant::now();
        *clock = DenseClock::default();

        self.bottom.forward(machine, dense, rows, bottom);
        clock.book(0, start);
        let x = self.bottom.output(rows, bottom);
        match &mut cross {
            Some((cross, trace)) => cross.forward(machine, (x, embedded), rows, trace, interaction),
            None => self.interaction.forward(machine.kernels, x, embedded, interaction, scratch),
        }
        clock.book(1, start);
        let logits = self.top.forward(machine, interaction, rows, top);
        probabilities.iter_mut().zip(logits).for_each(|(p, &logit)| *p = loss::sigmoid(logit));
        if self.mode == Mode::Evaluate {
            *non_finite = None;
            return clock.book(2, start);
        }
        *loss = loss::sum(probabilities, labels);
        loss::logit_gradient(probabilities, labels, self.samples, self.top.grad_output(rows, top));
        clock.book(2, start);

        self.top.backward(machine, rows, top, Some(&mut *grad_interaction));
        clock.book(3, start);
        let (x, grad_x) = self.bottom.output_and_gradient(rows, bottom);
        let grads = (grad_x, &mut *grad_embedded);
        match &mut cross {
            Some((cross, trace)) => cross.backward(machine, rows, trace, grad_interaction, grads),
            None => self.interaction.backward(machine.kernels, (x, embedded), grad_interaction, grads, scratch),
        }
        let given = [(Quantity::Label, labels), (Quantity::Dense { feature: 0 }, dense)].into_iter();
        let below = self.bottom.outputs(rows, bottom).enumerate().map(|(layer, y)| (Quantity::Bottom { layer }, y));
        let between = [(Quantity::Interaction, &*interaction)];
        let above = self.top.outputs(rows, top).enumerate().map(|(layer, y)| (Quantity::Top { layer }, y));
        let gradient = [(Quantity::Gradient { position: 0 }, &*grad_embedded)];
        let all = given.chain(below).chain(between).chain(above).chain(gradient);
        *non_finite = finite::find((labels, probabilities, *loss), all);
        clock.book(4, start);
        self.bottom.backward(machine, rows, bottom, None);
        clock.book(5, start);
    }
}

/// Chunks in a row, with their samples.
struct Span<'a, F> {
    interaction: Interaction,
    rows: usize,
    chunks: &'a mut [Chunk<F>],
    batch: Batch<'a, F>,
}

impl<F: Number> Parts for Span<'_, F> {
    fn len(&self) -> usize {
        self.chunks.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Self { interaction, rows, chunks, batch: Batch { dense, labels, embedded, grad_embedded, probabilities } } =
            self;
        let (samples, features) = (at * rows, dense.len() / labels.len());
        let numbers = samples * interaction.embeddings * interaction.dim;
        let (chunks, dense) = (chunks.split_at_mut(at), cut(dense, samples * features));
        let (labels, probabilities) = (cut(labels, samples), cut_mut(probabilities, samples));
        let (embedded, grad_embedded) = (cut(embedded, numbers), cut_mut(grad_embedded, numbers));
        let front = Batch {
            dense: dense.0,
            labels: labels.0,
            embedded: embedded.0,
            grad_embedded: grad_embedded.0,
            probabilities: probabilities.0,
        };
        let back = Batch {
            dense: dense.1,
            labels: labels.1,
            embedded: embedded.1,
            grad_embedded: grad_embedded.1,
            probabilities: probabilities.1,
        };
        let span = |chunks, batch| Self { interaction, rows, chunks, batch };
        (span(chunks.0, front), span(chunks.1, back))
    }
}

/// [`Dense::update`].
struct Step<'d, F> {
    dense: &'d mut Dense<F>,
    update: &'d Update,
    features: &'d [F],
}

impl<F: Number> Work<F> for Step<'_, F> {
    type Output = ();

    fn run<K: Kernels<F>>(self, kernels: K) {
        let Self { dense: Dense { bottom, cross, top, chunks, rows, isa, .. }, update, features } = self;
        let (machine, inputs) = (Machine::new(*isa, kernels), bottom.layers()[0].inputs());
        // The dense features of a chunk, of which the last one may have fewer samples.
        let parts = features.chunks(*rows * inputs).zip(&*chunks);
        let parts = parts.map(|(features, chunk)| (features.len() / inputs, features, chunk));
        let below = parts.clone().map(|(rows, features, chunk)| (rows, features, &chunk.bottom));
        let between = parts.clone().filter_map(|(rows, _, chunk)| Some((rows, chunk.cross.as_ref()?)));
        let above = parts.map(|(rows, _, chunk)| (rows, &chunk.interaction[..], &chunk.top));
        let between = || cross.iter_mut().for_each(|cross| cross.update(machine, update, between.clone()));
        let outside = || join(|| top.update(machine, update, above), || bottom.update(machine, update, below));
        join(between, outside);
    }
}
