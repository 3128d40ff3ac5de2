//! The gate in a HIP stream, for programs that load the driver themselves: [`driver`] finds the functions that
//! [`HipGate`] calls. The gate is `fcsp_amd_queue`'s, which says why it stands apart.
//!
//! The preload library does not come this way: it has the driver's functions already.

use hip_sys::fn_types;
use libloading::Library;

pub use fcsp_amd_queue::{Driver, Handles, HipGate, Pages, Streams, Surroundings};

/// The functions of a loaded HIP library that a gate calls. What it lacks is `None`. Blocks for look-ups only. The
/// library must stay loaded for as long as any of the functions is called.
pub fn driver(library: &Library) -> Driver {
    macro_rules! find {
        ($name:ident) => {
            // SAFETY: the type is the one AMD's header gives this name.
            unsafe { library.get::<fn_types::$name>(stringify!($name).as_bytes()) }
                .ok()
                .map(|function| *function)
        };
    }
    Driver {
        host_register: find!(hipHostRegister),
        host_device_pointer: find!(hipHostGetDevicePointer),
        wait_value: find!(hipStreamWaitValue32),
        write_value: find!(hipStreamWriteValue32),
        event_create: find!(hipEventCreateWithFlags),
        event_record: find!(hipEventRecord),
        event_elapsed: find!(hipEventElapsedTime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_lacks_is_absent() {
        // SAFETY: the C library is loaded already; it runs nothing.
        let library = unsafe { Library::new("libc.so.6") }.expect("the C library");
        let driver = driver(&library);
        assert!(driver.host_register.is_none() && driver.wait_value.is_none());
        assert!(driver.event_elapsed.is_none());
    }
}
