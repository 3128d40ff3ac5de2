//! `fcsp-conformance`: checks every backend on the devices of this machine, and prints what it found.
//! Ends with 0 if nothing failed, 1 if something did, and 2 if no vendor's library could be opened.

use fcsp_conformance::backend::{Options, run};
use fcsp_core::backend::{BackendError, Vendor, open_all};
use std::process::ExitCode;

// Backends register themselves, if they are linked.
use fcsp_backend_nvidia as _;

fn unknown_id(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Nvidia => "GPU-00000000-0000-0000-0000-000000000000",
        Vendor::Amd | Vendor::Intel => "ffff:ff:1f.7",
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
        let simulated = backend
            .devices()
            .is_ok_and(|devices| devices.iter().any(|device| device.simulated));
        let options = Options {
            unknown_id: unknown_id(vendor).to_owned(),
            user: None,
        };
        let report = run(&*backend, &options);
        let note = if simulated { " (simulated)" } else { "" };
        print!("{vendor}{note}\n{report}");
        passed &= report.passed();
    }
    match (passed, opened) {
        (false, _) => ExitCode::from(1),
        (true, 0) => ExitCode::from(2),
        (true, _) => ExitCode::SUCCESS,
    }
}
