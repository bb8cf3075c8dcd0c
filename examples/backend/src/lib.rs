//! A backend of one's own: [`Wide`] keeps numbers as `f32` and computes in `f64`.
//!
//! It shows how little a backend needs, so it favours being read: it looks at one lookup after the other, makes gradients
//! as long as a table's parameters, and forward saves nothing that backward could use.

mod backward;
mod forward;
mod group;
mod memory;

use std::fmt;
use std::ops::Range;

use ttcore::backend::{Backend, Call, Expand, Sink, Version, Workspace};
use ttcore::check::{self, Stamp};
use ttcore::{Bags, BagsError, Layout, ShapeError, Table, algebra};

pub use group::Group;
pub use memory::{Buffer, View, ViewMut};

/// The backend.
#[derive(Clone, Copy, Debug)]
pub struct Wide;

/// Where work is ordered. All of it is done when a call returns.
#[derive(Debug, Default)]
pub struct Queue(());

/// What went wrong.
#[derive(Debug)]
pub struct Error(ttcore::Error);

/// What forward leaves: for which batch and parameters it was.
#[derive(Debug)]
pub struct Saved {
    layout: Layout,
    stamp: Stamp,
}

/// Memory for intermediate values.
#[derive(Debug)]
pub struct Scratch {
    layout: Layout,
    /// Parameters of one table, and what is kept for each.
    params: Vec<f64>,
    grads: Vec<f64>,
    state: Vec<f64>,
    /// Products of one row.
    products: Vec<f64>,
    /// One row, and a row of the output.
    row: Vec<f64>,
    sum: Vec<f64>,
}

impl Scratch {
    fn lens(layout: &Layout) -> [usize; 6] {
        let max = |len: fn(&Table) -> usize| layout.tables().iter().map(len).max().unwrap_or(0);
        let (params, dim) = (max(Table::parameters), max(Table::dim));
        let products = max(|table| table.cores().map_or(0, algebra::scratch_len));
        // No rule has more than two numbers of state for a parameter.
        [params, params, 2 * params, products, dim, dim]
    }

    fn new(layout: &Layout) -> Self {
        let [params, grads, state, products, row, sum] = Self::lens(layout).map(|len| vec![0.0; len]);
        Self { layout: layout.clone(), params, grads, state, products, row, sum }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

impl From<ttcore::Error> for Error {
    fn from(error: ttcore::Error) -> Self {
        Self(error)
    }
}

impl From<BagsError> for Error {
    fn from(error: BagsError) -> Self {
        Self(error.into())
    }
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Self {
        Self(error.into())
    }
}

impl Backend for Wide {
    type Float = f32;
    type Error = Error;
    type View<'a> = View<'a>;
    type ViewMut<'a> = ViewMut<'a>;
    type Buffer = Buffer;
    type Queue = Queue;
    type Plan = Layout;
    type Group = Group;
    type Saved = Saved;
    type Scratch = Scratch;

    fn alloc(&self, _queue: &mut Queue, len: usize) -> Result<Buffer, Error> {
        let mut numbers = Vec::new();
        numbers.try_reserve_exact(len).map_err(|_| ttcore::Error::TooLarge { what: "buffer" })?;
        numbers.resize(len, 0.0);
        Ok(Buffer(numbers))
    }

    fn view(buffer: &Buffer) -> View<'_> {
        View(&buffer.0)
    }

    fn view_mut(buffer: &mut Buffer) -> ViewMut<'_> {
        ViewMut(&mut buffer.0)
    }

    fn len(view: View<'_>) -> usize {
        view.len()
    }

    fn slice<'a>(view: Self::View<'a>, range: Range<usize>) -> Self::View<'a> {
        View(&view.0[range])
    }

    fn slice_mut<'a>(view: Self::ViewMut<'a>, range: Range<usize>) -> Self::ViewMut<'a> {
        ViewMut(&mut view.0[range])
    }

    fn reborrow<'a>(view: &'a mut ViewMut<'_>) -> ViewMut<'a> {
        ViewMut(view.0)
    }

    fn read_only<'a>(view: Self::ViewMut<'a>) -> Self::View<'a> {
        View(view.0)
    }

    fn upload(&self, _queue: &mut Queue, from: &[f32], to: ViewMut<'_>) -> Result<(), Error> {
        check::length("upload", None, from.len(), to.len())?;
        to.0.copy_from_slice(from);
        Ok(())
    }

    fn download(&self, _queue: &mut Queue, from: View<'_>, to: &mut [f32]) -> Result<(), Error> {
        check::length("download", None, from.len(), to.len())?;
        to.copy_from_slice(from.0);
        Ok(())
    }

    fn zero(&self, _queue: &mut Queue, view: ViewMut<'_>) -> Result<(), Error> {
        view.0.fill(0.0);
        Ok(())
    }

    fn synchronize(&self, _queue: &mut Queue) -> Result<(), Error> {
        Ok(())
    }

    fn plan(&self, _queue: &mut Queue, layout: Layout) -> Result<Layout, Error> {
        Ok(layout)
    }

    fn layout(plan: &Layout) -> &Layout {
        plan
    }

    fn workspace(plan: &Layout) -> Workspace {
        let scratch = Scratch::lens(plan).iter().sum::<usize>() * size_of::<f64>();
        Workspace::new(Group::bytes(plan), 0, scratch)
    }

    fn new_group(&self, _queue: &mut Queue, plan: &Layout) -> Result<Group, Error> {
        Ok(Group::new(plan))
    }

    fn new_saved(&self, _queue: &mut Queue, plan: &Layout) -> Result<Saved, Error> {
        Ok(Saved { layout: plan.clone(), stamp: Stamp::default() })
    }

    fn new_scratch(&self, _queue: &mut Queue, plan: &Layout) -> Result<Scratch, Error> {
        Ok(Scratch::new(plan))
    }

    fn group<'a>(
        &self,
        _queue: &mut Queue,
        plan: &Layout,
        bags: impl IntoIterator<Item = Bags<'a, f32>>,
        group: &mut Group,
    ) -> Result<(), Error> {
        check::same_layout("group", plan, &group.layout)?;
        Ok(group.fill(bags)?)
    }

    fn forward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        params: impl IntoIterator<Item = View<'a>>,
        out: ViewMut<'_>,
        saved: Option<&mut Saved>,
    ) -> Result<(), Error> {
        check_call(&call, saved.as_deref())?;
        let params = check::collect(call.plan, "parameter views", params)?;
        let stamp = Stamp::new(call.group.fingerprint, version);
        forward::forward(call, &params, out)?;
        if let Some(saved) = saved {
            saved.stamp = stamp;
        }
        Ok(())
    }

    fn backward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        saved: &Saved,
        sinks: impl IntoIterator<Item = Sink<'a, Self>>,
        grad_out: View<'_>,
        grad_weights: Option<ViewMut<'_>>,
    ) -> Result<(), Error> {
        check_call(&call, Some(saved))?;
        let sinks = check::collect(call.plan, "sinks", sinks)?;
        saved.stamp.check(call.group.fingerprint, version)?;
        Ok(backward::backward(call, sinks, grad_out, grad_weights)?)
    }

    fn touched(plan: &Layout, group: &Group, table: usize, visit: impl FnMut(Range<usize>)) -> Result<(), Error> {
        check::same_layout("group", plan, &group.layout)?;
        group.touched(table, check::table(plan, table)?, visit);
        Ok(())
    }

    fn expand_rows<'a, 'r>(
        &self,
        _queue: &mut Queue,
        plan: &Layout,
        scratch: &mut Scratch,
        wanted: impl IntoIterator<Item = Expand<'a, 'r, Self>>,
    ) -> Result<(), Error> {
        check::same_layout("scratch", plan, &scratch.layout)?;
        Ok(forward::expand_rows(plan, scratch, wanted.into_iter().collect())?)
    }
}

/// That the values of a call are of one plan.
fn check_call(call: &Call<'_, Wide>, saved: Option<&Saved>) -> Result<(), Error> {
    check::same_layout("group", call.plan, &call.group.layout)?;
    if let Some(saved) = saved {
        check::same_layout("saved", call.plan, &saved.layout)?;
    }
    Ok(check::same_layout("scratch", call.plan, &call.scratch.layout)?)
}
