//! Starting and stopping, over and over: what is left?

use crate::{HELD, client, is_left_clean, see, seen, stage};

#[test]
fn a_thousand_contexts_of_one_program_leave_no_thread_and_no_byte() {
    let printed = see(crate::here!(), "cycles");
    assert_eq!(printed, format!("failures=0 threads=0\nprogram: {HELD}\n"));
}

#[test]
fn a_thousand_programs_leave_no_slot_and_no_byte() {
    let stage = stage(crate::here!());
    for _ in 0..1000 {
        let printed = seen(&mut client(&stage, "limits"));
        assert_eq!(printed, format!("program: {HELD}\n"));
    }
    is_left_clean(&stage);
}
