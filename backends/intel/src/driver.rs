//! The kernel's drivers of Intel's GPUs, and the loader, as far as an operator wants to know that they are there.

use crate::library;
use fcsp_core::backend::{BackendError, Vendor};
use std::path::Path;

/// The kernel's drivers of Intel's GPUs.
const MODULES: [&str; 2] = ["/sys/module/i915", "/sys/module/xe"];

/// Whether a kernel driver of Intel's GPUs is loaded: there may be a device. A simulated device needs none.
pub fn is_loaded() -> bool {
    MODULES.iter().any(|module| Path::new(module).exists())
}

/// Why the loader could not be started: where there is no kernel driver, that is why.
pub(crate) fn or_none(error: BackendError) -> BackendError {
    if is_loaded() {
        return error;
    }
    let [i915, xe] = MODULES;
    BackendError::NoLibrary {
        vendor: Vendor::Intel,
        reason: format!("neither {i915} nor {xe} exists; {error}"),
    }
}

/// Whether the Level Zero loader is where every program finds it. Many programs bring one of their own.
pub fn has_loader() -> bool {
    library::open().is_ok()
}
