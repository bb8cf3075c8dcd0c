//! The dense part on the GPU of the tables.
//!
//! A step is ordered on the queue as a whole and waits for the device once, for the loss: the host does something else
//! until then, such as reading the next batch, and groups the next batch while the device updates parameters.
//!
//! The MLPs of the host are copies. Whichever side was changed last is brought to the other when it is asked for.

mod parameters;
mod pass;

use std::fmt;
use std::ops::Range;
use std::time::Instant;

use ttcore::{Backend, Mode, Update};
use ttcore_cuda::layers::{FeatureSize, LayerSize, Losses};
use ttcore_cuda::{Buffer, Cuda, Device, Element, Error, Input, View, ViewMut};

use crate::model::Samples;
use crate::model::engine::{DenseModel, DensePart, Engine, Passed};
use crate::model::finite::{self, NonFinite, Quantity};
use crate::model::gemm::Number;
use crate::model::interaction::Interaction;
use crate::model::mlp::Mlp;
use crate::model::phases::{DenseClock, Phases};

impl<F: Number + Element, D: Device> Engine for Cuda<F, D> {
    type Dense = Gpu<F, D>;
}

/// The dense part on a GPU.
pub struct Gpu<F, D: Device> {
    /// The bottom and the top MLP, and whether those of the device are newer.
    mlps: [Mlp<F>; 2],
    newer: bool,
    interaction: Interaction,
    /// On the device, those of the bottom MLP first.
    layers: Vec<Layer<F, D>>,
    /// How many of them are of the bottom MLP.
    bottom: usize,
    parameters: Parameters<F, D>,
    /// Dense features and labels of a batch.
    input: Input<F, D>,
    embedded: Buffer<F, D>,
    grad_embedded: Buffer<F, D>,
    interacted: Buffer<F, D>,
    grad_interacted: Buffer<F, D>,
    probabilities: Buffer<F, D>,
    losses: Losses<D>,
    /// Numbers of the device that the host asked for.
    fetched: Vec<F>,
    watched: bool,
}

impl<F, D: Device> fmt::Debug for Gpu<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("interaction", &self.interaction).finish_non_exhaustive()
    }
}

/// Weights and biases of each layer, one layer after the other, on the device.
struct Parameters<F, D: Device> {
    values: Buffer<F, D>,
    /// Planes of the rule's state, each laid out like the values.
    state: Buffer<F, D>,
    grads: Buffer<F, D>,
    /// Memory for sums of gradients of biases.
    partial: Buffer<F, D>,
}

/// A layer on the device.
struct Layer<F, D: Device> {
    size: LayerSize,
    relu: bool,
    /// Where its parameters are: the weights, then the biases.
    place: Range<usize>,
    /// `[B][outputs]`, and their gradients.
    outputs: Buffer<F, D>,
    grads: Buffer<F, D>,
}

impl<F: Number + Element, D: Device> DensePart<Cuda<F, D>> for Gpu<F, D> {
    const ASYNC: bool = true;

    fn new(on: &Cuda<F, D>, queue: &mut D::Queue, model: DenseModel<F>) -> Result<Self, Error> {
        let DenseModel { bottom, cross, top, interaction, largest_batch } = model;
        if cross.is_some() {
            return Err(Error::Unsupported { what: "a cross network (--interaction dcn)" });
        }
        FeatureSize { batch: largest_batch, dim: interaction.dim, embeddings: interaction.embeddings }.check::<F>()?;
        let mut layers = Vec::new();
        let (mut end, mut partial) = (0, 0);
        for mlp in [&bottom, &top] {
            for (number, layer) in mlp.layers().iter().enumerate() {
                let (inputs, outputs) = (layer.inputs(), layer.outputs());
                let size = LayerSize { batch: largest_batch, inputs, outputs };
                let place = end..end + outputs * (inputs + 1);
                (end, partial) = (place.end, partial.max(size.partial_len()));
                let [outputs, grads] =
                    [on.alloc(queue, largest_batch * outputs)?, on.alloc(queue, largest_batch * outputs)?];
                layers.push(Layer { size, relu: mlp.relu(number), place, outputs, grads });
            }
        }
        let planes =
            bottom.layers().first().map_or(0, |layer| layer.state.len() / (layer.outputs() * (layer.inputs() + 1)));
        let (embedded, inputs) = (largest_batch * interaction.embeddings * interaction.dim, layers[0].size.inputs);
        let mut alloc = |len| on.alloc(queue, len);
        let interacted = [alloc(largest_batch * interaction.width())?, alloc(largest_batch * interaction.width())?];
        let [interacted, grad_interacted] = interacted;
        Ok(Self {
            bottom: bottom.layers().len(),
            newer: false,
            interaction,
            layers,
            parameters: Parameters {
                values: alloc(end)?,
                state: alloc(planes * end)?,
                grads: alloc(end)?,
                partial: alloc(partial)?,
            },
            embedded: alloc(embedded)?,
            grad_embedded: alloc(embedded)?,
            interacted,
            grad_interacted,
            probabilities: alloc(largest_batch)?,
            input: on.input(queue, largest_batch * (inputs + 1))?,
            losses: on.losses(queue, largest_batch)?,
            fetched: vec![F::of(0.0); largest_batch],
            mlps: [bottom, top],
            watched: false,
        })
    }

    fn watch(&mut self) {
        self.watched = true;
    }

    fn embedded(&mut self, batch: usize) -> ViewMut<'_, F> {
        let len = self.embedded_len(batch);
        part_mut::<F, D>(&mut self.embedded, 0..len)
    }

    fn pass<T: Send>(
        &mut self,
        on: &Cuda<F, D>,
        queue: &mut D::Queue,
        (samples, mode): (Samples<'_, F>, Mode),
        beside: impl FnOnce() -> T + Send,
        phases: &mut Phases,
    ) -> Result<Passed<T>, Error> {
        let (begin, batch) = (Instant::now(), samples.labels.len());
        self.send_parameters(on, queue)?;
        self.input.load(on, queue, &[samples.dense, samples.labels])?;
        let mut clock = Clock { clock: DenseClock::default(), start: begin, watched: self.watched };
        self.forward(on, queue, batch, mode, &mut clock)?;
        if mode == Mode::Evaluate {
            let result = beside();
            phases.set_dense(clock.clock, begin.elapsed());
            return Ok((Ok(0.0), result));
        }
        self.backward(on, queue, batch, &mut clock)?;
        let result = beside();
        let tally = on.layers(queue).tally(&mut self.losses, batch)?;
        clock.book(on, queue, 5)?;
        phases.set_dense(clock.clock, begin.elapsed());
        let given = [samples.dense, samples.labels];
        let loss = match tally.not_finite.is_none() && given.into_iter().all(finite::all) {
            true => Ok(tally.loss),
            false => Err(self.not_finite(on, queue, samples, tally.loss)?),
        };
        Ok((loss, result))
    }

    fn grad_embedded(&mut self, _on: &Cuda<F, D>, _queue: &mut D::Queue, batch: usize) -> Result<View<'_, F>, Error> {
        Ok(part::<F, D>(&self.grad_embedded, 0..self.embedded_len(batch)))
    }

    fn update(&mut self, on: &Cuda<F, D>, queue: &mut D::Queue, rule: &Update, _dense: &[F]) -> Result<(), Error> {
        self.newer = true;
        let Parameters { values, state, grads, .. } = &mut self.parameters;
        on.layers(queue).update(values.view_mut(), state.view_mut(), grads.view(), rule)
    }

    fn probabilities(&mut self, on: &Cuda<F, D>, queue: &mut D::Queue, batch: usize) -> Result<&[F], Error> {
        self.fetched.resize(batch, F::of(0.0));
        on.download(queue, part::<F, D>(&self.probabilities, 0..batch), &mut self.fetched)?;
        Ok(&self.fetched)
    }

    fn mlps(&mut self, on: &Cuda<F, D>, queue: &mut D::Queue) -> Result<[&mut Mlp<F>; 2], Error> {
        self.fetch_parameters(on, queue)?;
        let [bottom, top] = &mut self.mlps;
        Ok([bottom, top])
    }
}

impl<F: Number + Element, D: Device> Gpu<F, D> {
    /// The first number that is not finite of a batch that has one, whose losses sum up to `loss`: looked for on the host.
    fn not_finite(
        &mut self,
        on: &Cuda<F, D>,
        queue: &mut D::Queue,
        samples: Samples<'_, F>,
        loss: f64,
    ) -> Result<NonFinite, Error> {
        let (batch, embedded) = (samples.labels.len(), self.embedded_len(samples.labels.len()));
        let mut fetch = |buffer: &Buffer<F, D>, len: usize| {
            let mut numbers = vec![F::of(0.0); len];
            on.download(queue, part::<F, D>(buffer, 0..len), &mut numbers).map(|()| numbers)
        };
        let probabilities = fetch(&self.probabilities, batch)?;
        let gradient = fetch(&self.grad_embedded, embedded)?;
        let outputs = self.layers.iter().map(|layer| fetch(&layer.outputs, batch * layer.size.outputs));
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let interaction = fetch(&self.interacted, batch * self.interaction.width())?;
        let (below, above) = outputs.split_at(self.bottom);
        let below = below.iter().enumerate().map(|(layer, y)| (Quantity::Bottom { layer }, &y[..]));
        let above = above.iter().enumerate().map(|(layer, y)| (Quantity::Top { layer }, &y[..]));
        let given = [(Quantity::Label, samples.labels), (Quantity::Dense { feature: 0 }, samples.dense)];
        let between = [(Quantity::Interaction, &interaction[..])];
        let gradient = [(Quantity::Gradient { position: 0 }, &gradient[..])];
        let parts = given.into_iter().chain(below).chain(between).chain(above).chain(gradient);
        let found = finite::find((samples.labels, &probabilities, loss), parts);
        Ok(found.unwrap_or(NonFinite { sample: 0, quantity: Quantity::Loss, value: loss }))
    }

    fn features(&self, batch: usize) -> FeatureSize {
        FeatureSize { batch, dim: self.interaction.dim, embeddings: self.interaction.embeddings }
    }

    fn embedded_len(&self, batch: usize) -> usize {
        batch * self.interaction.embeddings * self.interaction.dim
    }
}

/// Times of the dense phases, which end only when the device is done with them.
struct Clock {
    clock: DenseClock,
    start: Instant,
    watched: bool,
}

impl Clock {
    fn book<F: Number + Element, D: Device>(
        &mut self,
        on: &Cuda<F, D>,
        queue: &mut D::Queue,
        phase: usize,
    ) -> Result<(), Error> {
        if self.watched {
            on.synchronize(queue)?;
        }
        self.clock.book(phase, &mut self.start);
        Ok(())
    }
}

fn part<F: Number + Element, D: Device>(buffer: &Buffer<F, D>, range: Range<usize>) -> View<'_, F> {
    Cuda::<F, D>::slice(buffer.view(), range)
}

fn part_mut<F: Number + Element, D: Device>(buffer: &mut Buffer<F, D>, range: Range<usize>) -> ViewMut<'_, F> {
    Cuda::<F, D>::slice_mut(buffer.view_mut(), range)
}
