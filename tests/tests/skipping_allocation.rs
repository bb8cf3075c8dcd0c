//! Leaving out rows to skip allocates nothing once there is room.

// Each test program uses a part.
#[allow(dead_code)]
mod counting;

use counting::{allocations_of, count_this_thread};
use ttcore::{KeptLookups, Offsets, Pooling, Skip};

#[test]
fn skipping_padding_allocates_nothing() {
    count_this_thread();
    let indices: Vec<i64> = (0..4000).map(|j| j * j % 1001 - 1).collect();
    let offsets: Vec<u32> = (0..500).map(|b| b * 8).collect();
    let (weights, skip) = (vec![0.5f32; indices.len()], Skip::default().with_padding(7).with_negative());
    let mut kept = KeptLookups::with_capacity(offsets.len(), indices.len());
    let allocations = allocations_of(|| {
        let bags = kept.fill(skip, 1000, &indices, Offsets::Starts(&offsets), Pooling::Mean, Some(&weights[..]));
        assert!(bags.expect("bags").lookups() < indices.len());
    });
    assert_eq!(allocations, 0);
}
