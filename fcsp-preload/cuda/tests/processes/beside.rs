//! Other tools in `LD_PRELOAD`, before us and behind us.

use std::path::Path;

use crate::{HELD, client, is_left_clean, seen, stage};

/// What the client prints with a tool on either side of us.
fn with_tool(here: &str, define: &str, scenario: &str) -> [String; 2] {
    let stage = stage(here);
    let tool = stage.compile("tool.c", "tool.so", &[define, "-shared", "-fPIC", "-ldl"]);
    let us = stage.preload();
    let order = |first: &Path, second: &Path| {
        let list = format!("{}:{}", first.display(), second.display());
        seen(client(&stage, scenario).env("LD_PRELOAD", list))
    };
    let printed = [order(&tool, &us), order(&us, &tool)];
    is_left_clean(&stage);
    printed
}

#[test]
fn a_tool_that_answers_dlsym_by_itself_has_to_stand_behind_us() {
    let [before, behind] = with_tool(crate::here!(), "-DDLSYM", "beside");
    // Before us it answers every lookup with what the C library finds, and the driver is what programs get of it.
    let passed_by = "program: granted=0 over=0 total=16384 freed=0\ntool counted=1\n";
    assert_eq!(before, passed_by);
    // Behind us it is not asked at all.
    assert_eq!(behind, format!("program: {HELD}\ntool counted=0\n"));
}

#[test]
fn a_tool_that_replaces_malloc_does_not_get_in_the_way() {
    let both = with_tool(crate::here!(), "-DMALLOC", "beside");
    for printed in both {
        assert_eq!(printed, format!("program: {HELD}\ntool counted=1\n"));
    }
}

#[test]
fn a_profiler_that_stands_in_the_drivers_lookup_sees_calls_and_limits_hold() {
    let [before, behind] = with_tool(crate::here!(), "-DPROFILER", "profiled");
    assert_eq!(before, format!("program: {HELD}\ntool counted=1\n"));
    // Behind us the program's lookup comes to us first.
    assert_eq!(behind, format!("program: {HELD}\ntool counted=0\n"));
}
