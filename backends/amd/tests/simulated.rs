//! The backend against the simulated management libraries of the install tree: the same ABI as the vendor's, so the same
//! calls.

mod common;
mod program;

use common::with_simulated_libraries;
use fcsp_backend_amd::partition::ComputePartition;
use fcsp_backend_amd::{Amd, driver};
use fcsp_core::backend::{BackendError, GpuBackend, SharingMode, Vendor, open_all};
use program::Program;

/// Through either library.
fn both() -> [Amd; 2] {
    [
        Amd::open().expect("the simulated ROCm SMI"),
        Amd::open_amd_smi().expect("the simulated AMD SMI"),
    ]
}

#[test]
fn devices_are_listed_with_what_the_core_needs_and_as_programs_name_them() {
    let variables = [("FCSP_SIM_AMD_DEVICES", "2")];
    with_simulated_libraries(
        "devices_are_listed_with_what_the_core_needs_and_as_programs_name_them",
        &variables,
        || {
            let program = Program::start();
            for amd in both() {
                let devices = amd.devices().expect("a list");
                assert_eq!(devices.len(), 2);
                for (ordinal, device) in devices.iter().enumerate() {
                    assert_eq!(device.vendor, Vendor::Amd);
                    assert_eq!(device.id, program.address_of(ordinal as i32));
                    assert!(
                        device.simulated && device.name.contains("(simulated)"),
                        "{}",
                        device.name
                    );
                    assert!(device.total_bytes > 1 << 30, "{}", device.total_bytes);
                    assert_eq!(device.sharing, SharingMode::Concurrent);
                }
                assert_eq!(amd.driver_version().expect("a version"), "6.4.1.sim");
            }
            assert_eq!(both().map(|amd| amd.library()), ["ROCm SMI", "AMD SMI"]);
            assert!(driver::hip_version().expect("a version") >= 50_000_000);
        },
    );
}

#[test]
fn what_programs_are_not_to_see_is_listed_too() {
    let hidden = [
        ("FCSP_SIM_AMD_DEVICES", "2"),
        ("HIP_VISIBLE_DEVICES", "1"),
        ("ROCR_VISIBLE_DEVICES", "1"),
    ];
    with_simulated_libraries(
        "what_programs_are_not_to_see_is_listed_too",
        &hidden,
        || {
            for amd in both() {
                assert_eq!(amd.devices().expect("a list").len(), 2);
            }
        },
    );
}

#[test]
fn the_memory_of_a_process_and_the_load_of_a_device_are_told() {
    with_simulated_libraries(
        "the_memory_of_a_process_and_the_load_of_a_device_are_told",
        &[],
        || {
            for amd in both() {
                let device = amd.devices().expect("a list").remove(0);
                let own = || {
                    let bytes = amd.process_bytes(&device.id, std::process::id());
                    bytes.expect("an answer").unwrap_or(0)
                };
                let used = || {
                    let load = amd.telemetry(&device.id).expect("an answer");
                    assert!(load.busy.is_none_or(|busy| (0.0..=1.0).contains(&busy)));
                    load.used_bytes.expect("it tells")
                };
                let program = Program::start();
                // With a context.
                program.allocate(1 << 20);
                let (own_before, used_before) = (own(), used());
                let bytes = program.allocate(100 << 20);
                assert_eq!(own(), own_before + bytes);
                assert_eq!(used(), used_before + bytes);
                assert!(used() < device.total_bytes);
            }
        },
    );
}

#[test]
fn a_device_that_cannot_be_partitioned_says_so_and_one_that_is_tells_how() {
    const NAME: &str = "a_device_that_cannot_be_partitioned_says_so_and_one_that_is_tells_how";
    with_simulated_libraries(NAME, &[], || {
        let setup = |amd: &Amd| {
            let device = amd.devices().expect("a list").remove(0);
            amd.setup(&device.id).expect("an answer")
        };
        for amd in both() {
            let whole = setup(&amd);
            assert_eq!((whole.compute, whole.memory_parts), (None, None));
        }
        // SAFETY: this process has one thread that looks at variables.
        unsafe { std::env::set_var("FCSP_SIM_AMD_PARTITION", "CPX/NPS4") };
        for amd in both() {
            let setup = setup(&amd);
            assert_eq!(setup.compute, Some(ComputePartition::Cpx));
            assert_eq!(setup.memory_parts, Some(4));
        }
    });
}

#[test]
fn an_unknown_device_is_an_error_that_names_it() {
    with_simulated_libraries("an_unknown_device_is_an_error_that_names_it", &[], || {
        for amd in both() {
            for id in ["ffff:ff:1f.7", "", "0"] {
                let error = amd.telemetry(id).expect_err("no such device");
                assert!(
                    matches!(&error, BackendError::NoDevice { id: named, .. } if named == id),
                    "{error}"
                );
            }
        }
    });
}

#[test]
fn it_registers_itself() {
    with_simulated_libraries("it_registers_itself", &[], || {
        let (vendor, backend) = open_all()
            .into_iter()
            .find(|(vendor, _)| *vendor == Vendor::Amd)
            .expect("registered");
        assert_eq!(vendor, Vendor::Amd);
        let devices = backend.and_then(|backend| backend.devices());
        assert_eq!(devices.expect("a list").len(), 1);
    });
}
