//! Drivers and devices of all vendors.

use super::{Check, amd, intel, nvidia};
use crate::install::Install;
use crate::regions::RunDirArg;

/// What was found of one vendor.
pub struct Seen {
    /// Of its drivers and devices.
    pub checks: Vec<Check>,
    /// What is not installed, which nobody misses on a machine with another vendor's devices.
    pub absent: Vec<Check>,
    /// Number of devices, or `None` if they could not be asked for.
    pub devices: Option<usize>,
}

pub fn checks(install: &Install, run_dir: &RunDirArg) -> Vec<Check> {
    let simulated_works = install.simulated_nvidia().is_ok();
    let vendors = [
        nvidia::look(run_dir, simulated_works),
        amd::look(simulated_works),
        intel::look(simulated_works),
    ];
    together(vendors.into(), simulated_works)
}

fn together(vendors: Vec<Seen>, simulated_works: bool) -> Vec<Check> {
    let some_device = |seen: &Seen| seen.devices.is_some_and(|devices| devices > 0);
    let any_device = vendors.iter().any(some_device);
    let mut checks = Vec::new();
    for seen in vendors {
        if some_device(&seen) || !any_device {
            checks.extend(seen.absent);
        }
        checks.extend(seen.checks);
    }
    let failed = checks.iter().any(|check| check.name == "devices");
    if !any_device && !failed {
        checks.push(no_devices(simulated_works));
    }
    checks
}

fn no_devices(simulated_works: bool) -> Check {
    let advice = if simulated_works {
        "on this machine use --simulated: fcsp demo --simulated"
    } else {
        "fcsp needs a device, or the simulated driver of a complete install tree"
    };
    Check::warn("devices", "no GPU here", advice)
}

/// What to do where the driver of `vendor` is missing.
pub fn install_driver(vendor: &str, simulated_works: bool) -> String {
    let then = if simulated_works {
        "; until then fcsp run --simulated and fcsp demo --simulated work"
    } else {
        ""
    };
    format!("install the {vendor} driver{then}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(vendor: &str, devices: Option<usize>) -> Seen {
        Seen {
            checks: vec![Check::ok(vendor, "asked")],
            absent: vec![Check::warn(vendor, "lacks a library", "install it")],
            devices,
        }
    }

    fn found(vendors: Vec<Seen>) -> Vec<(String, String)> {
        let checks = together(vendors, true).into_iter();
        checks.map(|it| (it.name, it.found)).collect()
    }

    #[test]
    fn what_a_vendor_without_devices_lacks_is_told_only_where_there_is_no_device_at_all() {
        let pair = |name: &str, found: &str| (name.to_owned(), found.to_owned());
        let one = found(vec![seen("n", None), seen("a", Some(1))]);
        let of_a = [pair("a", "lacks a library"), pair("a", "asked")];
        assert_eq!(one, [&[pair("n", "asked")][..], &of_a].concat());
        let none = found(vec![seen("n", None), seen("a", Some(0))]);
        assert_eq!(none.len(), 5);
        assert_eq!(none[4], pair("devices", "no GPU here"));
    }
}
