//! Forwards that wait for their backward: what a framework's layer needs beside a [`Session`].
//!
//! A framework records what was computed in a graph and asks for gradients later: once, several times or never, in any
//! order, maybe after other forwards of the same layer, maybe from another thread. So each forward here is a [`Pass`], which
//! the graph holds. It has all that its backward needs but the parameters, and when it is dropped, its memory serves the
//! next. Batches may be of any size: when one does not fit, there is room for the next power of two from then on.
//!
//! ```
//! use ttcore::{Bags, Mode, Offsets, Pooling, TableConfig, TtShape};
//! use ttcore_cpu::{Cpu, Threads};
//! use ttcore_passes::Table;
//!
//! let config = TableConfig::tt(TtShape::paper(1000, 8, 3, 4)?);
//! let mut params = vec![0.0f32; config.table().parameters()]; // the framework's tensor
//! config.draw(42, &mut params);
//! let table = Table::new(Cpu::new()?, Threads::one(), config)?;
//!
//! let bags = Bags::new(1000, &[3i64, 999, 3], Offsets::Starts(&[0, 2]), Pooling::Sum, None)?;
//! let mut pass = table.group(bags, Mode::Train)?;
//! let mut out = [0.0; 2 * 8];
//! pass.forward(&params, &mut out)?;
//!
//! // Of the loss |out|^2 / 2.
//! let mut grads = vec![0.0; params.len()];
//! pass.backward(&params, Some(&mut grads), &out, None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod table;

pub use table::{Pass, Table};

#[cfg(doc)]
use ttcore::embedding::Session;
