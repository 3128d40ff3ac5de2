//! AMD's libraries and devices, and how they are set up for sharing.

use super::Check;
use super::devices::{Seen, install_driver};
use fcsp_backend_amd::partition::{ComputePartition, MASK_VARIABLE, Setup};
use fcsp_backend_amd::{Amd, driver};
use fcsp_core::backend::{BackendError, DeviceInfo, GpuBackend};
use fcsp_core::policy::memory::show_bytes;

pub fn look(simulated_works: bool) -> Seen {
    let mut seen = Seen {
        checks: Vec::new(),
        absent: Vec::new(),
        devices: None,
    };
    let amd = match Amd::open() {
        Ok(amd) => amd,
        Err(error @ BackendError::NoLibrary { .. }) => {
            let found = error.to_string();
            if driver::is_loaded() {
                let advice = "install rocm-smi-lib: programs on AMD devices are limited all the same, but fcsp does \
                              not show the devices";
                seen.checks.push(Check::warn("ROCm SMI", found, advice));
            } else {
                let advice = install_driver("AMD", simulated_works);
                seen.absent.push(Check::warn("ROCm SMI", found, advice));
            }
            return seen;
        }
        Err(error) => {
            let advice = "look at rocm-smi and dmesg; users of the device are in the groups render and video";
            seen.checks
                .push(Check::fail("ROCm SMI", error.to_string(), advice));
            return seen;
        }
    };
    let version = match amd.driver_version() {
        Ok(version) => Check::ok(amd.library(), format!("driver {version}")),
        Err(error) => Check::warn(amd.library(), error.to_string(), "update the driver"),
    };
    seen.checks.push(version);
    seen.checks.push(hip());
    match amd.devices() {
        Ok(devices) => {
            seen.devices = Some(devices.len());
            for (ordinal, device) in devices.iter().enumerate() {
                seen.checks.extend(device_checks(&amd, ordinal, device));
            }
        }
        Err(error) => {
            let advice = "look at rocm-smi and dmesg";
            seen.checks
                .push(Check::fail("devices", error.to_string(), advice));
        }
    }
    seen.checks.extend(mask());
    seen
}

/// Many programs bring a HIP library of their own, so that none need be installed.
fn hip() -> Check {
    match driver::hip_version() {
        Ok(version) => Check::ok("HIP", version_text(version)),
        Err(BackendError::NoLibrary { .. }) => Check::ok(
            "HIP",
            "none installed where every program finds it: programs bring their own",
        ),
        Err(error) => Check::warn("HIP", error.to_string(), "update ROCm"),
    }
}

/// 60,443,483 as `HIP 6.4`.
fn version_text(version: i32) -> String {
    format!("HIP {}.{}", version / 10_000_000, version / 100_000 % 100)
}

fn device_checks(amd: &Amd, ordinal: usize, device: &DeviceInfo) -> Vec<Check> {
    let name = format!("AMD device {ordinal}");
    let mut checks = vec![Check::ok(
        &name,
        format!(
            "{}, {}, {}",
            device.name,
            show_bytes(device.total_bytes),
            device.id
        ),
    )];
    checks.push(match amd.setup(&device.id) {
        Ok(setup) => setup_check(&name, &setup),
        Err(error) => Check::warn(&name, error.to_string(), "look at rocm-smi and dmesg"),
    });
    checks
}

fn setup_check(name: &str, setup: &Setup) -> Check {
    let memory = setup.memory_parts.map(|parts| format!(", NPS{parts}"));
    let memory = memory.unwrap_or_default();
    match &setup.compute {
        None => Check::ok(
            name,
            format!("programs run side by side; not partitioned{memory}"),
        ),
        Some(ComputePartition::Spx) => Check::ok(
            name,
            format!("programs run side by side; partitioned as SPX{memory}"),
        ),
        Some(partition) => Check::ok(
            name,
            format!(
                "a partition of its device ({partition}{memory}): limits and shares are each partition's own"
            ),
        ),
    }
}

/// A mask of compute units in the environment holds for every program that is started from here.
fn mask() -> Option<Check> {
    let mask = std::env::var_os(MASK_VARIABLE).filter(|mask| !mask.is_empty())?;
    Some(Check::warn(
        "compute units",
        format!(
            "{MASK_VARIABLE}={}: programs started here use these only",
            mask.to_string_lossy()
        ),
        format!(
            "shares are still parts of the whole device; unset {MASK_VARIABLE} if that is not meant"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_partition_is_told() {
        let check = |compute, memory_parts| {
            let setup = Setup {
                compute,
                memory_parts,
            };
            setup_check("AMD device 0", &setup)
        };
        assert_eq!(check(None, None).level, Level::Ok);
        let whole = check(Some(ComputePartition::Spx), Some(1));
        assert_eq!(whole.level, Level::Ok);
        assert!(whole.found.ends_with("SPX, NPS1"), "{}", whole.found);
        let parts = check(Some(ComputePartition::Cpx), Some(4));
        assert_eq!(parts.level, Level::Ok);
        assert!(parts.found.contains("CPX, NPS4"), "{}", parts.found);
    }

    #[test]
    fn versions_are_written_as_people_do() {
        assert_eq!(version_text(60_443_483), "HIP 6.4");
        assert_eq!(version_text(50_221_153), "HIP 5.2");
    }
}
