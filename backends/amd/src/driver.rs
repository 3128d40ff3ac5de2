//! The kernel driver and the HIP library, as far as an operator wants to know that they are there.

use crate::library::{self, function};
use fcsp_core::backend::{BackendError, Vendor};
use hip_sys::{error_name, fn_types, hipError_t};
use std::path::Path;

/// The names under which AMD's releases install the library, newest first.
pub const LIBRARIES: [&str; 3] = ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"];

/// What every program on an AMD device opens: the kernel driver's interface for computing.
const KERNEL_DRIVER: &str = "/dev/kfd";

/// Whether the kernel driver of AMD devices is loaded. A simulated device needs none.
pub fn is_loaded() -> bool {
    Path::new(KERNEL_DRIVER).exists()
}

/// Why a management library could not be started: where there is no kernel driver, that is why.
pub(crate) fn or_none(error: BackendError) -> BackendError {
    if is_loaded() {
        return error;
    }
    BackendError::NoLibrary {
        vendor: Vendor::Amd,
        reason: format!("{KERNEL_DRIVER} does not exist; {error}"),
    }
}

/// The HIP version that the library implements, as `HIP_VERSION` writes it (60,443,483 is 6.4). Loads the library.
pub fn hip_version() -> Result<i32, BackendError> {
    let library = library::open(&LIBRARIES)?;
    let call = "hipRuntimeGetVersion";
    let version = function::<fn_types::hipRuntimeGetVersion>(&library, call)?;
    let mut number = 0;
    // SAFETY: the function writes one int to a live one; the library outlives the call.
    let status = unsafe { version(&mut number) };
    // What it began stays until the process ends: the runtime has threads that its unloading would not wait for.
    std::mem::forget(library);
    if status == hipError_t::hipSuccess {
        return Ok(number);
    }
    Err(BackendError::Call {
        vendor: Vendor::Amd,
        call,
        code: status.0.into(),
        name: error_name(status.0).to_owned(),
    })
}
