//! NVIDIA's drivers and devices, and how they are set up for sharing.

use super::devices::{Seen, install_driver};
use super::{Check, mps};
use crate::regions::RunDirArg;
use fcsp_backend_nvidia::partition::{ComputeMode, Setup};
use fcsp_backend_nvidia::{Nvidia, driver};
use fcsp_core::backend::{DeviceInfo, GpuBackend};
use fcsp_core::policy::memory::show_bytes;

pub fn look(run_dir: &RunDirArg, simulated_works: bool) -> Seen {
    let mut seen = Seen {
        checks: Vec::new(),
        absent: Vec::new(),
        devices: None,
    };
    let mps = mps::Found::look(run_dir);
    let without = install_driver("NVIDIA", simulated_works);
    match driver::cuda_version() {
        Ok(version) => {
            let found = format!("CUDA {}", cuda(version));
            seen.checks.push(Check::ok("CUDA driver", found));
        }
        Err(error) => {
            let missing = Check::warn("CUDA driver", error.to_string(), &without);
            seen.absent.push(missing);
        }
    }
    let nvidia = match Nvidia::open() {
        Ok(nvidia) => nvidia,
        Err(error) => {
            seen.absent
                .push(Check::warn("NVML", error.to_string(), without));
            return seen;
        }
    };
    let checks = &mut seen.checks;
    match nvidia.driver_version() {
        Ok(version) => checks.push(Check::ok("NVML", format!("driver {version}"))),
        Err(error) => checks.push(Check::warn("NVML", error.to_string(), "update the driver")),
    }
    match nvidia.devices() {
        Ok(devices) => {
            seen.devices = Some(devices.len());
            for (ordinal, device) in devices.iter().enumerate() {
                checks.extend(device_checks(&nvidia, ordinal, device, mps.listens));
            }
            if !devices.is_empty() {
                let simulated = devices.iter().any(|device| device.simulated);
                checks.extend(mps.checks(simulated));
            }
        }
        Err(error) => {
            checks.push(Check::fail(
                "devices",
                error.to_string(),
                "look at nvidia-smi and dmesg",
            ));
        }
    }
    seen
}

fn device_checks(nvidia: &Nvidia, ordinal: usize, device: &DeviceInfo, mps: bool) -> Vec<Check> {
    let name = format!("device {ordinal}");
    let mut checks = vec![Check::ok(
        &name,
        format!(
            "{}, {}, {}",
            device.name,
            show_bytes(device.total_bytes),
            device.id
        ),
    )];
    match nvidia.setup(&device.id) {
        Ok(setup) => checks.extend(setup_checks(&name, ordinal, setup, mps)),
        Err(error) => {
            checks.push(Check::warn(
                &name,
                error.to_string(),
                "look at nvidia-smi and dmesg",
            ));
        }
    }
    checks
}

/// `mps` says whether an MPS daemon listens: its server is then the one program that an exclusive
/// device admits.
fn setup_checks(name: &str, ordinal: usize, setup: Setup, mps: bool) -> Vec<Check> {
    let compute_mode = match setup.compute_mode {
        Some(ComputeMode::ExclusiveProcess) if mps => Some(Check::warn(
            name,
            "its compute mode is exclusive-process: the driver admits clients of MPS only",
            format!("start every program with fcsp run, or nvidia-smi -i {ordinal} -c DEFAULT"),
        )),
        Some(ComputeMode::ExclusiveProcess) => Some(Check::fail(
            name,
            "its compute mode is exclusive-process: a second program is refused by the driver",
            format!("nvidia-smi -i {ordinal} -c DEFAULT"),
        )),
        Some(ComputeMode::Prohibited) => Some(Check::fail(
            name,
            "its compute mode is prohibited: no program can use it",
            format!("nvidia-smi -i {ordinal} -c DEFAULT"),
        )),
        _ => None,
    };
    let mig = (setup.mig == Some(true)).then(|| {
        Check::warn(
            name,
            "MIG is on: programs see instances, which FCSP does not divide further in this version",
            format!("to share the whole device: nvidia-smi -i {ordinal} -mig 0"),
        )
    });
    let persistence = (setup.persistence == Some(false)).then(|| {
        Check::warn(
            name,
            "persistence mode is off: the first program waits for the device to start",
            format!("nvidia-smi -i {ordinal} -pm 1"),
        )
    });
    [compute_mode, mig, persistence]
        .into_iter()
        .flatten()
        .collect()
}

/// 13000 as `13.0`.
fn cuda(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_device_that_admits_one_program_cannot_be_shared() {
        let setup = Setup {
            compute_mode: Some(ComputeMode::ExclusiveProcess),
            persistence: Some(true),
            mig: None,
        };
        let checks = setup_checks("device 1", 1, setup, false);
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].level, Level::Fail);
        assert_eq!(
            checks[0].advice.as_deref(),
            Some("nvidia-smi -i 1 -c DEFAULT")
        );
        let under_mps = setup_checks("device 1", 1, setup, true);
        assert_eq!(under_mps[0].level, Level::Warn, "MPS is the one program");
    }

    #[test]
    fn an_ordinary_setup_needs_no_remark() {
        let setup = Setup {
            compute_mode: Some(ComputeMode::Default),
            persistence: Some(true),
            mig: Some(false),
        };
        assert_eq!(setup_checks("device 0", 0, setup, false), []);
    }
}
