//! What a library inside someone else's program must not do, and what programs do to their descriptors.

use crate::{HELD, client, is_left_clean, see, seen, stage};

#[test]
fn signals_masks_and_standard_output_are_the_programs_own() {
    // That nothing else was printed, on either channel, is part of what is compared.
    let printed = see(crate::here!(), "manners");
    assert_eq!(
        printed,
        format!("program: {HELD}\nhandlers=0 blocked=0 umask=27\nkill=0\n")
    );
}

#[test]
fn the_first_context_of_a_program_with_threads_does_not_sleep() {
    let stage = stage(crate::here!());
    // A thread of ours may be in the way of one, holding the process's map.
    let awake = (0..10).any(|_| seen(&mut client(&stage, "first_context")) == "slept=0\n");
    assert!(awake, "attaching waits for something");
    is_left_clean(&stage);
}

#[test]
fn a_program_that_closes_all_descriptors_before_it_starts_is_limited() {
    let printed = see(crate::here!(), "closes_before");
    assert_eq!(printed, format!("program: {HELD}\n"));
}

#[test]
fn a_program_that_closes_our_descriptors_is_still_limited_and_reclaimed() {
    let stage = stage(crate::here!());
    let printed = seen(&mut client(&stage, "closes_after"));
    assert_eq!(printed, format!("program: {HELD}\nagain: {HELD}\nown=1\n"));
    is_left_clean(&stage);
}
