//! A hash of the numbers that this program gives on this machine.
//!
//! Runs that were finished before are used again as long as the program would come to the same numbers. Whether it would
//! is not asked of its text but of itself: a tiny model is trained with each method, and the bits of what comes out are hashed.

use clap::ValueEnum;
use ttcore_cpu::{Cpu, Threads};
use twox_hash::XxHash3_64;

use super::work::{Lines, TrainRun};
use crate::budget::Method;
use crate::data::{Dataset, Effects};
use crate::presets::Preset;
use crate::train::{DenseInitName, InitName, Optimizer, RunOptions, ScaleName, train};

/// A hash for each method; takes less than a second.
///
/// # Errors
///
/// Why a model could not be trained.
pub(super) fn fingerprints() -> Result<Vec<(Method, u64)>, String> {
    let lines = Lines::Planted {
        preset: Preset::Kaggle,
        most: 2_000,
        effects: Effects::Vectors,
        head: 500,
        lines: 1_400,
        seed: 5,
    };
    let data = lines.make()?.ok_or("planted lines are made")?;
    let of = |&method: &Method| Ok((method, of_method(method, lines, &data)?));
    Method::value_variants().iter().map(of).collect()
}

fn of_method(method: Method, lines: Lines, data: &Dataset) -> Result<u64, String> {
    let mut bits = Vec::new();
    // Of tensor trains, with a cache too.
    let caches: &[f64] = if method == Method::Tt { &[0.0, 0.05] } else { &[0.0] };
    for optimizer in [Optimizer::Sgd, Optimizer::Adagrad { eps: 1e-10 }] {
        for &cache in caches {
            let run = TrainRun {
                lines,
                preset: Preset::Kaggle,
                preset_rows: false,
                dim: None,
                tables: 5,
                method,
                rank: 4,
                smaller: Some(5).filter(|_| cache == 0.0),
                init: InitName::SampledGaussian,
                scale: ScaleName::Isometric,
                dense_init: DenseInitName::Uniform,
                cache,
                warmup: 0.2,
                optimizer,
                lr: 0.05,
                batch: 128,
                seed: 9,
            };
            let backend = Cpu::<f32>::new().map_err(|error| error.to_string())?;
            let settings = run.settings(data.table_rows());
            let outcome = train(backend, &mut Threads::one(), data, &settings, &RunOptions::default(), &mut ());
            let outcome = outcome.map_err(|error| error.to_string())?;
            for number in [outcome.log_loss, outcome.loss_last, outcome.auc.unwrap_or(0.0)] {
                bits.extend(number.to_bits().to_le_bytes());
            }
        }
    }
    Ok(XxHash3_64::oneshot(&bits))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_program_gives_the_same_numbers() {
        assert_eq!(super::fingerprints().unwrap(), super::fingerprints().unwrap());
    }
}
