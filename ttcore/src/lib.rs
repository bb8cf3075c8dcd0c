//! TT-Rec core.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod algebra;
pub mod backend;
mod bags;
pub mod check;
mod error;
pub mod factor;
mod layout;
pub mod optim;
mod real;
pub mod reference;
mod shape;
mod table;

pub use backend::Backend;
pub use bags::{Bags, BagsError, Index, IndexSlice, Offsets, Pooling};
pub use error::{Error, Stale};
pub use layout::Layout;
pub use optim::{Rule, Update};
pub use real::Real;
pub use reference::Reference;
pub use shape::{ShapeError, TtShape};
pub use table::Table;
