#![doc = include_str!("../README.md")]
//!
//! # Letters
//!
//! Those of [`ttcore`]: a table `W` has `M` rows and `N` columns, a train `d` cores `G_k` of `m_k R_{k-1} n_k R_k` numbers with
//! `m_1 .. m_d >= M`, `n_1 .. n_d = N`, `R_0 = R_d = 1`. Besides:
//!
//! | letter | meaning |
//! |---|---|
//! | `s_k` | `m_k n_k`, the size of mode `k` |
//! | `A` | the table with rows of padding, weighted: a tensor `s_1 x .. x s_d` |
//! | unfolding `k` | `A` as a matrix `(s_1 .. s_k) x (s_{k+1} .. s_d)`; bond `k` lies between its sides |
//! | `Q` | `N / n_d`: vectors of the last unfolding in `m_d` rows |
//!
//! Shapes are `[rows][columns]`, row major. Formulas count from 1, code from 0.
//!
//! # Rows that are not there
//!
//! Rows of padding, and rows that are kept elsewhere, are zeros in `A`, or what an earlier train has there
//! ([`Compress::refills`]). [`Report::error`] is that of the other rows, exactly: what the train has in place of the zeros
//! is known without expanding it, and taken off.
//!
//! # Cost
//!
//! `M x N` numbers, of which `P = m_1 .. m_d` rows with padding, two passes:
//!
//! | step | multiplications and additions | memory |
//! |---|---|---|
//! | Gram matrix of the last unfolding | `M N s_d`: half of `2 M N s_d`, by symmetry | `12 s_d^2` bytes |
//! | its eigenvectors | about `9 s_d^3` | `24 s_d^2` bytes |
//! | projection | `2 M N R_{d-1}` | `8 (P N / s_d) R_{d-1}` bytes, twice when it is unfolded |
//! | the next cores, in memory | `side^2` of the smaller side of each unfolding, times the larger | as much |
//!
//! For 10,131,227 x 16 as 200 x 220 x 250 by 4 x 2 x 2, at rank 32: 81 GFLOP, 2 GFLOP, 10 GFLOP; 45 MB. `s_d` is the largest
//! size of an eigenproblem that cannot be avoided: choose `m_d n_d` below about 2,000.
//!
//! # Numbers
//!
//! Tables and trains are of `f32` or `f64`; everything is computed in `f64`. A Gram matrix has squares: singular values below
//! about `1e-8` of the largest are rounding, which is less than the rounding of `f32` data itself. Rounding of trains uses
//! QR and SVD of the cores, which keep all digits.
//!
//! The bits depend on neither the number of threads nor how a source hands over rows. They may differ between machines with
//! other instruction sets, by rounding.
//!
//! # References
//!
//! Ivan Oseledets (2011). *Tensor-Train Decomposition*. SIAM Journal on Scientific Computing 33(5): TT-SVD (Algorithm 1),
//! rounding (Algorithm 2).
//! Nathan Srebro, Tommi Jaakkola (2003). *Weighted Low-Rank Approximations*. ICML.

#![forbid(unsafe_code)]

mod compress;
mod error;
mod finish;
mod inner;
mod linalg;
mod load;
mod report;
mod round;
mod rows;
mod sweep;
mod target;
mod train;
mod weights;

pub use compress::Compress;
pub use error::{Error, Fault, SourceError};
pub use inner::{inner, norm, step_size, sum};
pub use report::{Bond, Decomposition, Report};
pub use round::{Round, balance};
pub use rows::{FileRows, Rows, SliceRows};
pub use target::Target;
pub use weights::Weights;
