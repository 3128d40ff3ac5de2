//! A HIP program, which is this process.

use hip_sys::{fn_types, hipError_t};
use libloading::Library;
use std::ffi::CStr;

/// The HIP library, in use.
pub struct Program(Library);

impl Program {
    /// Loads the library.
    pub fn start() -> Self {
        // SAFETY: the simulated library's constructors.
        let library = unsafe { Library::new("libamdhip64.so.6") };
        Self(library.expect("the simulated library"))
    }

    /// Where HIP says that a device is.
    pub fn address_of(&self, ordinal: i32) -> String {
        let mut room = [0; 64];
        // SAFETY: the library's own type; a buffer with its length.
        let status = unsafe {
            let ask = self
                .0
                .get::<fn_types::hipDeviceGetPCIBusId>(b"hipDeviceGetPCIBusId")
                .expect("exported");
            ask(room.as_mut_ptr(), room.len() as i32, ordinal)
        };
        assert_eq!(status, hipError_t::hipSuccess);
        // SAFETY: the library ends what it wrote.
        let text = unsafe { CStr::from_ptr(room.as_ptr()) };
        text.to_string_lossy().to_ascii_lowercase()
    }

    /// Allocates, which makes a context if there is none yet, and gives what was asked for.
    pub fn allocate(&self, bytes: u64) -> u64 {
        let mut address = std::ptr::null_mut();
        // SAFETY: the library's own type; it writes one address.
        let status = unsafe {
            let allocate = self
                .0
                .get::<fn_types::hipMalloc>(b"hipMalloc")
                .expect("exported");
            allocate(&mut address, bytes as usize)
        };
        assert_eq!(status, hipError_t::hipSuccess);
        bytes
    }
}
