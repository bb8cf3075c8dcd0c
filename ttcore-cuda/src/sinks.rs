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
    /// Applied block by block by AdaGrad-Norm, with the state of slices in `first` and that of dense rows in `second`.
    AdagradNorm = 5,
    /// Stored in `first`, added to zero.
    Overwrite = 6,
}

impl Sink {
    /// Of a table that is not trained.
    pub fn frozen(params: u64) -> Self {
        Self {
            params,
            first: 0,
            second: 0,
            core_rate: 0.0,
            dense_rate: 0.0,
            beta1: 0.0,
            beta2: 0.0,
            eps: 0.0,
            root: 1.0,
            kind: Kind::Frozen as u32,
            unused: 0,
        }
    }

    /// That adds to gradients.
    pub fn accumulate(params: u64, grads: u64) -> Self {
        Self { first: grads, kind: Kind::Accumulate as u32, ..Self::frozen(params) }
    }

    /// That stores gradients.
    pub fn overwrite(params: u64, grads: u64) -> Self {
        Self { kind: Kind::Overwrite as u32, ..Self::accumulate(params, grads) }
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
        let at = |number: usize| state + (number * F::BYTES) as u64;
        match update.core_rule {
            CoreRule::AdagradNorm { eps } if table.cores().is_some() => Ok(Self {
                first: state,
                second: at(layout.slices()),
                core_rate: update.core_lr(),
                eps,
                kind: Kind::AdagradNorm as u32,
                ..Self::frozen(params)
            }),
            CoreRule::ElementWise | CoreRule::AdagradNorm { .. } => {
                Self::update(params, [0, 1].map(|plane| at(layout.plane(plane, 0..0).start)), update)
            }
            rule => Err(Error::CoreRule { rule }),
        }
    }

    /// What becomes of gradients.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u32
    }

    /// Whether a rule is applied.
    pub fn updates(&self) -> bool {
        ![Kind::Accumulate, Kind::Overwrite, Kind::Frozen].into_iter().any(|kind| self.is(kind))
    }

    /// Whether something is done with parameters that a batch does not touch.
    pub fn visits_all(&self) -> bool {
        self.is(Kind::Adam) || self.is(Kind::Overwrite)
    }

    /// Whether a rule is applied block by block.
    pub fn has_rule_of_blocks(&self) -> bool {
        self.is(Kind::AdagradNorm)
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
            backend::Sink::Overwrite { params, grads } => {
                length("parameters", params.len(), parameters)?;
                length("gradients", grads.len(), parameters)?;
                Sink::overwrite(params.address(), grads.address())
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
