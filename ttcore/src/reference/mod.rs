//! The naive backend: the definition every other backend is measured against.
//!
//! Plain loops over plain slices, in the order of the formulas of [`crate::algebra`], generic over the float type. It
//! runs anywhere, without threads or unsafe code, and keeps `ttcore` usable alone. It favours being read over being
//! fast; unlike other backends it makes a few small allocations in a step.

mod backward;
mod forward;
mod group;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use crate::algebra;
use crate::backend::{Backend, Call, Expand, Sink, Version, Workspace};
use crate::bags::Bags;
use crate::check::{self, Stamp};
use crate::error::Error;
use crate::layout::Layout;
use crate::real::Real;
use crate::table::Table;

pub use group::Group;

/// The reference backend for `f32` or `f64`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference<F>(PhantomData<F>);

impl<F: Real> Reference<F> {
    /// The backend. It has no state: [`Backend::Queue`] is `()`.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// What forward leaves: the unique rows of each table `[U][N]`, for the gradients of the per-sample weights.
#[derive(Clone)]
pub struct Saved<F> {
    layout: Layout,
    stamp: Stamp,
    rows: Vec<Vec<F>>,
}

/// Memory for intermediate values.
#[derive(Clone)]
pub struct Scratch<F> {
    layout: Layout,
    /// Products of one row: [`algebra::scratch_len`] of the largest shape.
    products: Vec<F>,
    /// Rows of one table, or their gradients, `[U][N]`.
    rows: Vec<F>,
    /// Gradient of the cores of one table.
    cores: Vec<F>,
}

impl<F> fmt::Debug for Saved<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saved").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Scratch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.products.len() + self.rows.len() + self.cores.len();
        f.debug_struct("Scratch").field("values", &format_args!("{len} numbers")).finish_non_exhaustive()
    }
}

/// The parameters' value of one row, whether cores or the row itself hold it.
fn expand<F: Real>(table: &Table, params: &[F], address: u64, out: &mut [F], products: &mut [F]) {
    match (table.dense_row(address), table.cores()) {
        (Some(range), _) => out.copy_from_slice(&params[range]),
        (None, Some(shape)) => algebra::row(shape, &params[..shape.parameters()], address, out, products),
        (None, None) => unreachable!("without cores every address is a dense row"),
    }
}

impl<F: Real> Backend for Reference<F> {
    type Float = F;
    type Error = Error;
    type View<'a> = &'a [F];
    type ViewMut<'a> = &'a mut [F];
    type Buffer = Vec<F>;
    type Queue = ();
    type Plan = Layout;
    type Group = Group<F>;
    type Saved = Saved<F>;
    type Scratch = Scratch<F>;

    fn alloc(&self, _queue: &mut (), len: usize) -> Result<Vec<F>, Error> {
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

    fn upload(&self, _queue: &mut (), from: &[F], to: &mut [F]) -> Result<(), Error> {
        check::length("upload", None, from.len(), to.len())?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn download(&self, _queue: &mut (), from: &[F], to: &mut [F]) -> Result<(), Error> {
        check::length("download", None, from.len(), to.len())?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn zero(&self, _queue: &mut (), view: &mut [F]) -> Result<(), Error> {
        view.fill(F::zero());
        Ok(())
    }

    fn synchronize(&self, _queue: &mut ()) -> Result<(), Error> {
        Ok(())
    }

    fn plan(&self, _queue: &mut (), layout: Layout) -> Result<Layout, Error> {
        Ok(layout)
    }

    fn layout(plan: &Layout) -> &Layout {
        plan
    }

    fn workspace(plan: &Layout) -> Workspace {
        let dims = plan.tables().iter().map(Table::dim);
        Workspace {
            group: Group::<F>::bytes(plan),
            saved: check::total(dims.map(|dim| plan.lookups().saturating_mul(dim).saturating_mul(F::BYTES))),
            scratch: check::total(scratch_lens(plan)).saturating_mul(F::BYTES),
        }
    }

    fn new_group(&self, _queue: &mut (), plan: &Layout) -> Result<Group<F>, Error> {
        check::memory("memory of a batch", Self::workspace(plan).group)?;
        Ok(Group::new(plan))
    }

    fn new_saved(&self, _queue: &mut (), plan: &Layout) -> Result<Saved<F>, Error> {
        check::memory("memory for backward", Self::workspace(plan).saved)?;
        let rows = plan.tables().iter().map(|table| Vec::with_capacity(plan.lookups() * table.dim()));
        Ok(Saved { layout: plan.clone(), stamp: Stamp::default(), rows: rows.collect() })
    }

    fn new_scratch(&self, _queue: &mut (), plan: &Layout) -> Result<Scratch<F>, Error> {
        let [products, rows, cores] = scratch_lens(plan).map(|len| check::zeros("scratch memory", len));
        let (products, rows, cores) = (products?, rows?, cores?);
        Ok(Scratch { layout: plan.clone(), products, rows, cores })
    }

    fn group<'a>(
        &self,
        _queue: &mut (),
        plan: &Layout,
        bags: impl IntoIterator<Item = Bags<'a, F>>,
        group: &mut Group<F>,
    ) -> Result<(), Error> {
        group.fill(plan, bags)
    }

    fn forward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        params: impl IntoIterator<Item = &'a [F]>,
        out: &mut [F],
        saved: Option<&mut Saved<F>>,
    ) -> Result<(), Error> {
        check::same_layout("group", call.plan, &call.group.layout)?;
        check::same_layout("scratch", call.plan, &call.scratch.layout)?;
        if let Some(saved) = &saved {
            check::same_layout("saved", call.plan, &saved.layout)?;
        }
        let params = check::collect(call.plan, "parameter views", params)?;
        forward::forward(call, version, &params, out, saved)
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
        check::same_layout("group", call.plan, &call.group.layout)?;
        check::same_layout("saved", call.plan, &saved.layout)?;
        check::same_layout("scratch", call.plan, &call.scratch.layout)?;
        let sinks = check::collect(call.plan, "sinks", sinks)?;
        backward::backward(call, version, saved, sinks, grad_out, grad_weights)
    }

    fn touched(plan: &Layout, group: &Group<F>, table: usize, visit: impl FnMut(Range<usize>)) -> Result<(), Error> {
        check::same_layout("group", plan, &group.layout)?;
        let shape = check::table(plan, table)?;
        group.tables[table].touched(shape, visit);
        Ok(())
    }

    fn expand_rows<'a, 'r>(
        &self,
        _queue: &mut (),
        plan: &Layout,
        scratch: &mut Scratch<F>,
        wanted: impl IntoIterator<Item = Expand<'a, 'r, Self>>,
    ) -> Result<(), Error> {
        check::same_layout("scratch", plan, &scratch.layout)?;
        let wanted: Vec<_> = wanted.into_iter().collect();
        for Expand { table, params, rows, out } in &wanted {
            check::rows(plan, *table, rows)?;
            let shape = &plan.tables()[*table];
            check::length("parameters", Some(*table), params.len(), shape.parameters())?;
            check::length("expanded rows", Some(*table), out.len(), rows.len() * shape.dim())?;
        }
        for Expand { table, params, rows, out } in wanted {
            let shape = &plan.tables()[table];
            for (&row, out) in rows.iter().zip(out.chunks_exact_mut(shape.dim())) {
                expand(shape, params, row, out, &mut scratch.products);
            }
        }
        Ok(())
    }
}

/// Lengths of the products, rows and cores of [`Scratch`].
fn scratch_lens(plan: &Layout) -> [usize; 3] {
    let max = |len: fn(&Table) -> usize| plan.tables().iter().map(len).max().unwrap_or(0);
    [
        max(|t| t.cores().map_or(0, algebra::scratch_len)),
        plan.lookups().saturating_mul(max(Table::dim)),
        max(Table::core_parameters),
    ]
}
