//! The reference backend passes the suite.

use ttcore::Reference;

ttcore_conformance::conformance!(reference_f64, Reference::<f64>::new(), ());
ttcore_conformance::conformance!(reference_f32, Reference::<f32>::new(), ());
