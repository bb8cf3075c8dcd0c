//! What holds for every table and every batch, one file a subject.

pub mod adjoint;
pub mod bags;
pub mod bits;
pub mod collections;
pub mod contract;
pub mod equivalence;
pub mod forward;
pub mod lengths;
pub mod linearity;
pub mod memory;
pub mod overwrite;
pub mod runs;
pub mod sinks;
pub mod steps;
