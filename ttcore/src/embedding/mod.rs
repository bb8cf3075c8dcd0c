//! The layers users hold: a backend, a plan, caches, and parameters.
//!
//! [`EmbeddingBagCollection`] holds all tables of a model, TT and dense, and runs them in one call; [`TtEmbeddingBag`] is one
//! of a single TT table. [`Session`] is the same for who holds the parameters elsewhere, in another framework's tensors, and
//! for many threads at once. A batch goes through each as a [`Batch`]:
//!
//! ```text
//! group(bags)  ->  forward(out)  ->  step(grad_out)         update in the same pass
//!                                or  backward(grad_out)     gradients for an optimiser outside
//! ```
//!
//! Several batches may be under way: each has its own memory. One whose parameters changed between its forward and its
//! backward is refused, as is one grouped before a cache was refreshed.

mod batch;
mod collection;
mod config;
mod session;
mod single;
mod statistics;

pub use batch::{Batch, Mode, Worker};
pub use collection::{EmbeddingBagCollection, TableMemory};
pub use config::TableConfig;
pub use session::{Session, TableMut};
pub use single::TtEmbeddingBag;
pub use statistics::{Bytes, TableStatistics};
