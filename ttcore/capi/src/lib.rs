//! The C ABI of [`ttcore`] on the CPU.
//!
//! The header is `include/ttcore.h`; what C programs need to know is in this crate's `README.md` and at each function. In
//! short:
//!
//! ```text
//! ttc_session_new                  shapes, caches, rules; the caller allocates what ttc_session_sizes says
//! ttc_worker_new, ttc_batch_new    memory to work in, one a thread; memory of a batch
//! ttc_group -> ttc_forward -> ttc_step        gradients and rules in one pass
//!                          or ttc_backward    gradients for an optimiser outside
//! ttc_observe, ttc_refresh         caches
//! ```
//!
//! # How it is made safe
//!
//! ```text
//! handle.rs    no panic leaves a call; handles that a panic went through, or that are in use elsewhere, are refused
//! record.rs    structs of callers that were compiled with an earlier or a later header
//! view.rs      numbers of callers: type, alignment, length, and that what is written is borrowed once
//! bags.rs      batches are copied, so that what was checked cannot change any more
//! typed.rs     the calls on a `Session<Cpu<F>>`; tables.rs hides the `F`
//! ```
//!
//! Every number that C hands over is checked but for what cannot be: that memory is there, as much as was said, and that other
//! threads leave it alone. Those conditions are in the section *Safety* of each function.

// Names are those of C.
#![allow(non_camel_case_types)]

#[cfg(panic = "abort")]
compile_error!("errors of a panic need unwinding: build with panic = \"unwind\"");

mod bags;
mod cache;
mod config;
mod error;
mod handle;
mod memory;
mod ops;
mod record;
mod session;
mod settings;
mod tables;
mod typed;
mod view;

pub use bags::*;
pub use cache::*;
pub use config::*;
pub use error::*;
pub use ops::*;
pub use session::*;
pub use settings::*;
pub use view::*;

/// The version of this interface. Functions and structs of one version stay as they are: structs only grow, behind their last
/// field.
pub const TTC_ABI_VERSION: u32 = 1;

/// The version of the interface of the library that is linked: equal to `TTC_ABI_VERSION` of the header that the caller was
/// compiled with, or one that it does not fit. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ttc_abi_version() -> u32 {
    TTC_ABI_VERSION
}
