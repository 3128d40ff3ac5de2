//! Whether the structures of the program's AMD SMI are those of the bindings.
//!
//! Those whose size or places differ are read and written in versions 26 and 27 only, whose headers (of ROCm 7.0 and of the
//! bindings) lay them out alike as far as it is asked here. In versions up to 24 names are shorter, and `amdsmi_version_t` begins
//! with a year, which was never above 25.

use std::sync::OnceLock;

use rocm_smi_sys::{amdsmi_status_t, amdsmi_version_t};

use crate::hooks::amdsmi;

/// More room than any version's `amdsmi_version_t` takes.
#[repr(C)]
#[derive(Default)]
struct Room {
    version: amdsmi_version_t,
    more: [u64; 8],
}

/// True if they are.
pub fn is_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| major().is_some_and(|major| (26..=27).contains(&major)))
}

/// The major version; in versions that have one, the year.
fn major() -> Option<u32> {
    let mut room = Room::default();
    // SAFETY: there is room for what the library writes.
    let result = unsafe { amdsmi::amdsmi_get_lib_version.get()?(&mut room.version) };
    (result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS).then_some(room.version.major)
}
