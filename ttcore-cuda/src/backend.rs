//! The backend: checks, then work for the device.

use std::ops::Range;

use ttcore::backend::{Call, Expand, Sink, Version, Workspace};
use ttcore::check::{self, Stamp};
use ttcore::{Backend, Bags, Layout};
use ttcore_cpu::{Cpu, Isa, Threads};

use crate::device::{Device, Element, Fence};
use crate::error::Error;
use crate::group::Group;
use crate::memory::{Saved, Scratch};
use crate::ops::{self, Step};
use crate::plan::Plan;
use crate::sinks::{collect_params, collect_sinks};
use crate::view::{Buffer, View, ViewMut};

/// Lookups of a chunk of the batched algorithm where nothing else is said, `B` of the paper's Algorithm 1.
const CHUNK: usize = 1000;

/// How tables are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Method {
    /// Algorithms 1 and 2 of the paper: batched products of cuBLAS over chunks of lookups. Any tables.
    Batched,
    /// Duplicates and pairs merged, all tables in a few launches: tables of three cores and those without cores. Others are
    /// computed as [`Method::Batched`].
    #[default]
    Fused,
}

/// A device that computes embedding bags, for numbers of type `f32` or `f64`.
#[derive(Clone, Debug)]
pub struct Cuda<F, D> {
    device: D,
    host: Cpu<F>,
    threads: Threads,
    method: Method,
    chunk: usize,
}

impl<F: Element, D: Device> Cuda<F, D> {
    /// The backend on a device.
    pub fn new(device: D) -> Self {
        Self {
            device,
            host: Cpu::with_isa(Isa::Portable),
            threads: Threads::one(),
            method: Method::Fused,
            chunk: CHUNK,
        }
    }

    /// Groups batches on these threads of the host, instead of the calling one. Results do not depend on their number.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// Computes tables in this way where it can.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Lookups that the batched algorithm works on at once, instead of 1000: memory against launches.
    #[must_use]
    pub fn with_chunk(self, chunk: usize) -> Self {
        Self { chunk, ..self }
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
        Plan::new::<F>(host, layout, self.method, self.chunk)
    }

    fn layout(plan: &Plan) -> &Layout {
        &plan.layout
    }

    fn workspace(plan: &Plan) -> Workspace {
        // Once on the device and once where copies start from.
        let group = 2 * plan.group_bytes + Cpu::<F>::workspace(&plan.host).group;
        Workspace::new(group, plan.saved_bytes, plan.scratch.bytes)
    }

    fn new_group(&self, queue: &mut D::Queue, plan: &Plan) -> Result<Group<F, D>, Error> {
        let host = self.host.new_group(&mut self.threads.clone(), &plan.host)?;
        let staging = self.device.staging(plan.group_bytes)?;
        let (memory, mut fence) = (self.device.allocate(queue, plan.group_bytes)?, self.device.fence()?);
        // With zeros, on this queue.
        fence.end_fill(queue)?;
        Ok(Group::new(plan, host, memory, staging, fence))
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
        group.clear();
        self.host.group(&mut self.threads.clone(), &plan.host, bags, &mut group.host)?;
        let sent = group.load(&self.device, plan).and_then(|()| {
            let to = D::address(&group.memory);
            group.fence.begin_fill(queue)?;
            // SAFETY: the group's memory has so many bytes and is borrowed; all uses of it come after the copy, or before.
            unsafe { self.device.send(queue, &mut group.staging, to, plan.group_bytes)? };
            group.fence.end_fill(queue)
        });
        sent.inspect_err(|_| group.clear())
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
        let shape = check::table(&plan.layout, table)?;
        // After an error the host may hold a batch that the device does not.
        if group.rows > 0 {
            group.host.tables()[table].touched(shape, visit);
        }
        Ok(())
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
