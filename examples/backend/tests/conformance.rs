//! The backend passes the suite, and agrees with the reference.

use ttcore::Reference;
use wide_backend::{Queue, Wide};

ttcore_conformance::conformance!(wide, Wide, Queue::default());

ttcore_conformance::equivalence! {
    wide_beside: Wide, Queue::default();
    reference: Reference::<f32>::new(), ();
}
