//! One pass over a batch: which operations, on which memory.

use std::ops::Range;

use ttcore::{Backend, Mode};
use ttcore_cuda::layers::{LayerSize, Losses};
use ttcore_cuda::{Buffer, Cuda, Device, Element, Error, Input, View, ViewMut};

use super::{Clock, Gpu, Layer, Parameters, part, part_mut};
use crate::model::gemm::Number;

impl<F: Number + Element, D: Device> Gpu<F, D> {
    /// Up to the probabilities, and in training the losses.
    pub(super) fn forward(
        &mut self,
        on: &Cuda<F, D>,
        queue: &mut D::Queue,
        batch: usize,
        mode: Mode,
        clock: &mut Clock,
    ) -> Result<(), Error> {
        let (features, embedded) = (self.features(batch), self.embedded_len(batch));
        let [dense, labels] = input(&self.input, batch, self.layers[0].size.inputs);
        let embedded = part::<F, D>(&self.embedded, 0..embedded);
        let (bottom, top) = self.layers.split_at_mut(self.bottom);

        on.layers(queue).begin(&mut self.losses)?;
        forward(on, queue, batch, bottom, &self.parameters.values, dense, &mut self.losses)?;
        clock.book(on, queue, 0)?;
        let x = outputs(bottom, batch);
        let interacted = part_mut::<F, D>(&mut self.interacted, 0..batch * features.width());
        on.layers(queue).interact(features, [x, embedded], interacted, Some(&mut self.losses))?;
        clock.book(on, queue, 1)?;
        let interacted = part::<F, D>(&self.interacted, 0..batch * features.width());
        forward(on, queue, batch, top, &self.parameters.values, interacted, &mut self.losses)?;
        let Some(last) = top.last_mut() else { return Ok(()) };
        let (logits, grads) = (part::<F, D>(&last.outputs, 0..batch), part_mut::<F, D>(&mut last.grads, 0..batch));
        let probabilities = part_mut::<F, D>(&mut self.probabilities, 0..batch);
        let training = (mode == Mode::Train).then_some((grads, &mut self.losses));
        on.layers(queue).loss([logits, labels], probabilities, training)?;
        clock.book(on, queue, 2)
    }

    /// From the gradients of the logits to those of all parameters and of the embeddings.
    pub(super) fn backward(
        &mut self,
        on: &Cuda<F, D>,
        queue: &mut D::Queue,
        batch: usize,
        clock: &mut Clock,
    ) -> Result<(), Error> {
        let (features, embedded) = (self.features(batch), self.embedded_len(batch));
        let [dense, _] = input(&self.input, batch, self.layers[0].size.inputs);
        let interacted = part::<F, D>(&self.interacted, 0..batch * features.width());
        let grad_interacted = part_mut::<F, D>(&mut self.grad_interacted, 0..batch * features.width());
        let (bottom, top) = self.layers.split_at_mut(self.bottom);

        backward(on, queue, batch, top, &mut self.parameters, interacted, Some(grad_interacted))?;
        clock.book(on, queue, 3)?;
        let Some(last) = bottom.last_mut() else { return Ok(()) };
        let len = batch * last.size.outputs;
        let features_of = [part::<F, D>(&last.outputs, 0..len), part::<F, D>(&self.embedded, 0..embedded)];
        let grad_features =
            [part_mut::<F, D>(&mut last.grads, 0..len), part_mut::<F, D>(&mut self.grad_embedded, 0..embedded)];
        let grad_interacted = part::<F, D>(&self.grad_interacted, 0..batch * features.width());
        let losses = &mut self.losses;
        on.layers(queue).interact_backward(features, features_of, grad_interacted, grad_features, losses)?;
        clock.book(on, queue, 4)?;
        backward(on, queue, batch, bottom, &mut self.parameters, dense, None)?;
        clock.book(on, queue, 5)
    }
}

/// An MLP on inputs `[B][inputs]`.
fn forward<F: Number + Element, D: Device>(
    on: &Cuda<F, D>,
    queue: &mut D::Queue,
    batch: usize,
    mlp: &mut [Layer<F, D>],
    params: &Buffer<F, D>,
    input: View<'_, F>,
    losses: &mut Losses<D>,
) -> Result<(), Error> {
    for l in 0..mlp.len() {
        let (before, from) = mlp.split_at_mut(l);
        let input = if before.is_empty() { input } else { outputs(before, batch) };
        let Layer { size, relu, place, outputs, .. } = &mut from[0];
        let size = LayerSize { batch, ..*size };
        let [weight, bias] = weight_and_bias(params, size, place);
        let output = part_mut::<F, D>(outputs, 0..batch * size.outputs);
        on.layers(queue).forward(size, [input, weight, bias], *relu, output, Some(&mut *losses))?;
    }
    Ok(())
}

/// An MLP, from the gradients of its outputs to those of its parameters and, where wanted, of its inputs.
fn backward<F: Number + Element, D: Device>(
    on: &Cuda<F, D>,
    queue: &mut D::Queue,
    batch: usize,
    mlp: &mut [Layer<F, D>],
    parameters: &mut Parameters<F, D>,
    input: View<'_, F>,
    mut grad_input: Option<ViewMut<'_, F>>,
) -> Result<(), Error> {
    let Parameters { values, grads, partial, .. } = parameters;
    for l in (0..mlp.len()).rev() {
        let (before, from) = mlp.split_at_mut(l);
        let Layer { size, relu, place, outputs: output, grads: grad_output, .. } = &mut from[0];
        let size = LayerSize { batch, ..*size };
        let [weight, _] = weight_and_bias(values, size, place);
        let (grad_weight, grad_bias) = part_mut::<F, D>(grads, place.clone()).split_at(weight.len());
        let partial = part_mut::<F, D>(partial, 0..size.partial_len());
        let (below, input) = match before.last_mut() {
            Some(layer) => {
                let len = batch * size.inputs;
                (Some(part_mut::<F, D>(&mut layer.grads, 0..len)), part::<F, D>(&layer.outputs, 0..len))
            }
            None => (grad_input.take(), input),
        };
        let len = batch * size.outputs;
        let (output, grad_output) = (part::<F, D>(output, 0..len), part_mut::<F, D>(grad_output, 0..len));
        let written = [grad_output, grad_weight, grad_bias, partial];
        on.layers(queue).backward(size, [input, weight, output], *relu, written, below)?;
    }
    Ok(())
}

/// Dense features and labels of a batch.
fn input<F: Number + Element, D: Device>(input: &Input<F, D>, batch: usize, features: usize) -> [View<'_, F>; 2] {
    let part = |range| Cuda::<F, D>::slice(input.view(), range);
    [part(0..batch * features), part(batch * features..batch * (features + 1))]
}

/// Outputs of the last of some layers.
fn outputs<F: Number + Element, D: Device>(layers: &[Layer<F, D>], batch: usize) -> View<'_, F> {
    let last = &layers[layers.len() - 1];
    part::<F, D>(&last.outputs, 0..batch * last.size.outputs)
}

fn weight_and_bias<'b, F: Number + Element, D: Device>(
    params: &'b Buffer<F, D>,
    size: LayerSize,
    place: &Range<usize>,
) -> [View<'b, F>; 2] {
    let biases = place.start + size.outputs * size.inputs;
    [part::<F, D>(params, place.start..biases), part::<F, D>(params, biases..place.end)]
}
