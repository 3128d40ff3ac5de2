//! The backend suite on a simulated backend that does everything right, and on some that each do one
//! thing wrong.

use fcsp_conformance::backend::{Options, User, run};
use fcsp_core::backend::{BackendError, DeviceInfo, GpuBackend, SharingMode, Telemetry, Vendor};
use fcsp_core::sync::{AtomicU32, Ordering};

const PID: u32 = 4242;
const USED_BYTES: u64 = 600 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    OneIdentityForAll,
    OrdinalAsIdentity,
    OrderChanges,
    NoMemory,
    BusyInPercent,
    AnswersForAnything,
    EverybodyHasMemory,
    ForgetsProcesses,
    HidesThatItIsSimulated,
}

struct Simulated {
    fault: Fault,
    asked: AtomicU32,
}

impl Simulated {
    fn find(&self, id: &str) -> Result<(), BackendError> {
        let known = id == "0" || id.starts_with("0000:");
        if known || self.fault == Fault::AnswersForAnything {
            return Ok(());
        }
        Err(BackendError::Call {
            vendor: Vendor::Amd,
            call: "simulated_find",
            code: 2,
            name: "NOT_FOUND".to_owned(),
        })
    }
}

impl GpuBackend for Simulated {
    fn vendor(&self) -> Vendor {
        Vendor::Amd
    }

    fn driver_version(&self) -> Result<String, BackendError> {
        Ok("1.0".to_owned())
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, BackendError> {
        let mut devices: Vec<_> = (0..2)
            .map(|at| DeviceInfo {
                vendor: Vendor::Amd,
                id: match self.fault {
                    Fault::OneIdentityForAll => "0000:01:00.0".to_owned(),
                    Fault::OrdinalAsIdentity => at.to_string(),
                    _ => format!("0000:0{at}:00.0"),
                },
                name: match self.fault {
                    Fault::HidesThatItIsSimulated => "Accelerator".to_owned(),
                    _ => "Accelerator (simulated)".to_owned(),
                },
                total_bytes: match self.fault {
                    Fault::NoMemory => 0,
                    _ => 64 << 30,
                },
                sharing: SharingMode::Concurrent,
                simulated: true,
            })
            .collect();
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::OrderChanges && asked % 2 == 1 {
            devices.reverse();
        }
        Ok(devices)
    }

    fn process_bytes(&self, id: &str, pid: u32) -> Result<Option<u64>, BackendError> {
        self.find(id)?;
        Ok(match self.fault {
            Fault::EverybodyHasMemory => Some(USED_BYTES),
            Fault::ForgetsProcesses => None,
            _ => (pid == PID).then_some(USED_BYTES),
        })
    }

    fn telemetry(&self, id: &str) -> Result<Telemetry, BackendError> {
        self.find(id)?;
        let busy = match self.fault {
            Fault::BusyInPercent => 37.0,
            _ => 0.37,
        };
        Ok(Telemetry {
            used_bytes: Some(USED_BYTES),
            busy: Some(busy),
        })
    }
}

fn failures(fault: Fault) -> Vec<&'static str> {
    let simulated = Simulated {
        fault,
        asked: AtomicU32::new(0),
    };
    let options = Options {
        unknown_id: "ffff:ff:1f.7".to_owned(),
        user: Some(User {
            device_id: "0000:01:00.0".to_owned(),
            pid: PID,
            bytes_min: 1 << 20,
        }),
    };
    let report = run(&simulated, &options);
    println!("{fault:?}\n{report}");
    assert_eq!(report.skipped().count(), 0);
    report.failures().collect()
}

#[test]
fn a_backend_that_does_everything_right_passes() {
    assert_eq!(failures(Fault::None), [""; 0]);
}

#[test]
fn each_fault_is_found_by_the_check_that_is_named_for_it() {
    let cases = [
        (
            Fault::OneIdentityForAll,
            "every device has an identity of its own",
        ),
        (
            Fault::OrdinalAsIdentity,
            "an identity is one that a region can keep",
        ),
        (Fault::OrderChanges, "devices stay what they are"),
        (Fault::NoMemory, "the memory of a device is a possible size"),
        (Fault::BusyInPercent, "the load of a device is in range"),
        (
            Fault::AnswersForAnything,
            "a device that is not there is an error that says so",
        ),
        (
            Fault::EverybodyHasMemory,
            "a process without memory there has none",
        ),
        (
            Fault::ForgetsProcesses,
            "the memory of a process is told while it lives",
        ),
        (
            Fault::HidesThatItIsSimulated,
            "a name is one that a region can keep",
        ),
    ];
    for (fault, check) in cases {
        let found = failures(fault);
        assert!(found.contains(&check), "{fault:?}: {found:?}");
    }
}
