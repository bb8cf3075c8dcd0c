//! A fused step is the same launches with the same arguments, whatever the batch: what a CUDA graph needs that is captured
//! once and replayed.

// The race detector has tests of its own, and would take hours for these.
#![cfg(not(feature = "race"))]

use std::sync::{Arc, Mutex, MutexGuard};

use ttcore::backend::{Call, Sink, Version};
use ttcore::{
    Backend, Bags, CoreRule, EmbeddingBagCollection, Layout, Mode, Offsets, Pooling, Table, TableConfig, TtShape,
};
use ttcore_cuda::args::Args;
use ttcore_cuda::device::{Dims, Gemm, Kernel};
use ttcore_cuda::{Cuda, Device, DeviceBags, DeviceOffsets, Emulator, Error, Grouping, Integer, Integers, Method};

/// What the device was asked for in a step: kernels with their dimensions and arguments, or the name of anything else.
#[derive(Debug, PartialEq)]
enum Asked {
    Launch(Kernel, u32, u32, u32, Vec<u8>),
    Other(&'static str),
}

/// The emulator, with a list of what it was asked for.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Asked>>>);

impl Recorder {
    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.0.lock().expect("no thread panicked")
    }

    fn note(&self, what: &'static str) {
        self.asked().push(Asked::Other(what));
    }
}

impl Device for Recorder {
    type Queue = ();
    type Memory = <Emulator as Device>::Memory;
    type Staging = <Emulator as Device>::Staging;
    type Fence = ();

    fn fence(&self) -> Result<(), Error> {
        Ok(())
    }

    fn allocate(&self, queue: &mut (), bytes: usize) -> Result<Self::Memory, Error> {
        self.note("allocate");
        Emulator.allocate(queue, bytes)
    }

    fn address(memory: &Self::Memory) -> u64 {
        Emulator::address(memory)
    }

    fn staging(&self, bytes: usize) -> Result<Self::Staging, Error> {
        Emulator.staging(bytes)
    }

    fn staged<'a>(&self, staging: &'a mut Self::Staging) -> Result<&'a mut [u8], Error> {
        Emulator.staged(staging)
    }

    unsafe fn send(&self, queue: &mut (), from: &mut Self::Staging, to: u64, bytes: usize) -> Result<(), Error> {
        self.note("send");
        // SAFETY: the caller's.
        unsafe { Emulator.send(queue, from, to, bytes) }
    }

    unsafe fn upload(&self, queue: &mut (), from: &[u8], to: u64) -> Result<(), Error> {
        self.note("upload");
        // SAFETY: the caller's.
        unsafe { Emulator.upload(queue, from, to) }
    }

    unsafe fn download(&self, queue: &mut (), from: u64, to: &mut [u8]) -> Result<(), Error> {
        self.note("download");
        // SAFETY: the caller's.
        unsafe { Emulator.download(queue, from, to) }
    }

    unsafe fn zero(&self, queue: &mut (), at: u64, bytes: usize) -> Result<(), Error> {
        self.note("zero");
        // SAFETY: the caller's.
        unsafe { Emulator.zero(queue, at, bytes) }
    }

    fn synchronize(&self, queue: &mut ()) -> Result<(), Error> {
        self.note("synchronize");
        Emulator.synchronize(queue)
    }

    unsafe fn launch<A: Args>(
        &self,
        queue: &mut (),
        kernel: Kernel,
        double: bool,
        dims: Dims,
        args: &A,
    ) -> Result<(), Error> {
        // SAFETY: arguments have no padding.
        let bytes = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(args).cast::<u8>(), size_of::<A>()) };
        self.asked().push(Asked::Launch(kernel, dims.grid, dims.block, dims.shared, bytes.to_vec()));
        // SAFETY: the caller's.
        unsafe { Emulator.launch(queue, kernel, double, dims, args) }
    }

    unsafe fn gemm(&self, queue: &mut (), double: bool, gemm: &Gemm) -> Result<(), Error> {
        self.note("gemm");
        // SAFETY: the caller's.
        unsafe { Emulator.gemm(queue, double, gemm) }
    }
}

type Recorded = Cuda<f32, Recorder>;

#[test]
fn a_fused_step_is_the_same_for_every_batch() {
    steps(CoreRule::ElementWise, &[Kernel::FusedMiddle, Kernel::FusedOuter]);
    steps(CoreRule::ADAGRAD_NORM, &[Kernel::FusedMiddle, Kernel::FusedOuter, Kernel::FusedSlices]);
}

fn steps(rule: CoreRule, backward: &[Kernel]) {
    let shape = || TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 2], 3).expect("a shape");
    // More tables than fit into one launch.
    let mut configs = vec![TableConfig::dense(60, 8).expect("a table")];
    configs.extend((0..39).map(|_| TableConfig::tt(shape()).with_core_rule(rule)));
    let tables = configs.len();
    let recorder = Recorder::default();
    let backend = Recorded::new(recorder.clone());
    let mut collection = EmbeddingBagCollection::new(backend, &mut (), configs, 4, 12, 1).expect("tables");
    let mut batch = collection.batch(&mut ()).expect("memory");
    let stride = collection.layout().stride();
    let mut out = collection.backend().alloc(&mut (), 4 * stride).expect("memory");
    let grad = collection.backend().alloc(&mut (), 4 * stride).expect("memory");

    let mut step = |indices: &[u32], offsets: &[u32]| {
        let bags = Bags::new(60, indices, Offsets::Starts(offsets), Pooling::Mean, None).expect("bags");
        collection.group(&mut (), &mut batch, vec![bags; tables], Mode::Train).expect("group");
        recorder.asked().clear();
        let outputs = 0..offsets.len() * stride;
        let out = Recorded::slice_mut(out.view_mut(), outputs.clone());
        collection.forward(&mut (), &mut batch, out).expect("forward");
        let grad = Recorded::slice(grad.view(), outputs);
        collection.step(&mut (), &batch, grad, 0.1, None).expect("step");
        std::mem::take(&mut *recorder.asked())
    };
    let first = step(&[0, 1, 59, 59], &[0, 1, 1, 3]);
    let kernels: Vec<_> =
        first.iter().map(|asked| if let Asked::Launch(kernel, ..) = asked { Some(*kernel) } else { None }).collect();
    let forward = &[Kernel::FusedPairs, Kernel::FusedPool][..];
    let want: Vec<_> = [forward, forward, backward, backward].concat().into_iter().map(Some).collect();
    assert_eq!(kernels, want, "and nothing that waits or copies");
    assert!(step(&[7; 12], &[0, 6]) == first);
    assert!(step(&[], &[0]) == first);
}

/// Grouping on the device is one copy and then the same launches, by one block a table or by several; on the host it is a copy.
#[test]
fn grouping_is_the_same_for_every_batch() {
    let shape = || TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 2], 3).expect("a shape");
    let mut tables = vec![Table::dense(67, 8).expect("a table")];
    tables.extend((0..39).map(|_| Table::cached(shape(), 7).expect("a table")));
    let layout = Layout::new(tables, 4, 12).expect("a layout");
    let asked = |backend: fn(Recorded) -> Recorded| {
        let (recorder, queue) = (Recorder::default(), &mut ());
        let backend = backend(Recorded::new(recorder.clone()));
        let plan = backend.plan(queue, layout.clone()).expect("a plan");
        let mut group = backend.new_group(queue, &plan).expect("memory");
        let mut group = |indices: &[u32], offsets: &[u32]| {
            let bags = Bags::new(67, indices, Offsets::Starts(offsets), Pooling::Sum, None).expect("bags");
            recorder.asked().clear();
            backend.group(queue, &plan, vec![bags; layout.tables().len()], &mut group).expect("group");
            std::mem::take(&mut *recorder.asked())
        };
        let first = group(&[0, 1, 66, 59], &[0, 1, 1, 3]);
        assert!(group(&[7; 12], &[0, 6]) == first);
        assert!(group(&[3], &[0]) == first);
        assert!(group(&[], &[]) == first);
        let kernel = |asked: &Asked| if let Asked::Launch(kernel, ..) = asked { Some(*kernel) } else { None };
        assert_eq!(first[0], Asked::Other("send"), "and nothing that waits");
        first[1..].iter().map(kernel).collect::<Vec<_>>()
    };
    let [lists, units] = [Kernel::GroupTables, Kernel::GroupUnits].map(Some);
    assert_eq!(asked(|backend| backend), [lists, units]);
    // Of keys of 7 bits, i_1 and i_3 of 2: two passes and one, of two stages each.
    let stages = 1 + 2 * 2 + 2 + 2 + 2 + 1;
    assert_eq!(asked(|backend| backend.with_group_chunk(5)), [vec![lists; stages], vec![units]].concat());
    assert_eq!(asked(|backend| backend.with_grouping(Grouping::Host)), []);
}

/// A batch on the device is one copy of what it is, and the same launches.
#[test]
fn a_batch_on_the_device_is_the_same_launches() {
    let layout = Layout::new(vec![Table::dense(67, 8).expect("a table"); 3], 4, 12).expect("a layout");
    let (recorder, queue) = (Recorder::default(), &mut ());
    let backend = Recorded::new(recorder.clone());
    let plan = backend.plan(queue, layout).expect("a plan");
    let mut group = backend.new_group(queue, &plan).expect("memory");
    let memory = [3i64; 12];
    let mut group = |lookups: usize, bags: usize| {
        // SAFETY: the numbers outlive the calls, and the emulator is done when these return.
        let integers =
            |len| unsafe { Integers::from_raw(Integer::I64, memory.as_ptr().expose_provenance() as u64, len) };
        let offsets = DeviceOffsets::Starts(integers(bags));
        let bags = DeviceBags::new(integers(lookups), offsets, Pooling::Sum, None).expect("bags");
        recorder.asked().clear();
        // SAFETY: as above.
        unsafe { backend.group_on_device(queue, &plan, [bags; 3], &mut group).expect("a batch") };
        std::mem::take(&mut *recorder.asked())
    };
    let first = group(12, 4);
    assert!(group(1, 1) == first && group(0, 0) == first);
    let kernel = |asked: &Asked| if let Asked::Launch(kernel, ..) = asked { Some(*kernel) } else { None };
    let kernels: Vec<_> = first.iter().map(kernel).collect();
    assert_eq!(kernels[1..], [Kernel::GroupImport, Kernel::GroupTables, Kernel::GroupUnits].map(Some));
    assert_eq!(first[0], Asked::Other("send"), "and nothing that waits");
}

/// Fresh gradients too, zeros included.
#[test]
fn overwriting_is_the_same_for_every_batch() {
    let shape = || TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 2], 3).expect("a shape");
    // More tables than fit into one launch.
    let mut tables = vec![Table::dense(67, 8).expect("a table")];
    tables.extend((0..39).map(|_| Table::cached(shape(), 7).expect("a table")));
    let layout = Layout::new(tables, 4, 12).expect("a layout");
    let (recorder, queue) = (Recorder::default(), &mut ());
    let backend = Recorded::new(recorder.clone());
    let plan = backend.plan(queue, layout.clone()).expect("a plan");
    let mut group = backend.new_group(queue, &plan).expect("memory");
    let mut saved = backend.new_saved(queue, &plan).expect("memory");
    let mut scratch = backend.new_scratch(queue, &plan).expect("memory");
    let most = shape().parameters().max(67) * 8;
    let params = backend.alloc(queue, most).expect("memory");
    let mut out = backend.alloc(queue, 4 * layout.stride()).expect("memory");
    let mut grads: Vec<_> = layout.tables().iter().map(|_| backend.alloc(queue, most).expect("memory")).collect();

    let mut step = |indices: &[u32], offsets: &[u32]| {
        let bags = Bags::new(67, indices, Offsets::Starts(offsets), Pooling::Sum, None).expect("bags");
        backend.group(queue, &plan, vec![bags; layout.tables().len()], &mut group).expect("group");
        let lengths = || layout.tables().iter().map(Table::parameters);
        let views = lengths().map(|len| Recorded::slice(params.view(), 0..len));
        let outputs = 0..offsets.len() * layout.stride();
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        let to = Recorded::slice_mut(out.view_mut(), outputs.clone());
        backend.forward(call, Version(0), views, to, Some(&mut saved)).expect("forward");
        recorder.asked().clear();
        let sinks = lengths().zip(&mut grads).map(|(len, grads)| Sink::Overwrite {
            params: Recorded::slice(params.view(), 0..len),
            grads: Recorded::slice_mut(grads.view_mut(), 0..len),
        });
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        let grad_out = Recorded::slice(out.view(), outputs);
        backend.backward(call, Version(0), &saved, sinks, grad_out, None).expect("backward");
        std::mem::take(&mut *recorder.asked())
    };
    let first = step(&[0, 1, 66, 59], &[0, 1, 1, 3]);
    let kernels: Vec<_> =
        first.iter().map(|asked| if let Asked::Launch(kernel, ..) = asked { Some(*kernel) } else { None }).collect();
    let launch = [Kernel::FusedMiddle, Kernel::FusedOuter, Kernel::FusedUntouched].map(Some);
    assert_eq!(kernels, [launch, launch].concat(), "and nothing that waits or copies");
    assert!(step(&[7; 12], &[0, 6]) == first);
    assert!(step(&[], &[0]) == first);
}

#[test]
fn a_group_without_a_batch_launches_nothing() {
    let recorder = Recorder::default();
    let backend = Recorded::new(recorder.clone());
    let shape = TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 2], 3).expect("a shape");
    let params = backend.alloc(&mut (), shape.parameters()).expect("memory");
    let layout = Layout::new(vec![Table::tt(shape)], 2, 4).expect("a layout");
    let plan = backend.plan(&mut (), layout).expect("a plan");
    let mut group = backend.new_group(&mut (), &plan).expect("memory");
    let mut scratch = backend.new_scratch(&mut (), &plan).expect("memory");
    let bags = |rows| Bags::new(rows, &[0u32, 1, 2], Offsets::Starts(&[0, 2]), Pooling::Sum, None).expect("bags");
    backend.group(&mut (), &plan, [bags(60)], &mut group).expect("a batch");
    backend.group(&mut (), &plan, [bags(61)], &mut group).expect_err("rows of another table");

    // The device still has the first batch, for which this output has no room.
    let mut out = backend.alloc(&mut (), 0).expect("memory");
    recorder.asked().clear();
    let call = Call { plan: &plan, group: &group, queue: &mut (), scratch: &mut scratch };
    backend.forward(call, Version(0), [params.view()], out.view_mut(), None).expect("nothing to do");
    assert_eq!(std::mem::take(&mut *recorder.asked()), []);
}

/// Sizes depend on more than the tables: values for other numbers, another method or another chunk are refused.
#[test]
fn values_of_another_make_are_refused() {
    let shape = TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 2], 3).expect("a shape");
    let layout = || Layout::new(vec![Table::tt(shape.clone())], 2, 8).expect("a layout");
    let fused = || Cuda::<f32, _>::new(Emulator);
    let batched = || fused().with_method(Method::Batched);
    let host = fused().with_grouping(Grouping::Host);
    let makes = [fused(), batched(), batched().with_chunk(3), host, fused().with_group_chunk(3)];
    let bags = Bags::new(60, &[0u32, 1, 2], Offsets::Starts(&[0, 2]), Pooling::Sum, None).expect("bags");
    for (number, backend) in makes.iter().enumerate() {
        let plan = backend.plan(&mut (), layout()).expect("a plan");
        for (other, others) in makes.iter().enumerate() {
            let other_plan = others.plan(&mut (), layout()).expect("a plan");
            let mut group = backend.new_group(&mut (), &plan).expect("memory");
            backend.group(&mut (), &plan, [bags], &mut group).expect("a batch");
            let mut scratch = others.new_scratch(&mut (), &other_plan).expect("memory");
            let params = backend.alloc(&mut (), shape.parameters()).expect("memory");
            let mut out = backend.alloc(&mut (), 2 * 8).expect("memory");
            let call = Call { plan: &plan, group: &group, queue: &mut (), scratch: &mut scratch };
            let done = backend.forward(call, Version(0), [params.view()], out.view_mut(), None);
            let refused = Err(Error::Contract(ttcore::Error::OtherPlan { what: "scratch" }));
            assert_eq!(done, if number == other { Ok(()) } else { refused });
        }
    }
    // A plan for numbers of half the size.
    let wide = Cuda::<f64, _>::new(Emulator);
    let plan = fused().plan(&mut (), layout()).expect("a plan");
    let mut group = wide.new_group(&mut (), &plan).expect("memory");
    let bags = Bags::new(60, &[0u32, 1, 2], Offsets::Starts(&[0, 2]), Pooling::Sum, None).expect("bags");
    let error = wide.group(&mut (), &plan, [bags], &mut group).expect_err("a plan for f32");
    assert_eq!(error, Error::Contract(ttcore::Error::OtherPlan { what: "group" }));
}
