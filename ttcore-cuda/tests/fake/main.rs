//! The driver layer on a fake GPU: answers that are newer than any list, whose context and stream it is, when work is done.
//!
//! The fake does work only when somebody waits for it, and complains of whatever it is given that is not as it should be. It
//! is the `libcuda.so.1` in `LD_LIBRARY_PATH`: see `fake-check.sh`.

mod capture;
mod complaints;
mod context;
mod controls;
mod errors;
mod lifetimes;
mod math;
mod staging;
mod step;
mod streams;
