//! The golden vectors, as the tests of both layers read them, and how far a result may be from them.

use std::path::Path;

use serde::Deserialize;
use ttcore::{Pooling, TableConfig, TtShape};

/// One file: a table, one batch of it, and what PyTorch computes in double precision.
#[derive(Debug, Deserialize)]
pub(crate) struct Vectors {
    #[serde(skip)]
    pub(crate) file: String,
    pub(crate) rows: u64,
    row_factors: Vec<usize>,
    col_factors: Vec<usize>,
    ranks: Vec<usize>,
    pooling: String,
    cores: Vec<Vec<f64>>,
    pub(crate) indices: Vec<i64>,
    pub(crate) offsets: Vec<i64>,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) output: Vec<f64>,
    pub(crate) grad_output: Vec<f64>,
    grad_cores: Vec<Vec<f64>>,
    pub(crate) grad_weights: Option<Vec<f64>>,
    pub(crate) sgd: Step,
}

/// One step of stochastic gradient descent.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) lr: f64,
    cores: Vec<Vec<f64>>,
}

impl Step {
    /// `[parameters]`
    pub(crate) fn cores(&self) -> Vec<f64> {
        self.cores.concat()
    }
}

impl Vectors {
    /// All files of single tables.
    pub(crate) fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/golden");
        let files = std::fs::read_dir(&directory).expect("the directory of golden vectors");
        let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tt_")));
        paths.sort_unstable();
        assert!(!paths.is_empty(), "no golden vectors in {}", directory.display());
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read_to_string(path).expect("a text");
            let vectors: Self = serde_json::from_str(&text).expect("golden vectors");
            Self { file: path.display().to_string(), ..vectors }
        };
        paths.iter().map(read).collect()
    }

    pub(crate) fn shape(&self) -> TtShape {
        TtShape::new(self.rows, &self.row_factors, &self.col_factors, &self.ranks).expect("a shape")
    }

    pub(crate) fn config(&self) -> TableConfig {
        TableConfig::tt(self.shape())
    }

    pub(crate) fn pooling(&self) -> Pooling {
        match self.pooling.as_str() {
            "sum" => Pooling::Sum,
            "mean" => Pooling::Mean,
            other => panic!("{}: pooling {other}", self.file),
        }
    }

    /// `[parameters]`
    pub(crate) fn cores(&self) -> Vec<f64> {
        self.cores.concat()
    }

    /// Asserts the gradients of the cores, `[parameters]`, each core by itself.
    pub(crate) fn assert_grads(&self, got: &[f64], limit: f64) {
        let shape = self.shape();
        assert_eq!(got.len(), shape.parameters(), "{}", self.file);
        assert_eq!(self.grad_cores.len(), shape.cores(), "{}", self.file);
        for (k, want) in self.grad_cores.iter().enumerate() {
            assert_error(&format!("{}: gradient of core {k}", self.file), &got[shape.core_range(k)], want, limit);
        }
    }
}

/// The largest error of a golden tensor, `max |got - want| / max |want|`: as in the suite that every backend passes.
pub(crate) const LIMITS: [f64; 2] = [1e-4, 1e-12];

/// That the error of a tensor is at most `limit`.
#[track_caller]
pub(crate) fn assert_error(name: &str, got: &[f64], want: &[f64], limit: f64) {
    assert_eq!(got.len(), want.len(), "{name}: numbers");
    let size = want.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs() / if size > 0.0 { size } else { 1.0 };
        assert!(error <= limit, "{name}[{at}]: got {got:e}, want {want:e}: error {error:e} is above {limit:e}");
    }
}
