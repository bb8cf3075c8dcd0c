#![doc = include_str!("../README.md")]
//!
//! # The rooms
//!
//! ```text
//! bags/ of ttcore   -> group/   unique rows, prefix tree, tasks split by counted work
//!                   -> ops/     forward, backward, sinks: regions of tasks
//!                   -> simd/    the kernels tasks call, one file an instruction set
//! ```
//!
//! # Threads
//!
//! A [`Threads`] is a queue. A training loop in Rust makes a pool, [`Threads::new`], and runs inside of it,
//! [`Threads::install`]: operations called from outside are handed over to the pool, which takes some ten microseconds each.
//! Where calls come from outside one by one, as from Python or C, [`Threads::here`] takes the calling thread for one of its
//! threads, and they run at once.
//!
//! # Gradients for others
//!
//! A sink that overwrites, [`Sink::Overwrite`], gives automatic differentiation its fresh gradients in one pass; and
//! [`Backend::touched`] says which parameters a batch touched, so that an optimiser visits these alone.

mod divide;
pub mod group;
mod memory;
mod ops;
mod plan;
mod shared;
mod simd;
mod threads;

use std::marker::PhantomData;
use std::ops::Range;

use ttcore::backend::{Call, Expand, Sink, Version, Workspace};
use ttcore::check::{self, Stamp};
use ttcore::{Backend, Bags, Error, Layout};

/// The crates whose types are part of this one's: the contract, and the pool of [`Threads::shared`].
#[doc(no_inline)]
pub use {rayon, ttcore};

pub use group::Group;
pub use memory::{Saved, Scratch};
pub use plan::Plan;
pub use simd::{Element, Isa, IsaError, Kernels, Work};
pub use threads::{Threads, ThreadsError};

use memory::recycle;
use ops::{Backward, Forward};
use shared::Shared;

/// The CPU, for numbers of type `f32` or `f64`.
#[derive(Clone, Copy, Debug)]
pub struct Cpu<F> {
    isa: Isa,
    numbers: PhantomData<F>,
}

impl<F: Element> Cpu<F> {
    /// The backend with the best instruction set of this machine, or the one that the environment variable `TTCORE_ISA`
    /// names.
    ///
    /// # Errors
    ///
    /// If that is not one, or this machine does not have it.
    pub fn new() -> Result<Self, IsaError> {
        Isa::from_env().map(Self::with_isa)
    }

    /// The backend with an instruction set, or the best below it that this machine has.
    pub fn with_isa(isa: Isa) -> Self {
        let isa = Isa::ALL.into_iter().filter(|&have| have <= isa && have.available()).max().unwrap_or(Isa::Portable);
        Self { isa, numbers: PhantomData }
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl<F: Element> Backend for Cpu<F> {
    type Float = F;
    type Error = Error;
    type View<'a> = &'a [F];
    type ViewMut<'a> = &'a mut [F];
    type Buffer = Vec<F>;
    type Queue = Threads;
    type Plan = Plan;
    type Group = Group<F>;
    type Saved = Saved<F>;
    type Scratch = Scratch<F>;

    fn alloc(&self, _threads: &mut Threads, len: usize) -> Result<Vec<F>, Error> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(len).map_err(|_| Error::TooLarge { what: "buffer" })?;
        buffer.resize(len, F::zero());
        Ok(buffer)
    }

    fn view(buffer: &Vec<F>) -> &[F] {
        buffer
    }

    fn view_mut(buffer: &mut Vec<F>) -> &mut [F] {
        buffer
    }

    fn len(view: &[F]) -> usize {
        view.len()
    }

    fn slice<'a>(view: Self::View<'a>, range: Range<usize>) -> Self::View<'a> {
        &view[range]
    }

    fn slice_mut<'a>(view: Self::ViewMut<'a>, range: Range<usize>) -> Self::ViewMut<'a> {
        &mut view[range]
    }

    fn reborrow<'a>(view: &'a mut &mut [F]) -> &'a mut [F] {
        view
    }

    fn read_only<'a>(view: Self::ViewMut<'a>) -> Self::View<'a> {
        view
    }

    fn upload(&self, _threads: &mut Threads, from: &[F], to: &mut [F]) -> Result<(), Error> {
        check::length("upload", None, from.len(), to.len())?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn download(&self, _threads: &mut Threads, from: &[F], to: &mut [F]) -> Result<(), Error> {
        check::length("download", None, from.len(), to.len())?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn zero(&self, _threads: &mut Threads, view: &mut [F]) -> Result<(), Error> {
        view.fill(F::zero());
        Ok(())
    }

    fn synchronize(&self, _threads: &mut Threads) -> Result<(), Error> {
        Ok(())
    }

    fn plan(&self, threads: &mut Threads, layout: Layout) -> Result<Plan, Error> {
        Plan::new(layout, threads.count())
    }

    fn layout(plan: &Plan) -> &Layout {
        &plan.layout
    }

    fn workspace(plan: &Plan) -> Workspace {
        Workspace::new(Group::<F>::bytes(plan), Saved::<F>::bytes(plan), Scratch::<F>::bytes(plan))
    }

    fn new_group(&self, _threads: &mut Threads, plan: &Plan) -> Result<Group<F>, Error> {
        check::memory("memory of a batch", Group::<F>::bytes(plan))?;
        Ok(Group::new(plan))
    }

    fn new_saved(&self, _threads: &mut Threads, plan: &Plan) -> Result<Saved<F>, Error> {
        check::memory("memory for backward", Saved::<F>::bytes(plan))?;
        Ok(Saved::new(plan))
    }

    fn new_scratch(&self, _threads: &mut Threads, plan: &Plan) -> Result<Scratch<F>, Error> {
        check::memory("scratch memory", Scratch::<F>::bytes(plan))?;
        Ok(Scratch::new(plan))
    }

    fn group<'a>(
        &self,
        threads: &mut Threads,
        plan: &Plan,
        bags: impl IntoIterator<Item = Bags<'a, F>>,
        group: &mut Group<F>,
    ) -> Result<(), Error> {
        group.fill(threads, plan, bags)
    }

    fn forward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        params: impl IntoIterator<Item = &'a [F]>,
        out: &mut [F],
        saved: Option<&mut Saved<F>>,
    ) -> Result<(), Error> {
        let Call { plan, group, queue, scratch } = call;
        let layout = &plan.layout;
        check::same_layout("group", layout, &group.layout)?;
        check::same_layout("scratch", layout, &scratch.layout)?;
        if let Some(saved) = &saved {
            check::same_layout("saved", layout, &saved.layout)?;
        }
        let mut views: Vec<Shared<'_, F>> = recycle(std::mem::take(&mut scratch.params));
        let collected = collect_params(layout, params, &mut views);
        let checked = collected.and_then(|()| check::length("output", None, out.len(), group.rows * layout.stride()));
        if checked.is_ok() {
            let (stamp, values) = match saved {
                Some(Saved { stamp, tables, .. }) => (Some(stamp), &*tables),
                None => (None, &scratch.values),
            };
            let (locals, out) = (&scratch.locals, Shared::new(out));
            F::dispatch(self.isa, Forward { threads: queue, plan, group, params: &views, values, locals, out });
            if let Some(stamp) = stamp {
                *stamp = Stamp::new(group.fingerprint, version);
            }
        }
        scratch.params = recycle(views);
        checked
    }

    fn backward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        saved: &Saved<F>,
        sinks: impl IntoIterator<Item = Sink<'a, Self>>,
        grad_out: &[F],
        grad_weights: Option<&mut [F]>,
    ) -> Result<(), Error> {
        let Call { plan, group, queue, scratch } = call;
        let layout = &plan.layout;
        check::same_layout("group", layout, &group.layout)?;
        check::same_layout("saved", layout, &saved.layout)?;
        check::same_layout("scratch", layout, &scratch.layout)?;
        saved.stamp.check(group.fingerprint, version)?;
        check::length("gradient of the output", None, grad_out.len(), group.rows * layout.stride())?;
        if let Some(grad_weights) = &grad_weights {
            let lookups = group.tables.iter().map(|table| table.lookups()).sum();
            check::length("gradient of the weights", None, grad_weights.len(), lookups)?;
        }
        let mut raw = recycle(std::mem::take(&mut scratch.sinks));
        let collected = ops::collect(layout, sinks, &mut raw);
        if collected.is_ok() {
            let work = Backward {
                threads: queue,
                plan,
                group,
                sinks: &raw,
                values: &saved.tables,
                gradients: &scratch.gradients,
                locals: &scratch.locals,
                grad_out,
                grad_weights: grad_weights.map(Shared::new),
            };
            F::dispatch(self.isa, work);
        }
        scratch.sinks = recycle(raw);
        collected
    }

    fn touched(plan: &Plan, group: &Group<F>, table: usize, visit: impl FnMut(Range<usize>)) -> Result<(), Error> {
        check::same_layout("group", &plan.layout, &group.layout)?;
        let shape = check::table(&plan.layout, table)?;
        group.tables[table].touched(shape, visit);
        Ok(())
    }

    fn expand_rows<'a, 'r>(
        &self,
        threads: &mut Threads,
        plan: &Plan,
        _scratch: &mut Scratch<F>,
        wanted: impl IntoIterator<Item = Expand<'a, 'r, Self>>,
    ) -> Result<(), Error> {
        let wanted: Vec<_> = wanted.into_iter().collect();
        for Expand { table, params, rows, out } in &wanted {
            check::rows(&plan.layout, *table, rows)?;
            let shape = &plan.layout.tables()[*table];
            check::length("parameters", Some(*table), params.len(), shape.parameters())?;
            check::length("expanded rows", Some(*table), out.len(), rows.len() * shape.dim())?;
        }
        for Expand { table, params, rows, out } in wanted {
            ops::expand(threads, &plan.layout.tables()[table], params, rows, out);
        }
        Ok(())
    }
}

/// The parameters of a call, checked, into memory kept for them.
fn collect_params<'a, F: Element>(
    layout: &Layout,
    params: impl IntoIterator<Item = &'a [F]>,
    views: &mut Vec<Shared<'a, F>>,
) -> Result<(), Error> {
    for params in params {
        let number = views.len();
        let Some(table) = layout.tables().get(number) else {
            return check::table_count(layout, "parameter views", number + 1);
        };
        check::length("parameters", Some(number), params.len(), table.parameters())?;
        views.push(Shared::read_only(params));
    }
    check::table_count(layout, "parameter views", views.len())
}
