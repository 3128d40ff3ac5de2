//! What needs no region: `fcsp run`, `policy check`, `doctor`, `completions`.

use crate::node::{fcsp_in, stderr, stdout};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// An install tree around the real `fcsp`, with libraries that are only there.
pub fn tree() -> TempDir {
    let tree = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    for path in ["bin", "lib/sim"] {
        fs::create_dir_all(tree.path().join(path)).expect("a directory");
    }
    // A link, not a copy: a file that was just written cannot be executed while a process forked
    // by another test still has it open. It is found by the name under which it is executed.
    fs::hard_link(env!("CARGO_BIN_EXE_fcsp"), tree.path().join("bin/fcsp")).expect("a link");
    for path in ["lib/libfcsp-cuda.so", "lib/sim/libcuda.so.1"] {
        fs::write(tree.path().join(path), "").expect("writes");
    }
    tree
}

fn run_in(tree: &Path, arguments: &[&str]) -> Output {
    Command::new(tree.join("bin/fcsp"))
        .arg("run")
        .args(arguments)
        .env_remove("LD_PRELOAD")
        .env_remove("LD_LIBRARY_PATH")
        .env("BUD_MEMORY_LIMIT_DEV0", "1G")
        .output()
        .expect("fcsp starts")
}

#[test]
fn run_prepares_the_environment_and_becomes_the_program() {
    let tree = tree();
    let root = tree.path().canonicalize().expect("it is there");
    let output = run_in(
        tree.path(),
        &[
            "--tenant",
            "a",
            "--compute",
            "25%",
            "--memory",
            "1.5G",
            "--memory-mode",
            "soft",
            "--mode",
            "strict",
            "--priority",
            "low",
            "--run-dir",
            "/tmp",
            "--simulated",
            "--",
            "env",
        ],
    );
    let text = stdout(&output);
    let root = root.display();
    for line in [
        format!("LD_PRELOAD={root}/lib/libfcsp-cuda.so"),
        format!("LD_LIBRARY_PATH={root}/lib/sim"),
        "FCSP_TENANT=a".into(),
        "FCSP_RUN_DIR=/tmp".into(),
        "BUD_SM_LIMIT=25%".into(),
        "BUD_MEMORY_LIMIT=1610612736".into(),
        "BUD_MEMORY_LIMIT_MODE=soft".into(),
        "BUD_ISOLATION_MODE=strict".into(),
        "BUD_PRIORITY=low".into(),
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is missing in\n{text}"
        );
    }
    assert!(
        !text.contains("BUD_MEMORY_LIMIT_DEV0"),
        "the option goes before what is inherited"
    );
}

#[test]
fn run_ends_as_the_program_does() {
    let tree = tree();
    assert_eq!(
        run_in(tree.path(), &["--", "sh", "-c", "exit 7"])
            .status
            .code(),
        Some(7)
    );
    let absent = run_in(tree.path(), &["--", "no-such-program"]);
    assert_eq!(absent.status.code(), Some(127));
    assert!(stderr(&absent).contains("no-such-program: not found"));
    assert_eq!(
        run_in(tree.path(), &["--", "/etc/passwd"]).status.code(),
        Some(126)
    );
}

#[test]
fn run_refuses_bad_limits_before_the_program_starts() {
    let tree = tree();
    let output = run_in(tree.path(), &["--memory", "8X", "--", "echo", "started"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("write 8G or 8GiB"),
        "{}",
        stderr(&output)
    );
    let policy = tree.path().join("bad.toml");
    fs::write(&policy, "mod = \"strict\"\n").expect("writes");
    let policy = policy.to_str().expect("UTF-8");
    let output = run_in(tree.path(), &["--policy", policy, "--", "echo", "started"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("did you mean \"mode\"?"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn run_says_what_is_missing_from_an_incomplete_tree() {
    let tree = tree();
    fs::remove_file(tree.path().join("lib/libfcsp-cuda.so")).expect("it was there");
    let output = run_in(tree.path(), &["--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the preload library is not at "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn policy_check_tells_good_from_bad() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("p.toml");
    let check = |text: &str, more: &[&str]| {
        fs::write(&file, text).expect("writes");
        let mut arguments = vec!["policy", "check", file.to_str().expect("UTF-8")];
        arguments.extend(more);
        fcsp_in(directory.path(), &arguments)
    };
    let good = check(
        "[[tenant]]\nname = \"a\"\ncompute = 25\n",
        &["--deny-warnings"],
    );
    assert!(good.status.success());
    assert!(stdout(&good).ends_with("p.toml: good, 1 tenant(s)\n"));
    let nothing = "[[tenant]]\nname = \"a\"\nmemory = 0\n";
    assert!(check(nothing, &[]).status.success());
    let denied = check(nothing, &["--deny-warnings"]);
    assert_eq!(denied.status.code(), Some(1));
    assert!(stderr(&denied).contains("has a memory quota of 0 and can allocate nothing"));
    let bad = check("mode = \"strickt\"\n", &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains("p.toml:1:8: ") && stderr(&bad).contains("strict"));
}

#[test]
fn policy_show_says_that_there_is_none() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("p.toml");
    fs::write(
        &file,
        "[[tenant]]\nname = \"a\"\ncompute = 25\nmemory = \"8G\"\npriority = \"high\"\n",
    )
    .expect("writes");
    let output = Command::new(env!("CARGO_BIN_EXE_fcsp"))
        .args(["policy", "show"])
        .env("FCSP_POLICY", &file)
        .output()
        .expect("fcsp starts");
    let text = stdout(&output);
    assert!(
        text.contains("mode balanced") && text.contains("25%") && text.contains("8 GiB"),
        "{text}"
    );
    assert!(
        text.contains("low priority floor") && text.contains("high"),
        "{text}"
    );
    if !Path::new("/etc/fcsp/policy.toml").exists() {
        let text = stdout(&fcsp_in(directory.path(), &["policy", "show"]));
        assert!(text.starts_with("No policy: "), "{text}");
    }
}

#[test]
fn policy_show_says_what_a_profile_stands_for() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("p.toml");
    let text = "profile = \"serving\"\nmode = \"adaptive\"\n\
                [[tenant]]\nname = \"a\"\nprofile = \"high-isolation\"\ncompute = 25\n";
    fs::write(&file, text).expect("writes");
    let output = Command::new(env!("CARGO_BIN_EXE_fcsp"))
        .args(["policy", "show"])
        .env("FCSP_POLICY", &file)
        .output()
        .expect("fcsp starts");
    let text = stdout(&output);
    for line in [
        "mode adaptive, ",
        "pools 40%/30%/30% ",
        "  profile high-isolation is mode strict, pools 100%/0%/0%, burst max 0%\n",
        "  profile serving is mode balanced, pools 40%/30%/30%, burst max 30%\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let row = text.lines().find(|line| line.contains("every"));
    let row = row.expect("the tenant has a row");
    assert!(
        row.contains("high-isolation") && row.contains("strict"),
        "{row}"
    );
}

#[test]
fn doctor_finds_a_broken_library_and_unread_variables() {
    let tree = tree();
    let output = Command::new(tree.path().join("bin/fcsp"))
        .args(["doctor", "--json"])
        .env("FCSP_RUN_DIR", tree.path())
        .env("BUD_UVM_ENABLED", "1")
        .env("BUD_SM_LIMIT", "half")
        .output()
        .expect("fcsp starts");
    assert_eq!(output.status.code(), Some(1), "an empty file is no library");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["level"], "fail");
    let checks = report["checks"].as_array().expect("a list");
    let found = |name: &str, level: &str, text: &str| {
        checks.iter().any(|check| {
            check["name"] == name
                && check["level"] == level
                && check["found"]
                    .as_str()
                    .is_some_and(|found| found.contains(text))
                && (level == "ok" || check["advice"].is_string())
        })
    };
    assert!(
        found("CUDA preload library", "fail", "does not load"),
        "{report:#}"
    );
    assert!(
        found("HIP preload library", "fail", "libfcsp-hip.so"),
        "{report:#}"
    );
    assert!(
        found("environment", "warn", "BUD_UVM_ENABLED"),
        "{report:#}"
    );
    assert!(
        found("environment", "fail", "BUD_SM_LIMIT=\"half\""),
        "{report:#}"
    );
    assert!(
        found("simulated NVIDIA driver", "ok", "lib/sim"),
        "{report:#}"
    );
    // Devices write into memory only, so a directory on a disk is worth a warning.
    let in_memory = fcsp_core::region::is_in_memory(tree.path());
    let level = if in_memory { "ok" } else { "warn" };
    assert!(found("run directory", level, "0 region(s)"), "{report:#}");
}

#[test]
fn completions_know_the_subcommands() {
    let directory = TempDir::new().expect("a temporary directory");
    for shell in ["bash", "zsh", "fish"] {
        let output = fcsp_in(directory.path(), &["completions", shell]);
        let text = stdout(&output);
        assert!(text.contains("doctor") && text.contains("mps"), "{shell}");
    }
}
