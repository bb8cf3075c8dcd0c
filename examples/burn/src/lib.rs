//! TT-Rec embedding tables as a module of [burn]: what `nn.EmbeddingBag` is in PyTorch, with a table of millions of rows in a
//! few megabytes.
//!
//! The cores are a parameter of burn, trained by burn's optimisers and saved with the rest of a model; the CPU kernels of
//! [`ttcore_cpu`] work on its memory where it lies, which is burn's backend `Flex`. Gradients are as large as the cores,
//! never as the table.
//!
//! ```
//! use burn::optim::{GradientsParams, SgdConfig};
//! use burn::tensor::Device;
//! use ttcore::{Offsets, Pooling, TableConfig, TtShape};
//! use ttcore_burn::TtEmbeddingBag;
//!
//! // Ten million rows of 16 numbers.
//! let config = TableConfig::tt(TtShape::paper(10_000_000, 16, 3, 32)?);
//! let device = Device::flex().autodiff();
//! let table = TtEmbeddingBag::new(config, Pooling::Sum, 42, &device)?;
//! let mut optimizer = SgdConfig::new().init();
//!
//! // Two bags: rows 7 and 9,999,999, then row 7.
//! let out = table.forward(&[7i64, 9_999_999, 7], Offsets::Starts(&[0i64, 2]), None)?;
//! assert_eq!(out.dims(), [2, 16]);
//! let grads = GradientsParams::from_grads(out.square().sum().backward(), &table);
//! let table = optimizer.step(0.1, table, grads);
//! # let _ = table;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod layer;
mod op;

pub use error::Error;
pub use layer::TtEmbeddingBag;
