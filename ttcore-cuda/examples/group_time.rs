//! How long the host takes to group a batch: on a device that does nothing when it is asked to copy or to start a kernel, so
//! that what is measured is this crate's work alone. Needs no GPU:
//!
//! ```text
//! cargo run --release -p ttcore-cuda --features emulator --example group_time
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ttcore::{Backend, Bags, Layout, Offsets, Pooling, Table, TtShape};
use ttcore_cuda::args::Args;
use ttcore_cuda::device::{Dims, Gemm, Kernel};
use ttcore_cuda::{Cuda, Device, Emulator, Error};

/// Batches of each measurement.
const BATCHES: usize = 60;

/// Rows of the categories of the Criteo Kaggle data.
const KAGGLE: [u64; 26] = [
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
    2173, 4, 7046547, 18, 15, 286181, 105, 142572,
];

/// A device that has memory, and does nothing. It counts the bytes it is sent, and kernels.
#[derive(Clone, Default)]
struct Idle(Arc<[AtomicUsize; 2]>);

type Memory = <Emulator as Device>::Memory;
type Staging = <Emulator as Device>::Staging;

impl Device for Idle {
    type Queue = ();
    type Memory = Memory;
    type Staging = Staging;
    type Fence = ();

    fn fence(&self) -> Result<(), Error> {
        Ok(())
    }

    fn allocate(&self, queue: &mut (), bytes: usize) -> Result<Memory, Error> {
        Emulator.allocate(queue, bytes)
    }

    fn address(memory: &Memory) -> u64 {
        Emulator::address(memory)
    }

    fn staging(&self, bytes: usize) -> Result<Staging, Error> {
        Emulator.staging(bytes)
    }

    fn staged<'a>(&self, staging: &'a mut Staging) -> Result<&'a mut [u8], Error> {
        Emulator.staged(staging)
    }

    unsafe fn send(&self, _: &mut (), _: &mut Staging, _: u64, bytes: usize) -> Result<(), Error> {
        self.0[0].store(bytes, Ordering::Relaxed);
        Ok(())
    }

    unsafe fn upload(&self, _: &mut (), _: &[u8], _: u64) -> Result<(), Error> {
        Ok(())
    }

    unsafe fn download(&self, _: &mut (), _: u64, _: &mut [u8]) -> Result<(), Error> {
        Ok(())
    }

    unsafe fn zero(&self, _: &mut (), _: u64, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn synchronize(&self, _: &mut ()) -> Result<(), Error> {
        Ok(())
    }

    unsafe fn launch<A: Args>(&self, _: &mut (), _: Kernel, _: bool, _: Dims, _: &A) -> Result<(), Error> {
        self.0[1].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    unsafe fn gemm(&self, _: &mut (), _: bool, _: &Gemm) -> Result<(), Error> {
        Ok(())
    }
}

/// Prints the time of a batch of `bags` bags of `each` lookups, of rows drawn by `row(table's rows, a number below 1)`.
fn time(name: &str, device: &Idle, backend: &Cuda<f32, Idle>, tables: &[Table], [bags, each]: [usize; 2], skew: bool) {
    let queue = &mut ();
    let layout = Layout::new(tables.to_vec(), bags, bags * each).expect("a layout");
    let plan = backend.plan(queue, layout).expect("a plan");
    let mut group = backend.new_group(queue, &plan).expect("memory");
    let mut state = 88172645463325252u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let offsets: Vec<u32> = (0..bags as u32).map(|bag| bag * each as u32).collect();
    let mut times: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let mut row = |rows: u64| {
                let x = draw();
                let row = if skew { ((rows as f64).powf(x) - 1.0) as u64 } else { (x * rows as f64) as u64 };
                (row.wrapping_mul(2654435761) % rows) as u32
            };
            let indices: Vec<Vec<u32>> =
                tables.iter().map(|table| (0..bags * each).map(|_| row(table.addresses())).collect()).collect();
            let batches = tables.iter().zip(&indices).map(|(table, indices)| {
                let offsets = Offsets::Starts(&offsets);
                Bags::new(table.addresses(), indices.as_slice(), offsets, Pooling::Sum, None).expect("bags")
            });
            let batches: Vec<_> = batches.collect();
            device.0[1].store(0, Ordering::Relaxed);
            let start = Instant::now();
            backend.group(queue, &plan, batches, &mut group).expect("a batch");
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (sent, kernels) = (device.0[0].load(Ordering::Relaxed) / 1024, device.0[1].load(Ordering::Relaxed));
    let (best, median) = (times[0], times[BATCHES / 2]);
    println!("{name}: best {best:.0} us, median {median:.0} us; {sent} KB in one copy, {kernels} kernels");
}

fn main() {
    let paper = [Table::tt(TtShape::new(11_000_000, &[200, 220, 250], &[4, 4, 4], &[1, 32, 32, 1]).expect("a shape"))];
    let kaggle = KAGGLE.map(|rows| {
        let compressed = rows > 1_000_000;
        let shape = |rows| TtShape::paper(rows, 16, 3, 32).expect("a shape");
        if compressed { Table::tt(shape(rows)) } else { Table::dense(rows, 16).expect("a table") }
    });
    let device = Idle::default();
    let backend = Cuda::<f32, _>::new(device.clone());
    time("one table, 512 bags of 20", &device, &backend, &paper, [512, 20], false);
    for bags in [2048, 16384] {
        time(&format!("Kaggle, batch {bags}"), &device, &backend, &kaggle, [bags, 1], true);
    }
}
