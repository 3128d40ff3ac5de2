//! Calls of the library to what it exports itself, as the real one makes them, and which release it is.
//!
//! `own.c` is linked with the archive (`fcsp-sim-link`); unit tests do without it.

use crate::border::{Outcome, rc};
use fcsp_sim_driver::Failure;
use std::ffi::{c_int, c_uint, c_void};

#[cfg(not(test))]
unsafe extern "C" {
    static fcsp_sim_hip_major: c_int;
}

/// The major number of the release: 5 or 6.
pub fn major() -> c_int {
    #[cfg(not(test))]
    // SAFETY: a constant of own.c.
    return unsafe { fcsp_sim_hip_major };
    #[cfg(test)]
    6
}

/// Hands the dispatch table over, if somebody takes it.
///
/// # Safety
/// A table as the real library's, which may be written to.
pub unsafe fn register(table: *mut c_void) {
    #[cfg(not(test))]
    {
        unsafe extern "C" {
            fn fcsp_own_register(table: *mut c_void);
        }
        // SAFETY: the same contract.
        unsafe { fcsp_own_register(table) };
    }
    #[cfg(test)]
    let _ = table;
}

macro_rules! own_calls {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident($($arg:ident: $ty:ty),*);)*) => {
        #[cfg(not(test))]
        mod symbols {
            use super::*;
            unsafe extern "C" {
                $(pub fn $symbol($($arg: $ty),*) -> c_int;)*
            }
        }
        $(
            $(#[$doc])*
            #[allow(clippy::too_many_arguments, reason = "the vendor's signature")]
            pub unsafe fn $name($($arg: $ty),*) -> Outcome {
                #[cfg(not(test))]
                // SAFETY: the same contract.
                let code = unsafe { symbols::$symbol($($arg),*) };
                #[cfg(test)]
                let code = {
                    $(let _ = $arg;)*
                    999
                };
                match Failure(code as u32) {
                    rc::SUCCESS => Ok(()),
                    failure => Err(failure),
                }
            }
        )*
    };
}

own_calls! {
    /// `hipMemGetInfo`.
    memory_info = fcsp_own_hipMemGetInfo(free: *mut usize, total: *mut usize);
    /// `hipMallocPitch`.
    malloc_pitch = fcsp_own_hipMallocPitch(place: *mut *mut c_void, pitch: *mut usize, width: usize, height: usize);
    /// `hipHostMalloc`.
    host_malloc = fcsp_own_hipHostMalloc(place: *mut *mut c_void, bytes: usize, flags: c_uint);
    /// `hipMemcpy`.
    memcpy = fcsp_own_hipMemcpy(to: *mut c_void, from: *const c_void, bytes: usize, kind: c_int);
    /// `hipMemcpyAsync`.
    memcpy_async = fcsp_own_hipMemcpyAsync(
        to: *mut c_void, from: *const c_void, bytes: usize, kind: c_int, stream: *mut c_void
    );
    /// `hipGetDevice`.
    get_device = fcsp_own_hipGetDevice(place: *mut c_int);
    /// `hipGetDeviceProperties`, in the layout of the release.
    device_properties = fcsp_own_hipGetDeviceProperties(place: *mut c_void, device: c_int);
    /// `hipModuleLaunchKernel`.
    module_launch = fcsp_own_hipModuleLaunchKernel(
        function: *mut c_void, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint,
        shared: c_uint, stream: *mut c_void, params: *mut *mut c_void, extra: *mut *mut c_void
    );
}
