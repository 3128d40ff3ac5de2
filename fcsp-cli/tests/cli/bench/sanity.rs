//! Sanity by construction: systems of which it is known what must be found.

use super::preloads::{CLAIMS, DELAYS, compile};
use super::{alone, metric, peer, reason, report, system};
use crate::node::{stderr, stdout};
use fcsp_bench_report::catalogue::{self, Better};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn ratio(report: &Value, name: &str, id: &str) -> (f64, f64, f64) {
    let ratio = &metric(report, name, id)["ratio"];
    (
        number(&ratio["low"]),
        number(&ratio["value"]),
        number(&ratio["high"]),
    )
}

#[test]
fn native_against_native_is_one_within_its_interval() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ids = [
        "OH-001",
        "OH-002",
        "OH-003",
        "OH-007",
        "LLM-002",
        "SCHED-002",
    ];
    let (output, report) = report(
        directory.path(),
        &["--system", "native", "--aa", "--only", &ids.join(",")],
    );
    let said = stdout(&output);
    assert!(said.contains("Native against native: "), "{said}");
    assert!(said.contains("of 6 intervals hold 1"), "{said}");
    for id in ids {
        let (low, value, high) = ratio(&report, "native-again", id);
        // Wide, because tests share this machine's processors with whatever else runs.
        assert!(low <= 1.05 && high >= 0.95, "{id}: {low} {value} {high}");
        assert!((value - 1.0).abs() < 0.25, "{id}: {low} {value} {high}");
    }
}

#[test]
fn a_system_that_only_claims_a_limit_fails_the_gate() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = compile(directory.path(), "claims", CLAIMS);
    let claims = peer(
        directory.path(),
        "claims",
        &format!(
            "preload = {:?}\n[environment]\nCLAIMED_BYTES = \"{{memory_bytes}}\"\n",
            library.display().to_string()
        ),
    );
    let (output, report) = report(
        directory.path(),
        &[
            "--system",
            "fcsp-strict",
            "--peer",
            &claims,
            "--only",
            "OH-001,IS-001,IS-006,FRAG-001",
        ],
    );
    let checks = system(&report, "claims")["validity"]["checks"]
        .as_array()
        .expect("checks");
    let held: Vec<bool> = checks
        .iter()
        .map(|check| check["holds"].as_bool().expect("a bool"))
        .collect();
    assert_eq!(held, [true, false, false], "{checks:?}");
    for id in ["IS-001", "IS-006", "FRAG-001"] {
        let (state, why) = reason(&report, "claims", id);
        assert_eq!(state, "not_valid", "{id}");
        assert!(why.contains("it does not hold that"), "{id}: {why}");
        assert!(metric(&report, "claims", id)["value"].is_null(), "{id}");
    }
    assert_eq!(metric(&report, "claims", "OH-001")["success"], true);
    assert!(!output.status.success(), "it says that something is wrong");
    assert!(
        stderr(&output).contains("claims: it does not hold"),
        "{}",
        stderr(&output)
    );

    // The same checks hold for a system whose limits are in force.
    let checks = &system(&report, "fcsp-strict")["validity"]["checks"];
    for check in checks.as_array().expect("checks") {
        assert_eq!(check["holds"], true, "{check}");
    }
    assert_eq!(metric(&report, "fcsp-strict", "IS-001")["success"], true);
}

/// Metrics whose ratio is surely worse than native's, by more than tests beside each other do to it.
fn surely_worse(report: &Value, name: &str) -> Vec<String> {
    let metrics = system(report, name)["metrics"].as_array().expect("a list");
    let worse = metrics.iter().filter(|metric| {
        let ratio = &metric["ratio"];
        if ratio.is_null() || number(&ratio["confidence"]) < 0.95 {
            return false;
        }
        let definition = catalogue::find(metric["id"].as_str().expect("an id"));
        match definition.and_then(|it| it.native).map(|it| it.better) {
            Some(Better::Lower) => number(&ratio["low"]) > 1.05,
            Some(Better::Higher) => number(&ratio["high"]) < 0.95,
            _ => false,
        }
    });
    worse
        .map(|metric| metric["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// How often what is suspected is measured again.
const AGAIN: usize = 3;

#[test]
fn a_delay_in_every_launch_is_found_in_launches_and_throughput_and_nowhere_else() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = compile(directory.path(), "delays", DELAYS);
    let delays = peer(
        directory.path(),
        "delays",
        &format!("preload = {:?}\n", library.display().to_string()),
    );
    let of_all = ["--system", "native", "--peer", &delays];
    let (_, found) = report(directory.path(), &of_all);
    let metrics = system(&found, "delays")["metrics"].as_array();
    assert_eq!(metrics.map(Vec::len), Some(56));

    let more = number(&metric(&found, "delays", "OH-001")["value"])
        - number(&metric(&found, "native", "OH-001")["value"]);
    assert!((1.5..3.5).contains(&more), "{more} us more a launch");
    let (low, ..) = ratio(&found, "delays", "OH-001");
    assert!(low > 1.3, "it is sure of it: {low}");
    let lost = number(&metric(&found, "delays", "OH-010")["value"]);
    assert!(lost > 5.0, "{lost} % lost");

    let mut others = surely_worse(&found, "delays");
    others.retain(|id| id != "OH-001" && id != "OH-010");
    for _ in 0..AGAIN {
        if others.is_empty() {
            break;
        }
        // Of so many intervals some are wrong by chance, and other ones the next time.
        let ids = others.join(",");
        let again = [of_all.as_slice(), &["--only", &ids]].concat();
        let (_, again) = report(directory.path(), &again);
        others = surely_worse(&again, "delays");
    }
    assert_eq!(others, [""; 0], "where no launch is timed");
}
