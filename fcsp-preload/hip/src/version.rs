//! Which version of the driver's interface the program has.

use core::sync::atomic::{AtomicU32, Ordering};

use hip_sys::hipError_t;

use crate::errors::quietly;
use crate::hooks::hip;

/// `HIP_VERSION` in hip_version.h: 10,000,000 for a major version, 100,000 for a minor one.
const MAJOR: u32 = 10_000_000;
const MINOR: u32 = 100_000;

/// True for HIP 5, whose structures and numbers are others in places.
pub fn is_5() -> bool {
    version() / MAJOR == 5
}

/// True for HIP 5.2 and older, in which properties of physical memory have another layout.
pub fn is_5_2_or_older() -> bool {
    version() < 5 * MAJOR + 3 * MINOR
}

/// True for HIP 7.
pub fn is_7() -> bool {
    version() / MAJOR == 7
}

fn version() -> u32 {
    static VERSION: AtomicU32 = AtomicU32::new(0);
    // Relaxed: whoever asks gets the same answer.
    match VERSION.load(Ordering::Relaxed) {
        0 => {
            let version = ask().unwrap_or(u32::MAX);
            VERSION.store(version, Ordering::Relaxed);
            version
        }
        version => version,
    }
}

#[cold]
fn ask() -> Option<u32> {
    let mut version = 0;
    let get = hip::hipRuntimeGetVersion.get()?;
    // SAFETY: the driver writes a number there, or fails.
    let result = quietly(|| unsafe { get(&mut version) });
    (result == hipError_t::hipSuccess).then_some(version.unsigned_abs())
}
