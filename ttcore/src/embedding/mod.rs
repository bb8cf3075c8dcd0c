//! The layers users hold: a backend, a plan, parameters, optimiser state and caches in one value.
//!
//! [`EmbeddingBagCollection`] holds all tables of a model, TT and dense, and runs them in one call;
//! [`TtEmbeddingBag`] is one of a single TT table. A batch goes through it as a [`Batch`]:
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
mod single;
mod statistics;

pub use batch::{Batch, Mode};
pub use collection::EmbeddingBagCollection;
pub use config::TableConfig;
pub use single::TtEmbeddingBag;
pub use statistics::{Bytes, TableStatistics};
