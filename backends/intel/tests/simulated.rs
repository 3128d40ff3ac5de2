//! The backend against the simulated driver of the install tree, through the machine's own loader: the same ABI as the
//! vendor's, so the same calls. Without a loader (Debian: libze1) every test here says so and passes.

mod common;
mod program;

use common::with_simulated_libraries;
use fcsp_backend_intel::{Intel, device::id_of};
use fcsp_core::backend::{BackendError, GpuBackend, SharingMode, Vendor, open_all};
use program::Program;

/// The backend, in a process that has begun with Level Zero.
fn both() -> Option<(Program, Intel)> {
    let Some(program) = Program::start() else {
        fcsp_skipped::skip("the Level Zero loader is missing (libze1)");
        return None;
    };
    Some((program, Intel::open().expect("the simulated driver")))
}

const SYSMAN: (&str, &str) = ("ZES_ENABLE_SYSMAN", "1");

#[test]
fn devices_are_listed_with_what_the_core_needs_and_as_programs_name_them() {
    with_simulated_libraries(
        "devices_are_listed_with_what_the_core_needs_and_as_programs_name_them",
        &[("FCSP_SIM_INTEL_DEVICES", "2"), SYSMAN],
        || {
            let Some((program, intel)) = both() else {
                return;
            };
            let devices = intel.devices().expect("a list");
            assert_eq!(devices.len(), 2);
            for (ordinal, device) in devices.iter().enumerate() {
                assert_eq!(device.vendor, Vendor::Intel);
                assert_eq!(device.id, id_of(&program.uuid_of(ordinal)));
                assert!(device.simulated && device.name.contains("(simulated)"));
                assert!(device.total_bytes > 1 << 30, "{}", device.total_bytes);
                assert_eq!(device.sharing, SharingMode::Exclusive);
                let setup = intel.setup(&device.id).expect("an answer");
                assert_eq!((setup.tiles, setup.compute_engines), (1, Some(1)));
            }
            assert_eq!(intel.driver_version().expect("a version"), "simulated");
        },
    );
}

#[test]
fn a_device_that_shows_several_engines_can_be_shared_at_once() {
    with_simulated_libraries(
        "a_device_that_shows_several_engines_can_be_shared_at_once",
        &[("ZEX_NUMBER_OF_CCS", "0:4"), SYSMAN],
        || {
            let Some((_, intel)) = both() else { return };
            let device = intel.devices().expect("a list").remove(0);
            assert_eq!(device.sharing, SharingMode::Concurrent);
            let setup = intel.setup(&device.id).expect("an answer");
            assert_eq!(setup.compute_engines, Some(4));
        },
    );
}

#[test]
fn the_memory_of_a_process_and_the_load_of_a_device_are_told() {
    with_simulated_libraries(
        "the_memory_of_a_process_and_the_load_of_a_device_are_told",
        &[SYSMAN],
        || {
            let Some((program, intel)) = both() else {
                return;
            };
            let device = intel.devices().expect("a list").remove(0);
            let own = || {
                let bytes = intel.process_bytes(&device.id, std::process::id());
                bytes.expect("an answer").unwrap_or(0)
            };
            let used = || {
                let load = intel.telemetry(&device.id).expect("an answer");
                let busy = load.busy.expect("it counts");
                assert!((0.0..=1.0).contains(&busy), "{busy}");
                load.used_bytes.expect("it tells")
            };
            program.allocate(1 << 20);
            let (own_before, used_before) = (own(), used());
            let bytes = program.allocate(100 << 20);
            assert_eq!(own(), own_before + bytes);
            assert_eq!(used(), used_before + bytes);
            assert!(used() < device.total_bytes);
        },
    );
}

#[test]
fn an_unknown_device_is_an_error_that_names_it() {
    with_simulated_libraries(
        "an_unknown_device_is_an_error_that_names_it",
        &[SYSMAN],
        || {
            let Some((_, intel)) = both() else { return };
            for id in ["ffffffff-ffff-ffff-ffff-ffffffffffff", "", "0"] {
                let error = intel.telemetry(id).expect_err("no such device");
                assert!(
                    matches!(&error, BackendError::NoDevice { id: named, .. } if named == id),
                    "{error}"
                );
            }
        },
    );
}

#[test]
fn it_registers_itself_and_starts_sysman_by_itself() {
    with_simulated_libraries(
        "it_registers_itself_and_starts_sysman_by_itself",
        &[],
        || {
            let (_, backend) = open_all()
                .into_iter()
                .find(|(vendor, _)| *vendor == Vendor::Intel)
                .expect("registered");
            match backend {
                Err(BackendError::NoLibrary { reason, .. }) if reason.contains("libze_loader") => {
                    fcsp_skipped::skip(reason);
                }
                backend => {
                    let devices = backend.and_then(|backend| backend.devices());
                    assert_eq!(devices.expect("a list").len(), 1);
                }
            }
        },
    );
}
