//! What happens when the library is loaded, before the program's own code runs: next to nothing.

use core::ffi::CStr;
use std::ffi::CString;

use fcsp_core::policy::tenant_name;

const TENANT: &CStr = c"FCSP_TENANT";

/// Names the tenant for this process and everything it starts, unless somebody has: a job and its
/// children share one quota. Done here because the environment may not be changed once there are
/// threads.
fn name_tenant() {
    // SAFETY: runs while the dynamic linker initialises the program, before any thread exists.
    let set = unsafe { libc::getenv(TENANT.as_ptr()) };
    // SAFETY: a C string of the environment, as above.
    let is_empty = set.is_null() || unsafe { CStr::from_ptr(set) }.is_empty();
    if !is_empty {
        return;
    }
    if let Ok(name) = CString::new(tenant_name::from_process()) {
        // SAFETY: as above; both strings end with a NUL.
        unsafe { libc::setenv(TENANT.as_ptr(), name.as_ptr(), 1) };
    }
}

/// Puts what must stand in the environment there before the program starts the driver: the tenant's name, and what
/// `vendor` adds. For a function in `.init_array` of the library, which the dynamic linker calls while the program has
/// no thread yet.
pub fn prepare(vendor: fn()) {
    // Nobody above this could take a panic; what is missing then is a default.
    let _panicked = std::panic::catch_unwind(|| {
        name_tenant();
        vendor();
    });
}
