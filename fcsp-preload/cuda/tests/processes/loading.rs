//! Ways in which programs come to the driver.

use crate::support::Stage;
use crate::{HELD, client, is_left_clean, seen, stage};

/// Flags that link to the driver.
fn with_driver(stage: &Stage) -> [String; 3] {
    let directory = stage.libraries();
    [
        format!("-L{}", directory.display()),
        "-Wl,--no-as-needed".into(),
        "-l:libcuda.so.1".into(),
    ]
}

fn link(stage: &Stage, source: &str, name: &str, more: &[&str]) {
    let driver = with_driver(stage);
    let mut flags: Vec<&str> = driver.iter().map(String::as_str).collect();
    flags.extend(["-Wl,--allow-shlib-undefined", "-ldl", "-lpthread"]);
    flags.extend(more);
    stage.compile(source, name, &flags);
}

#[test]
fn a_program_that_is_linked_to_the_driver_is_limited() {
    let stage = stage(crate::here!());
    link(&stage, "client.c", "linked", &["-DLINKED"]);
    let program = client(&stage, "linked");
    let mut linked = stage.program(stage.file("linked"));
    let set = program
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    linked.arg("linked").envs(set);
    assert_eq!(seen(&mut linked), format!("program: {HELD}\n"));
    is_left_clean(&stage);
}

#[test]
fn a_driver_in_a_namespace_of_its_own_works_and_is_out_of_reach() {
    // Preloaded libraries belong to the first namespace: in another one nothing stands before the driver.
    let stage = stage(crate::here!());
    let printed = seen(&mut client(&stage, "other_namespace"));
    assert_eq!(printed, "program: granted=0 over=0 total=16384 freed=0\n");
}

#[test]
fn a_deeply_bound_driver_is_limited_and_a_deeply_bound_user_of_it_is_out_of_reach() {
    let stage = stage(crate::here!());
    link(&stage, "plugin.c", "libplugin.so", &["-shared", "-fPIC"]);
    let printed = seen(&mut client(&stage, "deep_bind"));
    // The plugin looks into its own libraries first, and finds the driver there.
    assert_eq!(printed, format!("program: {HELD}\nplugin: over=0\n"));
}
