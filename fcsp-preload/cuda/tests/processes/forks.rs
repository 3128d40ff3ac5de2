//! Children: of fork, of the bare system call, and programs that take another's place.

use crate::{HELD, client, see, seen, stage};

#[test]
fn parent_and_child_share_the_quota_if_they_part_before_they_use_the_device() {
    let printed = see(crate::here!(), "fork_before");
    assert!(printed.contains("child ended with 0"), "{printed}");
    // Two contexts do not leave room for what the second wants, unless the first has ended by then.
    assert!(
        printed.contains("parent: ") && printed.contains("child: "),
        "{printed}"
    );
    assert!(!printed.contains("over=0"), "{printed}");
}

#[test]
fn a_child_that_only_ends_leaves_the_parent_its_limits() {
    let printed = see(crate::here!(), "fork_after_exit");
    assert_eq!(
        printed,
        format!("program: {HELD}\nchild ended with 7\nparent: {HELD}\n")
    );
}

#[test]
fn a_child_that_uses_the_parents_device_gets_the_drivers_own_error() {
    let stage = stage(crate::here!());
    let ours = seen(&mut client(&stage, "fork_after_use"));
    let bare = seen(client(&stage, "fork_after_use").env_remove("LD_PRELOAD"));
    let child = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("child: "));
        line.expect("the child says what it saw").to_owned()
    };
    assert_eq!(child(&ours), child(&bare));
    assert_eq!(child(&ours), "child: init=3 retain=3 alloc=3");
    assert!(
        ours.ends_with(&format!("child ended with 0\nparent: {HELD}\n")),
        "{ours}"
    );
    crate::is_left_clean(&stage);
}

#[test]
fn what_a_child_starts_shares_the_quota() {
    let printed = see(crate::here!(), "fork_after_exec");
    let lines: Vec<&str> = printed.lines().collect();
    // A second context of the same tenant fits no more.
    assert!(
        lines[1].starts_with("program: granted=") && !lines[1].contains("over=0"),
        "{printed}"
    );
    assert_eq!(
        lines[2..],
        ["child ended with 0", &format!("parent: {HELD}")]
    );
}

#[test]
fn a_program_that_takes_the_place_of_another_has_the_quota_for_itself() {
    let printed = see(crate::here!(), "exec_after");
    assert_eq!(printed, format!("program: {HELD}\nprogram: {HELD}\n"));
}

#[test]
fn a_child_that_the_c_library_does_not_know_of_is_limited_too() {
    let printed = see(crate::here!(), "raw_clone_before");
    assert!(printed.contains("child ended with 0"), "{printed}");
    assert!(!printed.contains("over=0"), "{printed}");
}

#[test]
fn a_clone_that_starts_a_program_leaves_the_parent_its_limits() {
    let printed = see(crate::here!(), "raw_clone_after");
    assert!(
        printed.ends_with(&format!("child ended with 0\nparent: {HELD}\n")),
        "{printed}"
    );
    assert!(!printed.contains("over=0"), "{printed}");
}

#[test]
fn many_threads_are_one_process() {
    let printed = see(crate::here!(), "threads");
    assert_eq!(printed, format!("failures=0\nprogram: {HELD}\n"));
}
