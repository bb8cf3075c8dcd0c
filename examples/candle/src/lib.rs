//! TT-Rec embedding tables as a layer of [candle](candle_core): what `nn.EmbeddingBag` is in PyTorch, with a table of
//! millions of rows in a few megabytes.
//!
//! The cores are a variable of candle, trained by candle's optimisers and saved with the rest of a model; the CPU kernels of
//! [`ttcore_cpu`] work on its memory where it lies. Gradients are as large as the cores, never as the table.
//!
//! ```
//! use candle_core::{DType, Device};
//! use candle_nn::{Optimizer, SGD, VarBuilder, VarMap};
//! use ttcore::{Offsets, Pooling, TableConfig, TtShape};
//! use ttcore_candle::TtEmbeddingBag;
//!
//! // Ten million rows of 16 numbers.
//! let config = TableConfig::tt(TtShape::paper(10_000_000, 16, 3, 32)?);
//! let varmap = VarMap::new();
//! let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
//! let table = TtEmbeddingBag::new(config, Pooling::Sum, 42, vb.pp("table"))?;
//! let mut optimizer = SGD::new(varmap.all_vars(), 0.1)?;
//!
//! // Two bags: rows 7 and 9,999,999, then row 7.
//! let out = table.forward(&[7i64, 9_999_999, 7], Offsets::Starts(&[0i64, 2]), None)?;
//! assert_eq!(out.dims(), [2, 16]);
//! optimizer.backward_step(&out.sqr()?.sum_all()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layer;
mod op;

pub use layer::TtEmbeddingBag;
