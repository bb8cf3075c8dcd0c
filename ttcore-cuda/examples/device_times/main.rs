//! Times of a step on a GPU, as JSON: of each kernel by its name, and from launch to launch.
//!
//! ```text
//! cargo run --release -p ttcore-cuda --features cuda --example device_times
//! ```
//!
//! The workload of the published benchmark: 512 bags of 20 lookups of uniformly random rows, row factors 200, 220, 250, column
//! factors 4, 4, 4, ranks 32, `f32`, SGD. A batch is grouped, looked up and trained on.

mod timed;

use std::time::Instant;

use ttcore::backend::{Backend, Call, Sink, Version};
use ttcore::{Bags, Layout, Offsets, Pooling, Table, TtShape, Update};
use ttcore_cuda::driver::Queue;
use ttcore_cuda::{Cuda, Device, Driver, Error};

use timed::Timed;

const BAGS: usize = 512;
const LOOKUPS: usize = 20;

/// Steps that are timed, after some that are not.
const STEPS: usize = 100;
const WARM: usize = 10;

fn main() -> Result<(), Error> {
    let driver = Driver::new(0)?;
    let name = driver.name()?;
    // Kernels wait for each other here, and not where steps are timed from launch to launch.
    let timed = Timed::new(driver.clone());
    times(timed.clone(), &mut driver.queue()?)?;
    let step = times(driver.clone(), &mut driver.queue()?)?;
    let kernels = timed.report().into_iter().map(|(kernel, micros, count)| {
        format!("    {{\"kernel\": \"{kernel}\", \"median_us\": {micros:.2}, \"launches_a_step\": {count:.2}}}")
    });
    println!("{{");
    println!("  \"gpu\": \"{name}\",");
    println!("  \"bags\": {BAGS}, \"lookups_a_bag\": {LOOKUPS}, \"rank\": 32,");
    println!("  \"step_us\": {:.1}, \"group_host_us\": {:.1},", step.whole, step.group);
    println!("  \"kernels\": [\n{}\n  ]", kernels.collect::<Vec<_>>().join(",\n"));
    println!("}}");
    Ok(())
}

/// Microseconds of a step.
struct Step {
    /// From launch to launch, the mean.
    whole: f64,
    /// Of the host, for grouping, the median.
    group: f64,
}

fn times<D: Device<Queue = Queue>>(device: D, queue: &mut Queue) -> Result<Step, Error> {
    let shape = TtShape::new(11_000_000, &[200, 220, 250], &[4, 4, 4], &[1, 32, 32, 1])?;
    let (rows, len, out_len) = (shape.rows(), shape.parameters(), BAGS * shape.dim());
    let backend = Cuda::<f32, D>::new(device);
    let plan = backend.plan(queue, Layout::new(vec![Table::tt(shape)], BAGS, BAGS * LOOKUPS)?)?;
    let mut group = backend.new_group(queue, &plan)?;
    let (mut saved, mut scratch) = (backend.new_saved(queue, &plan)?, backend.new_scratch(queue, &plan)?);
    let (mut params, mut state) = (backend.alloc(queue, len)?, backend.alloc(queue, 0)?);
    let (mut out, mut grad) = (backend.alloc(queue, out_len)?, backend.alloc(queue, out_len)?);
    let mut next = 88_172_645_463_325_252u64;
    let mut random = move || {
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        next
    };
    let mut numbers = |len: usize| -> Vec<f32> { (0..len).map(|_| (random() >> 40) as f32 / 2e8 - 0.04).collect() };
    backend.upload(queue, &numbers(len), params.view_mut())?;
    backend.upload(queue, &numbers(out_len), grad.view_mut())?;
    let batches: Vec<Vec<u32>> =
        (0..8).map(|_| (0..BAGS * LOOKUPS).map(|_| (random() % rows) as u32).collect()).collect();
    let starts: Vec<u32> = (0..BAGS as u32).map(|bag| bag * LOOKUPS as u32).collect();

    let (mut start, mut grouping) = (Instant::now(), Vec::with_capacity(STEPS));
    for step in 0..WARM + STEPS {
        if step == WARM {
            backend.synchronize(queue)?;
            start = Instant::now();
        }
        let began = Instant::now();
        let bags = Bags::new(rows, &batches[step % batches.len()], Offsets::Starts(&starts), Pooling::Sum, None);
        backend.group(queue, &plan, [bags?], &mut group)?;
        grouping.push(began.elapsed().as_secs_f64() * 1e6);
        let version = Version(step as u64);
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        backend.forward(call, version, [params.view()], out.view_mut(), Some(&mut saved))?;
        let call = Call { plan: &plan, group: &group, queue, scratch: &mut scratch };
        let update = Update::sgd(1e-3);
        let sink = Sink::Update { params: params.view_mut(), state: state.view_mut(), update };
        backend.backward(call, version, &saved, [sink], grad.view(), None)?;
    }
    backend.synchronize(queue)?;
    let whole = start.elapsed().as_secs_f64() * 1e6 / STEPS as f64;
    let mut grouping = grouping.split_off(WARM);
    grouping.sort_by(f64::total_cmp);
    Ok(Step { whole, group: grouping[STEPS / 2] })
}
