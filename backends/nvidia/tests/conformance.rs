//! The suite that every backend passes, over the simulated management library of the install tree.

mod common;

use common::{tree, with_simulated_libraries};
use fcsp_backend_nvidia::Nvidia;
use fcsp_conformance::backend::{Options, User, run};
use fcsp_core::backend::GpuBackend;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const UNKNOWN: &str = "GPU-00000000-0000-0000-0000-000000000000";
/// Less than a context takes.
const BYTES_MIN: u64 = 1 << 20;

#[test]
fn the_backend_conforms_on_simulated_devices() {
    let variables = [("FCSP_SIM_DEVICES", "3")];
    with_simulated_libraries(
        "the_backend_conforms_on_simulated_devices",
        &variables,
        || {
            let nvidia = Nvidia::open().expect("the simulated library");
            let device = nvidia.devices().expect("a list").remove(0);
            let mut program = Command::new(tree().join("bin/fcsp-load"))
                .args(["idle", "--seconds", "60"])
                .stdout(Stdio::null())
                .spawn()
                .expect("the load program starts");
            let deadline = Instant::now() + Duration::from_secs(20);
            let has_memory = || {
                let bytes = nvidia.process_bytes(&device.id, program.id());
                // It is known before its context has any.
                bytes.is_ok_and(|bytes| bytes.is_some_and(|bytes| bytes >= BYTES_MIN))
            };
            while !has_memory() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let options = Options {
                unknown_id: UNKNOWN.to_owned(),
                user: Some(User {
                    device_id: device.id.clone(),
                    pid: program.id(),
                    bytes_min: BYTES_MIN,
                }),
            };
            let report = run(&nvidia, &options);
            program.kill().expect("it runs");
            program.wait().expect("it has ended");
            println!("simulated devices\n{report}");
            assert!(report.passed(), "{report}");
            assert_eq!(report.skipped().count(), 0, "{report}");
        },
    );
}
