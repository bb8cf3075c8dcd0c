//! Batches on the device: grouped as the same on the host, and refused with the host's errors.

// The race detector knows memory of the device alone.
#![cfg(not(feature = "race"))]

use ttcore::backend::{Call, Sink, Version};
use ttcore::{Backend, Bags, BagsError, Index, Layout, Offsets, Pooling, Table, TtShape};
use ttcore_cuda::bytemuck::Pod;
use ttcore_cuda::{
    Cuda, DeviceBags, DeviceOffsets, Element, Emulator, Error, Group, Grouping, Integer, Integers, Plan, Saved, View,
};

/// Integers of a type that lie in the memory of the emulator, which is the host's.
trait Kind: Index + Pod {
    const KIND: Integer;
}

impl Kind for i32 {
    const KIND: Integer = Integer::I32;
}

impl Kind for i64 {
    const KIND: Integer = Integer::I64;
}

impl Kind for u32 {
    const KIND: Integer = Integer::U32;
}

impl Kind for u64 {
    const KIND: Integer = Integer::U64;
}

fn integers<T: Kind>(list: &[T]) -> Integers<'_> {
    // SAFETY: the list is borrowed, and the emulator is done with it when a call returns.
    unsafe { Integers::from_raw(T::KIND, list.as_ptr().expose_provenance() as u64, list.len()) }
}

fn numbers<F: Element>(list: &[F]) -> View<'_, F> {
    // SAFETY: as above.
    unsafe { View::from_raw(list.as_ptr().expose_provenance() as u64, list.len()) }
}

/// A batch of one table, as both ways take it.
#[derive(Clone, Copy)]
struct Given<'a, I, O, F> {
    indices: &'a [I],
    offsets: Offsets<'a, O>,
    pooling: Pooling,
    weights: Option<&'a [F]>,
}

impl<'a, I: Kind, O: Kind, F: Element> Given<'a, I, O, F> {
    fn on_host(&self, table: &Table) -> Result<Bags<'a, F>, BagsError> {
        Bags::new(table.addresses(), self.indices, self.offsets, self.pooling, self.weights)
    }

    fn on_device(&self) -> Result<DeviceBags<'a, F>, BagsError> {
        let offsets = match self.offsets {
            Offsets::WithLast(entries) => DeviceOffsets::WithLast(integers(entries)),
            Offsets::Starts(entries) => DeviceOffsets::Starts(integers(entries)),
            _ => DeviceOffsets::OnePerBag,
        };
        DeviceBags::new(integers(self.indices), offsets, self.pooling, self.weights.map(numbers))
    }
}

/// Memory of a plan.
struct Setup<F: Element> {
    backend: Cuda<F, Emulator>,
    plan: Plan,
    group: Group<F, Emulator>,
}

impl<F: Element> Setup<F> {
    fn new(backend: Cuda<F, Emulator>, layout: &Layout) -> Self {
        let plan = backend.plan(&mut (), layout.clone()).expect("a plan");
        let group = backend.new_group(&mut (), &plan).expect("memory");
        Self { backend, plan, group }
    }

    fn give<I: Kind, O: Kind>(&mut self, batches: &[Given<'_, I, O, F>]) -> Result<(), Error> {
        let bags: Vec<_> = batches.iter().map(|batch| batch.on_device().expect("sizes")).collect();
        // SAFETY: all of it is borrowed, and the emulator is done when it returns.
        unsafe { self.backend.group_on_device(&mut (), &self.plan, bags, &mut self.group) }
    }
}

/// One of cores with rows behind them, and one without cores.
fn tables() -> Vec<Table> {
    let shape = TtShape::with_rank(60, &[4, 5, 3], &[2, 2, 2], 3).expect("a shape");
    vec![Table::cached(shape, 7).expect("a table"), Table::dense(67, 8).expect("a table")]
}

fn same_lists<I: Kind, O: Kind, F: Element>(chunk: usize, batch: Given<'_, I, O, F>) {
    let layout = Layout::new(tables(), 40, 3000).expect("a layout");
    let mut on_device = Setup::new(Cuda::<F, _>::new(Emulator).with_group_chunk(chunk), &layout);
    on_device.give(&[batch; 2]).expect("a batch");
    on_device.backend.check(&mut (), &on_device.plan, &on_device.group).expect("nothing is wrong");
    let mut on_host = Setup::new(Cuda::<F, _>::new(Emulator), &layout);
    let bags = layout.tables().iter().map(|table| batch.on_host(table).expect("bags"));
    on_host.backend.group(&mut (), &on_host.plan, bags, &mut on_host.group).expect("a batch");
    on_host.backend.check(&mut (), &on_host.plan, &on_host.group).expect("it was checked");
    let lists = |setup: &Setup<F>| setup.backend.lists(&mut (), &setup.plan, &setup.group).expect("lists");
    let (got, want) = (lists(&on_device), lists(&on_host));
    assert_eq!(got, want);
    assert_eq!(want.len(), 2);
}

#[test]
fn the_lists_are_those_of_the_host() {
    let rows: Vec<i64> = (0..3000).map(|j| j * j % 67).collect();
    let narrow: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    let weights: Vec<f64> = (0..3000).map(|j| f64::from(j) / 7.0 - 99.0).collect();
    let starts: Vec<i64> = (0..40).map(|bag| bag / 2 * 90).collect();
    let with_last: Vec<u64> = starts.iter().map(|&start| start as u64).chain([3000]).collect();
    let (pooling, weights) = (Pooling::Mean, Some(&weights[..]));
    same_lists(1 << 14, Given { indices: &rows, offsets: Offsets::Starts(&starts), pooling, weights });
    same_lists(100, Given { indices: &narrow, offsets: Offsets::WithLast(&with_last), pooling, weights });
    let one = Offsets::<i32>::OnePerBag;
    same_lists::<_, _, f32>(16, Given { indices: &rows[..40], offsets: one, pooling, weights: None });
    same_lists::<_, _, f32>(16, Given { indices: &rows[..0], offsets: one, pooling, weights: None });
    let none: Offsets<'_, u32> = Offsets::WithLast(&[0]);
    same_lists::<_, _, f32>(16, Given { indices: &narrow[..0], offsets: none, pooling, weights: None });
    let empty: Offsets<'_, i32> = Offsets::Starts(&[0, 0, 0]);
    same_lists::<_, _, f32>(16, Given { indices: &[-0i32; 0], offsets: empty, pooling, weights: None });
}

/// The host's error, of the first table whose batch it refuses.
fn refused<I: Kind, O: Kind, F: Element>(batch: Given<'_, I, O, F>) {
    let layout = Layout::new(tables(), 40, 300).expect("a layout");
    let want = batch.on_host(&layout.tables()[0]).expect_err("nothing is wrong");
    let Ok(_) = batch.on_device() else {
        assert_eq!(batch.on_device().expect_err("sizes"), want);
        return;
    };
    let mut setup = Setup::new(Cuda::<F, _>::new(Emulator), &layout);
    setup.give(&[batch; 2]).expect("sizes that fit");
    let error = setup.backend.check(&mut (), &setup.plan, &setup.group).expect_err("nothing is wrong");
    assert_eq!(error, Error::Contract(want.of_table(0)));
    // It can be computed with, whatever that means: the emulator's memory is watched by tools.
    step(&setup, &layout);
    // And the next batch is as good as any.
    let good = Given { indices: &[3u32], offsets: Offsets::Starts(&[0u32]), pooling: Pooling::Sum, weights: None };
    setup.give(&[good; 2]).expect("a batch");
    setup.backend.check(&mut (), &setup.plan, &setup.group).expect("nothing is wrong");
}

fn step<F: Element>(setup: &Setup<F>, layout: &Layout) {
    let Setup { backend, plan, group } = setup;
    let mut scratch = backend.new_scratch(&mut (), plan).expect("memory");
    let mut saved: Saved<Emulator> = backend.new_saved(&mut (), plan).expect("memory");
    let params: Vec<Vec<F>> = layout.tables().iter().map(|table| vec![F::one(); table.parameters()]).collect();
    let mut grads = params.clone();
    let rows = backend.lists(&mut (), plan, group).expect("lists")[0].lists[1].1[5] as usize;
    let mut out = backend.alloc(&mut (), rows * layout.stride()).expect("memory");
    let call = Call { plan, group, queue: &mut (), scratch: &mut scratch };
    let views = params.iter().map(|params| numbers(params));
    backend.forward(call, Version(0), views, out.view_mut(), Some(&mut saved)).expect("forward");
    let sinks = params.iter().zip(&mut grads).map(|(params, grads)| {
        let (at, len) = (grads.as_mut_ptr().expose_provenance() as u64, grads.len());
        // SAFETY: the gradients are borrowed, and the emulator is done with them when it returns.
        Sink::Accumulate { params: numbers(params), grads: unsafe { ttcore_cuda::ViewMut::from_raw(at, len) } }
    });
    let call = Call { plan, group, queue: &mut (), scratch: &mut scratch };
    backend.backward(call, Version(0), &saved, sinks, out.view(), None).expect("backward");
}

fn sum<'a, O>(indices: &'a [i64], offsets: Offsets<'a, O>) -> Given<'a, i64, O, f32> {
    Given { indices, offsets, pooling: Pooling::Sum, weights: None }
}

#[test]
fn what_is_wrong_is_what_the_host_says() {
    refused(sum(&[1, 67, -1], Offsets::Starts(&[0i64, 2])));
    refused(sum(&[1, -1, 99], Offsets::WithLast(&[0i64, 2])));
    refused(sum(&[1, 2], Offsets::Starts(&[1i32, 2])));
    refused(sum(&[1, 2], Offsets::Starts(&[-1i32, 2])));
    refused(sum(&[1, 2, 3], Offsets::Starts(&[0i64, 2, 1, 9])));
    refused(sum(&[1, 2, 3], Offsets::Starts(&[0u64, 2, u64::MAX, 1])));
    refused(sum(&[1, 2, 3], Offsets::Starts(&[0i64, 2, -7])));
    refused(sum(&[1, 2, 3], Offsets::WithLast(&[0u32, 2, 2])));
    refused(sum(&[1, 2, 3], Offsets::WithLast(&[0u32, 2, 4])));
    refused(sum(&[1, 2, 3], Offsets::WithLast(&[0u32])));
    refused(sum(&[1, 2, 3], Offsets::WithLast(&[] as &[i32])));
    refused(sum(&[1, 2, 3], Offsets::Starts(&[] as &[i32])));
    let wide = Given::<_, _, f64> {
        indices: &[3u64, u64::MAX],
        offsets: Offsets::<u32>::OnePerBag,
        pooling: Pooling::Sum,
        weights: None,
    };
    refused(wide);
    for weight in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let weights = [1.0, weight, f64::NAN];
        let given = Given {
            indices: &[3u64, 4, 5],
            offsets: Offsets::Starts(&[0u32]),
            pooling: Pooling::Mean,
            weights: Some(&weights),
        };
        refused(given);
        refused(Given { weights: Some(&weights[..2]), ..given });
    }
    // The last of many, which other blocks and threads look at.
    let mut many = vec![5i64; 300];
    many[299] = -3;
    many[298] = 1000;
    refused::<_, _, f32>(Given {
        indices: &many,
        offsets: Offsets::Starts(&[0i64]),
        pooling: Pooling::Sum,
        weights: None,
    });
}

#[test]
fn what_the_host_does_not_know_it_does_not_tell() {
    let layout = Layout::new(tables(), 2, 4).expect("a layout");
    let mut setup = Setup::new(Cuda::<f32, _>::new(Emulator), &layout);
    let batch = Given { indices: &[3u32, 4], offsets: Offsets::Starts(&[0u32]), pooling: Pooling::Sum, weights: None };
    setup.give(&[batch; 2]).expect("a batch");
    let error = Cuda::touched(&setup.plan, &setup.group, 0, |_| {}).expect_err("rows on the device");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    // Sizes are refused as on the host.
    let error = setup.give(&[batch]).expect_err("a table without a batch");
    assert_eq!(error, Error::Contract(ttcore::Error::TableCount { what: "batches", got: 1, tables: 2 }));
    let large = Given { indices: &[3u32; 5], ..batch };
    let error = setup.give(&[large; 2]).expect_err("five lookups");
    assert_eq!(error, Error::Contract(ttcore::Error::Capacity { what: "lookups", table: 0, got: 5, capacity: 4 }));
    let mut on_host = Setup::new(Cuda::<f32, _>::new(Emulator).with_grouping(Grouping::Host), &layout);
    assert!(matches!(on_host.give(&[batch; 2]), Err(Error::Unsupported { .. })));
}
