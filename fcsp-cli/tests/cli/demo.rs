//! `fcsp demo`, on the simulated device of a complete install tree.

use crate::node::{stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// `fcsp` in the install tree that `cargo xtask build` makes, or in the one that `FCSP_INSTALL` names.
pub fn installed() -> PathBuf {
    let tree = match std::env::var_os("FCSP_INSTALL") {
        Some(tree) => PathBuf::from(tree),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fcsp"),
    };
    let fcsp = tree.join("bin/fcsp");
    assert!(
        fcsp.exists(),
        "{} is missing: this test needs the install tree; cargo xtask build makes it, and cargo \
         xtask test does so first",
        fcsp.display()
    );
    fcsp
}

#[test]
fn the_demo_shows_shares_quotas_and_recovery_on_a_simulated_device() {
    demo("--simulated");
}

#[test]
fn the_demo_shows_the_same_on_a_simulated_amd_device() {
    if !installed().with_file_name("fcsp-load-hip").exists() {
        fcsp_skipped::skip("hipcc was not installed when the tree was built");
        return;
    }
    demo("--simulated=amd");
}

fn demo(simulated: &str) {
    // Both keep all processors busy.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let result = directory.path().join("result.json");
    let output = Command::new(installed())
        .args(["demo", simulated, "--seconds", "8", "--json"])
        .arg(&result)
        .output()
        .expect("fcsp starts");
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    assert!(text.contains("On a simulated device"), "{text}");
    assert!(text.contains("c was killed with -9"), "{text}");

    let result = std::fs::read(&result).expect("written");
    let result: serde_json::Value = serde_json::from_slice(&result).expect("JSON");
    assert_eq!(result["simulated"], true);
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let tenants = result["tenants"].as_array().expect("a list");
    assert_eq!(tenants.len(), 3);
    for tenant in tenants {
        let error = number(&tenant["share"]) - number(&tenant["entitled"]);
        // Wide, because tests share this machine's processors with whatever else runs; what the
        // shares are worth is measured on hardware.
        assert!(error.abs() < 0.08, "{tenant}");
        assert!(number(&tenant["launches"]) > 100.0, "{tenant}");
        assert!(
            number(&tenant["peak_bytes"]) <= number(&tenant["quota_bytes"]),
            "{tenant}"
        );
        assert_eq!(
            number(&tenant["refused"]) > 0.0,
            tenant["name"] == "b",
            "{tenant}"
        );
    }
    assert!(number(&result["throughput_vs_alone"]) > 0.5, "{result}");
    assert!(number(&result["last_vs_alone"]) > 0.8, "{result}");
    assert!(
        result["reclaim_ms"].is_number() && result["resume_ms"].is_number(),
        "{result}"
    );
}
