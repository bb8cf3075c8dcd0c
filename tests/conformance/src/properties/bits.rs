//! Queues of one backend, such as pools of different sizes, give the same bits on random tables, batches and rules.

use ttcore::Backend;

use super::steps::stories;
use crate::case;
use crate::device::Device;
use crate::runner::check;

/// Steps of a story.
const STEPS: usize = 2;

/// A story has the same bits on all these devices, in cases with so many tables or lookups that threads share the work.
///
/// # Panics
///
/// If not.
pub fn same_bits<B: Backend>(devices: &[Device<B>]) {
    check(stories(case::crowded()), |story| {
        let mut harnesses: Vec<_> = devices.iter().map(|device| story.harness(device)).collect();
        let mut before = story.begin();
        for _ in 0..STEPS {
            let mut first = None;
            for (number, harness) in harnesses.iter_mut().enumerate() {
                let after = before.step(harness);
                match &first {
                    None => first = Some(after),
                    Some(first) => after.assert_same(&format!("device {number} and device 0"), first),
                }
            }
            before = before.next(first.expect("there is a device"));
        }
    });
}
