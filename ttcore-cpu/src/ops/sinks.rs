//! Where gradients go.

use std::ops::Range;

use ttcore::backend::Sink;
use ttcore::{Backend, Error, Layout, Real, Rule, Table, Update, check};

use crate::shared::Shared;
use crate::simd::Kernels;

/// What becomes of the gradients of a table, with the views of the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSink<'c, F> {
    pub(super) kind: Kind,
    /// Read and, for an update, written.
    pub(super) params: Shared<'c, F>,
    /// Gradients, or state planes; empty for a frozen table.
    target: Shared<'c, F>,
    /// Numbers of a state plane.
    parameters: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Accumulate,
    Update(Update),
    Frozen,
}

/// The sinks of a call, checked, into memory kept for them.
pub(crate) fn collect<'c, F: Real, B>(
    layout: &Layout,
    sinks: impl IntoIterator<Item = Sink<'c, B>>,
    raw: &mut Vec<RawSink<'c, F>>,
) -> Result<(), Error>
where
    B: for<'v> Backend<Float = F, View<'v> = &'v [F], ViewMut<'v> = &'v mut [F]>,
{
    for sink in sinks {
        let Some(table) = layout.tables().get(raw.len()) else {
            return check::table_count(layout, "sinks", raw.len() + 1);
        };
        raw.push(RawSink::new(raw.len(), table, sink)?);
    }
    check::table_count(layout, "sinks", raw.len())
}

impl<'c, F: Real> RawSink<'c, F> {
    fn new<B>(t: usize, table: &Table, sink: Sink<'c, B>) -> Result<Self, Error>
    where
        B: for<'v> Backend<Float = F, View<'v> = &'v [F], ViewMut<'v> = &'v mut [F]>,
    {
        let parameters = table.parameters();
        let length = |what, got, want| check::length(what, Some(t), got, want);
        Ok(match sink {
            Sink::Accumulate { params, grads } => {
                length("parameters", params.len(), parameters)?;
                length("gradients", grads.len(), parameters)?;
                let (params, target) = (Shared::read_only(params), Shared::new(grads));
                Self { kind: Kind::Accumulate, params, target, parameters }
            }
            Sink::Update { params, state, update } => {
                length("parameters", params.len(), parameters)?;
                length("optimiser state", state.len(), update.rule.state_per_parameter() * parameters)?;
                let (params, target) = (Shared::new(params), Shared::new(state));
                Self { kind: Kind::Update(update), params, target, parameters }
            }
            Sink::Frozen { params } => {
                length("parameters", params.len(), parameters)?;
                Self {
                    kind: Kind::Frozen,
                    params: Shared::read_only(params),
                    target: Shared::read_only(&[]),
                    parameters,
                }
            }
        })
    }

    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.kind, Kind::Frozen)
    }

    /// The learning rate of the cores, if all that is done with their gradient is to subtract so many times it.
    pub(super) fn core_rate(&self) -> Option<F> {
        match self.kind {
            Kind::Update(update) if update.rule == Rule::Sgd => Some(F::of(update.core_lr())),
            _ => None,
        }
    }

    /// The update, if it changes parameters that have no gradient too.
    pub(super) fn visits_all(&self) -> Option<Update> {
        match self.kind {
            Kind::Update(update) if !update.rule.keeps_untouched() => Some(update),
            _ => None,
        }
    }

    /// Accumulates the gradient of a range of the parameters, or applies the rule to it.
    ///
    /// # Safety
    ///
    /// While this runs, no other task reads or writes this range of the parameters, gradients or state.
    pub(super) unsafe fn apply<K: Kernels<F>>(&self, kernels: K, range: Range<usize>, cores: bool, grads: &[F]) {
        match self.kind {
            // SAFETY: the caller answers for exclusivity, and the gradients of an accumulating sink may be written.
            Kind::Accumulate => kernels.axpy(F::one(), grads, unsafe { self.target.get_mut(range) }),
            Kind::Update(update) => {
                let lr = if cores { update.core_lr() } else { update.lr };
                let plane = |number: usize| {
                    let shift = number * self.parameters;
                    let plane = range.start + shift..range.end + shift;
                    let planes = update.rule.state_per_parameter();
                    // SAFETY: the caller answers for exclusivity, the planes are disjoint, and the state of an update
                    // may be written.
                    unsafe { self.target.get_mut(if number < planes { plane } else { 0..0 }) }
                };
                let state = [plane(0), plane(1)];
                // SAFETY: the caller answers for exclusivity, and the parameters of an update may be written.
                kernels.update(&update, lr, unsafe { self.params.get_mut(range.clone()) }, grads, state);
            }
            Kind::Frozen => {}
        }
    }
}
