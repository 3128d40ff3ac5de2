//! Runs on the simulated devices of other vendors than NVIDIA: the limits are in force, what is measured has figures, and only
//! what the interface lacks is not run.

use super::{alone, metric, reason, run_on, system};
use crate::node::{stderr, stdout};
use serde_json::Value;

/// Some of every kind, which take little time.
const IDS: [&str; 20] = [
    "OH-001",
    "OH-002",
    "OH-004",
    "OH-005",
    "OH-007",
    "OH-010",
    "IS-001",
    "IS-002",
    "IS-005",
    "IS-008",
    "LLM-001",
    "LLM-004",
    "LLM-006",
    "BW-001",
    "CACHE-001",
    "PCIE-001",
    "SCHED-001",
    "FRAG-001",
    "ERR-001",
    "ERR-003",
];

const TRIES: usize = 3;

fn gate_holds(report: &Value) -> bool {
    let checks = &system(report, "fcsp-strict")["validity"]["checks"];
    let mut checks = checks.as_array().expect("a list").iter();
    checks.all(|check| check["holds"] == true)
}

/// Runs them, natively and in mode strict; what has no value must be what is said to be lacking, of native or of both.
fn measured(vendor: &str, interface: &str, native_lacks: &[&str], lacking: &[&str]) {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = directory.path().join("report.html");
    let run = || {
        run_on(
            vendor,
            directory.path(),
            &[
                "--system",
                "fcsp-strict",
                "--only",
                &IDS.join(","),
                "--html",
                &page.display().to_string(),
            ],
            &[],
        )
    };
    // The gate measures a share, which a busy machine spoils.
    let (output, report) = (1..TRIES)
        .map(|_| run())
        .find(|(_, report)| gate_holds(report))
        .unwrap_or_else(run);
    let name = report["gpu"]["name"].as_str().expect("a name");
    assert!(name.contains("(simulated)"), "{name}");
    assert_eq!(report["simulated"], true);
    let said = report["gpu"]["interface"].as_str().expect("an interface");
    assert!(said.starts_with(interface), "{said}");
    for text in [
        stdout(&output),
        std::fs::read_to_string(&page).expect("a page"),
    ] {
        assert!(text.contains(name) && text.contains(interface), "{text}");
        assert!(text.contains("SIMULATED"), "{text}");
    }
    let checks = &system(&report, "fcsp-strict")["validity"]["checks"];
    for check in checks.as_array().expect("a list") {
        assert_eq!(check["holds"], true, "{check}: {}", stderr(&output));
    }
    for id in IDS {
        for name in ["native", "fcsp-strict"] {
            let found = metric(&report, name, id);
            let (state, why) = reason(&report, name, id);
            if lacking.contains(&id) || (name == "native" && native_lacks.contains(&id)) {
                // Whether programs ran side by side is seen in what they did, which a busy machine changes.
                if id == "SCHED-001" && state == "measured" {
                    continue;
                }
                assert_eq!((state, &found["value"]), ("not_run", &Value::Null), "{id}");
                assert!(!why.is_empty(), "{id} says why");
            } else {
                assert_eq!(state, "measured", "{id} of {name}: {why}");
                assert!(found["value"].is_number(), "{id} of {name}: {found}");
            }
        }
    }
}

#[test]
fn amds_device_is_measured_as_nvidias_is() {
    // Alone, it lets programs run side by side, which hands nothing over.
    measured("amd", "HIP 6", &["IS-001", "SCHED-001"], &[]);
}

#[test]
fn intels_device_is_measured_but_for_pools_and_clocks_of_kernels() {
    let loader = std::process::Command::new("sh")
        .args(["-c", "ldconfig -p | grep -q libze_loader.so.1"])
        .status();
    if !loader.is_ok_and(|status| status.success()) {
        fcsp_skipped::skip("the Level Zero loader is not installed");
        return;
    }
    measured(
        "intel",
        "Level Zero 1",
        &["IS-001"],
        &["OH-007", "CACHE-001"],
    );
}
