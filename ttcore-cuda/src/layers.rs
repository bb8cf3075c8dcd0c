//! What a model computes around its tables, on their device: fully connected layers, dot products between features, loss,
//! and the update of parameters.
//!
//! Matrices are row major, a sample a row. Products are cuBLAS's in the type of the numbers (no TF32); all other sums have
//! one owner and an order that follows from the sizes alone, so results are the same in every run (cuBLAS's of one version on one model of GPU). Losses are summed in
//! `f64`. Nothing here waits for the device but [`Layers::tally`].

use std::fmt;
use std::marker::PhantomData;

use ttcore::{Update, check};

use crate::args::{self, Args, BiasArgs, BiasGradArgs, InteractArgs, LossArgs, TallyArgs, UpdateArgs};
use crate::device::{Device, Dims, Element, Gemm, Kernel, Matrices, Transpose};
use crate::error::Error;
use crate::input::Input;
use crate::view::{View, ViewMut};
use crate::{Cuda, backend};

/// `BIAS_ROWS` and `TALLY` of `kernels/layers.cu`.
const BIAS_ROWS: usize = 64;
const TALLY: usize = 256;

/// Shared memory that a block has on every GPU, in bytes.
const SHARED: usize = 48 << 10;

/// Operations on a device, ordered on a queue.
pub struct Layers<'c, F, D: Device> {
    device: &'c D,
    queue: &'c mut D::Queue,
    numbers: PhantomData<F>,
}

/// Sizes of a fully connected layer on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSize {
    /// Samples, `B`.
    pub batch: usize,
    /// Inputs of the layer.
    pub inputs: usize,
    /// Outputs of the layer.
    pub outputs: usize,
}

/// Sizes of the features of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureSize {
    /// Samples, `B`.
    pub batch: usize,
    /// Numbers of a feature, `N`.
    pub dim: usize,
    /// Features beside the output of the bottom MLP.
    pub embeddings: usize,
}

/// The losses of a batch, on a device.
pub struct Losses<D: Device> {
    memory: D::Memory,
    capacity: usize,
}

/// What a batch gave.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tally {
    /// The sum of the losses.
    pub loss: f64,
    /// The first sample with a number that is not finite: an output of a layer or of the interaction, its loss or a
    /// gradient of its embeddings.
    pub not_finite: Option<usize>,
}

impl<F, D: Device> fmt::Debug for Layers<'_, F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").finish_non_exhaustive()
    }
}

impl<D: Device> fmt::Debug for Losses<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Losses").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl<F: Element, D: Device> Cuda<F, D> {
    /// The operations of this module, ordered on a queue.
    pub fn layers<'c>(&'c self, queue: &'c mut D::Queue) -> Layers<'c, F, D> {
        Layers { device: self.device(), queue, numbers: PhantomData }
    }

    /// Memory for the losses of at most so many samples.
    ///
    /// # Errors
    ///
    /// Of the device.
    pub fn losses(&self, queue: &mut D::Queue, samples: usize) -> Result<Losses<D>, Error> {
        let bytes = samples.checked_mul(size_of::<f64>() + size_of::<u32>());
        let bytes = bytes.and_then(|bytes| bytes.checked_add(2 * size_of::<f64>()));
        let bytes = bytes.ok_or(ttcore::Error::TooLarge { what: "losses" })?;
        Ok(Losses { memory: self.device().allocate(queue, bytes)?, capacity: samples })
    }

    /// Memory for numbers of the host, at most `len`.
    ///
    /// # Errors
    ///
    /// Of the device.
    pub fn input(&self, queue: &mut D::Queue, len: usize) -> Result<Input<F, D>, Error> {
        let bytes = backend::bytes::<F>(len)?;
        Ok(Input::new(self.device().staging(bytes)?, self.device().allocate(queue, bytes)?, len))
    }
}

impl LayerSize {
    /// Numbers of [`Layers::backward`]'s partial sums.
    pub fn partial_len(&self) -> usize {
        self.batch.div_ceil(BIAS_ROWS) * self.outputs
    }

    fn check(&self) -> Result<(), Error> {
        for (what, size) in [("batch", self.batch), ("inputs", self.inputs), ("outputs", self.outputs)] {
            i32::try_from(size).map_err(|_| Error::TooLarge { what, size })?;
        }
        Ok(())
    }
}

impl FeatureSize {
    /// Numbers of a sample's interaction: a feature, and the products of all pairs.
    pub fn width(&self) -> usize {
        self.dim + self.pairs()
    }

    /// That a block has room for the features of a sample, forward and backward.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`].
    pub fn check<F: Element>(&self) -> Result<(), Error> {
        self.shared::<F>(true).map(|_| ())
    }

    fn pairs(&self) -> usize {
        (self.embeddings + 1) * self.embeddings / 2
    }

    /// Bytes of shared memory of a block: the features of a sample, and in backward the gradients of their products.
    fn shared<F: Element>(&self, backward: bool) -> Result<u32, Error> {
        let features = (self.embeddings + 1) * (self.dim | 1);
        let numbers = if backward { features + self.pairs() } else { features };
        match numbers * F::BYTES {
            bytes if bytes > SHARED => Err(Error::TooLarge { what: "bytes of the features of a sample", size: bytes }),
            bytes => Ok(bytes as u32),
        }
    }
}

impl<D: Device> Losses<D> {
    /// Where the losses are, what they sum up to, and for each sample whether one of its numbers is not finite.
    fn places(&self) -> [u64; 3] {
        let losses = D::address(&self.memory);
        let out = losses + (self.capacity * size_of::<f64>()) as u64;
        [losses, out, out + 2 * size_of::<f64>() as u64]
    }

    fn check(&self, samples: usize) -> Result<(), Error> {
        let capacity = self.capacity;
        let error = ttcore::Error::Capacity { what: "samples", table: 0, got: samples, capacity };
        if samples > capacity { Err(error.into()) } else { Ok(()) }
    }
}

impl<F: Element, D: Device> Layers<'_, F, D> {
    /// Begins a batch of which [`Layers::tally`] is to tell.
    ///
    /// # Errors
    ///
    /// The device's.
    pub fn begin(&mut self, losses: &mut Losses<D>) -> Result<(), Error> {
        let [_, _, marks] = losses.places();
        // SAFETY: the memory of the losses has so many marks there, and is borrowed.
        unsafe { self.device.zero(self.queue, marks, losses.capacity * size_of::<u32>()) }
    }

    /// `output` `[B][outputs]` `= input` `[B][inputs]` `weight'` `+ bias`, of `weight` `[outputs][inputs]` and `bias`
    /// `[outputs]`; the larger of it and zero if `relu`. What is not finite is noted in `losses`, where given.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error::Length`], [`Error::TooLarge`], or the device's.
    pub fn forward(
        &mut self,
        size: LayerSize,
        [input, weight, bias]: [View<'_, F>; 3],
        relu: bool,
        output: ViewMut<'_, F>,
        losses: Option<&mut Losses<D>>,
    ) -> Result<(), Error> {
        size.check()?;
        let LayerSize { batch, inputs, outputs } = size;
        check::length("inputs of a layer", None, input.len(), batch * inputs)?;
        check::length("weights of a layer", None, weight.len(), outputs * inputs)?;
        check::length("biases of a layer", None, bias.len(), outputs)?;
        check::length("outputs of a layer", None, output.len(), batch * outputs)?;
        if let Some(losses) = &losses {
            losses.check(batch)?;
        }
        // Column major: out' = W in'.
        let matrices = [weight.address(), input.address(), output.address()];
        self.gemm([outputs, batch, inputs], [Transpose::Yes, Transpose::No], [inputs, inputs, outputs], matrices)?;
        let args = BiasArgs {
            values: output.address(),
            bias: bias.address(),
            marks: losses.map_or(0, |losses| losses.places()[2]),
            rows: batch as u64,
            width: outputs as u64,
            relu: relu.into(),
        };
        self.launch(Kernel::Bias, Dims::threads(batch * outputs), &args)
    }

    /// Gradients of a layer: of its weights and biases, and of its input where it is wanted, from that of its output, which
    /// becomes the one before the ReLU. `partial` is memory for [`LayerSize::partial_len`] numbers.
    ///
    /// # Errors
    ///
    /// As [`Layers::forward`].
    pub fn backward(
        &mut self,
        size: LayerSize,
        [input, weight, output]: [View<'_, F>; 3],
        relu: bool,
        [grad_output, grad_weight, grad_bias, partial]: [ViewMut<'_, F>; 4],
        grad_input: Option<ViewMut<'_, F>>,
    ) -> Result<(), Error> {
        size.check()?;
        let LayerSize { batch, inputs, outputs } = size;
        check::length("inputs of a layer", None, input.len(), batch * inputs)?;
        check::length("weights of a layer", None, weight.len(), outputs * inputs)?;
        check::length("outputs of a layer", None, output.len(), batch * outputs)?;
        check::length("gradients of outputs", None, grad_output.len(), batch * outputs)?;
        check::length("gradients of weights", None, grad_weight.len(), outputs * inputs)?;
        check::length("gradients of biases", None, grad_bias.len(), outputs)?;
        check::length("partial sums", None, partial.len(), size.partial_len())?;
        if let Some(grad_input) = &grad_input {
            check::length("gradients of inputs", None, grad_input.len(), batch * inputs)?;
        }
        let args = BiasGradArgs {
            outputs: output.address(),
            grads: grad_output.address(),
            partial: partial.address(),
            bias_grad: grad_bias.address(),
            rows: batch as u64,
            width: outputs as u64,
            relu: relu.into(),
        };
        self.launch(Kernel::BiasPartial, Dims::threads(partial.len()), &args)?;
        self.launch(Kernel::BiasGrad, Dims::threads(outputs), &args)?;
        // Column major: dW' = in' dout, and din' = W' dout'.
        let grads = grad_output.address();
        let matrices = [input.address(), grads, grad_weight.address()];
        self.gemm([inputs, outputs, batch], [Transpose::No, Transpose::Yes], [inputs, outputs, inputs], matrices)?;
        let Some(grad_input) = grad_input else { return Ok(()) };
        let matrices = [weight.address(), grads, grad_input.address()];
        self.gemm([inputs, batch, outputs], [Transpose::No, Transpose::No], [inputs, outputs, inputs], matrices)
    }

    /// The interaction of features, `out` `[B][N + pairs]`: the output of the bottom MLP, `bottom` `[B][N]`, and the
    /// products of all pairs of it and the embeddings, `embedded` `[B][embeddings][N]`, pair `(1,0), (2,0), (2,1), ..`. What is
    /// not finite is noted in `losses`, where given.
    ///
    /// # Errors
    ///
    /// As [`Layers::forward`].
    pub fn interact(
        &mut self,
        size: FeatureSize,
        [bottom, embedded]: [View<'_, F>; 2],
        out: ViewMut<'_, F>,
        losses: Option<&mut Losses<D>>,
    ) -> Result<(), Error> {
        let shared = size.shared::<F>(false)?;
        let args = interact_args(size, [bottom, embedded])?;
        check::length("interaction", None, out.len(), size.batch * size.width())?;
        if let Some(losses) = &losses {
            losses.check(size.batch)?;
        }
        let marks = losses.map_or(0, |losses| losses.places()[2]);
        let dims = Dims { shared, ..Dims::blocks(size.batch, size.pairs()) };
        self.launch(Kernel::Interact, dims, &InteractArgs { out: out.address(), marks, ..args })
    }

    /// Gradients of the features, laid out as they are, from that of the interaction. What is not finite of those of the
    /// embeddings is noted in `losses`.
    ///
    /// # Errors
    ///
    /// As [`Layers::forward`].
    pub fn interact_backward(
        &mut self,
        size: FeatureSize,
        features: [View<'_, F>; 2],
        grad_out: View<'_, F>,
        [grad_bottom, grad_embedded]: [ViewMut<'_, F>; 2],
        losses: &mut Losses<D>,
    ) -> Result<(), Error> {
        let shared = size.shared::<F>(true)?;
        let args = interact_args(size, features)?;
        check::length("gradients of the interaction", None, grad_out.len(), size.batch * size.width())?;
        check::length("gradients of the bottom MLP", None, grad_bottom.len(), features[0].len())?;
        check::length("gradients of the embeddings", None, grad_embedded.len(), features[1].len())?;
        losses.check(size.batch)?;
        let (grad_bottom, grad_embedded) = (grad_bottom.address(), grad_embedded.address());
        let [_, _, marks] = losses.places();
        let args = InteractArgs { out: grad_out.address(), grad_bottom, grad_embedded, marks, ..args };
        let dims = Dims { shared, ..Dims::blocks(size.batch, Dims::MOST_THREADS as usize) };
        self.launch(Kernel::InteractGrad, dims, &args)
    }

    /// Probabilities of the positive class `[B]`, `1 / (1 + exp(-logit))`. In training also the losses, binary cross
    /// entropy with logarithms not below -100, and the gradients `[B]` of their mean.
    ///
    /// # Errors
    ///
    /// As [`Layers::forward`].
    pub fn loss(
        &mut self,
        [logits, labels]: [View<'_, F>; 2],
        probabilities: ViewMut<'_, F>,
        training: Option<(ViewMut<'_, F>, &mut Losses<D>)>,
    ) -> Result<(), Error> {
        let samples = logits.len();
        check::length("labels", None, labels.len(), samples)?;
        check::length("probabilities", None, probabilities.len(), samples)?;
        let (mut grads, mut losses) = (0, 0);
        if let Some((grad_logits, list)) = training {
            check::length("gradients of logits", None, grad_logits.len(), samples)?;
            list.check(samples)?;
            (grads, losses) = (grad_logits.address(), list.places()[0]);
        }
        let probabilities = probabilities.address();
        let (logits, labels) = (logits.address(), labels.address());
        let args = LossArgs { logits, labels, probabilities, grads, losses, samples: samples as u64 };
        self.launch(Kernel::Loss, Dims::threads(samples), &args)
    }

    /// What a batch of `samples` samples gave that was begun by [`Layers::begin`], after its [`Layers::loss`]. Waits for the
    /// device.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error::Capacity`], or the device's.
    pub fn tally(&mut self, losses: &mut Losses<D>, samples: usize) -> Result<Tally, Error> {
        losses.check(samples)?;
        let [terms, out, marks] = losses.places();
        let dims = Dims { grid: 1, block: Dims::MOST_THREADS, shared: (2 * TALLY * size_of::<f64>()) as u32 };
        let args = TallyArgs { losses: terms, marks, out, samples: samples as u64 };
        self.launch(Kernel::Tally, dims, &args)?;
        let mut sums = [0.0f64; 2];
        // SAFETY: the memory of the losses has two numbers there.
        unsafe { self.device.download(self.queue, out, bytemuck::cast_slice_mut(&mut sums))? };
        let [loss, first] = sums;
        Ok(Tally { loss, not_finite: Some(first as usize).filter(|&first| first < samples) })
    }

    /// A rule on parameters, with their state `[Rule::state_per_parameter][parameters]` and gradients.
    ///
    /// # Errors
    ///
    /// [`Error::Rule`] for a rule that there is no kernel for; [`ttcore::Error::Length`]; the device's.
    pub fn update(
        &mut self,
        params: ViewMut<'_, F>,
        state: ViewMut<'_, F>,
        grads: View<'_, F>,
        update: &Update,
    ) -> Result<(), Error> {
        let len = params.len();
        check::length("optimiser state", None, state.len(), update.rule.state_per_parameter() * len)?;
        check::length("gradients", None, grads.len(), len)?;
        let planes = [state.address(), state.address() + (len * F::BYTES) as u64];
        let sink = args::Sink::update(params.address(), planes, update)?;
        self.launch(Kernel::Update, Dims::threads(len), &UpdateArgs { sink, grads: grads.address(), len: len as u64 })
    }

    fn gemm(
        &mut self,
        [m, n, k]: [usize; 3],
        transpose: [Transpose; 2],
        leading: [usize; 3],
        matrices: [u64; 3],
    ) -> Result<(), Error> {
        let gemm = Gemm { transpose, m, n, k, leading, matrices: Matrices::One(matrices) };
        if m == 0 || n == 0 {
            return Ok(());
        }
        if k == 0 {
            // SAFETY: as below.
            return unsafe { self.device.zero(self.queue, matrices[2], m * n * F::BYTES) };
        }
        // SAFETY: the matrices are views whose lengths were checked, the one that is written exclusive; later work on them
        // is ordered behind.
        unsafe { self.device.gemm(self.queue, F::DOUBLE, &gemm) }
    }

    fn launch<A: Args>(&mut self, kernel: Kernel, dims: Dims, args: &A) -> Result<(), Error> {
        // SAFETY: addresses are those of views and memory whose lengths were checked, written ones exclusive; later work on
        // them is ordered behind.
        unsafe { self.device.launch(self.queue, kernel, F::DOUBLE, dims, args) }
    }
}

/// Arguments of both directions, but for what they write.
fn interact_args<F: Element>(size: FeatureSize, [bottom, embedded]: [View<'_, F>; 2]) -> Result<InteractArgs, Error> {
    let FeatureSize { batch, dim, embeddings } = size;
    check::length("outputs of the bottom MLP", None, bottom.len(), batch * dim)?;
    check::length("embeddings", None, embedded.len(), batch * embeddings * dim)?;
    Ok(InteractArgs {
        bottom: bottom.address(),
        embedded: embedded.address(),
        out: 0,
        grad_bottom: 0,
        grad_embedded: 0,
        marks: 0,
        samples: batch as u64,
        // So few that they fit into shared memory.
        dim: dim as u32,
        others: embeddings as u32,
    })
}
