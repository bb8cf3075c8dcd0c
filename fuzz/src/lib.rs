//! What the fuzz targets do with an input, one module a target: `run` panics where something is wrong.
//!
//! | target | what is done with arbitrary bytes | what must hold |
//! |---|---|---|
//! | [`shapes`] | factors, ranks, rows | accepted exactly if valid; products; digits of a row and back |
//! | [`bags`] | indices, offsets, weights of all four integer types | accepted exactly if valid; errors point at what is wrong |
//! | [`criteo`] | lines, plain or gzip | the samples are those of a naive reader, or the same line is refused |
//! | [`prepared`] | a prepared data set, from scratch or a valid one edited | a typed error, or every row can be read or is named |
//! | [`columns`] | a schema and CSV | a typed error, or the same rows in memory, in a directory and as a stream |
//! | [`parquet`] | a Parquet file, from scratch or a valid one edited | the same |
//! | [`stored`] | a prepared data set of columns, edited | a typed error, or every row can be read or is named |
//! | [`vocabulary`](mod@vocabulary) | a vocabulary, from scratch or a valid one edited | a typed error, or every value has an index of its table, or none |
//! | [`tables`] | a table in `.npy` or safetensors, from scratch or a valid one edited | a typed error, or every row can be read, and a train has the error it says |
//! | [`checkpoint`] | a checkpoint, from scratch or a valid one edited | a typed error, or training goes on from it |
//! | [`settings`] | a file of tables | a typed error, or settings that hold what it says |
//! | [`cpu`] | tables, batches, an update rule | the CPU backend computes what the reference does |
//! | [`cache`] | lookups, steps, refreshes, restores | the cache is a map of rows |
//!
//! They run under libFuzzer (`fuzz/run.sh`), and on the inputs in `corpus` and `regressions` as an ordinary test.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod bags;
pub mod cache;
pub mod checkpoint;
pub mod columns;
pub mod cpu;
pub mod criteo;
mod edit;
pub mod numbers;
pub mod parquet;
pub mod prepared;
pub mod settings;
pub mod shapes;
pub mod stored;
pub mod tables;
pub mod vocabulary;

/// A target: what it does with an input.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 13] = [
    ("shapes", shapes::run),
    ("bags", bags::run),
    ("criteo", criteo::run),
    ("prepared", prepared::run),
    ("checkpoint", checkpoint::run),
    ("settings", settings::run),
    ("cpu", cpu::run),
    ("cache", cache::run),
    ("vocabulary", vocabulary::run),
    ("columns", columns::run),
    ("parquet", parquet::run),
    ("stored", stored::run),
    ("tables", tables::run),
];
