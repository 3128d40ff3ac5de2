//! `fcsp bench`, on the simulated device of a complete install tree.
//!
//! Systems that are broken in known ways are made here: small libraries that stand before the driver (`preloads`), which
//! the run is given as peers.

mod libraries;
mod preloads;
mod sanity;
mod trouble;
mod vendors;

use crate::demo::installed;
use crate::node::stderr;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs keep all processors busy, and what they measure is time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `fcsp bench` with these arguments.
fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(installed());
    command.arg("bench").args(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["BUD_", "FCSP_", "CUDA_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

/// A quick run on the simulated device with further arguments; what it wrote as JSON.
fn report(directory: &Path, arguments: &[&str]) -> (Output, Value) {
    report_of(directory, arguments, &[])
}

/// The same with variables.
fn report_of(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Output, Value) {
    run_on("nvidia", directory, arguments, variables)
}

/// The same on the simulated device of that vendor.
fn run_on(
    vendor: &str,
    directory: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (Output, Value) {
    let json = directory.join("result.json");
    let output = bench(&[&format!("--simulated={vendor}"), "--quick", "--json"])
        .arg(&json)
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("fcsp starts");
    let text = std::fs::read(&json)
        .unwrap_or_else(|error| panic!("no report: {error}: {}", stderr(&output)));
    (output, serde_json::from_slice(&text).expect("JSON"))
}

/// One system of a report.
fn system<'a>(report: &'a Value, name: &str) -> &'a Value {
    let systems = report["systems"].as_array().expect("a list");
    systems
        .iter()
        .find(|system| system["system_name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// One metric of a system.
fn metric<'a>(report: &'a Value, name: &str, id: &str) -> &'a Value {
    let metrics = system(report, name)["metrics"].as_array().expect("a list");
    metrics
        .iter()
        .find(|metric| metric["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {metrics:?}"))
}

/// Why a metric has no value.
fn reason<'a>(report: &'a Value, name: &str, id: &str) -> (&'a str, &'a str) {
    let state = &metric(report, name, id)["state"];
    (
        state["is"].as_str().expect("a state"),
        state["reason"].as_str().unwrap_or_default(),
    )
}

/// A file that describes a peer.
fn peer(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(format!("{name}.toml"));
    std::fs::write(&path, text).expect("written");
    format!("{name}={}", path.display())
}

/// Processes that belong to the run of that process id.
fn left_of(run: u32) -> Vec<PathBuf> {
    let mark = format!("fcsp-bench-{run}/");
    std::fs::read_dir("/proc")
        .expect("it is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            std::fs::read(path.join("environ"))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains(&mark))
        })
        .collect()
}
