//! Every kernel under the race detector; and every barrier is needed, and the race detector says so where one is missing: the
//! kernels run with each passed without waiting, one after the other.

use std::fs;
use std::path::Path;

use ttcore::{Backend, CoreRule, Layout, Pooling, Rule, Table, TtShape, Update};
use ttcore_conformance::Device;
use ttcore_conformance::batch::Batch;
use ttcore_conformance::case::Case;
use ttcore_conformance::harness::{Harness, HostSink};
use ttcore_cuda::device::{Device as _, Kernel};
use ttcore_cuda::layers::{FeatureSize, LayerSize};
use ttcore_cuda::{
    Cuda, DeviceBags, DeviceOffsets, Element, Emulator, Error, Integer, Integers, Method, bytemuck, race,
};

type Gpu<F> = Cuda<F, Emulator>;

/// The barriers of the source, as file and line.
fn barriers() -> Vec<(String, u32)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a text");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let code = |line: &str| line.split("//").next().unwrap_or_default().matches("__syncthreads()").count();
        for (number, line) in (1..).zip(text.lines()) {
            assert!(code(line) <= 1, "{name}:{number} has several barriers");
            found.extend((code(line) == 1).then(|| (name.clone(), number)));
        }
    }
    found.sort();
    found
}

/// Tables whose work has every kind of step: several units a block, several tiles of both ranks, popular rows of more columns
/// than are summed at once, cached rows with and without popular ones among them, and tables behind them.
fn case() -> Case {
    let shape = |m: [usize; 3], n: [usize; 3], r: [usize; 2]| {
        TtShape::new(m.iter().product::<usize>() as u64, &m, &n, &[1, r[0], r[1], 1]).expect("a shape")
    };
    let tables = vec![
        Table::cached(shape([5, 6, 7], [2, 2, 2], [4, 4]), 90).expect("a table"),
        Table::tt(shape([5, 6, 7], [8, 4, 8], [2, 18])),
        Table::tt(shape([2, 3, 3], [2, 2, 1], [70, 132])),
        Table::dense(40, 5).expect("a table"),
        Table::tt(shape([5, 6, 7], [2, 2, 2], [4, 4])),
    ];
    // Every second lookup is of one of a few rows, half of them cached where some are.
    let row = |table: &Table, j: u64| {
        let popular = if j.is_multiple_of(4) { table.addresses() - 1 - j / 4 % 3 } else { j / 2 % 4 * 7 };
        if j.is_multiple_of(2) { popular } else { 89 * j }
    };
    let batch = |table: &Table| {
        let bag = |b: u64| (20 * b..20 * b + 20).map(|j| (row(table, j) % table.addresses()) as i64).collect();
        Batch::sum(&(0..20).map(bag).collect::<Vec<Vec<i64>>>())
    };
    let batches = tables.iter().map(batch).collect();
    Case { layout: Layout::new(tables, 20, 400).expect("a layout"), batches, seed: 3 }
}

/// A step.
fn step<F: Element>(case: &Case, gpu: Gpu<F>, update: Update) -> Result<(), Error> {
    // The harness panics where a batch is not grouped.
    let plan = gpu.plan(&mut (), case.layout.clone())?;
    let mut group = gpu.new_group(&mut (), &plan)?;
    let host: Vec<_> = case.batches.iter().map(Batch::host).collect();
    let tables = host.iter().zip(case.layout.tables());
    let bags = tables.map(|(batch, table)| batch.bags(table.addresses()).expect("bags"));
    gpu.group(&mut (), &plan, bags, &mut group)?;
    let device = Device::new(gpu.with_chunk(150), ());
    let mut harness = Harness::of(&device, case);
    let params = case.params();
    harness.try_forward(&params, &mut vec![0.0; case.outputs()], true)?;
    let state = case.layout.tables().iter().map(|table| vec![0.0; update.state_layout(table).len()]);
    let sink = |(params, state)| HostSink::Update { params, state, update };
    let mut sinks: Vec<HostSink> = params.iter().cloned().zip(state).map(sink).collect();
    let mut weights = vec![0.0; case.batches.iter().map(Batch::lookups).sum()];
    harness.try_backward(&mut sinks, &case.grad_out(), Some(&mut weights))?;
    // Of cores, and cached.
    let table = &case.layout.tables()[0];
    harness.try_expand(&mut [(0, &params[0], &[3, table.addresses() - 1], &mut vec![0.0; 2 * table.dim()])])
}

fn by_blocks() -> Update {
    Update { core_rule: CoreRule::AdagradNorm { eps: 1e-3 }, ..Update::sgd(0.25) }
}

/// Interaction, its gradients, and the loss of a batch.
fn interaction<F: Element>() -> Result<(), Error> {
    let gpu = Gpu::<F>::new(Emulator);
    let size = FeatureSize { batch: 7, dim: 4, embeddings: 6 };
    let FeatureSize { batch, dim, embeddings } = size;
    let alloc = |len| gpu.alloc(&mut (), len);
    let (bottom, embedded) = (alloc(batch * dim)?, alloc(batch * embeddings * dim)?);
    let (mut out, mut grad_bottom) = (alloc(batch * size.width())?, alloc(batch * dim)?);
    let (mut grad_embedded, mut losses) = (alloc(batch * embeddings * dim)?, gpu.losses(&mut (), batch)?);
    let features = [bottom.view(), embedded.view()];
    gpu.layers(&mut ()).begin(&mut losses)?;
    gpu.layers(&mut ()).interact(size, features, out.view_mut(), None)?;
    let grads = [grad_bottom.view_mut(), grad_embedded.view_mut()];
    gpu.layers(&mut ()).interact_backward(size, features, out.view(), grads, &mut losses)?;
    let (logits, labels, mut probabilities, mut grad) = (alloc(batch)?, alloc(batch)?, alloc(batch)?, alloc(batch)?);
    let training = Some((grad.view_mut(), &mut losses));
    gpu.layers(&mut ()).loss([logits.view(), labels.view()], probabilities.view_mut(), training)?;
    gpu.layers(&mut ()).tally(&mut losses, batch).map(|_| ())
}

/// A batch on the device, of several tables that one block checks after the other.
fn given<F: Element>() -> Result<(), Error> {
    let gpu = Gpu::<F>::new(Emulator);
    let tables = vec![Table::dense(40, 5).expect("a table"); 7];
    let plan = gpu.plan(&mut (), Layout::new(tables, 20, 400).expect("a layout"))?;
    let mut group = gpu.new_group(&mut (), &plan)?;
    let numbers: Vec<i64> = (0..20).collect();
    let memory = Emulator.allocate(&mut (), 160)?;
    let address = Emulator::address(&memory);
    // SAFETY: so many bytes were allocated, and live until the emulator has done what it is asked for.
    let bags = unsafe {
        Emulator.upload(&mut (), bytemuck::cast_slice(&numbers), address)?;
        let integers = Integers::from_raw(Integer::I64, address, numbers.len());
        DeviceBags::new(integers, DeviceOffsets::Starts(integers), Pooling::Sum, None).expect("bags")
    };
    // SAFETY: as above.
    unsafe { gpu.group_on_device(&mut (), &plan, [bags; 7], &mut group) }
}

/// Ways to compute: the second groups a table by several blocks.
fn machines<F: Element>() -> [Gpu<F>; 3] {
    let gpu = || Gpu::new(Emulator);
    [gpu(), gpu().with_group_chunk(150), gpu().with_method(Method::Batched)]
}

/// A layer, its gradients, and an update.
fn layer<F: Element>() -> Result<(), Error> {
    let gpu = Gpu::<F>::new(Emulator);
    let size = LayerSize { batch: 150, inputs: 7, outputs: 5 };
    let LayerSize { batch, inputs, outputs } = size;
    let alloc = |len| gpu.alloc(&mut (), len);
    let [input, weight, bias] = [alloc(batch * inputs)?, alloc(outputs * inputs)?, alloc(outputs)?];
    let mut output = alloc(batch * outputs)?;
    let views = [input.view(), weight.view(), bias.view()];
    gpu.layers(&mut ()).forward(size, views, true, output.view_mut(), None)?;
    let [mut grad_output, mut grad_weight] = [alloc(batch * outputs)?, alloc(outputs * inputs)?];
    let [mut grad_bias, mut partial] = [alloc(outputs)?, alloc(size.partial_len())?];
    let written = [&mut grad_output, &mut grad_weight, &mut grad_bias, &mut partial].map(|buffer| buffer.view_mut());
    let views = [input.view(), weight.view(), output.view()];
    gpu.layers(&mut ()).backward(size, views, true, written, None)?;
    let (mut params, mut state) = (alloc(outputs)?, alloc(0)?);
    gpu.layers(&mut ()).update(params.view_mut(), state.view_mut(), grad_bias.view(), &Update::sgd(0.5))
}

/// What has barriers.
fn with_barriers<F: Element>(case: &Case) -> Result<(), Error> {
    interaction::<F>()?;
    given::<F>()?;
    machines::<F>().into_iter().try_for_each(|gpu| step(case, gpu, by_blocks()))
}

/// And what has none: a rule of elements too, which visits what the batch does not touch.
fn everything<F: Element>(case: &Case) -> Result<(), Error> {
    let adam = Update { rule: Rule::Adam { beta1: 0.9, beta2: 0.99, eps: 1e-3 }, ..Update::sgd(0.25) };
    with_barriers::<F>(case)?;
    machines::<F>().into_iter().try_for_each(|gpu| step(case, gpu, adam))?;
    layer::<F>()?;
    let missed = Kernel::ALL.iter().filter(|&&kernel| !race::has_run(kernel, F::DOUBLE)).collect::<Vec<_>>();
    assert!(missed.is_empty(), "{missed:?} did not run");
    Ok(())
}

/// In one test: what is skipped is so in all threads.
#[test]
fn every_barrier_is_needed() {
    let (case, barriers) = (case(), barriers());
    assert_eq!(race::barriers() as usize, barriers.len(), "{barriers:?}");
    assert_eq!(everything::<f32>(&case), Ok(()));
    assert_eq!(everything::<f64>(&case), Ok(()));
    let mut unnoticed = Vec::new();
    for (file, line) in barriers {
        race::skip_barrier(&file, line);
        let result = with_barriers::<f32>(&case);
        let skipped = race::skip_barrier("", 0);
        match result {
            Err(Error::Race { finding }) => println!("without {file}:{line}: {finding}"),
            Err(error) => panic!("without {file}:{line}: {error}"),
            Ok(()) => unnoticed.push(format!("{file}:{line}, which was passed {skipped} times")),
        }
    }
    assert!(unnoticed.is_empty(), "nothing is found without {unnoticed:#?}");
    assert_eq!(with_barriers::<f32>(&case), Ok(()));
}
