//! The CUDA driver library itself, as far as an operator wants to know that it is there.

use cuda_sys::{CUresult, fn_types};
use fcsp_core::backend::{BackendError, Vendor};
use libloading::Library;

/// The name under which NVIDIA installs the driver library.
const LIBRARY: &str = "libcuda.so.1";

/// The CUDA version that the driver library implements (13000 is 13.0). Loads the library, which
/// needs no device, and initializes nothing.
pub fn cuda_version() -> Result<i32, BackendError> {
    // SAFETY: running the constructors of the vendor's own library is what every program that uses
    // it does.
    let library = unsafe { Library::new(LIBRARY) }.map_err(|error| BackendError::NoLibrary {
        vendor: Vendor::Nvidia,
        reason: error.to_string(),
    })?;
    // SAFETY: the type is the one NVIDIA's header gives this name.
    let version = unsafe { library.get::<fn_types::cuDriverGetVersion>(b"cuDriverGetVersion") }
        .map_err(|_| BackendError::Absent {
            vendor: Vendor::Nvidia,
            call: "cuDriverGetVersion",
        })?;
    let mut number = 0;
    // SAFETY: the function writes one int to a live one; the library outlives the call.
    let status = unsafe { version(&mut number) };
    if status == CUresult::CUDA_SUCCESS {
        return Ok(number);
    }
    Err(BackendError::Call {
        vendor: Vendor::Nvidia,
        call: "cuDriverGetVersion",
        code: status.0 as i64,
        name: cuda_sys::result_name(status.0).to_owned(),
    })
}
