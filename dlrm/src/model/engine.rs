//! Where the dense part of the model is computed: on the host, or on the device of the tables.

use std::fmt;

use ttcore::{Backend, Mode, Update};
use ttcore_cpu::{Cpu, Isa};

use super::Samples;
use super::cross::Cross;
use super::finite::NonFinite;
use super::gemm::Number;
use super::host::Host;
use super::interaction::Interaction;
use super::mlp::Mlp;
use super::phases::Phases;

/// A backend for the tables of a model, and what computes everything else beside it.
///
/// For a backend of one's own, [`Host`] is enough: it takes embeddings from the backend's memory and brings their gradients
/// there.
pub trait Engine: Backend<Float: Number> {
    /// The dense part of the model.
    type Dense: DensePart<Self>;
}

impl<F: Number> Engine for Cpu<F> {
    type Dense = Host<Self>;
}

impl<F: Number> Engine for ttcore::Reference<F> {
    type Dense = Host<Self>;
}

/// What a pass gives: the sum of the losses, or in training the first number that is not finite; and what was done beside
/// it.
pub type Passed<T> = (Result<f64, NonFinite>, T);

/// The layers of a new model, and the largest batch they are for.
pub struct DenseModel<F> {
    /// The bottom MLP, with a ReLU behind every layer.
    pub bottom: Mlp<F>,
    /// The cross network in the place of the dot products, if there is one.
    pub cross: Option<Cross<F>>,
    /// The top MLP, whose last layer gives the logit.
    pub top: Mlp<F>,
    /// Sizes of the features.
    pub interaction: Interaction,
    /// Samples of the largest batch.
    pub largest_batch: usize,
}

impl<F> fmt::Debug for DenseModel<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DenseModel")
            .field("interaction", &self.interaction)
            .field("largest_batch", &self.largest_batch)
            .finish_non_exhaustive()
    }
}

/// Everything of a model but its tables: both MLPs, the interaction and the loss, with memory for a batch.
///
/// In the order of a step: the tables write the [embeddings](DensePart::embedded), a [pass](DensePart::pass) goes forward
/// and back, the tables read [their gradients](DensePart::grad_embedded), and the layers are [updated](DensePart::update).
pub trait DensePart<B: Backend>: Sized {
    /// Whether work may still be under way when a call returns.
    const ASYNC: bool;

    /// The layers where they are computed.
    ///
    /// # Errors
    ///
    /// The backend's.
    fn new(on: &B, queue: &mut B::Queue, model: DenseModel<B::Float>) -> Result<Self, B::Error>;

    /// The same, computed by another instruction set, where the host computes.
    fn with_isa(self, _isa: Isa) -> Self {
        self
    }

    /// Waits at the end of every phase from now on, where work may still be under way, so that times of phases are right.
    fn watch(&mut self) {}

    /// Where the embeddings of a batch go, `[B][tables N]`.
    fn embedded(&mut self, batch: usize) -> B::ViewMut<'_>;

    /// Forward on the embeddings, and in training backward to them; and something beside it.
    ///
    /// # Errors
    ///
    /// The backend's.
    fn pass<T: Send>(
        &mut self,
        on: &B,
        queue: &mut B::Queue,
        batch: (Samples<'_, B::Float>, Mode),
        beside: impl FnOnce() -> T + Send,
        phases: &mut Phases,
    ) -> Result<Passed<T>, B::Error>;

    /// Gradients of the embeddings of the last pass, `[B][tables N]`.
    ///
    /// # Errors
    ///
    /// The backend's.
    fn grad_embedded(&mut self, on: &B, queue: &mut B::Queue, batch: usize) -> Result<B::View<'_>, B::Error>;

    /// Applies a rule to both MLPs, after a pass over the batch whose dense features these are.
    ///
    /// # Errors
    ///
    /// The backend's.
    fn update(&mut self, on: &B, queue: &mut B::Queue, rule: &Update, dense: &[B::Float]) -> Result<(), B::Error>;

    /// Probabilities of the last pass, `[B]`, on the host.
    ///
    /// # Errors
    ///
    /// The backend's.
    fn probabilities(&mut self, on: &B, queue: &mut B::Queue, batch: usize) -> Result<&[B::Float], B::Error>;

    /// The bottom and the top MLP as they are now, on the host. What is changed there counts from the next pass on.
    ///
    /// # Errors
    ///
    /// The backend's.
    fn mlps(&mut self, on: &B, queue: &mut B::Queue) -> Result<[&mut Mlp<B::Float>; 2], B::Error>;

    /// The cross network as it is now, on the host, if there is one; as [`DensePart::mlps`].
    fn cross(&mut self) -> Option<&mut Cross<B::Float>> {
        None
    }
}
