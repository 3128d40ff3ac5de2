//! What the rest of the library asks of the driver ([`fcsp_program::driver`]), by the functions beneath it: [`Ze`]. What
//! the gate asks is in [`gate`].

mod gate;

use core::sync::atomic::Ordering;

use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::{Attachment, sharing};
use fcsp_intel_queue::Streams;
use fcsp_preload::log;
use fcsp_program::device::{Device, attached_at};
use fcsp_program::driver::{
    Codes, Devices, GraphMemory, Meter, Pools, Queues, Transfers, Undescribed,
};
use fcsp_program::transfer::{Kind, Place};
use level_zero_sys::ze_result_t;

use crate::devices;
use crate::info::sysman;

/// The driver of the program that this library is loaded into.
#[derive(Clone, Copy, Debug)]
pub struct Ze;

impl Codes for Ze {
    type Streams = Streams<Self>;
    const STREAMS: Self::Streams = Streams(Self);
    const SUCCESS: ze_result_t = ze_result_t::ZE_RESULT_SUCCESS;
    const NOT_READY: ze_result_t = ze_result_t::ZE_RESULT_NOT_READY;
    const OUT_OF_MEMORY: ze_result_t = ze_result_t::ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY;
    const NOT_PERMITTED: ze_result_t = ze_result_t::ZE_RESULT_ERROR_INSUFFICIENT_PERMISSIONS;
}

impl Devices for Ze {
    const VENDOR: Vendor = Vendor::Intel;

    /// A thread has no device, not even the only one.
    #[inline(always)]
    fn threads_may_differ() -> bool {
        true
    }

    fn id(ordinal: i32) -> Result<String, Undescribed> {
        devices::id(ordinal)
    }

    fn describe(ordinal: i32, id: String) -> Result<DeviceInfo, Undescribed> {
        devices::describe(ordinal, id)
    }

    fn total_bytes(ordinal: i32) -> Option<u64> {
        devices::total_bytes(ordinal).ok()
    }

    fn sharing_mode(ordinal: i32) -> SharingMode {
        devices::sharing(ordinal)
    }

    fn tell_sharing(attachment: &Attachment, id: &str) {
        match sharing::in_force(attachment.region().layout()).0 {
            SharingMode::Exclusive => log::debug!("programs on {id} take turns"),
            SharingMode::Concurrent => log::debug!("programs on {id} can run side by side"),
        }
    }

    /// What a driver takes for a process it keeps.
    fn has_context(ordinal: i32) -> bool {
        attached_at(ordinal).is_some_and(|device| device.had_context.load(Ordering::Acquire))
    }

    fn is_only_context() -> bool {
        true
    }
}

impl Queues for Ze {
    type CaptureMode = ();

    /// oneCCL, and its barrier between devices, whose kernel has no name of its own.
    const COLLECTIVES: &[&[u8]] = &[b"oneccl_", b"invoke_barrier"];
}

impl Transfers for Ze {
    /// Not measured on this vendor's devices: as on others of their class.
    const LARGE_BYTES: u64 = 1 << 20;
    const SMALL_NS: u64 = 3_000;
    const STAGED_BYTES_MAX: u64 = 64 << 10;

    /// Not measured: half of what the vendor says of a Max 1100's memory. What is learnt replaces it.
    fn guess_ns(kind: Kind, bytes: u64) -> u64 {
        let (start_ns, bytes_per_us) = match kind {
            Kind::Fill => (5_000, 600_000),
            Kind::Copy | Kind::Decompress => (6_000, 300_000),
        };
        start_ns + bytes.saturating_mul(1000) / bytes_per_us
    }

    /// Copies name their context, without which the driver does not say: [`crate::transfer`] asks with it.
    fn place_of(_address: u64) -> Place {
        Place::Pageable
    }
}

impl Meter for Ze {
    type Handle = sysman::Managed;

    /// Not measured; what Sysman shows replaces it.
    const CONTEXT_BYTES_GUESS: u64 = 64 << 20;
    /// Not measured: as another vendor's driver takes.
    const GROWTH_BYTES: u64 = 12 << 20;

    fn handle_of(id: &str) -> Option<sysman::Managed> {
        sysman::managed(id)
    }

    fn process_bytes(handle: sysman::Managed) -> Option<u64> {
        sysman::process_bytes(handle)
    }

    fn shows_process(_device: &Device) -> bool {
        sysman::is_there()
    }
}

impl Pools for Ze {}

impl GraphMemory for Ze {}
