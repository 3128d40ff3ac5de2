//! As much of HIP as the workbench needs: [`Hip`].

use fcsp_backend_amd::driver::LIBRARIES;
use fcsp_backend_amd::queue::{Driver, driver};
use hip_sys::{error_name, fn_types, hipError_t, hipStream_t};
use libloading::Library;
use std::ffi::{CStr, c_char, c_void};
use std::time::Duration;

/// `hipStreamNonBlocking` in hip_runtime_api.h.
const NON_BLOCKING: u32 = 1;

macro_rules! functions {
    ($($name:ident,)*) => {
        /// The functions that are called from here.
        #[allow(non_snake_case)]
        pub struct Functions {
            $($name: fn_types::$name,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is the one AMD's header gives this name.
                        let function = unsafe { library.get(stringify!($name).as_bytes()) };
                        *function.map_err(|_| concat!("this driver has no ", stringify!($name)))?
                    },)*
                })
            }
        }
    };
}

functions! {
    hipGetDeviceCount,
    hipDeviceGetName,
    hipSetDevice,
    hipFree,
    hipStreamCreateWithFlags,
    hipLaunchHostFunc,
}

/// Calls a function and turns a status other than success into text that names it. Unsafe, as the call is.
macro_rules! call {
    ($hip:expr, $name:ident($($argument:expr),* $(,)?)) => {
        check(stringify!($name), ($hip.functions.$name)($($argument),*))
    };
}

/// The driver. Its functions may be called from any thread.
pub struct Hip {
    functions: Functions,
    /// What the gate calls.
    pub gate: Driver,
}

impl Hip {
    /// Loads the driver, for the life of the process.
    pub fn load() -> Result<Self, String> {
        let mut refused = String::new();
        for name in LIBRARIES {
            // SAFETY: running the constructors of the vendor's own library is what every program that
            // uses it does.
            match unsafe { Library::new(name) } {
                // The functions are called until the process ends.
                Ok(library) => return Self::of(Box::leak(Box::new(library))),
                Err(error) => refused = error.to_string(),
            }
        }
        Err(refused)
    }

    fn of(library: &'static Library) -> Result<Self, String> {
        Ok(Self {
            functions: Functions::find(library)?,
            gate: driver(library),
        })
    }

    /// Devices that HIP shows to this process.
    pub fn device_count(&self) -> Result<i32, String> {
        let mut count = 0;
        // SAFETY: the driver writes one number.
        unsafe { call!(self, hipGetDeviceCount(&mut count)) }?;
        Ok(count)
    }

    /// A device's name.
    pub fn name(&self, device: i32) -> Result<String, String> {
        let mut name = [0 as c_char; 128];
        let room = name.len() as i32;
        // SAFETY: the buffer's true length is given.
        unsafe { call!(self, hipDeviceGetName(name.as_mut_ptr(), room, device)) }?;
        // SAFETY: the driver terminates the name within the length it was given.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        Ok(name.to_string_lossy().into_owned())
    }

    /// Makes the device the calling thread's, with all that its first use needs.
    pub fn enter(&self, device: i32) -> Result<(), String> {
        // SAFETY: a device that was counted; freeing nothing is allowed.
        unsafe {
            call!(self, hipSetDevice(device))?;
            call!(self, hipFree(std::ptr::null_mut()))
        }
    }

    /// A new stream that the legacy default stream does not wait for.
    pub fn stream(&self) -> Result<hipStream_t, String> {
        let mut stream = std::ptr::null_mut();
        // SAFETY: the driver writes one handle.
        unsafe { call!(self, hipStreamCreateWithFlags(&mut stream, NON_BLOCKING)) }?;
        Ok(stream)
    }

    /// Lets `stream` wait for so long.
    pub fn sleep(&self, stream: hipStream_t, ns: u64) -> Result<(), String> {
        let ns = std::ptr::without_provenance_mut(ns as usize);
        // SAFETY: a function that takes a number in the place of a pointer, which it does not follow.
        unsafe { call!(self, hipLaunchHostFunc(stream, Some(sleep), ns)) }
    }
}

unsafe extern "C" fn sleep(ns: *mut c_void) {
    std::thread::sleep(Duration::from_nanos(ns.addr() as u64));
}

fn check(name: &str, result: hipError_t) -> Result<(), String> {
    match result {
        hipError_t::hipSuccess => Ok(()),
        _ => Err(format!("{name} gave {}", error_name(result.0))),
    }
}
