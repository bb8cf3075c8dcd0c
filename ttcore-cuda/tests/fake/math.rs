//! Products in TF32 where they are asked for, and nowhere else.

use ttcore_cuda::{Driver, Math, Method};

use crate::controls::Fake;
use crate::step::{rows, waited};

/// Of a product of two factors that are rounded to 10 bits behind the point.
const ERROR: f32 = 1.0 / 1024.0;

#[test]
fn tf32_is_opt_in_and_as_accurate_as_said() {
    let _fake = Fake::new();
    let driver = Driver::new(0).expect("a GPU");
    let (full, fused) = (waited(&driver, Method::Batched, &[rows(1)]), waited(&driver, Method::Fused, &[rows(1)]));
    assert_eq!(waited(&driver.clone().with_math(Math::Full), Method::Batched, &[rows(1)]), full);
    let tf32 = driver.with_math(Math::Tf32);
    assert_eq!(waited(&tf32, Method::Fused, &[rows(1)]), fused, "the fused kernels have no product of cuBLAS");
    let (outputs, _) = waited(&tf32, Method::Batched, &[rows(1)]);
    assert_ne!(outputs, full.0);
    // A number of a row is a sum of 16 products of three numbers of size 0.5 at most, two products of which are of cuBLAS, and
    // a bag of two rows.
    let most = 2.0 * 16.0 * 0.125 * 2.0 * ERROR;
    for (got, want) in outputs.iter().zip(&full.0) {
        assert!((got - want).abs() <= most, "{got}, not {want}");
    }
}
