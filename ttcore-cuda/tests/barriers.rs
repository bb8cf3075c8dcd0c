//! Every barrier of the kernels is needed, and the race detector says so where one is missing: the kernels run with each
//! passed without waiting, one after the other.

use std::fs;
use std::path::Path;

use ttcore::{Backend, CoreRule, Layout, Table, TtShape, Update};
use ttcore_conformance::Device;
use ttcore_conformance::batch::Batch;
use ttcore_conformance::case::Case;
use ttcore_conformance::harness::{Harness, HostSink};
use ttcore_cuda::layers::FeatureSize;
use ttcore_cuda::{Cuda, Emulator, Error, Method, race};

type Gpu = Cuda<f32, Emulator>;

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

/// A step of a rule of blocks.
fn step(case: &Case, method: Method) -> Result<(), Error> {
    let device = Device::new(Gpu::new(Emulator).with_method(method).with_chunk(150), ());
    let mut harness = Harness::of(&device, case);
    let update = Update { core_rule: CoreRule::AdagradNorm { eps: 1e-3 }, ..Update::sgd(0.25) };
    let params = case.params();
    harness.try_forward(&params, &mut vec![0.0; case.outputs()], true)?;
    let state = case.layout.tables().iter().map(|table| vec![0.0; update.state_layout(table).len()]);
    let sink = |(params, state)| HostSink::Update { params, state, update };
    let mut sinks: Vec<HostSink> = params.into_iter().zip(state).map(sink).collect();
    harness.try_backward(&mut sinks, &case.grad_out(), None)
}

/// Interaction, its gradients, and the loss of a batch.
fn layers() -> Result<(), Error> {
    let gpu = Gpu::new(Emulator);
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

fn everything(case: &Case) -> Result<(), Error> {
    layers()?;
    step(case, Method::Fused)?;
    step(case, Method::Batched)
}

/// In one test: what is skipped is so in all threads.
#[test]
fn every_barrier_is_needed() {
    let (case, barriers) = (case(), barriers());
    assert_eq!(race::barriers() as usize, barriers.len(), "{barriers:?}");
    assert_eq!(everything(&case), Ok(()));
    let mut unnoticed = Vec::new();
    for (file, line) in barriers {
        race::skip_barrier(&file, line);
        let result = everything(&case);
        let skipped = race::skip_barrier("", 0);
        match result {
            Err(Error::Race { finding }) => println!("without {file}:{line}: {finding}"),
            Err(error) => panic!("without {file}:{line}: {error}"),
            Ok(()) => unnoticed.push(format!("{file}:{line}, which was passed {skipped} times")),
        }
    }
    assert!(unnoticed.is_empty(), "nothing is found without {unnoticed:#?}");
    assert_eq!(everything(&case), Ok(()));
}
