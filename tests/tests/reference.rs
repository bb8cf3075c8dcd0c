//! The reference backend passes the suite.

use ttcore::Reference;

ttcore_tests::conformance!(reference_f64, Reference::<f64>::new(), ());
ttcore_tests::conformance!(reference_f32, Reference::<f32>::new(), ());
