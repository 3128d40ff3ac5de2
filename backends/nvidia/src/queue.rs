//! The gate in a CUDA stream, for programs that load the driver themselves: [`driver`] finds the
//! functions that [`CudaGate`] calls. The gate is `fcsp_nvidia_queue`'s, which says why it stands apart.
//!
//! The preload library does not come this way: it has the driver's functions already.

use cuda_sys::fn_types;
use libloading::Library;

pub use fcsp_nvidia_queue::{CudaGate, Driver, Handles, Pages, Streams, Surroundings};

/// The functions of a loaded driver library that a gate calls. What it lacks is `None`. Blocks for
/// look-ups only. The library must stay loaded for as long as any of the functions is called.
pub fn driver(library: &Library) -> Driver {
    macro_rules! find {
        ($name:ident) => {
            // SAFETY: the type is the one NVIDIA's header gives this name.
            unsafe { library.get::<fn_types::$name>(stringify!($name).as_bytes()) }
                .ok()
                .map(|function| *function)
        };
    }
    Driver {
        host_register: find!(cuMemHostRegister_v2),
        host_device_pointer: find!(cuMemHostGetDevicePointer_v2),
        wait_value: find!(cuStreamWaitValue32_v2),
        write_value: find!(cuStreamWriteValue32_v2),
        event_create: find!(cuEventCreate),
        event_record: find!(cuEventRecord),
        event_elapsed: find!(cuEventElapsedTime_v2).or_else(|| find!(cuEventElapsedTime)),
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
