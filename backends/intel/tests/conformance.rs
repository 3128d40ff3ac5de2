//! The suite that every backend passes, over the simulated driver of the install tree and the machine's own loader. Without
//! a loader (Debian: libze1) every test here says so and passes.

mod common;
mod program;

use common::with_simulated_libraries;
use fcsp_backend_intel::{Intel, device::id_of};
use fcsp_conformance::backend::{Options, User, run};
use fcsp_core::backend::GpuBackend;
use program::Program;

/// No device has it.
const UNKNOWN: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

#[test]
fn the_backend_conforms_on_simulated_devices() {
    let variables = [("FCSP_SIM_INTEL_DEVICES", "3"), ("ZES_ENABLE_SYSMAN", "1")];
    with_simulated_libraries(
        "the_backend_conforms_on_simulated_devices",
        &variables,
        || {
            let Some(program) = Program::start() else {
                return fcsp_skipped::skip("the Level Zero loader is missing (libze1)");
            };
            let bytes_min = program.allocate(1 << 20);
            let intel = Intel::open().expect("the simulated driver");
            let device = intel.devices().expect("a list").remove(0);
            assert_eq!(device.id, id_of(&program.uuid_of(0)), "it has the memory");
            let options = Options {
                unknown_id: UNKNOWN.to_owned(),
                user: Some(User {
                    device_id: device.id,
                    pid: std::process::id(),
                    bytes_min,
                }),
            };
            let report = run(&intel, &options);
            println!("simulated devices\n{report}");
            assert!(report.passed(), "{report}");
            assert_eq!(report.skipped().count(), 0, "{report}");
        },
    );
}
