//! The products of the Kaggle model's layers by the CPU backend's kernels and by matrixmultiply, on one thread, in GFLOP/s:
//! `cargo bench -p dlrm --bench gemm`.
//!
//! Both are given the operands as the layers hold them; the transpose of the weights that the kernels read forward is made
//! in every call here, and once a step by the layers.

use std::time::{Duration, Instant};

use ttcore_cpu::{Isa, Kernels, Work};

/// Inputs and outputs.
const LAYERS: [(usize, usize); 7] = [(13, 512), (512, 256), (256, 64), (64, 16), (367, 512), (512, 256), (256, 1)];

fn main() {
    // `cargo test --all-targets` runs benches too, without this.
    if std::env::args().any(|arg| arg == "--bench") {
        let isa = Isa::from_env().unwrap_or(Isa::best());
        println!("kernels ({isa}) and matrixmultiply, GFLOP/s");
        println!("batch in  out        forward     inputs' gradient  weights' gradient");
        <f32 as ttcore_cpu::Element>::dispatch(isa, Table);
    }
}

struct Table;

impl Work<f32> for Table {
    type Output = ();

    fn run<K: Kernels<f32>>(self, kernels: K) {
        for batch in [128, 2048] {
            for (inputs, outputs) in LAYERS {
                let [x, w, dy] = [batch * inputs, outputs * inputs, batch * outputs].map(numbers);
                let [mut y, mut dx, mut dw, mut wt] = [&dy, &x, &w, &w].map(Vec::clone);
                let rate = |time: Duration| 2.0 * (batch * inputs * outputs) as f64 / time.as_secs_f64() / 1e9;
                let own = [
                    median(|| {
                        kernels.transpose(outputs, inputs, &w, &mut wt);
                        kernels.gemm([batch, outputs, inputs], &x, (inputs, 1), &wt, outputs, &mut y, outputs, false);
                    }),
                    median(|| {
                        kernels.gemm([batch, inputs, outputs], &dy, (outputs, 1), &w, inputs, &mut dx, inputs, false);
                    }),
                    median(|| {
                        kernels.gemm([outputs, inputs, batch], &dy, (1, outputs), &x, inputs, &mut dw, inputs, false);
                    }),
                ]
                .map(rate);
                let library = [
                    median(|| library([batch, outputs, inputs], (&x, [inputs, 1]), (&w, [1, inputs]), &mut y)),
                    median(|| library([batch, inputs, outputs], (&dy, [outputs, 1]), (&w, [inputs, 1]), &mut dx)),
                    median(|| library([outputs, inputs, batch], (&dy, [1, outputs]), (&x, [inputs, 1]), &mut dw)),
                ]
                .map(rate);
                print!("{batch:5} {inputs:3} {outputs:3}");
                own.iter().zip(library).for_each(|(own, library)| print!("     {own:6.1} {library:6.1}"));
                println!();
            }
        }
    }
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 5 % 17) as f32 / 17.0 - 0.5).collect()
}

/// `C = A B` by the library, with strides of rows and columns; rows of `C` are dense.
fn library([m, n, k]: [usize; 3], a: (&[f32], [usize; 2]), b: (&[f32], [usize; 2]), c: &mut [f32]) {
    let last = |[rows, columns]: [usize; 2], [row, column]: [usize; 2]| (rows - 1) * row + (columns - 1) * column;
    assert!(last([m, k], a.1) < a.0.len() && last([k, n], b.1) < b.0.len() && m * n == c.len());
    let ([ra, ca], [rb, cb]) = (a.1.map(|s| s as isize), b.1.map(|s| s as isize));
    // SAFETY: by the assertion, the last elements of the matrices are in their slices; `c` is borrowed exclusively.
    unsafe {
        let (a, b, c) = (a.0.as_ptr(), b.0.as_ptr(), c.as_mut_ptr());
        matrixmultiply::sgemm(m, k, n, 1.0, a, ra, ca, b, rb, cb, 0.0, c, n as isize, 1);
    }
}

/// The median time of some calls after one that is not timed.
fn median(mut call: impl FnMut()) -> Duration {
    call();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || times.len() < 300 && begin.elapsed() < Duration::from_millis(50) {
        let start = Instant::now();
        call();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}
