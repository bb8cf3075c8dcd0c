//! The operations: each a set of regions of tasks, generic over the kernels.

mod backward;
mod expand;
mod forward;
mod nodes;
mod sinks;

pub(crate) use backward::Backward;
pub(crate) use expand::expand;
pub(crate) use forward::Forward;
pub(crate) use sinks::{RawSink, collect};
