//! Programs as they are: they fork, start others, close what is not theirs, load the driver in odd ways, and are not
//! alone in `LD_PRELOAD`. Do limits hold, and does the program go on as without us?
//!
//! The programs are C (`c/client.c`) and Python, each under the preload library on the simulated driver.

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod devices;
mod drivers;
mod forks;
mod loading;
mod manners;
mod python;
mod restarts;

use std::process::Command;
use support::{Stage, said};

/// A gibibyte, of which a context takes about half.
pub const QUOTA: (&str, &str) = ("BUD_MEMORY_LIMIT", "1GiB");
/// What `say_limits` prints where the quota holds: a little is granted, too much is refused, and the device is as
/// large as the quota.
pub const HELD: &str = "granted=0 over=2 total=1024 freed=0";
/// Memory of the device, which is far more than the quota.
const MEMORY: (&str, &str) = ("FCSP_SIM_MEMORY_BYTES", "17179869184");

/// A stage with the client in it.
pub fn stage(here: &str) -> Stage {
    let stage = Stage::new(here);
    stage.compile("client.c", "client", &["-ldl", "-lpthread"]);
    stage
}

/// The client in a scenario, under the quota.
pub fn client(stage: &Stage, scenario: &str) -> Command {
    let mut program = stage.program(stage.file("client"));
    program.arg(scenario).envs([QUOTA, MEMORY]);
    program
}

/// What a program prints, which has to end well and say nothing on the other channel.
pub fn seen(program: &mut Command) -> String {
    let output = program.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        said(&output)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "{}",
        said(&output)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// What a scenario of the client prints.
pub fn see(here: &str, scenario: &str) -> String {
    let stage = stage(here);
    let printed = seen(&mut client(&stage, scenario));
    is_left_clean(&stage);
    printed
}

/// Nothing is charged and no slot is taken once every program has ended.
pub fn is_left_clean(stage: &Stage) {
    for books in support::books::Books::all(&stage.directory) {
        books.reclaim();
        assert_eq!(books.used_bytes(support::TENANT), 0, "bytes are left");
        assert_eq!(books.slots(), 0, "slots are left");
    }
}
