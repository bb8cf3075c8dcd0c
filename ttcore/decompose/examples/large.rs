//! Compresses a table of 10,131,227 x 16 `f32` numbers in a file, and prints time, memory and error.
//!
//! ```sh
//! cargo run --release -p ttcore-decompose --example large [FILE.npy] [RANK] [N1,N2,N3]
//! ```
//!
//! Without a file, one of 648 MB is written to the folder of temporary files, if it is not there yet: a train of rank 24
//! with noise.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ttcore::{TtCores, TtShape, algebra, init::CoreInit};
use ttcore_decompose::{Compress, FileRows, Target};

const ROWS: u64 = 10_131_227;
const ROW_FACTORS: [usize; 3] = [200, 220, 250];
const COL_FACTORS: [usize; 3] = [4, 2, 2];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().map_or_else(|| std::env::temp_dir().join("ttcore-large.npy"), PathBuf::from);
    let rank = arguments.next().map_or(Ok(32), |rank| rank.parse())?;
    let factors: Vec<usize> = match arguments.next() {
        Some(factors) => factors.split(',').map(str::parse).collect::<Result<_, _>>()?,
        None => COL_FACTORS.to_vec(),
    };
    if !file.exists() {
        println!("writing {}", file.display());
        write(&file)?;
    }
    let mut rows = FileRows::<f32>::open_npy(&file)?;
    println!("{} threads; memory before: {}", std::thread::available_parallelism()?, peak_memory());
    let start = Instant::now();
    let out = Compress::new(&ROW_FACTORS, &factors, Target::Rank(rank)).run(&mut rows)?;
    println!("{:.2} s; peak memory: {}", start.elapsed().as_secs_f64(), peak_memory());
    let (shape, report) = (out.cores.shape(), &out.report);
    println!("ranks {:?}: {} bytes, {:.0}x smaller", shape.ranks(), shape.bytes::<f32>(), shape.compression());
    println!("norm {:.6}, error {:.6}, relative {:.6}", report.norm, report.error, report.relative_error());
    println!("with padding {:.6}, K {:.4e}, bonds {:?}", report.padded_error, report.step, report.bonds);
    Ok(())
}

/// A train of rank 24 and noise of a tenth of its size. Each row's noise is a hash of its number.
fn write(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let shape = TtShape::with_rank(ROWS, &ROW_FACTORS, &COL_FACTORS, 24)?;
    let train = TtCores::<f32>::init(shape, &CoreInit::default().with_std(1.0), 7);
    // Written under another name first: a file that is there is whole.
    let unfinished = path.with_extension("part");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, 16), }}");
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&118u16.to_le_bytes())?;
    out.write_all(format!("{text:<117}\n").as_bytes())?;
    let (mut row, mut scratch) = ([0f32; 16], vec![0f32; algebra::scratch_len(train.shape())]);
    let mut state = 1u64;
    for number in 0..ROWS {
        algebra::row(train.shape(), train.as_slice(), number, &mut row, &mut scratch);
        for x in row {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let noise = ((bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 0.17;
            out.write_all(&(x + noise).to_le_bytes())?;
        }
    }
    out.into_inner()?.sync_all()?;
    std::fs::rename(unfinished, path)?;
    Ok(())
}

/// The most memory the process has had, where the system says so.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}
