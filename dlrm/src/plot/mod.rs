//! Charts as SVG: what people would rather look at than read.
//!
//! A [`Chart`] says what is shown: axes with units, series of points, lines to compare with. [`Chart::svg`] draws it, the same
//! bytes for the same chart. Colours are told apart by most colour-blind eyes (Okabe and Ito), and every series has a marker or
//! a dash of its own, so that they are told apart in print too.
//!
//! ```
//! use dlrm::plot::{Axis, Chart, Mark, Series, Shape};
//!
//! let mut chart = Chart::new("AUC over bytes", Axis::log("bytes"), Axis::linear("AUC"));
//! chart.series.push(Series::new("tensor train", Mark::LineDots(Shape::Circle), 0, vec![[1e6, 0.79], [1e7, 0.80]]));
//! assert!(chart.svg(640, 400)?.starts_with("<svg"));
//! # Ok::<(), dlrm::plot::PlotError>(())
//! ```
//!
//! ```text
//! Chart     what is shown                       chart
//! Scale     from numbers to pixels, and ticks   scale
//! svg       drawing                             draw
//! Curves    what a log of training has to show  curves
//! ```

mod chart;
mod curves;
mod draw;
mod scale;

pub use chart::{Axis, Chart, Mark, PlotError, Rule, Series, Shape};
pub use curves::{CurveError, Curves, Quantity};
