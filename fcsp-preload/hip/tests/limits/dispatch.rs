//! Calls that come to the driver by neither the linker nor `dlsym`: a library that is linked to the driver, opened so that
//! it finds its own dependencies first.

use crate::support::{QUOTA_BYTES, Stage, linked};
use std::process::Output;

/// A tenant's total is not what such a library is told, where nobody stands before it (`plugin.c`).
const NOT_LIMITED: i32 = 11;

fn host(stage: &Stage, driver: &str, profiler: Option<&str>) -> Output {
    let link = format!("-l:{driver}");
    let directory = format!("-L{}", stage.libraries().display());
    let shared = ["-shared", "-fPIC", &directory, &link];
    let plugin = stage.compile("plugin.c", "libplugin.so", &shared);
    let host = stage.compile("host.c", "host", &["-ldl"]);
    let mut program = stage.program(host);
    program
        .arg(driver)
        .arg(plugin)
        .arg(QUOTA_BYTES.to_string())
        .args(profiler)
        .env("BUD_MEMORY_LIMIT", QUOTA_BYTES.to_string());
    program.output().expect("it starts")
}

#[test]
fn the_dispatch_table_is_a_second_way_in() {
    let stage = Stage::new(crate::here!());
    let output = host(&stage, "libamdhip64.so.6", None);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_driver_without_a_table_is_reached_by_names_only() {
    let stage = Stage::new(crate::here!());
    stage.link(&linked(5), "libamdhip64.so.5");
    let output = host(&stage, "libamdhip64.so.5", None);
    assert_eq!(output.status.code(), Some(NOT_LIMITED), "{output:?}");
}

#[test]
fn a_profiler_in_the_table_sees_every_call_that_the_driver_gets_once() {
    let stage = Stage::new(crate::here!());
    let place = hip_sys::dispatch::place("hipMalloc").expect("in the table");
    let place = format!("-DPLACE={place}");
    let name = "librocprofiler-register.so.0";
    let soname = format!("-Wl,-soname,{name}");
    stage.compile("register.c", name, &["-shared", "-fPIC", &place, &soname]);
    let output = host(&stage, "libamdhip64.so.6", Some(name));
    assert!(output.status.success(), "{output:?}");
    // Of two calls one is refused before the driver sees it.
    assert_eq!(output.stdout, b"1\n");
}
