//! Programs on a simulated device that runs clients of MPS side by side.

use crate::support::{Program, TENANT};
use fcsp_core::backend::SharingMode;
use fcsp_core::region::sharing::{self, Because};
use fcsp_core::region::{Region, list};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// What stands in for the pipes of a daemon: a `control` that nobody listens to. The simulated driver
/// goes by `FCSP_SIM_MPS`.
const PIPES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/mps-pipes");
const PERCENTAGE: &str = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
const ROLE: &str = "FCSP_TEST_ROLE";
const READY: &str = "the stranger is ready";

/// A strict tenant with a quarter of the device, client of MPS.
const CLIENT: Program = Program {
    env: &[
        ("FCSP_TENANT", "tester"),
        ("BUD_SM_LIMIT", "25"),
        ("BUD_ISOLATION_MODE", "strict"),
        ("FCSP_SIM_MPS", "1"),
        ("CUDA_MPS_PIPE_DIRECTORY", PIPES),
    ],
    ..TENANT
};

fn make_pipes() {
    std::fs::create_dir_all(PIPES).expect("cargo gives tests a writable directory");
    std::fs::write(format!("{PIPES}/control"), "").expect("writes");
}

/// What a program that is started here finds in its environment.
fn percentage_of(program: &mut Command) -> String {
    let output = program
        .args(["-c", &format!("echo \"${PERCENTAGE}\"")])
        .output();
    let text = String::from_utf8(output.expect("starts").stdout).expect("UTF-8");
    text.trim().to_owned()
}

#[test]
fn a_partition_has_the_size_of_the_ceiling() {
    make_pipes();
    CLIENT.run_bare(crate::here!(), |_| {
        assert_eq!(std::env::var(PERCENTAGE).as_deref(), Ok("25"));
        let shell = || Command::new("sh");
        assert_eq!(
            percentage_of(&mut shell()),
            "25",
            "a child is the same tenant"
        );
        assert_eq!(percentage_of(shell().env("BUD_SM_LIMIT", "50")), "50");
        let balanced = percentage_of(shell().env("BUD_ISOLATION_MODE", "balanced"));
        assert_eq!(balanced, "", "it may borrow everything");
        let absent = percentage_of(shell().env("CUDA_MPS_PIPE_DIRECTORY", "/nowhere"));
        assert_eq!(absent, "", "there is no MPS");
        assert_eq!(percentage_of(shell().env(PERCENTAGE, "7")), "7", "chosen");
        // A policy that cannot be read is told about when a device is attached, not to every shell.
        let output = shell()
            .env("FCSP_POLICY", "/nowhere")
            .args(["-c", ":"])
            .output();
        assert_eq!(output.expect("starts").stderr, b"");
    });
}

#[test]
fn what_the_user_chose_is_left_alone() {
    make_pipes();
    let chosen = Program {
        env: &[
            ("BUD_SM_LIMIT", "25"),
            ("BUD_ISOLATION_MODE", "strict"),
            ("CUDA_MPS_PIPE_DIRECTORY", PIPES),
            (PERCENTAGE, "40"),
        ],
        ..TENANT
    };
    chosen.run_bare(crate::here!(), |_| {
        assert_eq!(std::env::var(PERCENTAGE).as_deref(), Ok("40"));
        assert!(std::env::var_os("FCSP_MPS_PERCENTAGE").is_none());
    });
}

/// A process on the device that is no client, until it is dropped.
struct Stranger(Child);

impl Stranger {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(std::env::args().skip(1))
            .env(ROLE, "stranger")
            .env("FCSP_TENANT", "stranger")
            .env_remove("FCSP_SIM_MPS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains(READY));
        assert!(ready, "the stranger ended early");
        Self(child)
    }

    /// Ends it; gives what it logged.
    fn end(mut self) -> String {
        drop(self.0.stdin.take());
        let mut text = String::new();
        let mut stderr = self.0.stderr.take().expect("piped");
        stderr.read_to_string(&mut text).expect("reads");
        // How it ends says nothing: nobody reads what its test harness prints any more.
        self.0.wait().expect("ends");
        text
    }
}

fn region() -> Region {
    let directory = std::env::var_os("FCSP_RUN_DIR").expect("set");
    let mut regions = list(directory.as_ref()).expect("readable");
    assert_eq!(regions.len(), 1);
    regions.remove(0).1.expect("a region")
}

#[test]
fn a_program_outside_mps_makes_all_take_turns_while_it_runs() {
    make_pipes();
    CLIENT.run(crate::here!(), |_| {
        if std::env::var_os(ROLE).is_some() {
            println!("\n{READY}");
            assert_eq!(std::io::stdin().read(&mut [0]).expect("a pipe"), 0);
            return;
        }
        let region = region();
        let together = (SharingMode::Concurrent, Because::AllCan);
        assert_eq!(sharing::in_force(region.layout()), together);
        let stranger = Stranger::start();
        let (mode, because) = sharing::in_force(region.layout());
        assert_eq!(mode, SharingMode::Exclusive);
        let Because::OneCannot(slot) = because else {
            panic!("{because:?}");
        };
        let pid = region
            .slot(slot)
            .pid
            .load(fcsp_core::sync::Ordering::Relaxed);
        assert_eq!(pid, stranger.0.id());
        let log = stranger.end();
        assert!(
            log.contains("warning: ") && log.contains("all take turns. Start it with fcsp run"),
            "{log}"
        );
        fcsp_core::region::reclaim::reclaim_dead(&region).expect("reclaims");
        assert_eq!(sharing::in_force(region.layout()), together);
    });
}

#[test]
fn without_mps_programs_take_turns() {
    TENANT.run(crate::here!(), |_| {
        let alone = (SharingMode::Exclusive, Because::NoneCan);
        assert_eq!(sharing::in_force(region().layout()), alone);
        assert!(std::env::var_os(PERCENTAGE).is_none());
    });
}
