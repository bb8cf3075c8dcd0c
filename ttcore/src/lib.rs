//! TT-Rec: embedding tables held as tensor trains.
//!
//! Embedding tables are over 99% of a recommendation model. TT-Rec holds a table as a product of small cores: a table of
//! ten million rows becomes a few megabytes, lookups become small matrix products, and training updates the cores. This
//! crate is the mathematics, and the contract a machine that computes it fulfils: shapes, batches, gradients, update
//! rules, initialisation, the cache of frequent rows, and [`Backend`]. It is `no_std` (with `alloc`) and has no unsafe
//! code. A naive backend, [`Reference`], makes it complete and is the oracle for all others.
//!
//! Gradients of a TT table are the size of its cores, small and dense: any optimiser can work on them, and nothing of
//! the size of the table is ever made.
//!
//! # Letters
//!
//! | letter | meaning |
//! |---|---|
//! | `M`, `N` | rows and columns (embedding dimension) of a table `W` |
//! | `d` | number of cores, at least 2 |
//! | `m_k`, `n_k` | row and column factors of core `k`: `m_1 m_2 .. m_d >= M`, `n_1 n_2 .. n_d = N` |
//! | `R_k` | TT-ranks, `R_0 = R_d = 1` |
//! | `G_k` | core `k`, stored `[m_k][R_{k-1}][n_k][R_k]`, row major; slice `G_k[i]` is a contiguous `R_{k-1} x (n_k R_k)` matrix |
//! | `B`, `L` | output rows of a batch, which are the bags of each feature of a table; lookups of a table's batch |
//! | `U` | unique rows of a batch |
//! | `i`, `j`, `b`, `f`, `t` | a row, a lookup, a bag, a feature, a table |
//! | `F` | the type of numbers, `f32` or `f64`; sums accumulate in it |
//!
//! Shapes are written `[rows][columns]`, always row major. Row `i` has digits `i_1 .. i_d` with
//! `i = sum_k i_k m_{k+1} .. m_d`, and `w_i = G_1[i_1] G_2[i_2] .. G_d[i_d]`. Formulas count from 1, code from 0.
//!
//! # The way of a batch
//!
//! ```text
//! indices, offsets -> Bags (validated) -> addresses (cached or not) -> Group (unique rows) -> pooled output, Saved
//! gradient of the output -> gradients of unique rows -> gradients of core slices -> rule applied, or handed over
//! ```
//!
//! # Which type to start from
//!
//! * A layer with everything in it: [`TtEmbeddingBag`] for one table, [`EmbeddingBagCollection`] for all of a model's.
//! * The operations on your own memory: [`Backend`] and [`Layout`].
//! * The mathematics alone: [`TtShape`], [`TtCores`] and [`algebra`].
//!
//! ```
//! use ttcore::{Bags, Mode, Offsets, Pooling, Reference, TableConfig, TtEmbeddingBag, TtShape};
//!
//! // 10 million rows of 16 numbers, 640 MB as they are, in 2 MB.
//! let shape = TtShape::paper(10_000_000, 16, 3, 32)?;
//! assert!(shape.compression() > 300.0);
//!
//! let mut table = TtEmbeddingBag::new(Reference::<f32>::new(), &mut (), TableConfig::tt(shape), 128, 128, 42)?;
//! let mut batch = table.batch(&mut ())?;
//! let bags = Bags::new(10_000_000, &[7i32, 9_999_999], Offsets::Starts(&[0, 1]), Pooling::Sum, None)?;
//! table.group(&mut (), &mut batch, bags, Mode::Train)?;
//! let mut out = [0.0; 2 * 16];
//! table.forward(&mut (), &mut batch, &mut out)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reference
//!
//! Chunxing Yin, Bilge Acun, Xing Liu, Carole-Jean Wu (2021). *TT-Rec: Tensor Train Compression for Deep Learning
//! Recommendation Models*. MLSys. "The paper" in this documentation.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod algebra;
pub mod backend;
mod bags;
pub mod cache;
pub mod check;
mod cores;
pub mod embedding;
mod error;
pub mod factor;
mod features;
pub mod init;
mod layout;
pub mod optim;
mod real;
pub mod reference;
mod shape;
mod state;
mod table;

pub use backend::Backend;
pub use bags::{Bags, BagsError, Index, IndexSlice, KeptLookups, Offsets, Pooling, Skip};
pub use cache::FrequencyCache;
pub use cores::TtCores;
pub use embedding::{EmbeddingBagCollection, Mode, TableConfig, TtEmbeddingBag};
pub use error::{Error, Stale};
pub use features::Features;
pub use layout::Layout;
pub use optim::{CoreRule, Rule, Update};
pub use real::Real;
pub use reference::Reference;
pub use shape::{ShapeError, TtShape};
pub use state::StateLayout;
pub use table::Table;
