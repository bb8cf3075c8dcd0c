#![cfg_attr(not(any(feature = "cuda", feature = "emulator")), doc = "Empty without its feature `cuda`.")]
#![cfg_attr(any(feature = "cuda", feature = "emulator"), doc = include_str!("../README.md"))]
#![cfg(any(feature = "cuda", feature = "emulator"))]

pub mod args;
mod backend;
#[cfg(feature = "cuda")]
mod blas;
pub mod device;
#[cfg(feature = "cuda")]
pub mod driver;
#[cfg(feature = "emulator")]
mod emulator;
mod error;
mod group;
mod input;
pub mod layers;
mod memory;
#[cfg(feature = "cuda")]
pub mod nvrtc;
mod ops;
mod plan;
#[cfg(feature = "race")]
pub mod race;
mod settings;
mod sinks;
mod tiles;
mod view;

/// The crates whose types are part of this one's: the contract, threads that group, and the numbers that are copied.
#[doc(no_inline)]
pub use {bytemuck, ttcore, ttcore_cpu};

pub use backend::Cuda;
#[cfg(feature = "cuda")]
pub use blas::Math;
pub use device::{Device, Element};
#[cfg(feature = "cuda")]
pub use driver::Driver;
#[cfg(feature = "emulator")]
pub use emulator::Emulator;
pub use error::Error;
pub use group::{DeviceBags, DeviceOffsets, Group, Integer, Integers, TableLists};
pub use input::Input;
pub use layers::Layers;
pub use memory::{Saved, Scratch};
pub use plan::Plan;
pub use settings::{Grouping, Method};
pub use view::{Buffer, View, ViewMut};
