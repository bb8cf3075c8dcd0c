//! Two backends that compute in the same float agree, step after step, on random tables, batches and rules.

use ttcore::Backend;

use super::steps::{Story, stories};
use crate::case;
use crate::device::Device;
use crate::runner::check;

/// Steps of a story. Each begins with what the first backend came to, so that differences do not add up.
const STEPS: usize = 3;

/// Outputs, gradients, gradients of the weights, updated parameters and optimiser states of two backends, each made anew
/// with its queue, are the same within the tolerance.
///
/// # Panics
///
/// If not.
pub fn equivalent<A: Backend, B: Backend<Float = A::Float>>(
    one: impl Fn() -> (A, A::Queue),
    other: impl Fn() -> (B, B::Queue),
) {
    let ((one, one_queue), (other, other_queue)) = (one(), other());
    let (one, other) = (Device::new(one, one_queue), Device::new(other, other_queue));
    check(stories(case::cases()), |story| agree(&story, &one, &other));
}

/// The same, for the steps of one story.
///
/// # Panics
///
/// If two backends do not agree.
pub fn agree<A: Backend, B: Backend<Float = A::Float>>(story: &Story, one: &Device<A>, other: &Device<B>) {
    let (mut one, mut other) = (story.harness(one), story.harness(other));
    let mut before = story.begin();
    for _ in 0..STEPS {
        let (want, got) = (before.step(&mut one), before.step(&mut other));
        before.assert_agree::<A::Float>(&want, &got);
        before = before.next(want);
    }
}
