//! The gate in a Level Zero queue, for programs that load the loader themselves: [`driver`] finds the functions that
//! [`ZeGate`] calls. The gate is `fcsp_intel_queue`'s, which says why it stands apart.
//!
//! The preload library does not come this way: it has the driver's functions already.

use level_zero_sys::fn_types;
use libloading::Library;

pub use fcsp_intel_queue::{
    Clock, Driver, Functions, Handles, Pages, Queue, Streams, Surroundings, Target, Words, ZeGate,
};

/// The functions of a loaded loader that a gate calls. What it lacks is `None`; what is known of queues is the caller's to
/// fill in. Blocks for look-ups only. The library must stay loaded for as long as any of the functions is called.
pub fn driver(library: &Library) -> Driver {
    macro_rules! driver {
        ($($name:ident),* $(,)?) => {
            Driver {
                $(
                    // SAFETY: the type is the one the header gives this name.
                    $name: unsafe { library.get::<fn_types::$name>(stringify!($name).as_bytes()) }
                        .ok()
                        .map(|function| *function),
                )*
                target: None,
                words: &[],
            }
        };
    }
    fcsp_intel_queue::each_function!(driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_lacks_is_absent() {
        // SAFETY: the C library is loaded already; it runs nothing.
        let library = unsafe { Library::new("libc.so.6") }.expect("the C library");
        let driver = driver(&library);
        assert!(driver.zeEventCreate.is_none() && driver.zeCommandListClose.is_none());
    }
}
