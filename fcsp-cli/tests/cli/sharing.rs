//! What follows from MPS, and from the policy's word on it, for `fcsp run`, `status` and `policy`.

use crate::mps::{FAKE, Mps, command, refused};
use crate::node::{Node, fcsp_in, stderr, stdout};
use fcsp_core::backend::{DeviceInfo, SharingMode};
use fcsp_core::region::{Attachment, Region};
use fcsp_core::sched::trace::How;
use fcsp_core::sync::Ordering::Relaxed;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// The environment that `fcsp run` gives a program. The libraries of the tree are only there.
fn environment_of_run(mps: &Mps, options: &[&str], variables: &[(&str, &str)]) -> String {
    let tree = crate::offline::tree();
    let mut command = Command::new(tree.path().join("bin/fcsp"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["BUD_", "FCSP_", "CUDA_"]
            .iter()
            .any(|it| name.starts_with(it))
        {
            command.env_remove(name);
        }
    }
    command
        .args(["-v", "run"])
        .args(options)
        .args(["--", "env"])
        .env("FCSP_RUN_DIR", mps.run_dir.path())
        .envs(variables.iter().copied());
    let output = command.output().expect("fcsp starts");
    assert!(output.status.success(), "{}", stderr(&output));
    format!("{}{}", stdout(&output), stderr(&output))
}

#[test]
fn run_makes_programs_clients_unless_somebody_said_otherwise() {
    let mps = Mps::started();
    let pipes = format!("\nCUDA_MPS_PIPE_DIRECTORY={}\n", mps.path("pipe").display());
    let has = |options: &[&str], variables: &[(&str, &str)]| {
        format!("\n{}", environment_of_run(&mps, options, variables)).contains(&pipes)
    };
    assert!(has(&[], &[]));
    assert!(!has(&["--simulated"], &[]), "it serves no simulated device");
    let chosen = environment_of_run(&mps, &[], &[("CUDA_MPS_PIPE_DIRECTORY", "/theirs")]);
    assert!(
        chosen.contains("CUDA_MPS_PIPE_DIRECTORY=/theirs is left as it is"),
        "{chosen}"
    );
    let policy = mps.run_dir.path().join("p.toml");
    let policy = policy.to_str().expect("UTF-8");
    let exclusive = "sharing = \"exclusive\"\n";
    fs::write(policy, exclusive).expect("writes");
    assert!(!has(&["--policy", policy], &[]));
    assert!(!has(&[], &[("FCSP_POLICY", policy)]));
    let but_one = format!("{exclusive}[device.\"1\"]\nsharing = \"auto\"\n");
    fs::write(policy, but_one).expect("writes");
    assert!(has(&["--policy", policy], &[]), "not on every device");
    mps.fcsp(&["mps", "stop"]);
    assert!(!has(&[], &[]));
}

#[test]
fn run_makes_simulated_programs_clients_of_a_simulated_daemon() {
    let mps = Mps::new();
    mps.fcsp(&["mps", "start", "--simulated"]);
    let text = environment_of_run(&mps, &["--simulated"], &[]);
    assert!(text.contains("FCSP_SIM_MPS=1\n") && text.contains("CUDA_MPS_PIPE_DIRECTORY="));
    let real = environment_of_run(&mps, &[], &[]);
    assert!(!real.contains("FCSP_SIM_MPS") && !real.contains("CUDA_MPS_PIPE_DIRECTORY"));
}

/// A process on the node's device that can, or cannot, run beside others.
fn process(node: &Node, can: SharingMode) -> Attachment {
    let device = DeviceInfo {
        sharing: can,
        ..node.region.device()
    };
    let region = Region::create_or_open(node.run_dir.path(), &device).expect("a region");
    Attachment::join(&Arc::new(region), "a", |_| {}).expect("joins")
}

#[test]
fn status_says_how_a_device_is_shared_and_why() {
    let node = Node::new();
    let device = || {
        let output = command(
            node.run_dir.path(),
            FAKE,
            &["status", "--interval", "0.05", "--json"],
        )
        .output()
        .expect("fcsp starts");
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let device = &status["regions"][0]["device"];
        [&device["sharing"], &device["sharing_because"]]
            .map(|it| it.as_str().expect("a text").to_owned())
    };
    let says = |mode: &str, why: &str| {
        let [found, because] = device();
        assert!(found == mode && because.contains(why), "{found}: {because}");
    };
    let arbiter = &node.region.layout().header.arbiter;
    // What an arbiter that was killed left there.
    arbiter.owner.store(1, Relaxed);
    arbiter.how.store(How::Together as u32, Relaxed);
    says("exclusive", "no program is on it");
    arbiter.how.store(How::Turns as u32, Relaxed);
    let stranger = process(&node, SharingMode::Exclusive);
    says("exclusive", "programs take turns (no MPS)");
    arbiter.how.store(How::Together as u32, Relaxed);
    says("exclusive", "left to the driver's time slices");
    arbiter.how.store(How::Turns as u32, Relaxed);
    let client = process(&node, SharingMode::Concurrent);
    says(
        "exclusive",
        "which is no client of MPS; start it anew with fcsp run",
    );
    stranger.detach().expect("leaves");
    says("concurrent", "clients of an MPS daemon of their own");
    let start = command(node.run_dir.path(), FAKE, &["mps", "start"]).output();
    assert!(start.expect("fcsp starts").status.success());
    fs::write(node.run_dir.path().join("mps/pipe/servers"), "1234\n").expect("writes");
    says("concurrent", "MPS server 1234 serves this device");
    let policy = node.run_dir.path().join("p.toml");
    fs::write(&policy, "sharing = \"exclusive\"\n").expect("writes");
    assert!(
        node.fcsp(&["policy", "apply", policy.to_str().expect("UTF-8")])
            .status
            .success()
    );
    says("exclusive", "because the policy says so");
    let text = stdout(&node.fcsp(&["status", "--interval", "0.05"]));
    assert!(
        text.contains("\n  exclusive: programs take turns, because the policy says so\n"),
        "{text}"
    );
    let stop = command(node.run_dir.path(), FAKE, &["mps", "stop", "--force"]).output();
    assert!(stop.expect("fcsp starts").status.success());
    client.detach().expect("leaves");
}

#[test]
fn policy_show_has_the_word_of_every_device() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("p.toml");
    let text =
        "sharing = \"concurrent\"\n[device.\"1\"]\nsharing = \"exclusive\"\nmode = \"none\"\n";
    fs::write(&file, text).expect("writes");
    let output = command(directory.path(), FAKE, &["policy", "show"])
        .env("FCSP_POLICY", &file)
        .output()
        .expect("fcsp starts");
    let text = stdout(&output);
    assert!(text.contains(", sharing concurrent, "), "{text}");
    assert!(
        text.contains("  device 1: mode none, sharing exclusive\n"),
        "{text}"
    );
    fs::write(&file, "sharing = \"together\"\n").expect("writes");
    let bad = fcsp_in(
        directory.path(),
        &["policy", "check", file.to_str().expect("UTF-8")],
    );
    refused(&bad, "p.toml:1:11: ");
    refused(&bad, "use auto, exclusive, concurrent");
}
