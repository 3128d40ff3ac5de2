//! What the core asks of a vendor: [`GpuBackend`], small and object-safe.
//!
//! A backend knows its vendor's library and nothing of limits; the core knows limits and nothing of
//! vendors. Backends for the operator's tools register themselves with [`inventory`]; inside a
//! preload library there is exactly one.

use crate::sync::AtomicU32;
use std::fmt;

/// Who made the device.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// NVIDIA, through the CUDA driver API and NVML.
    Nvidia = 1,
    /// AMD, through HIP and ROCm SMI.
    Amd = 2,
    /// Intel, through Level Zero and Sysman.
    Intel = 3,
}

impl Vendor {
    /// The vendor with that number, if there is one.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Nvidia),
            2 => Some(Self::Amd),
            3 => Some(Self::Intel),
            _ => None,
        }
    }

    /// Lower-case name, as it stands in file names and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How work of different processes can overlap on a device.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SharingMode {
    /// One process at a time: the lease is exclusive.
    #[default]
    Exclusive = 0,
    /// Processes truly run together.
    Concurrent = 1,
}

impl SharingMode {
    /// The mode with that number; an unknown number is the safe one.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Concurrent,
            _ => Self::Exclusive,
        }
    }
}

/// One accelerator as a vendor's library reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Vendor.
    pub vendor: Vendor,
    /// Stable identity, which the vendor's interfaces for programs and for tools share: a UUID or a PCI address, as the
    /// vendor writes it. Never an ordinal.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Device memory, bytes.
    pub total_bytes: u64,
    /// How processes overlap on it: from inside a program, whether this one can run beside others.
    pub sharing: SharingMode,
    /// True for a simulated device: results obtained on it say so.
    pub simulated: bool,
}

/// A device's load as its vendor's management library reports it. For people, never for a control
/// loop: vendors update it some times a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Telemetry {
    /// Bytes in use on the whole device.
    pub used_bytes: Option<u64>,
    /// Share of the last sample period in which at least one kernel ran, 0 to 1.
    pub busy: Option<f64>,
}

/// Why a backend could not answer.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No {vendor} library was found: {reason}
    #[error(
        "no {vendor} driver library was found ({reason}); install the driver or check LD_LIBRARY_PATH"
    )]
    NoLibrary {
        /// Whose library.
        vendor: Vendor,
        /// What the loader said.
        reason: String,
    },
    /// The library is there and refuses.
    #[error("{vendor}: {call} failed with {code} ({name})")]
    Call {
        /// Whose library.
        vendor: Vendor,
        /// Which function.
        call: &'static str,
        /// The vendor's code.
        code: i64,
        /// The vendor's name of the code.
        name: String,
    },
    /// The library lacks the function.
    #[error("{vendor}: this driver has no {call}; it is too old for this")]
    Absent {
        /// Whose library.
        vendor: Vendor,
        /// Which function.
        call: &'static str,
    },
    /// No device has that identity.
    #[error("{vendor}: there is no device {id:?}")]
    NoDevice {
        /// Whose library.
        vendor: Vendor,
        /// What was asked for.
        id: String,
    },
}

/// What the core and the tools need of a vendor. Calls may block in the vendor's library and must
/// not be made from hot paths; implementations are thread-safe.
pub trait GpuBackend: Send + Sync {
    /// Vendor this backend speaks for.
    fn vendor(&self) -> Vendor;

    /// Version of the driver, as people write it.
    fn driver_version(&self) -> Result<String, BackendError>;

    /// Devices present, whatever the environment hides from programs.
    fn devices(&self) -> Result<Vec<DeviceInfo>, BackendError>;

    /// Device memory the process `pid` really uses on `device_id`, contexts and code included;
    /// `None` if the vendor does not know the process.
    fn process_bytes(&self, device_id: &str, pid: u32) -> Result<Option<u64>, BackendError>;

    /// Load of the device.
    fn telemetry(&self, device_id: &str) -> Result<Telemetry, BackendError>;
}

/// A vendor's queue (a stream, a command queue, an immediate list) as the core sees it: an opaque number
/// that is unique among the process's live queues on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueId(pub u64);

/// The device-side gate and stopwatch: how a vendor lets a queue wait for a word in the region,
/// write one, and tell how long something took. Used by the process that owns the queue, from its
/// own threads. No method waits for the device.
pub trait StreamGate {
    /// Makes `queue` wait, on the device, until `*word - value` is at least 0 as a signed number.
    /// Returns false if the vendor refused; the work is then not gated.
    fn wait(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool;

    /// Makes `queue` write `value` to `*word` once everything before it is finished. Returns false
    /// if the vendor refused.
    fn write(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool;

    /// A new marker, to be reused for ever; `None` if the vendor has none to give.
    fn marker(&self) -> Option<Marker>;

    /// Lets `marker` note the time once everything before it in `queue` is finished. Returns false
    /// if it could not be put there.
    fn record(&self, marker: Marker, queue: QueueId) -> bool;

    /// As [`record`](Self::record), where what is to be measured is submitted to `queue` next, by the same thread and before
    /// anything else of it. A device that is idle comes to a marker before that; where the vendor lets both go there
    /// together, this is the place for it.
    fn record_before(&self, marker: Marker, queue: QueueId) -> bool {
        self.record(marker, queue)
    }

    /// Device time between two recorded markers.
    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed;
}

/// A vendor's event, as an opaque number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker(pub u64);

/// What two markers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elapsed {
    /// Not finished yet.
    Pending,
    /// Nanoseconds of device time between them.
    Ns(u64),
    /// They will never tell; use them again.
    Lost,
}

/// A backend that a linked crate offers to the tools.
pub struct Registration {
    /// Vendor.
    pub vendor: Vendor,
    /// Opens the vendor's library.
    pub open: fn() -> Result<Box<dyn GpuBackend>, BackendError>,
}

inventory::collect!(Registration);

/// A backend, or why it could not be opened.
pub type Opened = Result<Box<dyn GpuBackend>, BackendError>;

/// Opens every registered backend; those that fail come with their reason.
pub fn open_all() -> Vec<(Vendor, Opened)> {
    inventory::iter::<Registration>
        .into_iter()
        .map(|registration| (registration.vendor, (registration.open)()))
        .collect()
}
