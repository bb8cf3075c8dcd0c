//! Training: the loop over batches, evaluation on held-out lines, and what came out.
//!
//! ```text
//! TrainSettings     what is asked for
//! Hyperparameters   everything decided, for the tables of the data        resolve
//! Trainer           the model and how far it is: step, evaluate, save     new, restore
//! train             the loop around it: when what happens, told to an Observer
//! ```
//!
//! A run can be stopped after any iteration and go on later: see [`checkpoint`](crate::checkpoint). After iteration `i`
//! come, in this order, the checkpoint of `i`, the evaluation of `i`, and with step `i + 1` the refresh of the caches and
//! the batch. A checkpoint holds the state before all that follows it, so a run that goes on from there does it all, and
//! no checkpoint has to say what was done already.
//!
//! Tables can be set one by one, by a file that [`parse_tables`] reads.

mod choice;
mod conclude;
mod curve;
mod error;
mod event;
mod hyperparameters;
mod non_finite;
mod optimizer;
mod outcome;
mod part;
mod reader;
mod resolve;
mod run;
mod schedule;
mod settings;
mod state;
mod table_file;
mod tables;
mod trainer;

pub use choice::KeptDense;
pub use curve::LossCurve;
pub use error::TrainError;
pub use event::{Event, Observer, Progress};
pub use hyperparameters::{CacheSchedule, Difference, Hyperparameters};
pub use non_finite::{NonFiniteBatch, OnNonFinite};
pub use optimizer::Optimizer;
pub use outcome::{CacheSummary, Outcome, TableSummary};
pub use part::Part;
pub use run::{CheckpointOptions, RunOptions, train};
pub use schedule::LrPolicy;
pub use settings::{CacheSettings, DenseInitName, MIN_RATIO, TrainSettings, TtSettings, default_lr_multiplier};
pub use state::{Best, DataIdentity, Evaluation, Position, TrainState};
pub use table_file::{TableFileError, TableOverride, TtOverride, parse_tables};
pub use tables::{CoreRuleName, InitName, RowInit, ScaleName, TableSettings};
pub use trainer::{Step, Trainer};
