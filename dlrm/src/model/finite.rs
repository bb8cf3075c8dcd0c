//! Numbers that are not finite: NaN and the infinities.
//!
//! One of them in an update would spread to every parameter within a few steps, and nothing brings a parameter back. So
//! before a step updates anything it looks at its batch: at the dense features and labels it was given, at the outputs of
//! all layers, at the loss, and at the gradient of the embeddings, in which every sample's way back through the top MLP
//! ends. What overflows later, in sums over the batch or in an update, is in the parameters then, and
//! [`Dlrm::non_finite_parameter`] finds it.

use std::fmt;
use std::ops::Range;

use ttcore::Real;

use super::tensors::{TableTensor, table_tensors};
use super::{DensePart, Dlrm, Engine, Mlp, loss, matrix_name};

/// Numbers taken from the backend at a time.
const PIECE: usize = 1 << 16;

/// Why a step was not done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepError<E> {
    /// The samples do not fit the model, or the backend failed.
    Backend(E),
    /// A number of the batch is not finite. Nothing was updated.
    NonFinite(NonFinite),
}

/// A number of a batch that is not finite, of the first sample that has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonFinite {
    /// The sample's position in the batch.
    pub sample: usize,
    /// What it is of the sample.
    pub quantity: Quantity,
    /// NaN, or one of the infinities.
    pub value: f64,
}

/// What a number is of a sample, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Its label.
    Label,
    /// One of its dense features.
    Dense {
        /// Which, from 0.
        feature: usize,
    },
    /// An output of a layer of the bottom MLP.
    Bottom {
        /// Which layer, from 0.
        layer: usize,
    },
    /// A number of the interaction of its features.
    Interaction,
    /// An output of a layer of the top MLP, of which the last is the logit.
    Top {
        /// Which layer, from 0.
        layer: usize,
    },
    /// The gradient of its embeddings, `[tables][N]`.
    Gradient {
        /// Which number of it, from 0.
        position: usize,
    },
    /// Its loss, although all before is finite: the label is far from 0 and 1.
    Loss,
}

/// Whether all numbers are finite.
pub(super) fn all<F: Real>(numbers: &[F]) -> bool {
    // The product is NaN for all others. No way out in between, so that many numbers are looked at at a time.
    numbers.iter().fold(true, |finite, &x| finite & (x * F::zero() == F::zero()))
}

/// The first number of some samples that is not finite: among `parts`, each the numbers of one quantity, as many for each
/// sample, and the losses, of which `sum` is the sum.
pub(super) fn find<'a, F: Real>(
    (labels, probabilities, sum): (&[F], &[F], f64),
    parts: impl Iterator<Item = (Quantity, &'a [F])> + Clone,
) -> Option<NonFinite> {
    if sum.is_finite() && parts.clone().all(|(_, numbers)| all(numbers)) {
        return None;
    }
    let samples = labels.len();
    let part = |sample, (quantity, numbers): (Quantity, &[F])| {
        let numbers = own(numbers, sample, samples);
        let at = numbers.iter().position(|x| !x.is_finite())?;
        Some(NonFinite { sample, quantity: quantity.at(at), value: numbers[at].as_f64() })
    };
    let loss = |sample| {
        let value = loss::sum(own(probabilities, sample, samples), own(labels, sample, samples));
        NonFinite { sample, quantity: Quantity::Loss, value }
    };
    let number = (0..samples).find_map(|sample| parts.clone().find_map(|of| part(sample, of)));
    let loss = (0..samples).map(loss).find(|loss| !loss.value.is_finite());
    let first = number.into_iter().chain(loss).min_by_key(|number| number.sample);
    // Only the sum is not finite.
    first.or(Some(NonFinite { sample: 0, quantity: Quantity::Loss, value: sum }))
}

/// The numbers of one sample of a batch.
fn own<F>(numbers: &[F], sample: usize, batch: usize) -> &[F] {
    let len = numbers.len() / batch;
    &numbers[sample * len..][..len]
}

impl Quantity {
    /// The number at a position among those of a sample.
    fn at(self, position: usize) -> Self {
        match self {
            Self::Dense { .. } => Self::Dense { feature: position },
            Self::Gradient { .. } => Self::Gradient { position },
            other => other,
        }
    }
}

/// The first tensor of some layers that has a number that is not finite.
fn first_of<F: Real>(mlp: &Mlp<F>, name: impl Fn(usize) -> String) -> Option<String> {
    mlp.layers().iter().enumerate().find_map(|(number, layer)| {
        let (tensor, _) = layer.tensors().into_iter().find(|(_, values)| !all(values))?;
        Some(format!("{}.{tensor}", name(number)))
    })
}

impl<B: Engine> Dlrm<B> {
    /// The first tensor of parameters or of optimiser state that has a number that is not finite, by its name in a
    /// [checkpoint](crate::checkpoint). Reads all of them.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn non_finite_parameter(&mut self, queue: &mut B::Queue) -> Result<Option<String>, B::Error> {
        let [bottom, top] = self.dense.mlps(self.tables.backend(), queue)?;
        let of = |mlp: &'static str| move |number| format!("{mlp}.{number}");
        let of_mlps = first_of(bottom, of("bottom")).or_else(|| first_of(top, of("top")));
        let cross = || self.dense.cross().and_then(|cross| first_of(cross.layers(), matrix_name));
        if let Some(name) = of_mlps.or_else(cross) {
            return Ok(Some(name));
        }
        for (number, config) in self.config.tables().iter().enumerate() {
            for TableTensor { name, state, range, .. } in table_tensors(config) {
                let tables = &self.tables;
                let view = if state { tables.state_view(number) } else { tables.parameters_view(number) }?;
                if !self.all_finite(queue, view, range)? {
                    return Ok(Some(format!("tables.{number}.{name}")));
                }
            }
        }
        Ok(None)
    }

    /// Whether numbers of the backend are finite; taken from there in pieces that stay in a core's cache.
    fn all_finite(&self, queue: &mut B::Queue, view: B::View<'_>, range: Range<usize>) -> Result<bool, B::Error> {
        let mut piece = vec![B::Float::of(0.0); PIECE.min(range.len())];
        for start in range.clone().step_by(PIECE) {
            let piece = &mut piece[..PIECE.min(range.end - start)];
            self.tables.backend().download(queue, B::slice(view, start..start + piece.len()), piece)?;
            if !all(piece) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<E> From<E> for StepError<E> {
    fn from(error: E) -> Self {
        Self::Backend(error)
    }
}

impl<E: fmt::Display> fmt::Display for StepError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(error) => error.fmt(f),
            Self::NonFinite(number) => write!(f, "sample {}: {number}; nothing was updated", number.sample),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for StepError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Backend(error) => Some(error),
            Self::NonFinite(_) => None,
        }
    }
}

/// What is not finite, and what it is instead.
impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is {}", self.quantity, self.value)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label => f.write_str("label"),
            Self::Dense { feature } => write!(f, "dense feature {feature}"),
            Self::Bottom { layer } => write!(f, "output of layer {layer} of the bottom MLP"),
            Self::Interaction => f.write_str("interaction of the features"),
            Self::Top { layer } => write!(f, "output of layer {layer} of the top MLP"),
            Self::Gradient { position } => write!(f, "gradient of the embeddings, at {position},"),
            Self::Loss => f.write_str("loss"),
        }
    }
}
