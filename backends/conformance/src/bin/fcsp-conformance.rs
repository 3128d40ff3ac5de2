//! `fcsp-conformance`: checks every backend, and every gate, on the devices of this machine, and prints
//! what it found. Ends with 0 if nothing failed, 1 if something did, and 2 if no vendor's library could
//! be opened.

use fcsp_conformance::backend::{Options, run};
use fcsp_conformance::{Report, cuda, hip, ze};
use fcsp_core::backend::{BackendError, GpuBackend, Vendor, open_all};
use std::process::ExitCode;

// Backends register themselves, if they are linked.
use fcsp_backend_amd as _;
use fcsp_backend_intel as _;
use fcsp_backend_nvidia as _;

fn unknown_id(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Nvidia => "GPU-00000000-0000-0000-0000-000000000000",
        Vendor::Amd => "ffff:ff:1f.7",
        Vendor::Intel => "ffffffff-ffff-ffff-ffff-ffffffffffff",
    }
}

fn main() -> ExitCode {
    let (mut opened, mut passed) = (0, true);
    for (vendor, backend) in open_all() {
        let backend = match backend {
            Ok(backend) => backend,
            Err(error @ BackendError::NoLibrary { .. }) => {
                println!("{vendor}: skipped: {error}");
                continue;
            }
            Err(error) => {
                println!("{vendor}: FAILED: {error}");
                passed = false;
                continue;
            }
        };
        opened += 1;
        passed &= check_backend(vendor, &*backend);
        passed &= check_gates(vendor);
    }
    match (passed, opened) {
        (false, _) => ExitCode::from(1),
        (true, 0) => ExitCode::from(2),
        (true, _) => ExitCode::SUCCESS,
    }
}

/// True if nothing failed.
fn check_backend(vendor: Vendor, backend: &dyn GpuBackend) -> bool {
    let simulated = backend
        .devices()
        .is_ok_and(|devices| devices.iter().any(|device| device.simulated));
    let options = Options {
        unknown_id: unknown_id(vendor).to_owned(),
        user: None,
    };
    show(
        &format!("{vendor}: backend"),
        simulated,
        &run(backend, &options),
    )
}

/// True if nothing failed.
fn check_gates(vendor: Vendor) -> bool {
    let found = match vendor {
        Vendor::Nvidia => cuda::run(),
        Vendor::Amd => hip::run(),
        Vendor::Intel => ze::run(),
    };
    match found {
        Ok(found) => found.iter().fold(true, |passed, one| {
            let (at, name, streams) = (one.ordinal, &one.device, one.streams);
            let what = format!("{vendor}: gate: device {at}, {name}: {streams}");
            show(&what, one.simulated, &one.report) && passed
        }),
        Err(error) => {
            println!("{vendor}: gate: FAILED: {error}");
            false
        }
    }
}

/// Prints a report; true if nothing failed.
fn show(what: &str, simulated: bool, report: &Report) -> bool {
    // A device whose name says so already needs no note.
    let note = match simulated && !what.contains("(simulated)") {
        true => " (simulated)",
        false => "",
    };
    print!("{what}{note}\n{report}");
    report.passed()
}
