//! What every [`GpuBackend`] does. Each check asks the vendor's library and blocks as long as it does.

use crate::report::{Report, ensure};
use fcsp_core::backend::{DeviceInfo, GpuBackend};
use fcsp_core::region::layout::{DEVICE_ID_MAX, DEVICE_NAME_MAX};
use std::collections::BTreeSet;

/// Less device memory than any accelerator has, and more.
const TOTAL_BYTES: std::ops::RangeInclusive<u64> = 64 << 20..=64 << 40;
/// Threads that ask at once.
const THREADS: usize = 4;

/// What the suite cannot find out for itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// An identity in the vendor's form that no device has.
    pub unknown_id: String,
    /// A process that has memory on a device now, if there is one to look at.
    pub user: Option<User>,
}

/// A process that uses a device.
#[derive(Clone, Debug)]
pub struct User {
    /// The device.
    pub device_id: String,
    /// The process, as the vendor's library knows it.
    pub pid: u32,
    /// Bytes it has for certain.
    pub bytes_min: u64,
}

/// Runs every check on `backend`.
pub fn run(backend: &dyn GpuBackend, options: &Options) -> Report {
    let mut report = Report::default();
    report.add("the driver's version is told", version(backend));
    report.add(
        "a device that is not there is an error that says so",
        unknown(backend, &options.unknown_id),
    );
    let devices = match backend.devices() {
        Ok(devices) => devices,
        Err(error) => {
            report.add("devices are listed", Err(error.to_string()));
            return report;
        }
    };
    report.add("devices are listed", Ok(()));
    let each: [(&'static str, CheckOfDevice); 5] = [
        ("an identity is one that a region can keep", identity),
        ("a name is one that a region can keep", name),
        ("the memory of a device is a possible size", total),
        ("the load of a device is in range", telemetry),
        ("a process without memory there has none", nobody),
    ];
    if devices.is_empty() {
        for (name, _) in each {
            report.skip(name, "there is no device");
        }
        return report;
    }
    report.add("every device has an identity of its own", unique(&devices));
    report.add("devices stay what they are", stable(backend, &devices));
    report.add("many threads may ask at once", threads(backend, &devices));
    for (name, check) in each {
        let found = devices.iter().try_for_each(|device| {
            check(backend, device).map_err(|seen| format!("{}: {seen}", device.id))
        });
        report.add(name, found);
    }
    let used = "the memory of a process is told while it lives";
    match &options.user {
        Some(user) => report.add(used, process(backend, &devices, user)),
        None => report.skip(used, "no process to look at was named"),
    }
    report
}

type Checked = Result<(), String>;
type CheckOfDevice = fn(&dyn GpuBackend, &DeviceInfo) -> Checked;

fn version(backend: &dyn GpuBackend) -> Checked {
    let ask = || backend.driver_version().map_err(|error| error.to_string());
    let (first, second) = (ask()?, ask()?);
    ensure(!first.trim().is_empty() && first == second, || {
        format!("{first:?}, then {second:?}")
    })
}

fn unknown(backend: &dyn GpuBackend, id: &str) -> Checked {
    let vendor = backend.vendor().name();
    let says = |asked: &str, error: Option<String>| match error {
        Some(error) => ensure(error.contains(vendor), || {
            format!("{asked} fails with {error:?}, which does not name {vendor}")
        }),
        None => Err(format!("{asked} answers for {id:?}")),
    };
    let error = |result: Result<(), _>| {
        result
            .err()
            .map(|it: fcsp_core::backend::BackendError| it.to_string())
    };
    says("telemetry", error(backend.telemetry(id).map(drop)))?;
    let own = std::process::id();
    let asked = backend.process_bytes(id, own).map(drop);
    says("process_bytes", error(asked))
}

fn unique(devices: &[DeviceInfo]) -> Checked {
    let ids: BTreeSet<_> = devices.iter().map(|device| &device.id).collect();
    ensure(ids.len() == devices.len(), || format!("{ids:?}"))
}

/// Listed twice, devices are the same but for how they are shared, which an operator may change.
fn stable(backend: &dyn GpuBackend, devices: &[DeviceInfo]) -> Checked {
    let again = backend.devices().map_err(|error| error.to_string())?;
    let facts = |devices: &[DeviceInfo]| -> Vec<_> {
        let fact = |it: &DeviceInfo| (it.id.clone(), it.name.clone(), it.total_bytes);
        devices.iter().map(fact).collect()
    };
    ensure(facts(&again) == facts(devices), || {
        format!("{devices:?}, then {again:?}")
    })
}

fn threads(backend: &dyn GpuBackend, devices: &[DeviceInfo]) -> Checked {
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| stable(backend, devices)))
            .collect();
        asking.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        })
    })
}

fn identity(backend: &dyn GpuBackend, device: &DeviceInfo) -> Checked {
    ensure(device.vendor == backend.vendor(), || {
        format!("is {}'s", device.vendor)
    })?;
    let id = &device.id;
    let fits = !id.is_empty() && id.len() <= DEVICE_ID_MAX;
    // It becomes part of a file's name.
    let is_plain = id
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let is_ordinal = id.bytes().all(|byte| byte.is_ascii_digit());
    ensure(fits && is_plain && !is_ordinal, || format!("{id:?}"))
}

fn name(_: &dyn GpuBackend, device: &DeviceInfo) -> Checked {
    let name = &device.name;
    ensure(!name.is_empty() && name.len() <= DEVICE_NAME_MAX, || {
        format!("{name:?}")
    })?;
    ensure(device.simulated == name.contains("simulated"), || {
        format!("{name:?} and simulated: {}", device.simulated)
    })
}

fn total(_: &dyn GpuBackend, device: &DeviceInfo) -> Checked {
    ensure(TOTAL_BYTES.contains(&device.total_bytes), || {
        format!("{} bytes", device.total_bytes)
    })
}

fn telemetry(backend: &dyn GpuBackend, device: &DeviceInfo) -> Checked {
    let load = backend.telemetry(&device.id).map_err(|e| e.to_string())?;
    let used = load.used_bytes.is_none_or(|it| it <= device.total_bytes);
    let busy = load.busy.is_none_or(|it| (0.0..=1.0).contains(&it));
    ensure(used && busy, || format!("{load:?}"))
}

/// Process 0 is the kernel's idle task and uses no device.
fn nobody(backend: &dyn GpuBackend, device: &DeviceInfo) -> Checked {
    let bytes = backend.process_bytes(&device.id, 0);
    let bytes = bytes.map_err(|error| error.to_string())?;
    ensure(bytes.is_none(), || format!("{bytes:?} bytes"))
}

fn process(backend: &dyn GpuBackend, devices: &[DeviceInfo], user: &User) -> Checked {
    let id = &user.device_id;
    let Some(device) = devices.iter().find(|device| device.id == *id) else {
        return Err(format!("{id} is not listed"));
    };
    let bytes = backend.process_bytes(id, user.pid);
    let Some(bytes) = bytes.map_err(|error| error.to_string())? else {
        return Err(format!("process {} is not known", user.pid));
    };
    ensure(
        (user.bytes_min..=device.total_bytes).contains(&bytes),
        || format!("{bytes} bytes where {} must be", user.bytes_min),
    )?;
    let load = backend.telemetry(id).map_err(|error| error.to_string())?;
    ensure(load.used_bytes.is_none_or(|used| used >= bytes), || {
        format!("{bytes} bytes of a device that says {load:?}")
    })
}
