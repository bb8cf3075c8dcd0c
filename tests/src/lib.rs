//! What is tested with the trainer at hand: golden training runs of a whole model, and the examples of the README.
//!
//! The suite of backends is a crate of its own without it, [`ttcore_conformance`].

pub mod dlrm_golden;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
