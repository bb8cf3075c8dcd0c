//! The contract between the mathematics and the machine that computes it.
//!
//! A backend has memory (twelve small functions) and four operations, and says what a batch touches. Operations work on
//! **several tables of different shapes at once**, so that all of a model's tables share one parallel region or launch, and
//! on **borrowed views**, so that memory of another framework is used where it lies. Four values carry a batch through them:
//!
//! ```text
//! Layout --plan--> Plan                        once: sizes and order of work, no data
//! Bags   --group--> Group                      one batch: unique rows, and the way back to lookups
//! Group  --forward--> output, Saved            what backward can use again, bound to batch and parameters
//! Saved  --backward--> gradients, or parameters updated in the same pass
//! ```
//!
//! The caller owns `Group`, `Saved` and `Scratch`, made once for a plan; nothing allocates in a step. Every call names
//! the queue it runs on. Two groups may be in use at once: the next batch can be grouped while this one computes.
//!
//! # Your own memory and optimiser
//!
//! [`Session`](crate::embedding::Session) keeps plan, caches and versions for you. Without it:
//!
//! ```
//! use ttcore::backend::{Call, Sink, Version};
//! use ttcore::init::CoreInit;
//! use ttcore::{Backend, Bags, Layout, Offsets, Pooling, Reference, Table, TtShape};
//!
//! // One table, for batches of up to 2 bags and 4 lookups. Its parameters are any slice there is.
//! let (backend, queue) = (Reference::<f32>::new(), &mut ());
//! let shape = TtShape::paper(1000, 8, 3, 4)?;
//! let mut params = vec![0.0; shape.parameters()];
//! CoreInit::default().fill(&shape, 42, &mut params);
//! let plan = backend.plan(queue, Layout::new(vec![Table::tt(shape)], 2, 4)?)?;
//! let (mut group, mut saved) = (backend.new_group(queue, &plan)?, backend.new_saved(queue, &plan)?);
//! let mut scratch = backend.new_scratch(queue, &plan)?;
//! let (mut out, mut grads, mut velocity) = ([0.0; 2 * 8], vec![0.0; params.len()], vec![0.0; params.len()]);
//!
//! let bags = Bags::new(1000, &[3i64, 999, 3], Offsets::Starts(&[0, 2]), Pooling::Sum, None)?;
//! let mut losses = Vec::new();
//! for version in (0..3).map(Version) {
//!     backend.group(queue, &plan, [bags], &mut group)?;
//!     let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
//!     backend.forward(call, version, [&params[..]], &mut out, Some(&mut saved))?;
//!
//!     // Of the loss |out - 1|^2 / 2.
//!     let grad_out = out.map(|y| y - 1.0);
//!     losses.push(grad_out.iter().map(|g| g * g / 2.0).sum::<f32>());
//!     grads.fill(0.0);
//!     let sink = Sink::Accumulate { params: &params[..], grads: &mut grads[..] };
//!     let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
//!     backend.backward(call, version, &saved, [sink], &grad_out, None)?;
//!
//!     // SGD with momentum. The parameters have another version now.
//!     for ((param, v), grad) in params.iter_mut().zip(&mut velocity).zip(&grads) {
//!         *v = 0.9 * *v + grad;
//!         *param -= 0.1 * *v;
//!     }
//! }
//! assert!(losses[2] < losses[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A new backend implements [`Backend`] and is tested by one line with the crate `ttcore-conformance`.
//!
//! # What may grow
//!
//! Types of this crate that are marked `#[non_exhaustive]` may get new variants and fields; a backend refuses a
//! [`Rule`](crate::Rule) that it does not know. [`Sink`], [`Expand`], [`Call`], [`Update`] and
//! [`Pooling`](crate::Pooling) are not: a backend that ignored a new kind of sink, or half of an update, would compute
//! something else than was asked for, so it must not compile.

use core::fmt;
use core::ops::Range;

use crate::bags::{Bags, BagsError};
use crate::error::Error;
use crate::layout::Layout;
use crate::optim::Update;
use crate::real::Real;
use crate::shape::ShapeError;

/// A name for the values the parameters have: the caller gives them another whenever they change.
///
/// Parameters are borrowed, so a backend cannot see them change; it can see that backward is given another version than
/// forward was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Version(pub u64);

/// What the tables' gradients are for: one for each table in a [`Backend::backward`] call.
pub enum Sink<'a, B: Backend> {
    /// Added to `grads`, for an optimiser outside, gradient accumulation, clipping or a reduction over machines.
    Accumulate {
        /// `[Table::parameters]`, as they were in forward.
        params: B::View<'a>,
        /// `[Table::parameters]`, laid out alike.
        grads: B::ViewMut<'a>,
    },
    /// Written to `grads`, whatever was there: the gradient of every parameter, zero where the batch touched nothing. For
    /// who wants a fresh gradient of every backward, as automatic differentiation does.
    ///
    /// The same bits as [`Sink::Accumulate`] gives in `grads` of zeros, but for the sign of a zero, without a pass over all
    /// of them first: numbers are computed where they are stored, and zeros written to the others.
    Overwrite {
        /// `[Table::parameters]`, as they were in forward.
        params: B::View<'a>,
        /// `[Table::parameters]`, laid out alike. What is in them is not read.
        grads: B::ViewMut<'a>,
    },
    /// Applied to the parameters by a rule, in the same pass. The caller then gives them another [`Version`].
    Update {
        /// `[Table::parameters]`, as they were in forward; after the call, as the rule leaves them.
        params: B::ViewMut<'a>,
        /// As long as [`Update::state_layout`] says, and laid out so.
        state: B::ViewMut<'a>,
        /// The rule, and with what learning rate.
        update: Update,
    },
    /// Not computed: the table is not trained.
    Frozen {
        /// `[Table::parameters]`, as they were in forward.
        params: B::View<'a>,
    },
}

/// Rows wanted of one table in a [`Backend::expand_rows`] call.
pub struct Expand<'a, 'r, B: Backend> {
    /// Which table of the plan.
    pub table: usize,
    /// Its parameters `[Table::parameters]`.
    pub params: B::View<'a>,
    /// Addresses of the rows, `n` of them in any order, all below [`Table::addresses`](crate::Table::addresses).
    pub rows: &'r [u64],
    /// Where they go, `[n][N]`.
    pub out: B::ViewMut<'a>,
}

/// On what a forward or backward works: one batch, its plan, where work is ordered, and memory to work in.
pub struct Call<'c, B: Backend> {
    /// The plan the group was made for.
    pub plan: &'c B::Plan,
    /// The batch.
    pub group: &'c B::Group,
    /// Where the work is ordered.
    pub queue: &'c mut B::Queue,
    /// Made for the same plan; its content means nothing between calls.
    pub scratch: &'c mut B::Scratch,
}

/// Bytes of the values made for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Workspace {
    /// One `Group`.
    pub group: usize,
    /// One `Saved`.
    pub saved: usize,
    /// One `Scratch`.
    pub scratch: usize,
}

impl Workspace {
    /// Bytes of one `Group`, one `Saved` and one `Scratch`.
    pub fn new(group: usize, saved: usize, scratch: usize) -> Self {
        Self { group, saved, scratch }
    }
}

/// A machine that computes embedding bags.
///
/// The same input gives the same bits in every run, whatever the number of threads. Bad input is a typed error; nothing
/// panics and no output is half-written because of it: all checks come before the first write.
///
/// A backend and all its values may go to another thread, so that generic code can give a layer to one that trains or
/// serves. All but a queue may be read by several.
pub trait Backend: Sized + Send + Sync + 'static {
    /// Type of parameters, outputs and gradients. Sums accumulate in it, or wider.
    type Float: Real;
    /// What can go wrong. Made from all errors of this crate, so that generic code needs no more than `?`.
    type Error: core::error::Error + From<Error> + From<BagsError> + From<ShapeError> + Send + Sync + 'static;
    /// Shared view of contiguous numbers, usually of someone else's memory.
    type View<'a>: Copy + Send + Sync;
    /// Exclusive view of contiguous numbers.
    type ViewMut<'a>: Send + Sync;
    /// Owned numbers: a convenience on top of views.
    type Buffer: Send + Sync;
    /// Where work is ordered: a stream, or the thread pool of a CPU. Calls on one queue see each other's results.
    type Queue: Send;
    /// Sizes and order of work for a [`Layout`]. No data.
    type Plan: Send + Sync;
    /// One batch: its unique rows and the way back to lookups. Reusable.
    type Group: Send + Sync;
    /// What forward leaves for backward. Reusable.
    type Saved: Send + Sync;
    /// Memory for intermediate values. Reusable.
    type Scratch: Send + Sync;

    // Memory.

    /// A buffer of `len` zeros.
    fn alloc(&self, queue: &mut Self::Queue, len: usize) -> Result<Self::Buffer, Self::Error>;
    /// The whole of a buffer.
    fn view(buffer: &Self::Buffer) -> Self::View<'_>;
    /// The whole of a buffer, to write.
    fn view_mut(buffer: &mut Self::Buffer) -> Self::ViewMut<'_>;
    /// How many numbers a view has.
    fn len(view: Self::View<'_>) -> usize;
    /// A part of a view. Panics if the range leaves it, as slices do.
    fn slice<'a>(view: Self::View<'a>, range: Range<usize>) -> Self::View<'a>;
    /// A part of a view, to write. Panics if the range leaves it, as slices do.
    fn slice_mut<'a>(view: Self::ViewMut<'a>, range: Range<usize>) -> Self::ViewMut<'a>;
    /// The same view for a while, as `&mut *view` for slices.
    fn reborrow<'a>(view: &'a mut Self::ViewMut<'_>) -> Self::ViewMut<'a>;
    /// The same view, from now on only to read.
    fn read_only<'a>(view: Self::ViewMut<'a>) -> Self::View<'a>;
    /// Copies numbers of the host to a view of the same length. The host's may be reused when this returns.
    fn upload(&self, queue: &mut Self::Queue, from: &[Self::Float], to: Self::ViewMut<'_>) -> Result<(), Self::Error>;
    /// Copies a view to numbers of the host of the same length, after all earlier work of the queue.
    fn download(
        &self,
        queue: &mut Self::Queue,
        from: Self::View<'_>,
        to: &mut [Self::Float],
    ) -> Result<(), Self::Error>;
    /// Fills a view with zeros.
    fn zero(&self, queue: &mut Self::Queue, view: Self::ViewMut<'_>) -> Result<(), Self::Error>;
    /// Waits until all work of the queue is done.
    fn synchronize(&self, queue: &mut Self::Queue) -> Result<(), Self::Error>;

    // Values of a plan.

    /// A plan for the tables and largest batch of a layout. More room needs another plan.
    fn plan(&self, queue: &mut Self::Queue, layout: Layout) -> Result<Self::Plan, Self::Error>;
    /// The layout of a plan.
    fn layout(plan: &Self::Plan) -> &Layout;
    /// Bytes of the three values below, before they are made.
    fn workspace(plan: &Self::Plan) -> Workspace;
    /// An empty group with room for the plan's largest batch.
    fn new_group(&self, queue: &mut Self::Queue, plan: &Self::Plan) -> Result<Self::Group, Self::Error>;
    /// Room for what forward leaves.
    fn new_saved(&self, queue: &mut Self::Queue, plan: &Self::Plan) -> Result<Self::Saved, Self::Error>;
    /// Room for intermediate values.
    fn new_scratch(&self, queue: &mut Self::Queue, plan: &Self::Plan) -> Result<Self::Scratch, Self::Error>;

    // Operations.

    /// Fills a group with a batch: one [`Bags`] for each table, in order, validated for
    /// [`Table::addresses`](crate::Table::addresses) rows, of `B` bags for each of its [features](crate::Features), those of
    /// one feature behind those of the one before; `B` is the same for all tables. The bags are not needed afterwards.
    /// After an error the group holds no batch.
    fn group<'a>(
        &self,
        queue: &mut Self::Queue,
        plan: &Self::Plan,
        bags: impl IntoIterator<Item = Bags<'a, Self::Float>>,
        group: &mut Self::Group,
    ) -> Result<(), Self::Error>;

    /// Pooled rows of all tables: writes the columns of all features in `out` `[B][stride]` (see [`Layout`]) from the
    /// parameters of each table, in order, and leaves in `saved`, where given, what backward needs (paper, Algorithm 1).
    fn forward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        params: impl IntoIterator<Item = Self::View<'a>>,
        out: Self::ViewMut<'_>,
        saved: Option<&mut Self::Saved>,
    ) -> Result<(), Self::Error>;

    /// Gradients of all tables from that of the output, `grad_out` `[B][stride]`, into the sink of each table, in order
    /// (paper, Algorithm 2); that of a table is summed over all its features. `grad_weights`, where wanted, is written:
    /// the gradients of the per-sample weights of table
    /// 0, then table 1, .., `[L_0 + L_1 + ..]` (of a weight of 1 where a table has none).
    ///
    /// A `saved` of another batch or another version of the parameters is [`Error::Stale`].
    fn backward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        saved: &Self::Saved,
        sinks: impl IntoIterator<Item = Sink<'a, Self>>,
        grad_out: Self::View<'_>,
        grad_weights: Option<Self::ViewMut<'_>>,
    ) -> Result<(), Self::Error>;

    /// Which parameters of table `table` the batch touches: calls `visit` with ranges of them, ascending, none empty, with
    /// something between any two. All others have a gradient of zero, and [`Sink::Accumulate`] leaves theirs as they are.
    ///
    /// These are the slices of cores and the dense rows with a lookup, whatever its weight. So an optimiser outside can visit
    /// them alone, and gradients that are used again be cleared where there is something. The host knows them since the
    /// batch was grouped: nothing is waited for. A group that holds no batch touches nothing.
    ///
    /// # Errors
    ///
    /// [`Error::OtherPlan`] or [`Error::NoTable`].
    fn touched(
        plan: &Self::Plan,
        group: &Self::Group,
        table: usize,
        visit: impl FnMut(Range<usize>),
    ) -> Result<(), Self::Error>;

    /// Rows of any tables, uncompressed: to fill a cache, or to export.
    fn expand_rows<'a, 'r>(
        &self,
        queue: &mut Self::Queue,
        plan: &Self::Plan,
        scratch: &mut Self::Scratch,
        wanted: impl IntoIterator<Item = Expand<'a, 'r, Self>>,
    ) -> Result<(), Self::Error>;
}

// Numbers may be the device's and are many: what is printed is how many.

impl<B: Backend> fmt::Debug for Sink<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = |f: &mut fmt::Formatter<'_>, name, params: B::View<'_>| {
            f.debug_struct(name).field("params", &format_args!("{} numbers", B::len(params))).finish_non_exhaustive()
        };
        match self {
            Self::Accumulate { params, .. } => numbers(f, "Accumulate", *params),
            Self::Overwrite { params, .. } => numbers(f, "Overwrite", *params),
            Self::Update { update, .. } => f.debug_struct("Update").field("update", update).finish_non_exhaustive(),
            Self::Frozen { params } => numbers(f, "Frozen", *params),
        }
    }
}

impl<B: Backend> fmt::Debug for Expand<'_, '_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expand")
            .field("table", &self.table)
            .field("params", &format_args!("{} numbers", B::len(self.params)))
            .field("rows", &format_args!("{} numbers", self.rows.len()))
            .finish_non_exhaustive()
    }
}

impl<B: Backend> fmt::Debug for Call<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("layout", B::layout(self.plan)).finish_non_exhaustive()
    }
}
