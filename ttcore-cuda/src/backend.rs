//! The backend: checks, then work for the device.

use std::ops::Range;

use ttcore::backend::{Call, Expand, Sink, Version, Workspace};
use ttcore::check::{self, Stamp};
use ttcore::{Backend, Bags, Layout};
use ttcore_cpu::{Cpu, Isa, Threads};

use crate::device::{Device, Element, Fence};
use crate::error::Error;
use crate::group::{DeviceBags, Group, TableLists};
use crate::memory::{Saved, Scratch};
use crate::ops::{self, Step};
use crate::plan::Plan;
use crate::settings::{Grouping, Method, Settings};
use crate::sinks::{collect_params, collect_sinks};
use crate::view::{Buffer, View, ViewMut};

/// A device that computes embedding bags, for numbers of type `f32` or `f64`.
#[derive(Clone, Debug)]
pub struct Cuda<F, D> {
    device: D,
    host: Cpu<F>,
    threads: Threads,
    settings: Settings,
}

impl<F: Element, D: Device> Cuda<F, D> {
    /// The backend on a device.
    pub fn new(device: D) -> Self {
        let host = Cpu::with_isa(Isa::Portable);
        Self { device, host, threads: Threads::one(), settings: Settings::default() }
    }

    /// Groups batches on these threads of the host, instead of the calling one, where they are grouped there. Results do not
    /// depend on their number.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// Computes tables in this way where it can.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { settings: Settings { method, ..self.settings }, ..self }
    }

    /// Lookups that the batched algorithm works on at once, instead of 1000: memory against launches.
    #[must_use]
    pub fn with_chunk(self, chunk: usize) -> Self {
        Self { settings: Settings { chunk, ..self.settings }, ..self }
    }

    /// Groups batches there where it can. Results are the same.
    #[must_use]
    pub fn with_grouping(self, grouping: Grouping) -> Self {
        Self { settings: Settings { grouping, ..self.settings }, ..self }
    }

    /// Lookups of a table, at most 65535, that one block of threads groups on the device, instead of 16384. Where a batch of the
    /// layout may have more of a table, several blocks do, in more launches. Results are the same.
    #[must_use]
    pub fn with_group_chunk(self, group_chunk: usize) -> Self {
        Self { settings: Settings { group_chunk, ..self.settings }, ..self }
    }

    /// As [`Backend::group`], for a batch whose numbers are on the device: nothing of it is copied to the host or waited for.
    ///
    /// They are checked there. Where something is wrong the batch is grouped as another one, with rows and bags that exist, and
    /// what is computed with it means nothing: [`Cuda::check`] tells. A `Saved` belongs to this call, not to batches that are the
    /// same; [`Backend::touched`] is [`Error::Unsupported`], as the host has not seen the rows.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a plan whose batches are grouped on the host, see [`Grouping`]; sizes that do not fit the
    /// layout, as [`Backend::group`]; the device's.
    ///
    /// # Safety
    ///
    /// What the batch is given stays as it is until this work of the queue is done.
    pub unsafe fn group_on_device<'a>(
        &self,
        queue: &mut D::Queue,
        plan: &Plan,
        bags: impl IntoIterator<Item = DeviceBags<'a, F>>,
        group: &mut Group<F, D>,
    ) -> Result<(), Error> {
        plan.check::<F>("group", &group.layout, group.make)?;
        // SAFETY: the caller's.
        unsafe { group.import(&self.device, queue, plan, bags) }
    }

    /// Waits for the work of the queue, and tells whether the batch that was last given to [`Cuda::group_on_device`] is one.
    /// Others were checked before.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error::Bags`], as the host would find it first; [`ttcore::Error::OtherPlan`]; the device's.
    pub fn check(&self, queue: &mut D::Queue, plan: &Plan, group: &Group<F, D>) -> Result<(), Error> {
        plan.check::<F>("group", &group.layout, group.make)?;
        group.check(&self.device, queue, plan)
    }

    /// The lists of a batch, copied back once they are there: of each table that the fused kernels take. For tests.
    ///
    /// # Errors
    ///
    /// [`ttcore::Error::OtherPlan`] for a group of another plan; the device's.
    pub fn lists(&self, queue: &mut D::Queue, plan: &Plan, group: &Group<F, D>) -> Result<Vec<TableLists>, Error> {
        plan.check::<F>("group", &group.layout, group.make)?;
        group.lists(&self.device, queue, plan)
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }
}

impl<F: Element, D: Device> Backend for Cuda<F, D> {
    type Float = F;
    type Error = Error;
    type View<'a> = View<'a, F>;
    type ViewMut<'a> = ViewMut<'a, F>;
    type Buffer = Buffer<F, D>;
    type Queue = D::Queue;
    type Plan = Plan;
    type Group = Group<F, D>;
    type Saved = Saved<D>;
    type Scratch = Scratch<D>;

    fn alloc(&self, queue: &mut D::Queue, len: usize) -> Result<Buffer<F, D>, Error> {
        Ok(Buffer::new(self.device.allocate(queue, bytes::<F>(len)?)?, len))
    }

    fn view(buffer: &Buffer<F, D>) -> View<'_, F> {
        buffer.view()
    }

    fn view_mut(buffer: &mut Buffer<F, D>) -> ViewMut<'_, F> {
        buffer.view_mut()
    }

    fn len(view: View<'_, F>) -> usize {
        view.len()
    }

    fn slice<'a>(view: Self::View<'a>, range: Range<usize>) -> Self::View<'a> {
        view.part(range)
    }

    fn slice_mut<'a>(view: Self::ViewMut<'a>, range: Range<usize>) -> Self::ViewMut<'a> {
        view.part(range)
    }

    fn reborrow<'a>(view: &'a mut ViewMut<'_, F>) -> ViewMut<'a, F> {
        view.reborrow()
    }

    fn read_only<'a>(view: Self::ViewMut<'a>) -> Self::View<'a> {
        view.read_only()
    }

    fn upload(&self, queue: &mut D::Queue, from: &[F], to: ViewMut<'_, F>) -> Result<(), Error> {
        check::length("upload", None, from.len(), to.len())?;
        // SAFETY: the view is exclusive and has as many numbers.
        unsafe { self.device.upload(queue, bytemuck::cast_slice(from), to.address()) }
    }

    fn download(&self, queue: &mut D::Queue, from: View<'_, F>, to: &mut [F]) -> Result<(), Error> {
        check::length("download", None, from.len(), to.len())?;
        // SAFETY: the view has as many numbers.
        unsafe { self.device.download(queue, from.address(), bytemuck::cast_slice_mut(to)) }
    }

    fn zero(&self, queue: &mut D::Queue, view: ViewMut<'_, F>) -> Result<(), Error> {
        // SAFETY: the view is exclusive.
        unsafe { self.device.zero(queue, view.address(), view.len() * F::BYTES) }
    }

    fn synchronize(&self, queue: &mut D::Queue) -> Result<(), Error> {
        self.device.synchronize(queue)
    }

    fn plan(&self, _queue: &mut D::Queue, layout: Layout) -> Result<Plan, Error> {
        let host = self.host.plan(&mut self.threads.clone(), layout.clone())?;
        Plan::new::<F>(host, layout, self.settings)
    }

    fn layout(plan: &Plan) -> &Layout {
        &plan.layout
    }

    fn workspace(plan: &Plan) -> Workspace {
        Workspace::new(Group::<F, D>::bytes(plan), plan.saved_bytes, plan.scratch.bytes)
    }

    fn new_group(&self, queue: &mut D::Queue, plan: &Plan) -> Result<Group<F, D>, Error> {
        Group::new(&self.device, queue, plan, &self.host)
    }

    fn new_saved(&self, queue: &mut D::Queue, plan: &Plan) -> Result<Saved<D>, Error> {
        Ok(Saved::new(plan, self.device.allocate(queue, plan.saved_bytes)?))
    }

    fn new_scratch(&self, queue: &mut D::Queue, plan: &Plan) -> Result<Scratch<D>, Error> {
        Ok(Scratch::new(plan, self.device.allocate(queue, plan.scratch.bytes)?))
    }

    fn group<'a>(
        &self,
        queue: &mut D::Queue,
        plan: &Plan,
        bags: impl IntoIterator<Item = Bags<'a, F>>,
        group: &mut Group<F, D>,
    ) -> Result<(), Error> {
        plan.check::<F>("group", &group.layout, group.make)?;
        group.fill(&self.device, queue, plan, (&self.host, &self.threads), bags)
    }

    fn forward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        params: impl IntoIterator<Item = View<'a, F>>,
        out: ViewMut<'_, F>,
        saved: Option<&mut Saved<D>>,
    ) -> Result<(), Error> {
        let Call { plan, group, queue, scratch } = call;
        let layout = &*plan.layout;
        plan.check::<F>("group", &group.layout, group.make)?;
        plan.check::<F>("scratch", &scratch.layout, scratch.make)?;
        if let Some(saved) = &saved {
            plan.check::<F>("saved", &saved.layout, saved.make)?;
        }
        collect_params(layout, params, &mut scratch.sinks)?;
        check::length("output", None, out.len(), group.rows * layout.stride())?;

        group.fence.begin_use(queue)?;
        let mut step = Step::new(&self.device, queue, plan, group, scratch);
        let rows = saved.map(|saved| {
            // Whatever is left if a launch fails, it is nothing to go on with.
            saved.stamp = Stamp::default();
            (D::address(&saved.memory), &mut saved.stamp)
        });
        let (rows, stamp) = rows.unzip();
        let started = step.forward(out.address(), rows);
        // Whatever was started uses the group, also if not all was.
        group.fence.end_use(queue)?;
        started?;
        if let Some(stamp) = stamp {
            *stamp = Stamp::new(group.fingerprint, version);
        }
        Ok(())
    }

    fn backward<'a>(
        &self,
        call: Call<'_, Self>,
        version: Version,
        saved: &Saved<D>,
        sinks: impl IntoIterator<Item = Sink<'a, Self>>,
        grad_out: View<'_, F>,
        grad_weights: Option<ViewMut<'_, F>>,
    ) -> Result<(), Error> {
        let Call { plan, group, queue, scratch } = call;
        let layout = &*plan.layout;
        plan.check::<F>("group", &group.layout, group.make)?;
        plan.check::<F>("saved", &saved.layout, saved.make)?;
        plan.check::<F>("scratch", &scratch.layout, scratch.make)?;
        saved.stamp.check(group.fingerprint, version)?;
        check::length("gradient of the output", None, grad_out.len(), group.rows * layout.stride())?;
        if let Some(grad_weights) = &grad_weights {
            let lookups = group.tables.iter().map(|table| table.lookups).sum();
            check::length("gradient of the weights", None, grad_weights.len(), lookups)?;
        }
        collect_sinks(layout, sinks, &mut scratch.sinks)?;

        group.fence.begin_use(queue)?;
        let mut step = Step::new(&self.device, queue, plan, group, scratch);
        let (saved, grad_out) = (D::address(&saved.memory), grad_out.address());
        let weights = grad_weights.map_or(Ok(()), |to| step.weights(saved, grad_out, to.address()));
        let started = weights.and_then(|()| step.backward(saved, grad_out));
        group.fence.end_use(queue)?;
        started
    }

    fn touched(plan: &Plan, group: &Group<F, D>, table: usize, visit: impl FnMut(Range<usize>)) -> Result<(), Error> {
        plan.check::<F>("group", &group.layout, group.make)?;
        check::table(&plan.layout, table)?;
        group.touched(plan, table, visit)
    }

    fn expand_rows<'a, 'r>(
        &self,
        queue: &mut D::Queue,
        plan: &Plan,
        scratch: &mut Scratch<D>,
        wanted: impl IntoIterator<Item = Expand<'a, 'r, Self>>,
    ) -> Result<(), Error> {
        let layout = &*plan.layout;
        plan.check::<F>("scratch", &scratch.layout, scratch.make)?;
        let wanted: Vec<_> = wanted.into_iter().collect();
        for Expand { table, params, rows, out } in &wanted {
            check::rows(layout, *table, rows)?;
            let shape = &layout.tables()[*table];
            check::length("parameters", Some(*table), params.len(), shape.parameters())?;
            check::length("expanded rows", Some(*table), out.len(), rows.len() * shape.dim())?;
        }
        for Expand { table, params, rows, out } in wanted {
            ops::expand::<F, D>(&self.device, queue, plan, scratch, table, params.address(), rows, out.address())?;
        }
        Ok(())
    }
}

/// Bytes of so many numbers.
pub(crate) fn bytes<F: Element>(len: usize) -> Result<usize, Error> {
    Ok(len.checked_mul(F::BYTES).ok_or(ttcore::Error::TooLarge { what: "buffer" })?)
}
