//! Which family of the driver's interface the program has.

use core::sync::atomic::{AtomicU8, Ordering};

use hip_sys::hipError_t;

use crate::errors::quietly;
use crate::hooks::hip;

/// True for HIP 5, whose structures and numbers are others in places.
pub fn is_5() -> bool {
    static MAJOR: AtomicU8 = AtomicU8::new(0);
    // Relaxed: whoever asks gets the same answer.
    match MAJOR.load(Ordering::Relaxed) {
        0 => {
            let major = ask().unwrap_or(u8::MAX);
            MAJOR.store(major, Ordering::Relaxed);
            major == 5
        }
        major => major == 5,
    }
}

#[cold]
fn ask() -> Option<u8> {
    let mut version = 0;
    let get = hip::hipRuntimeGetVersion.get()?;
    // SAFETY: the driver writes a number there, or fails.
    let result = quietly(|| unsafe { get(&mut version) });
    // `HIP_VERSION` in hip_version.h: the major version times 10,000,000.
    (result == hipError_t::hipSuccess).then_some((version / 10_000_000) as u8)
}
