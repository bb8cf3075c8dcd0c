#![doc = include_str!("../README.md")]
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
//! * The same on memory that is yours, such as another framework's tensors: [`embedding::Session`].
//! * The operations alone: [`Backend`] and [`Layout`].
//! * The mathematics alone: [`TtShape`], [`TtCores`] and [`algebra`].
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

/// The crates whose traits are part of this one's: those of [`Real`], and those of distributions in [`init`].
#[doc(no_inline)]
pub use {num_traits, rand_core, rand_distr};

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
