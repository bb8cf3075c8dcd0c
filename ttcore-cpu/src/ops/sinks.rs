//! Where gradients go.

use std::ops::Range;

use ttcore::backend::Sink;
use ttcore::{Backend, CoreRule, Error, Layout, Real, Rule, StateLayout, Table, TtShape, Update, check};

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
    /// Where the state is, for an update.
    layout: StateLayout,
}

/// Some parameters with one owner.
#[derive(Clone, Debug)]
pub(super) enum Owned<'t> {
    /// Slice `i` of core `k` (from 0).
    Slice {
        /// The shape of the cores.
        shape: &'t TtShape,
        k: usize,
        i: usize,
    },
    /// A dense row.
    Row {
        /// Where it lies.
        range: Range<usize>,
        /// Its number among the dense rows.
        number: usize,
    },
    /// Numbers of cores, in no whole slices: for gradients, and for rules of elements only.
    Cores(Range<usize>),
    /// Of dense rows, likewise.
    Rows(Range<usize>),
}

impl Owned<'_> {
    /// Where they lie among the parameters.
    pub(super) fn range(&self) -> Range<usize> {
        match self {
            Self::Slice { shape, k, i } => shape.slice_range(*k, *i),
            Self::Row { range, .. } | Self::Cores(range) | Self::Rows(range) => range.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Accumulate,
    Overwrite,
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
        let layout = StateLayout::new(table, Rule::Sgd, CoreRule::ElementWise);
        let length = |what, got, want| check::length(what, Some(t), got, want);
        Ok(match sink {
            Sink::Accumulate { params, grads } => {
                length("parameters", params.len(), parameters)?;
                length("gradients", grads.len(), parameters)?;
                let (params, target) = (Shared::read_only(params), Shared::new(grads));
                Self { kind: Kind::Accumulate, params, target, layout }
            }
            Sink::Overwrite { params, grads } => {
                length("parameters", params.len(), parameters)?;
                length("gradients", grads.len(), parameters)?;
                let (params, target) = (Shared::read_only(params), Shared::new(grads));
                Self { kind: Kind::Overwrite, params, target, layout }
            }
            Sink::Update { params, state, update } => {
                length("parameters", params.len(), parameters)?;
                length("optimiser state", state.len(), update.state_layout(table).len())?;
                let (params, target) = (Shared::new(params), Shared::new(state));
                Self { kind: Kind::Update(update), params, target, layout: update.state_layout(table) }
            }
            Sink::Frozen { params } => {
                length("parameters", params.len(), parameters)?;
                Self { kind: Kind::Frozen, params: Shared::read_only(params), target: Shared::read_only(&[]), layout }
            }
        })
    }

    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.kind, Kind::Frozen)
    }

    /// Whether all that is done with the gradient of a slice is to subtract so many times it.
    pub(super) fn subtracts(&self) -> bool {
        match self.kind {
            Kind::Update(update) => update.core_rule != CoreRule::ElementWise || update.rule == Rule::Sgd,
            _ => false,
        }
    }

    /// Whether the sum of squares of a slice's gradient is asked for.
    pub(super) fn needs_square(&self) -> bool {
        matches!(self.kind, Kind::Update(Update { core_rule: CoreRule::AdagradNorm { .. }, .. }))
    }

    /// How many times the gradient of a slice, or of a row under a rule of blocks, is subtracted; `square`, asked for where
    /// the rule needs it, is the sum of its squares. None where nothing is, or more than that.
    ///
    /// # Safety
    ///
    /// While this runs, no other task reads or writes the state of this block.
    pub(super) unsafe fn block_rate(&self, owned: &Owned<'_>, square: impl FnOnce() -> F) -> Option<F> {
        let Kind::Update(update) = self.kind else { return None };
        let lr = F::of(update.core_lr());
        match (update.core_rule, owned) {
            (CoreRule::AdagradNorm { eps }, Owned::Slice { .. } | Owned::Row { .. }) if self.layout.slices() > 0 => {
                let number = match owned {
                    Owned::Slice { shape, k, i } => shape.slice_number(*k, *i),
                    Owned::Row { number, .. } => self.layout.slices() + number,
                    _ => return None,
                };
                let square = square();
                if square == F::zero() {
                    return None;
                }
                // SAFETY: the caller answers for exclusivity, and the state of an update may be written.
                let state = unsafe { self.target.get_mut(number..number + 1) };
                state[0] += square;
                Some(lr / (state[0].sqrt() + F::of(eps)))
            }
            (CoreRule::ElementWise, Owned::Slice { .. }) if update.rule == Rule::Sgd => Some(lr),
            _ => None,
        }
    }

    /// Whether something is done with parameters that have no gradient too.
    pub(super) fn visits_all(&self) -> bool {
        match self.kind {
            Kind::Overwrite => true,
            Kind::Update(update) => !update.rule.keeps_untouched() && self.layout.slices() == 0,
            Kind::Accumulate | Kind::Frozen => false,
        }
    }

    /// Where the gradient of some parameters is to be computed: where it is stored, or else in memory of the thread.
    ///
    /// # Safety
    ///
    /// Until [`RawSink::apply`] is called for them, no other task reads or writes these parameters' gradients.
    pub(super) unsafe fn place<'g>(&self, range: Range<usize>, local: &'g mut [F]) -> &'g mut [F]
    where
        'c: 'g,
    {
        match self.kind {
            // SAFETY: the caller answers for exclusivity, and the gradients of an overwriting sink may be written.
            Kind::Overwrite => unsafe { self.target.get_mut(range) },
            _ => &mut local[..range.len()],
        }
    }

    /// Accumulates the gradient of some parameters, or applies the rule to them; nothing is left to do for one that is stored,
    /// in its [`RawSink::place`].
    ///
    /// # Safety
    ///
    /// While this runs, no other task reads or writes these parameters, their gradients or their state; `grads` was filled
    /// where `place` said.
    pub(super) unsafe fn apply<K: Kernels<F>>(&self, kernels: K, owned: Owned<'_>, grads: &[F]) {
        let range = owned.range();
        match (self.kind, &owned) {
            // SAFETY: the caller answers for exclusivity, and the gradients of an accumulating sink may be written.
            (Kind::Accumulate, _) => kernels.axpy(F::one(), grads, unsafe { self.target.get_mut(range) }),
            (Kind::Update(_), Owned::Slice { .. } | Owned::Row { .. }) if self.layout.slices() > 0 => {
                // SAFETY: the caller answers for exclusivity.
                let rate = unsafe { self.block_rate(&owned, || kernels.dot(grads, grads)) };
                if let Some(rate) = rate {
                    // SAFETY: the caller answers for exclusivity, and the parameters of an update may be written.
                    kernels.axpy(-rate, grads, unsafe { self.params.get_mut(range) });
                }
            }
            (Kind::Update(update), owned) => {
                let lr = if matches!(owned, Owned::Row { .. } | Owned::Rows(_)) { update.lr } else { update.core_lr() };
                // SAFETY: the caller answers for exclusivity, the planes are disjoint, and the state of an update may be
                // written.
                let plane = |number: usize| unsafe { self.target.get_mut(self.layout.plane(number, range.clone())) };
                let state = [plane(0), plane(1)];
                // SAFETY: the caller answers for exclusivity, and the parameters of an update may be written.
                kernels.update(&update, lr, unsafe { self.params.get_mut(range.clone()) }, grads, state);
            }
            // Computed where it is stored.
            (Kind::Overwrite | Kind::Frozen, _) => {}
        }
    }

    /// The same with gradients of zero, of any numbers of the cores or of the dense rows, `owned` says which.
    ///
    /// # Safety
    ///
    /// As for [`RawSink::apply`].
    pub(super) unsafe fn apply_zeros<K: Kernels<F>>(
        &self,
        kernels: K,
        range: Range<usize>,
        owned: fn(Range<usize>) -> Owned<'static>,
    ) {
        if let Kind::Overwrite = self.kind {
            // SAFETY: the caller answers for exclusivity, and the gradients of an overwriting sink may be written.
            return unsafe { self.target.get_mut(range) }.fill(F::zero());
        }
        let zeros = [F::zero(); 256];
        for start in range.clone().step_by(zeros.len()) {
            let end = range.end.min(start + zeros.len());
            // SAFETY: the caller answers for exclusivity.
            unsafe { self.apply(kernels, owned(start..end), &zeros[..end - start]) };
        }
    }
}
