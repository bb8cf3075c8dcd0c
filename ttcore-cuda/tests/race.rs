//! What the race detector finds: kernels that do what no kernel may, one thing each.

use ttcore_cuda::{Error, race};

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for _ in 0..3 {
        assert_eq!(race::launch_fault("none"), Ok(()));
    }
}

#[test]
fn every_fault_is_found() {
    let reads = "a thread reads what another writes, with no barrier between";
    let writes = "a thread writes what another reads, with no barrier between";
    let both = "two threads write, with no barrier between";
    for (name, what) in [
        ("reads", reads),
        ("writes", writes),
        ("both_write", both),
        ("blocks_write", both),
        // Which of both, depends on the order of the blocks.
        ("blocks_read", "a thread"),
        ("behind", "a write outside of all memory"),
        ("before", "a read outside of all memory"),
        ("behind_shared", "a read outside of all memory"),
        ("across", "an access goes beyond the end of its memory"),
        ("alignment", "an address is not a multiple of the bytes that are accessed"),
        ("narrow", "an access of less than 4 bytes"),
        ("unwritten", "shared memory is read that no thread of the block has written"),
        ("different", "threads that say that they write the same write different values"),
        ("early", writes),
        ("two_barriers", "threads of a block wait at different barriers"),
        ("ended", "a thread of the block has ended before a barrier"),
        ("undeclared", "a barrier in a kernel that is said to have none"),
    ] {
        // In blocks of either order.
        for _ in 0..2 {
            let result = race::launch_fault(name);
            let Err(Error::Race { finding }) = result else { panic!("{name}: {result:?}") };
            assert!(finding.starts_with(&format!("fault_{name}_f32: {what}")), "{name}: {finding}");
            println!("{finding}");
        }
    }
}

/// A finding ends its launch and leaves nothing behind.
#[test]
fn launches_after_a_finding_are_as_before() {
    assert!(race::launch_fault("both_write").is_err());
    assert_eq!(race::launch_fault("none"), Ok(()));
}

#[test]
fn kernels_that_do_not_exist_are_not_started() {
    assert!(matches!(race::launch_fault("of_nobody"), Err(Error::Driver { .. })));
}
