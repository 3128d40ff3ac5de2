//! Intel's libraries and devices, and how they are set up for sharing.

use super::Check;
use super::devices::{Seen, install_driver};
use fcsp_backend_intel::partition::{ENGINES_VARIABLE, HIERARCHY_VARIABLE, MASK_VARIABLE, Setup};
use fcsp_backend_intel::{Intel, driver};
use fcsp_core::backend::{BackendError, DeviceInfo, GpuBackend};
use fcsp_core::policy::memory::show_bytes;

const NAME: &str = "Level Zero";

pub fn look(simulated_works: bool) -> Seen {
    let mut seen = Seen {
        checks: Vec::new(),
        absent: Vec::new(),
        devices: None,
    };
    let intel = match Intel::open() {
        Ok(intel) => intel,
        Err(error @ BackendError::NoLibrary { .. }) => {
            let found = error.to_string();
            match (driver::is_loaded(), driver::has_loader()) {
                (true, false) => seen.checks.push(Check::warn(
                    NAME,
                    found,
                    "install the Level Zero loader (Debian: libze1): programs on Intel devices are limited all the same, \
                     but fcsp does not show the devices",
                )),
                (true, true) => seen.checks.push(Check::fail(
                    NAME,
                    found,
                    "install Intel's driver for Level Zero (Debian: intel-level-zero-gpu); users of the device are in \
                     the groups render and video",
                )),
                (false, _) => {
                    let advice = install_driver("Intel", simulated_works);
                    seen.absent.push(Check::warn(NAME, found, advice));
                }
            }
            return seen;
        }
        Err(error) => {
            let advice = "look at dmesg; users of the device are in the groups render and video";
            seen.checks
                .push(Check::fail(NAME, error.to_string(), advice));
            return seen;
        }
    };
    match intel.devices() {
        Ok(devices) => {
            seen.checks.extend(version(&intel, &devices));
            seen.devices = Some(devices.len());
            for (ordinal, device) in devices.iter().enumerate() {
                seen.checks.extend(device_checks(&intel, ordinal, device));
            }
        }
        Err(error) => {
            let advice = "look at dmesg; users of the device are in the groups render and video";
            seen.checks
                .push(Check::fail("devices", error.to_string(), advice));
        }
    }
    seen.checks.extend(variables());
    seen
}

fn version(intel: &Intel, devices: &[DeviceInfo]) -> Option<Check> {
    if devices.is_empty() {
        return None;
    }
    Some(match intel.driver_version() {
        Ok(version) => Check::ok(NAME, format!("driver {version}")),
        Err(error) => Check::warn(NAME, error.to_string(), "update the driver"),
    })
}

fn device_checks(intel: &Intel, ordinal: usize, device: &DeviceInfo) -> Vec<Check> {
    let name = format!("Intel device {ordinal}");
    let size = show_bytes(device.total_bytes);
    vec![
        Check::ok(&name, format!("{}, {size}, {}", device.name, device.id)),
        match intel.setup(&device.id) {
            Ok(setup) => setup_check(&name, setup),
            Err(error) => Check::warn(&name, error.to_string(), "look at dmesg"),
        },
    ]
}

fn setup_check(name: &str, setup: Setup) -> Check {
    let sharing = match setup.compute_engines {
        Some(engines @ 2..) => format!("programs run side by side on {engines} compute engines"),
        _ => "programs take turns".to_owned(),
    };
    match setup.tiles {
        0 | 1 => Check::ok(name, format!("{sharing}; one tile")),
        tiles => Check::warn(
            name,
            format!(
                "{sharing}; {tiles} tiles, and FCSP takes them for one device: a program that is on one of them has its \
                 share of all"
            ),
            format!(
                "to share each by itself there is no way in this version; {MASK_VARIABLE} gives a program one tile"
            ),
        ),
    }
}

/// What in the environment holds for every program that is started from here.
fn variables() -> Vec<Check> {
    let set = |name: &'static str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name, value.to_string_lossy().into_owned()))
    };
    let means = |name| match name {
        MASK_VARIABLE => "programs started here see these devices or tiles only",
        ENGINES_VARIABLE => "programs started here use so many compute engines",
        _ => "whether programs started here see tiles as devices",
    };
    [MASK_VARIABLE, ENGINES_VARIABLE, HIERARCHY_VARIABLE]
        .into_iter()
        .filter_map(set)
        .map(|(name, value)| Check::ok(name, format!("{value}: {}", means(name))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn only_a_device_of_several_tiles_needs_a_remark() {
        let check = |tiles, compute_engines| {
            let setup = Setup {
                tiles,
                compute_engines,
            };
            setup_check("Intel device 0", setup)
        };
        let one = check(1, Some(1));
        assert_eq!(
            (one.level, one.found.as_str()),
            (Level::Ok, "programs take turns; one tile")
        );
        assert!(check(1, Some(4)).found.contains("side by side on 4"));
        let two = check(2, None);
        assert_eq!(two.level, Level::Warn);
        assert!(two.found.contains("2 tiles"), "{}", two.found);
    }
}
