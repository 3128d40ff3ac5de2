//! The suite that every backend passes, over the simulated management libraries of the install tree.

mod common;
mod program;

use common::with_simulated_libraries;
use fcsp_backend_amd::Amd;
use fcsp_conformance::backend::{Options, User, run};
use fcsp_core::backend::GpuBackend;
use program::Program;

/// No bus has so many.
const UNKNOWN: &str = "ffff:ff:1f.7";

#[test]
fn the_backend_conforms_on_simulated_devices() {
    let variables = [("FCSP_SIM_AMD_DEVICES", "3")];
    with_simulated_libraries(
        "the_backend_conforms_on_simulated_devices",
        &variables,
        || {
            let program = Program::start();
            let bytes_min = program.allocate(1 << 20);
            let libraries = [Amd::open(), Amd::open_amd_smi()];
            for amd in libraries.map(|amd| amd.expect("the simulated library")) {
                let device = amd.devices().expect("a list").remove(0);
                assert_eq!(device.id, program.address_of(0), "it has the memory");
                let options = Options {
                    unknown_id: UNKNOWN.to_owned(),
                    user: Some(User {
                        device_id: device.id,
                        pid: std::process::id(),
                        bytes_min,
                    }),
                };
                let report = run(&amd, &options);
                println!("simulated devices, {}\n{report}", amd.library());
                assert!(report.passed(), "{report}");
                assert_eq!(report.skipped().count(), 0, "{report}");
            }
        },
    );
}
