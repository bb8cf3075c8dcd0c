//! What becomes of gradients: the sinks of a call, checked, as kernels take them.

use ttcore::backend;
use ttcore::{CoreRule, Layout, Rule, Table, Update, check};

use crate::args::Sink;
use crate::backend::Cuda;
use crate::device::{Device, Element};
use crate::error::Error;
use crate::view::View;

/// [`Sink::kind`], as in `kernels/common.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Added to `first`.
    Accumulate = 0,
    /// Applied by SGD.
    Sgd = 1,
    /// Applied by Adagrad, with its state in `first`.
    Adagrad = 2,
    /// Applied by Adam, with its state in `first` and `second`.
    Adam = 3,
    /// Not wanted.
    Frozen = 4,
}

/// [`Sink::core_kind`], as in `kernels/common.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CoreKind {
    /// What [`Kind`] says, for cores too.
    ElementWise = 0,
    /// Slices of cores by AdaGrad-Norm, with its state in `slices`.
    AdagradNorm = 1,
}

impl Sink {
    /// Of a table that is not trained.
    pub fn frozen(params: u64) -> Self {
        Self {
            params,
            first: 0,
            second: 0,
            slices: 0,
            stateless: 0,
            core_rate: 0.0,
            dense_rate: 0.0,
            beta1: 0.0,
            beta2: 0.0,
            eps: 0.0,
            root: 1.0,
            core_eps: 0.0,
            kind: Kind::Frozen as u32,
            core_kind: CoreKind::ElementWise as u32,
        }
    }

    /// That adds to gradients.
    pub fn accumulate(params: u64, grads: u64) -> Self {
        Self { first: grads, kind: Kind::Accumulate as u32, ..Self::frozen(params) }
    }

    /// That applies a rule of elements, with two planes of state: what the host can compute once, as `Update::apply` does.
    ///
    /// # Errors
    ///
    /// [`Error::Rule`] for a rule that there is no kernel for.
    pub fn update(params: u64, state: [u64; 2], update: &Update) -> Result<Self, Error> {
        let [first, second] = state;
        let (core_rate, dense_rate) = (update.core_lr(), update.lr);
        let base = Self { first, second, core_rate, dense_rate, ..Self::frozen(params) };
        Ok(match update.rule {
            Rule::Sgd => Self { kind: Kind::Sgd as u32, ..base },
            Rule::Adagrad { eps } => Self { eps, kind: Kind::Adagrad as u32, ..base },
            Rule::Adam { beta1, beta2, eps } => {
                let [mean, square] = [beta1, beta2].map(|beta| 1.0 - beta.powf(update.step.max(1) as f64));
                let (core_rate, dense_rate) = (core_rate / mean, dense_rate / mean);
                Self { core_rate, dense_rate, beta1, beta2, eps, root: square.sqrt(), kind: Kind::Adam as u32, ..base }
            }
            rule => return Err(Error::Rule { rule }),
        })
    }

    /// That applies the rules of a table, whose state is at an address.
    fn update_table<F: Element>(params: u64, state: u64, table: &Table, update: &Update) -> Result<Self, Error> {
        let layout = update.state_layout(table);
        let by_slices = layout.slices() > 0;
        let stateless = if by_slices { table.core_parameters() } else { 0 };
        let plane = |number| state + (layout.plane(number, stateless..stateless).start * F::BYTES) as u64;
        let sink = Self::update(params, [plane(0), plane(1)], update)?;
        match update.core_rule {
            CoreRule::AdagradNorm { eps } if by_slices => Ok(Self {
                slices: state,
                stateless: stateless as u64,
                // Not corrected for Adam, which may be the rule of the rows.
                core_rate: update.core_lr(),
                core_eps: eps,
                core_kind: CoreKind::AdagradNorm as u32,
                ..sink
            }),
            CoreRule::ElementWise | CoreRule::AdagradNorm { .. } => Ok(sink),
            rule => Err(Error::CoreRule { rule }),
        }
    }

    /// What becomes of gradients.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u32
    }

    /// Whether a rule is applied.
    pub fn updates(&self) -> bool {
        !self.is(Kind::Accumulate) && !self.is(Kind::Frozen)
    }

    /// Whether cores have a rule of slices.
    pub fn has_rule_of_slices(&self) -> bool {
        self.core_kind != CoreKind::ElementWise as u32
    }
}

/// The parameters of a call, checked, as sinks of tables that are not trained.
pub(crate) fn collect_params<'a, F: Element>(
    layout: &Layout,
    params: impl IntoIterator<Item = View<'a, F>>,
    list: &mut Vec<Sink>,
) -> Result<(), Error> {
    list.clear();
    for params in params {
        let number = list.len();
        let Some(table) = layout.tables().get(number) else {
            return Ok(check::table_count(layout, "parameter views", number + 1)?);
        };
        check::length("parameters", Some(number), params.len(), table.parameters())?;
        list.push(Sink::frozen(params.address()));
    }
    Ok(check::table_count(layout, "parameter views", list.len())?)
}

/// The sinks of a call, checked.
pub(crate) fn collect_sinks<'a, F: Element, D: Device>(
    layout: &Layout,
    sinks: impl IntoIterator<Item = backend::Sink<'a, Cuda<F, D>>>,
    list: &mut Vec<Sink>,
) -> Result<(), Error> {
    list.clear();
    for sink in sinks {
        let number = list.len();
        let Some(table) = layout.tables().get(number) else {
            return Ok(check::table_count(layout, "sinks", number + 1)?);
        };
        let parameters = table.parameters();
        let length = |what, got, want| check::length(what, Some(number), got, want);
        list.push(match sink {
            backend::Sink::Accumulate { params, grads } => {
                length("parameters", params.len(), parameters)?;
                length("gradients", grads.len(), parameters)?;
                Sink::accumulate(params.address(), grads.address())
            }
            backend::Sink::Update { params, state, update } => {
                length("parameters", params.len(), parameters)?;
                length("optimiser state", state.len(), update.state_layout(table).len())?;
                Sink::update_table::<F>(params.address(), state.address(), table, &update)?
            }
            backend::Sink::Frozen { params } => {
                length("parameters", params.len(), parameters)?;
                Sink::frozen(params.address())
            }
        });
    }
    Ok(check::table_count(layout, "sinks", list.len())?)
}
