//! The backend against the simulated management library of the install tree: the same ABI as the
//! vendor's, so the same calls.

mod common;

use common::{tree, with_simulated_libraries};
use fcsp_backend_nvidia::partition::ComputeMode;
use fcsp_backend_nvidia::{Nvidia, driver};
use fcsp_core::backend::{BackendError, GpuBackend, SharingMode, Vendor, open_all};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn devices_are_listed_with_what_the_core_needs() {
    let variables = [("FCSP_SIM_DEVICES", "2"), ("CUDA_VISIBLE_DEVICES", "1")];
    with_simulated_libraries(
        "devices_are_listed_with_what_the_core_needs",
        &variables,
        || {
            let nvidia = Nvidia::open().expect("the simulated library");
            let devices = nvidia.devices().expect("a list");
            assert_eq!(
                devices.len(),
                2,
                "what programs are not to see is listed too"
            );
            assert_ne!(devices[0].id, devices[1].id);
            for device in &devices {
                assert_eq!(device.vendor, Vendor::Nvidia);
                assert!(
                    device.id.starts_with("GPU-") && device.id.len() == 40,
                    "{}",
                    device.id
                );
                assert!(
                    device.simulated && device.name.contains("(simulated)"),
                    "{}",
                    device.name
                );
                assert!(device.total_bytes > 1 << 30, "{}", device.total_bytes);
                assert_eq!(device.sharing, SharingMode::Exclusive);
            }
            assert!(!nvidia.driver_version().expect("a version").is_empty());
            assert!(nvidia.cuda_version().expect("a version") >= 12_000);
            assert!(driver::cuda_version().expect("a version") >= 12_000);
        },
    );
}

#[test]
fn load_and_setup_of_an_idle_device_are_told() {
    with_simulated_libraries("load_and_setup_of_an_idle_device_are_told", &[], || {
        let nvidia = Nvidia::open().expect("the simulated library");
        let device = nvidia.devices().expect("a list").remove(0);
        let telemetry = nvidia.telemetry(&device.id).expect("an answer");
        assert!(
            telemetry
                .used_bytes
                .is_some_and(|used| used < device.total_bytes)
        );
        assert!(
            telemetry
                .busy
                .is_none_or(|busy| (0.0..=1.0).contains(&busy))
        );
        let nobody = nvidia
            .process_bytes(&device.id, std::process::id())
            .expect("an answer");
        assert_eq!(nobody, None, "this process has no context");
        let setup = nvidia.setup(&device.id).expect("an answer");
        assert_ne!(setup.compute_mode, Some(ComputeMode::Prohibited));
        assert_ne!(setup.mig, Some(true));
    });
}

#[test]
fn the_memory_of_a_process_is_told_while_it_lives() {
    with_simulated_libraries(
        "the_memory_of_a_process_is_told_while_it_lives",
        &[],
        || {
            let nvidia = Nvidia::open().expect("the simulated library");
            let device = nvidia.devices().expect("a list").remove(0);
            let bytes_of = |pid| nvidia.process_bytes(&device.id, pid).expect("an answer");
            let mut program = Command::new(tree().join("bin/fcsp-load"))
                .args(["idle", "--seconds", "60"])
                .stdout(Stdio::null())
                .spawn()
                .expect("the load program starts");
            let deadline = Instant::now() + Duration::from_secs(20);
            let mut bytes = None;
            // It is known before its context has any.
            while bytes.unwrap_or(0) == 0 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
                bytes = bytes_of(program.id());
            }
            program.kill().expect("it runs");
            program.wait().expect("it has ended");
            assert!(
                bytes.is_some_and(|bytes| bytes >= 1 << 20),
                "{bytes:?}: a context needs memory"
            );
            assert_eq!(bytes_of(program.id()), None);
        },
    );
}

#[test]
fn an_unknown_device_is_an_error_that_names_the_call() {
    with_simulated_libraries(
        "an_unknown_device_is_an_error_that_names_the_call",
        &[],
        || {
            let nvidia = Nvidia::open().expect("the simulated library");
            for id in ["GPU-00000000-0000-0000-0000-000000000000", "", "GPU-\0"] {
                let error = nvidia.telemetry(id).expect_err("no such device");
                assert!(
                    matches!(
                        error,
                        BackendError::Call {
                            call: "nvmlDeviceGetHandleByUUID",
                            ..
                        }
                    ),
                    "{error}"
                );
            }
        },
    );
}

#[test]
fn programs_run_together_when_the_simulated_device_has_mps() {
    let mps = [("FCSP_SIM_MPS", "1")];
    with_simulated_libraries(
        "programs_run_together_when_the_simulated_device_has_mps",
        &mps,
        || {
            let (vendor, backend) = open_all().remove(0);
            assert_eq!(vendor, Vendor::Nvidia, "it registers itself");
            let devices = backend
                .and_then(|backend| backend.devices())
                .expect("a list");
            assert_eq!(devices[0].sharing, SharingMode::Concurrent);
        },
    );
}
