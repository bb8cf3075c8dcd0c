//! A small table on the fake GPU, and steps of it.

use ttcore::backend::{Backend, Call, Sink, Version};
use ttcore::{Bags, Layout, Offsets, Pooling, Table, TtShape, Update};
use ttcore_cuda::driver::Queue;
use ttcore_cuda::{Buffer, Cuda, Driver, Error, Group, Method, Plan, Saved, Scratch};

pub(crate) const ROWS: u64 = 1000;
pub(crate) const BAGS: usize = 2;
pub(crate) const LOOKUPS: usize = 3;
const DIM: usize = 8;

/// A table, its memory, and what a step needs.
pub(crate) struct Trained {
    pub(crate) backend: Cuda<f32, Driver>,
    pub(crate) plan: Plan,
    pub(crate) group: Group<f32, Driver>,
    pub(crate) other_group: Group<f32, Driver>,
    saved: Saved<Driver>,
    scratch: Scratch<Driver>,
    params: Buffer<f32, Driver>,
    state: Buffer<f32, Driver>,
    out: Buffer<f32, Driver>,
    grad: Buffer<f32, Driver>,
    version: u64,
}

pub(crate) type Rows = [u32; LOOKUPS];

/// Rows of batch number `i`.
pub(crate) fn rows(i: u32) -> Rows {
    [7 * i % 1000, 999 - i, 7 * i % 1000]
}

pub(crate) fn bags(rows: &Rows) -> Bags<'_, f32> {
    Bags::new(ROWS, rows, Offsets::Starts(&[0, 2]), Pooling::Sum, None).expect("bags")
}

impl Trained {
    pub(crate) fn new(driver: &Driver, queue: &mut Queue, method: Method) -> Result<Self, Error> {
        let shape = TtShape::paper(ROWS, DIM, 3, 4)?;
        let backend = Cuda::new(driver.clone()).with_method(method);
        let plan = backend.plan(queue, Layout::new(vec![Table::tt(shape.clone())], BAGS, LOOKUPS)?)?;
        let numbers = |len: usize, seed: usize| -> Vec<f32> {
            (0..len).map(|i| ((i * 7919 + seed) % 1000) as f32 / 1000.0 - 0.5).collect()
        };
        let mut filled = |len, seed| {
            let mut buffer = backend.alloc(queue, len)?;
            backend.upload(queue, &numbers(len, seed), buffer.view_mut())?;
            Ok::<_, Error>(buffer)
        };
        let (params, out, grad) = (filled(shape.parameters(), 1)?, filled(BAGS * DIM, 2)?, filled(BAGS * DIM, 3)?);
        let state = backend.alloc(queue, 0)?;
        let (group, other_group) = (backend.new_group(queue, &plan)?, backend.new_group(queue, &plan)?);
        let (saved, scratch) = (backend.new_saved(queue, &plan)?, backend.new_scratch(queue, &plan)?);
        Ok(Self { backend, plan, group, other_group, saved, scratch, params, state, out, grad, version: 0 })
    }

    /// Groups a batch.
    pub(crate) fn group(&mut self, queue: &mut Queue, batch: &Rows) -> Result<(), Error> {
        self.backend.group(queue, &self.plan, [bags(batch)], &mut self.group)
    }

    /// Forward and a step of SGD with the batch that was grouped.
    pub(crate) fn step(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let Self { backend, plan, group, saved, scratch, params, state, out, grad, version, .. } = self;
        let call = Call { plan, group, queue, scratch };
        backend.forward(call, Version(*version), [params.view()], out.view_mut(), Some(saved))?;
        let call = Call { plan, group, queue, scratch };
        let sink = Sink::Update { params: params.view_mut(), state: state.view_mut(), update: Update::sgd(0.5) };
        backend.backward(call, Version(*version), saved, [sink], grad.view(), None)?;
        *version += 1;
        Ok(())
    }

    /// Outputs and parameters.
    pub(crate) fn values(&self, queue: &mut Queue) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let mut read = |view: ttcore_cuda::View<'_, f32>| {
            let mut values = vec![0.0; view.len()];
            self.backend.download(queue, view, &mut values).map(|()| values)
        };
        Ok((read(self.out.view())?, read(self.params.view())?))
    }
}

/// Outputs and parameters after these steps, where each is waited for.
pub(crate) fn waited(driver: &Driver, method: Method, batches: &[Rows]) -> (Vec<f32>, Vec<f32>) {
    let mut queue = driver.queue().expect("a queue");
    let mut trained = Trained::new(driver, &mut queue, method).expect("a table");
    for batch in batches {
        trained.group(&mut queue, batch).expect("a group");
        trained.backend.synchronize(&mut queue).expect("a wait");
        trained.step(&mut queue).expect("a step");
        trained.backend.synchronize(&mut queue).expect("a wait");
    }
    trained.values(&mut queue).expect("numbers")
}
