//! `fcsp status`, `set` and `policy apply` on a live region.

use crate::node::{DEVICE, GIB, Node, fcsp_in, stderr, stdout};
use fcsp_core::policy::{Mode, Priority, Share};
use fcsp_core::region::Attachment;
use fcsp_core::sync::Ordering::Relaxed;

#[test]
fn status_shows_who_is_there_and_what_they_have() {
    let node = Node::new();
    node.tenant("a", 25, 8 * GIB);
    let attachment = Attachment::join(&node.region, "b", |page| {
        fcsp_core::policy::Limits::default().store(page);
    })
    .expect("joins");
    let output = node.fcsp(&["status", "--interval", "0.05", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let region = &status["regions"][0];
    assert_eq!(region["device"]["id"], DEVICE);
    assert_eq!(region["device"]["simulated"], true);
    let tenants = region["tenants"].as_array().expect("a list");
    let a = tenants
        .iter()
        .find(|tenant| tenant["name"] == "a")
        .expect("shown");
    assert_eq!(a["entitled"], 0.25);
    assert_eq!(
        (&a["priority"], &a["weight"]),
        (&"normal".into(), &serde_json::Value::Null)
    );
    assert_eq!(a["quota_bytes"], 8 * GIB);
    assert_eq!(a["processes"].as_array().map(Vec::len), Some(0));
    let b = tenants
        .iter()
        .find(|tenant| tenant["name"] == "b")
        .expect("shown");
    assert_eq!(b["quota_bytes"], serde_json::Value::Null);
    assert_eq!(b["weight"], 1);
    assert_eq!(b["processes"][0]["pid"], std::process::id());
    assert_eq!(b["processes"][0]["same_pid_namespace"], true);
    drop(attachment);

    let text = stdout(&node.fcsp(&["status", "--interval", "0.05"]));
    assert!(
        text.contains("Test device (simulated)") && text.contains("simulated\n"),
        "{text}"
    );
    assert!(text.contains("25.0%") && text.contains("8 GiB"), "{text}");
}

#[test]
fn status_measures_what_was_received() {
    let node = Node::new();
    let index = node.tenant("a", 25, GIB);
    let device_ns = &node.region.tenant(index).compute.device_ns;
    let done = std::sync::atomic::AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            // A quarter of the device, charged as time passes.
            let start = std::time::Instant::now();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                device_ns.store(start.elapsed().as_nanos() as u64 / 4, Relaxed);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let output = node.fcsp(&["status", "--interval", "0.3", "--json"]);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        output
    });
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let received = status["regions"][0]["tenants"][0]["received"]
        .as_f64()
        .expect("a number");
    assert!((received - 0.25).abs() < 0.05, "{received}");
}

#[test]
fn an_empty_run_directory_is_explained() {
    let run_dir = tempfile::tempdir().expect("a temporary directory");
    let output = fcsp_in(run_dir.path(), &["status"]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("no program has been started there yet"));
}

#[test]
fn a_file_that_is_no_region_is_named() {
    let run_dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(run_dir.path().join("nvidia-x.region"), "hello").expect("writes");
    let text = stdout(&fcsp_in(run_dir.path(), &["status"]));
    assert!(
        text.starts_with("unusable: ") && text.contains("nvidia-x.region"),
        "{text}"
    );
}

#[test]
fn set_changes_what_is_given_and_nothing_else() {
    let node = Node::new();
    node.tenant("a", 25, 8 * GIB);
    let before = node.limits("a");
    let doorbell = node.region.layout().header.doorbell.load(Relaxed);
    let output = node.fcsp(&["set", "a", "--compute", "60%", "--memory", "50%"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        format!("a on {DEVICE}: compute 25% -> 60%, memory 8 GiB -> 50 GiB\n")
    );
    let after = node.limits("a");
    assert_eq!(after.entitlement, Share::from_percent(60));
    assert_eq!(after.quota_bytes, Some(50 * GIB));
    assert_eq!((after.mode, after.pools), (before.mode, before.pools));
    assert_ne!(
        node.region.layout().header.doorbell.load(Relaxed),
        doorbell,
        "the bell rang"
    );
}

#[test]
fn set_changes_who_goes_first() {
    let node = Node::new();
    node.tenant("a", 25, GIB);
    node.tenant("b", 0, GIB);
    let output = node.fcsp(&["set", "a", "--priority", "high"]);
    assert_eq!(
        stdout(&output),
        format!("a on {DEVICE}: priority normal -> high\n")
    );
    assert_eq!(node.limits("a").priority, Priority::High);
    assert!(node.fcsp(&["set", "b", "--weight", "3"]).status.success());
    let text = stdout(&node.fcsp(&["status", "--interval", "0.05"]));
    assert!(text.contains("high") && text.contains("weight 3"), "{text}");
    let bad = node.fcsp(&["set", "a", "--priority", "urgent"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        stderr(&bad).contains("use high, normal, low"),
        "{}",
        stderr(&bad)
    );
    assert_eq!(node.limits("a").priority, Priority::High);
}

#[test]
fn set_refuses_promises_that_cannot_be_kept() {
    let node = Node::new();
    node.tenant("a", 60, GIB);
    node.tenant("b", 50, GIB);
    assert!(
        node.fcsp(&["set", "a", "--mode", "strict"])
            .status
            .success()
    );
    let output = node.fcsp(&["set", "b", "--mode", "strict"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("would add up to 110%"),
        "{}",
        stderr(&output)
    );
    assert_eq!(node.limits("b").mode, Mode::Balanced);
}

#[test]
fn two_changes_at_the_same_instant_both_hold() {
    let node = Node::new();
    node.tenant("a", 25, 8 * GIB);
    let lock = node.region.lock_limits().expect("nobody holds it");
    std::thread::scope(|scope| {
        let changes = [["--compute", "60%"], ["--memory", "4G"]].map(|[option, value]| {
            let node = &node;
            scope.spawn(move || node.fcsp(&["set", "a", option, value]))
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        // Neither has read what it will write back, or it could undo what the other wrote.
        assert!(changes.iter().all(|change| !change.is_finished()));
        drop(lock);
        for change in changes {
            let output = change.join().expect("runs");
            assert!(output.status.success(), "{}", stderr(&output));
        }
    });
    let limits = node.limits("a");
    assert_eq!(limits.entitlement, Share::from_percent(60));
    assert_eq!(limits.quota_bytes, Some(4 * GIB));
}

#[test]
fn set_names_the_tenants_there_are() {
    let node = Node::new();
    node.tenant("team-a", 25, GIB);
    let output = node.fcsp(&["set", "team-b", "--compute", "10"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "fcsp: there is no tenant \"team-b\"; there are team-a\n"
    );
    assert_eq!(
        node.fcsp(&["set", "team-a"]).status.code(),
        Some(1),
        "nothing to change"
    );
    assert_eq!(
        node.fcsp(&["set", "team-a", "--compute", "0.25"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn a_policy_comes_to_live_tenants() {
    let node = Node::new();
    node.tenant("a", 25, 8 * GIB);
    node.tenant("b", 70, GIB);
    let file = node.run_dir.path().join("policy.toml");
    std::fs::write(
        &file,
        "[[tenant]]\nname = \"a\"\ncompute = 40\nmemory = \"4G\"\n",
    )
    .expect("writes");
    let file = file.to_str().expect("UTF-8");
    let output = node.fcsp(&["policy", "apply", file]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("compute 25% -> 40%, memory 8 GiB -> 4 GiB"));
    assert!(stdout(&output).ends_with("1 of 2 live tenant(s) changed\n"));
    assert_eq!(node.limits("a").entitlement, Share::from_percent(40));
    assert!(node.limits("a").named_in_policy && !node.limits("b").named_in_policy);
    assert_eq!(node.limits("b").entitlement, Share::from_percent(70));
}

#[test]
fn a_policy_that_cannot_be_changes_nothing() {
    let node = Node::new();
    node.tenant("a", 25, 8 * GIB);
    node.tenant("b", 70, GIB);
    assert!(
        node.fcsp(&["set", "b", "--mode", "strict"])
            .status
            .success()
    );
    let (a, b) = (node.limits("a"), node.limits("b"));
    let file = node.run_dir.path().join("policy.toml");
    let apply = |text: &str| {
        std::fs::write(&file, text).expect("writes");
        node.fcsp(&["policy", "apply", file.to_str().expect("UTF-8")])
    };
    let misspelt = apply("[[tenant]]\nname = \"a\"\ncomptue = 40\n");
    assert_eq!(misspelt.status.code(), Some(1));
    assert!(
        stderr(&misspelt).contains("policy.toml:3:1: unknown key"),
        "{}",
        stderr(&misspelt)
    );
    // Right in itself, and too much beside a strict tenant that it does not name.
    let too_much = apply("[[tenant]]\nname = \"a\"\ncompute = 40\nmode = \"strict\"\n");
    assert_eq!(too_much.status.code(), Some(1));
    assert!(
        stderr(&too_much).contains("would add up to 110%"),
        "{}",
        stderr(&too_much)
    );
    assert_eq!((node.limits("a"), node.limits("b")), (a, b));
}
